# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The engine against the plain network, and its refusals."""

import copy
import pickle
import platform
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ubcn_ros import Engine
from ubcn_ros.network import Step
from ubcn_ros.network.rain_estimate import rain_of
from ubcn_ros.runtime import ModelFileError, load_model, save_model
from ubcn_ros.runtime.backends.backend import LoadOptions
from ubcn_ros.runtime.backends.eager import build, load_eager
from ubcn_ros.runtime.device import processor_name, resolve_device, resolve_precision
from ubcn_ros.runtime.stopwatch import TIMED_STAGES
from ubcn_ros.runtime.transfer import download, upload


@pytest.fixture
def image():
    return np.random.default_rng(5).integers(0, 256, (45, 62, 3), np.uint8)


def plain(model, image, iterations):
    """Derained and labels by the network as it is in the file, in fp32."""
    network, _ = load_model(model)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        step = network(tensor, iterations)[-1]
    derained = (step.image[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return derained, step.full_logits[0].argmax(0).byte().numpy()


@pytest.mark.parametrize('iterations', [1, 3])
@pytest.mark.parametrize(('precision', 'mean', 'agree'), [
    ('fp32', 0.02, 0.999), ('bf16', 1.0, 0.95)])
def test_equals_the_plain_network(tiny_model, image, iterations, precision, mean, agree):
    engine = Engine.load(tiny_model, 'cpu', precision)
    frame = engine(image, iterations)
    derained, labels = plain(tiny_model, image, iterations)
    assert frame.derained.shape == image.shape and frame.derained.dtype == np.uint8
    assert frame.labels.shape == image.shape[:2] and frame.labels.dtype == np.uint8
    assert np.abs(frame.derained.astype(int) - derained).mean() <= mean
    assert (frame.labels == labels).mean() >= agree


@pytest.mark.gpu
@pytest.mark.parametrize('precision', ['fp32', 'bf16', 'fp16'])
def test_equals_the_plain_network_on_cuda(tiny_model, image, precision):
    frame = Engine.load(tiny_model, 'cuda', precision)(image, 2)
    derained, labels = plain(tiny_model, image, 2)
    assert np.abs(frame.derained.astype(int) - derained).mean() <= 1.0
    assert (frame.labels == labels).mean() >= 0.95


# to the last bits: the library may choose another algorithm for another batch size, and a label
# turns where two classes tie (on a processor without AVX-512 two of 5,580 pixels)
@pytest.mark.parametrize(('precision', 'mean', 'agree'), [
    ('fp32', 0.001, 0.999), ('bf16', 0.5, 0.98)])
def test_a_batch_equals_its_images_one_by_one(tiny_model, image, precision, mean, agree):
    engine = Engine.load(tiny_model, 'cpu', precision)
    images = [image, image[::-1], np.roll(image, 7, 1)]
    together = engine.batch(images, 3, confidence=True)
    alone = [engine(each, 3, confidence=True) for each in images]
    for frame, expected in zip(together, alone, strict=True):
        for got, wanted in ((frame.derained, expected.derained),
                            (frame.confidence, expected.confidence)):
            assert np.abs(got.astype(int) - wanted).mean() <= mean
        assert (frame.labels == expected.labels).mean() >= agree
        assert frame.iterations == 3


def test_a_batch_keeps_its_deadline(tiny_engine, image):
    past = time.monotonic() - 1
    assert [f.iterations for f in tiny_engine.batch([image] * 2, 3, deadline=past)] == [1, 1]


def test_every_batch_size_is_warmed_up_as_it_will_run(tiny_model):
    seen, lines = [], []
    backend = build(LoadOptions(tiny_model, torch.device('cpu'), 'fp32'))
    backend.network.derain.register_forward_pre_hook(
        lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    engine = Engine(backend)
    engine.warm_up(40, 48, lines.append)
    engine.warm_up(40, 48, lines.append, count=3)
    assert seen == [(1, 3, 40, 48)] * 2 + [(3, 3, 40, 48)] * 2
    assert ' at 48x40 on' in lines[0] and ' at 3 x 48x40 on' in lines[2]


def test_a_size_that_is_too_small_is_not_warmed_up(tiny_engine):
    with pytest.raises(ValueError, match='40x31 is too small'):
        tiny_engine.warm_up(31, 40)


@pytest.mark.parametrize(('images', 'told'), [
    ([], 'none'), ([np.zeros((40, 48, 3), np.uint8), np.zeros((48, 40, 3), np.uint8)],
                   '48x40, 40x48')])
def test_a_batch_is_of_one_size(tiny_engine, images, told):
    with pytest.raises(ValueError, match=f'one size, got {told}'):
        tiny_engine.batch(images)


def test_image_is_left_alone(tiny_engine, image):
    before = image.copy()
    tiny_engine(image, 2)
    assert np.array_equal(image, before)


def test_views_are_read_as_they_look(tiny_engine, image):
    expected = tiny_engine(np.ascontiguousarray(image[:, ::-1, ::-1]), 2)
    got = tiny_engine(image[:, ::-1, ::-1], 2)
    assert np.array_equal(got.derained, expected.derained)
    frozen = image.copy()
    frozen.flags.writeable = False
    assert np.array_equal(tiny_engine(frozen, 1).derained, tiny_engine(image, 1).derained)


def test_timings_cover_every_stage(tiny_engine, image):
    timings = tiny_engine(image, 2).timings
    assert set(timings) == {*TIMED_STAGES, 'total'}
    assert timings['total'] == pytest.approx(sum(timings[s] for s in TIMED_STAGES), rel=1e-3)
    assert tiny_engine(image, 1).timings['attend'] == 0


def test_confidence_on_request(tiny_engine, image):
    assert tiny_engine(image, 1).confidence is None
    sure = tiny_engine(image, 1, confidence=True).confidence
    assert sure.shape == image.shape[:2] and sure.dtype == np.uint8
    # the largest of eleven probabilities is at least an eleventh
    assert sure.min() >= 255 // 11


def test_a_past_deadline_leaves_one_step(tiny_engine, image):
    tiny_engine(image, 3, deadline=time.monotonic() + 60)  # measures a step
    assert tiny_engine(image, 3, deadline=time.monotonic() - 1).iterations == 1
    assert tiny_engine(image, 3, deadline=time.monotonic() + 60).iterations == 3


def test_warm_up_reports_progress(tiny_engine):
    lines = []
    tiny_engine.warm_up(64, 48, lines.append)
    assert '48x64' in lines[0] and len(lines) >= 2


@pytest.mark.parametrize(('wrong', 'told'), [
    (np.zeros((40, 40), np.uint8), r'\(40, 40\)'),
    (np.zeros((40, 40, 4), np.uint8), r'\(40, 40, 4\)'),
    (np.zeros((40, 40, 3), np.float32), 'float32'),
    (np.zeros((31, 40, 3), np.uint8), '40x31'),
    ('image.png', r'a NumPy array of shape \(H, W, 3\), RGB, got builtins.str'),
    (torch.zeros((40, 40, 3), dtype=torch.uint8), 'a NumPy array .*, got torch.Tensor')])
def test_wrong_images_are_named(tiny_engine, wrong, told):
    with pytest.raises(ValueError, match=told):
        tiny_engine(wrong)


@pytest.mark.parametrize(('name', 'value', 'told'), [
    ('iterations', 0, '1 or more, got 0'),
    ('iterations', 2.5, '1 or more, got 2.5, which is not an integer'),
    ('iterations', float('nan'), '1 or more, got nan'), ('iterations', '3', "1 or more, got '3'"),
    ('iterations', None, '1 or more, got None'), ('iterations', True, '1 or more, got True'),
    ('processing_size', 64.5, '-1, 0, or 32 to 8192, got 64.5, which is not an integer'),
    ('processing_size', '360', "-1, 0, or 32 to 8192, got '360'"),
    ('min_confidence', 'a', "0 to 1, got 'a'"), ('convergence', 'x', "0 to 255, got 'x'"),
    ('deadline', 'x', "got 'x'"), ('deadline', float('nan'), 'got nan')])
def test_what_is_no_such_number_is_refused(tiny_engine, image, name, value, told):
    with pytest.raises(ValueError, match=f'{name} must be .*{told}'):
        tiny_engine(image, **{name: value})


def test_numbers_of_numpy_are_taken(tiny_engine, image):
    frame = tiny_engine(image, np.int64(2), processing_size=np.int32(32),
                        min_confidence=np.float32(0.5))
    assert frame.iterations == 2 and min(frame.working_size) == 32


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_the_callers_autocast_changes_nothing(tiny_model, image, dtype):
    engine = Engine.load(tiny_model, device='cpu', precision='fp32')
    expected = engine(image, 2, confidence=True)
    with torch.autocast('cpu', dtype=dtype):
        got = engine(image, 2, confidence=True)
    assert np.array_equal(got.derained, expected.derained)
    assert np.array_equal(got.confidence, expected.confidence)


@pytest.mark.parametrize('backend', ['eager', 'graphs'])
@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_the_callers_default_type_changes_nothing(tiny_model, image, dtype, backend, default_type):
    engine = Engine.load(tiny_model, device='cpu', precision='fp32', backend=backend)
    engine.warm_up(*image.shape[:2])
    expected = engine(image, 2, confidence=True)
    default_type(dtype)
    got = engine(image, 2, confidence=True)
    assert np.array_equal(got.derained, expected.derained)
    assert np.array_equal(got.confidence, expected.confidence)


@pytest.mark.parametrize('backend', ['eager', 'graphs'])
def test_the_callers_default_device_changes_nothing(tiny_model, image, backend, default_device,
                                                    caplog):
    def frames():
        engine = Engine.load(tiny_model, device='cpu', precision='fp32', backend=backend)
        engine.warm_up(*image.shape[:2])
        kept = [engine(image, 2, confidence=True) for _ in range(4)]  # more than lent buffers
        assert engine.backend == backend
        return kept
    expected = frames()
    default_device('meta')
    for got, wanted in zip(frames(), expected, strict=True):
        assert np.array_equal(got.derained, wanted.derained)
        assert np.array_equal(got.confidence, wanted.confidence)
    assert not caplog.records


@pytest.mark.parametrize('copied', [pickle.dumps, copy.deepcopy])
def test_an_engine_says_why_it_cannot_go_to_another_process(tiny_engine, copied):
    with pytest.raises(TypeError, match='call Engine.load in each process'):
        copied(tiny_engine)


def test_frames_are_told_apart_by_identity(tiny_engine, image):
    one, other = tiny_engine.batch(iter([image, image]), 1)
    assert one == one and one != other and other in [one, other] and len({one, other}) == 2
    one.timings['total'] = 0.0
    assert other.timings['total'] > 0


@pytest.mark.parametrize(('options', 'told'), [
    ({'device': 'tpu'}, 'tpu'), ({'device': 'cuda:99'}, 'cuda:99'),
    ({'device': 'cuda:x'}, 'cuda:x'),
    ({'precision': 'int4'}, 'int4'), ({'backend': 'magic'}, 'magic')])
def test_wrong_options_are_named(tiny_model, options, told):
    with pytest.raises(ValueError, match=told):
        Engine.load(tiny_model, **options)


def test_auto_resolves():
    device = resolve_device('auto')
    assert device.type in ('cpu', 'cuda')
    assert resolve_precision('auto', device) in ('fp32', 'bf16', 'fp16')
    assert resolve_precision('auto', torch.device('cuda', 0)) == 'fp16'


@pytest.mark.parametrize('backend', ['eager', 'graphs'])
def test_a_model_with_untrained_parts_is_refused_unless_allowed(partial_model, backend):
    options = {'device': 'cpu', 'precision': 'fp32', 'backend': backend}
    with pytest.raises(ModelFileError, match='random numbers for derain and attention'):
        Engine.load(partial_model, **options)
    engine = Engine.load(partial_model, **options, allow_partial=True)
    assert engine.info.trained == ('segmentation',)


@pytest.fixture
def trained_model(tiny_model, tmp_path):
    """The tiny model, said to have been trained on images of 40 pixels."""
    path = tmp_path / 'trained.safetensors'
    save_model(path, load_model(tiny_model)[0], {'trained_short_side': 40})
    return path


@pytest.mark.parametrize('backend', ['eager', 'graphs'])
def test_images_are_processed_at_what_the_model_was_trained_for(trained_model, tiny_engine,
                                                                backend):
    engine = Engine.load(trained_model, 'cpu', 'fp32', backend)
    large = np.random.default_rng(5).integers(0, 256, (96, 131, 3), np.uint8)
    for _ in range(2):  # graphs are used from the second frame on
        frame = engine(large, 3, confidence=True)
        assert frame.working_size == (40, 56)
        assert frame.derained.shape == large.shape
        assert frame.labels.shape == frame.confidence.shape == large.shape[:2]
        native = engine(large, 3, confidence=True, processing_size=0)
        assert native.working_size == (96, 128)
        assert (native.labels != frame.labels).any()
        same(native, tiny_engine(large, 3, confidence=True))  # whose file says nothing
    small = large[:40, :64]
    assert engine(small, 3).working_size == (40, 64)
    same(engine(small, 3), engine(small, 3, processing_size=0))
    smaller = large[:33, :38]
    for _ in range(2):
        frame, native = engine(smaller, 3), engine(smaller, 3, processing_size=0)
        assert (frame.working_size, native.working_size) == ((40, 48), (32, 32))
        assert frame.derained.shape == smaller.shape and frame.labels.shape == (33, 38)
        assert (frame.labels != native.labels).any()
        same(engine(smaller, 3, processing_size=100), engine(smaller, 3, processing_size=66))
        # IDM and SAM see the image itself
        same_first = [engine(smaller, 1, processing_size=side).derained for side in (0, 40)]
        assert np.array_equal(*same_first)


def same(one, other):
    assert np.array_equal(one.derained, other.derained)
    assert np.array_equal(one.labels, other.labels)
    assert one.confidence is other.confidence is None or np.array_equal(one.confidence,
                                                                        other.confidence)


def test_the_native_size_gives_what_the_network_gives_bit_for_bit(trained_model, image):
    engine = Engine.load(trained_model, 'cpu', 'fp32', processing_size=0)
    image = image[:40, :56]  # multiples of 8
    network = load_eager(LoadOptions(trained_model, torch.device('cpu'), 'fp32')).network
    tensor = upload([image], torch.device('cpu'))
    with torch.inference_mode():
        for iterations in (1, 3):
            restored = network.derain(tensor)
            step = Step(restored, network.segmentation(restored), tensor)
            for _ in range(1, iterations):
                restored = network.attention(tensor, step.image,
                                             network.path_probabilities(step.logits))
                step = Step(restored, network.segmentation(restored), tensor)
            (derained, labels, _), = download(step, False)
            frame = engine(image, iterations)
            assert np.array_equal(frame.derained, derained)
            assert np.array_equal(frame.labels, labels)


def test_processing_sizes_are_warmed_up_and_refused(trained_model):
    said = []
    engine = Engine.load(trained_model, 'cpu', 'fp32', 'graphs', progress=said.append)
    engine.warm_up(96, 131, said.append)
    assert 'at 131x96, processed at 56x40, on cpu' in said[0]
    assert any('prepared graphs for 131x96, processed at 56x40' in line for line in said)
    for bad in (-2, 1, 31, 10 ** 5):
        with pytest.raises(ValueError, match='processing_size must be'):
            engine(np.zeros((40, 40, 3), np.uint8), processing_size=bad)
        with pytest.raises(ValueError, match='processing_size must be'):
            Engine.load(trained_model, 'cpu', processing_size=bad)


def test_what_is_given_back_is_of_the_processing_size(trained_model, monkeypatch):
    engine = Engine.load(trained_model, 'cpu', 'fp32')
    released = []
    monkeypatch.setattr(type(engine._backend), 'release', lambda _, *sizes: released.append(sizes))
    engine.release(96, 131, count=2)
    engine.release(96, 128, processing_size=0)
    assert released == [((2, 96, 131), (40, 56)), ((1, 96, 128), None)]


@pytest.mark.parametrize('value', [-5, 10 ** 400], ids=['negative', 'no float'])
@pytest.mark.parametrize('key', [
    'trained_short_side', 'trained_derain_side', 'trained_focal_length', 'temperature'])
def test_a_file_that_says_nonsense_of_its_training_is_refused_when_loaded(tiny_model, tmp_path,
                                                                          key, value):
    save_model(tmp_path / 'odd.safetensors', load_model(tiny_model)[0], {key: value})
    with pytest.raises(ModelFileError, match=f'{key} is {value}'):
        Engine.load(tmp_path / 'odd.safetensors', 'cpu')


@pytest.mark.parametrize('backend', ['eager', 'graphs'])
def test_a_model_with_a_head_for_it_tells_of_the_rain(rain_model, tiny_engine, image, backend):
    assert tiny_engine(image, 1).rain is None
    engine = Engine.load(rain_model, 'cpu', 'fp32', backend)
    network = load_eager(LoadOptions(rain_model, torch.device('cpu'), 'fp32')).network
    dark = image // 2
    for _ in range(2):  # graphs are used from the second frame on
        frames = engine.batch([image, dark], 2)
    for each, frame in zip((image, dark), frames, strict=True):
        with torch.inference_mode():
            steps = network(upload([each], torch.device('cpu')), 2)
        expected = rain_of(steps[0].rain)
        assert frame.rain.rate == pytest.approx(expected.rate.item(), rel=1e-4)
        assert frame.rain.visibility == pytest.approx(expected.visibility.item(), rel=1e-4)
        off = np.abs(frame.derained / 255 - steps[1].image[0].permute(1, 2, 0).clamp(0, 1).numpy())
        assert off.max() < 0.51 / 255
    assert frames[0].rain != frames[1].rain


def test_a_cpu_has_the_name_that_the_system_gives_it(monkeypatch):
    cpu = torch.device('cpu')
    monkeypatch.setattr(Path, 'read_text', lambda _: (
        'processor\t: 0\nmodel name\t: Intel(R) Xeon(R) CPU @ 2.80GHz\nmodel name\t: other\n'))
    assert processor_name(cpu) == 'Intel Xeon CPU @ 2.80GHz'
    monkeypatch.setattr(Path, 'read_text', lambda _: 'CPU part\t: 0xd0c\n')  # as of ARM
    assert processor_name(cpu) == platform.machine()

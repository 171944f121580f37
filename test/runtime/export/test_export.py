# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exported stages are the loop's stages, and the onnxruntime backend is the engine's equal."""

import json
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.fx.experimental import _config as shape_options

from ubcn_ros.cli.export import export
from ubcn_ros.cli.model import model_info
from ubcn_ros.network import Step, build
from ubcn_ros.runtime import Engine, ModelFileError, load_model, save_model
from ubcn_ros.runtime.backends import onnx
from ubcn_ros.runtime.backends.backend import LoadOptions, PrecisionError
from ubcn_ros.runtime.export.check import (
    ExportCheckError,
    compare,
    require_equal,
)
from ubcn_ros.runtime.export.folder import read_exported
from ubcn_ros.runtime.export.stages import EXPORT_STAGES

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')


def export_of(model, folder, *options):
    """Export with the command; the folder, and what was printed."""
    result = CliRunner().invoke(export, ['--format', 'onnx', '--model', str(model),
                                         '--out', str(folder), *options])
    assert result.exit_code == 0, result.output
    return folder, result.output


@pytest.fixture(scope='module')
def exported(tiny_model, tmp_path_factory):
    return export_of(tiny_model, tmp_path_factory.mktemp('export') / 'tiny')


@pytest.fixture(scope='module')
def rain_export(rain_model, tmp_path_factory):
    return export_of(rain_model, tmp_path_factory.mktemp('export') / 'rain')


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


def picture(height, width, seed=0):
    coarse = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(seed))
    image = torch.nn.functional.interpolate(coarse, (height, width), mode='bilinear')[0]
    return np.ascontiguousarray(image.permute(1, 2, 0).mul(255).to(torch.uint8).numpy())


def test_the_command_writes_a_model_per_stage_and_describes_it(exported, tiny_model):
    folder, output = exported
    assert {path.name for path in folder.iterdir()} == {
        'derain.onnx', 'segment.onnx', 'attend.onnx', 'export.json'}
    said = json.loads((folder / 'export.json').read_text())
    assert [value['name'] for value in said['stages']['attend']['inputs']] == [
        'image', 'previous', 'previous_logits']
    assert said['stages']['derain']['inputs'][0]['shape'] == ['batch', 3, 'height', 'width']
    assert said['label_set'] == load_model(tiny_model)[1].config.label_set.to_dict()
    assert len(said['weights_sha256']) == 64
    assert len({(row['height'], row['width']) for row in said['check']['rows']}) >= 3
    assert 'largest difference' in output


def test_the_threads_of_a_stage_leave_their_cores_to_the_next(exported, monkeypatch):
    import onnxruntime
    made = []

    class Options(onnxruntime.SessionOptions):
        def __init__(self):
            super().__init__()
            made.append(self)
    monkeypatch.setattr(onnxruntime, 'SessionOptions', Options)
    Engine.load(exported[0], 'cpu', backend='onnxruntime')
    assert made and {options.get_session_config_entry('session.intra_op.allow_spinning')
                     for options in made} == {'0'}


def test_an_export_tells_of_its_weights_what_their_file_tells(exported, tiny_model):
    said, expected = (json.loads(CliRunner().invoke(model_info, [str(path), '--json', '-']).output)
                      for path in (exported[0], tiny_model))
    assert said.pop('path') != expected.pop('path')
    assert said.pop('metadata') == {**expected.pop('metadata'),
                                    'trained': ['derain', 'segmentation', 'attention']}
    assert said == expected


@pytest.mark.parametrize('size', [(48, 64), (57, 75)])
@pytest.mark.parametrize('iterations', [1, 3])
def test_the_backend_equals_the_eager_engine(exported, tiny_engine, size, iterations):
    engine = Engine.load(exported[0], device='cpu', backend='onnxruntime')
    assert (engine.backend, engine.precision) == ('onnxruntime', 'fp32')
    images = [picture(*size, seed) for seed in (1, 2)]
    found = engine.batch(images, iterations)
    expected = tiny_engine.batch(images, iterations)
    for one, other in zip(found, expected, strict=True):
        assert one.derained.shape == other.derained.shape and one.iterations == iterations
        assert np.abs(one.derained.astype(int) - other.derained).max() <= 1
        assert (one.labels == other.labels).mean() >= 0.995
        assert np.abs(one.derained.astype(int) - images[0]).max() > 0
    assert found[0].timings['derain'] > 0 < found[0].timings['segment']


def test_an_export_has_a_confidence_at_the_temperature_of_its_weights(exported, tiny_engine,
                                                                      tmp_path):
    folder = shutil.copytree(exported[0], tmp_path / 'hot')
    said = json.loads((folder / 'export.json').read_text())
    said['metadata']['temperature'] = 0.25
    (folder / 'export.json').write_text(json.dumps(said))
    image = picture(40, 64)
    engines = [Engine.load(path, 'cpu', backend='onnxruntime') for path in (exported[0], folder)]
    plain, hot = (engine(image, 2, confidence=True) for engine in engines)
    expected = tiny_engine(image, 2, confidence=True)
    assert np.abs(plain.confidence.astype(int) - expected.confidence).max() <= 1
    assert np.array_equal(hot.labels, plain.labels)
    assert hot.confidence.mean() > plain.confidence.mean() + 1
    steps = int(np.median(hot.confidence))
    masked = engines[1](image, 2, min_confidence=steps / 255)
    assert np.array_equal(masked.labels, np.where(hot.confidence < steps, 255, hot.labels))


def writes(folder):
    """What stands in for the export of a model: a copy of one that is in this folder."""
    def write(network, info, made, *_, **__):
        shutil.copytree(folder, made, dirs_exist_ok=True)
        return json.loads((made / 'export.json').read_text())
    return write


def test_a_model_is_exported_once_and_kept(tiny_model, cache, tmp_path, monkeypatch):
    said = []
    options = {'device': 'cpu', 'precision': 'fp16', 'backend': 'onnxruntime'}
    first = Engine.load(tiny_model, **options, progress=said.append)
    assert any('exporting' in line for line in said) and list(cache.rglob('attend.onnx'))
    said.clear()
    second = Engine.load(tiny_model, **options, progress=said.append)
    assert not said and second.precision == 'fp16'
    image = picture(40, 52)
    assert np.array_equal(first(image).labels, second(image).labels)
    monkeypatch.setattr('ubcn_ros.runtime.backends.onnx.write_stages', writes(
        shutil.copytree(next(cache.rglob('export.json')).parent, tmp_path / 'made')))
    next(cache.rglob('export.json')).unlink()  # as a cleaner of temporary files does
    Engine.load(tiny_model, **options, progress=said.append)
    assert any('exporting' in line for line in said) and list(cache.rglob('export.json'))


def test_the_callers_default_device_changes_nothing(tiny_model, cache, default_device):
    image = picture(40, 52)
    default_device('meta')
    engine = Engine.load(tiny_model, device='cpu', backend='onnxruntime')
    assert engine(image).derained.any()


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_the_callers_default_type_changes_nothing(exported, dtype, default_type):
    engine = Engine.load(exported[0], device='cpu', backend='onnxruntime')
    image = picture(40, 52)
    expected = engine(image, 2)
    default_type(dtype)
    for _ in range(2):  # of known sizes, results are bound
        got = engine(image, 2)
    assert np.array_equal(got.derained, expected.derained)
    assert np.array_equal(got.labels, expected.labels)


def test_what_another_process_kept_meanwhile_stays(exported, tiny_model, cache, monkeypatch):
    """Nodes that start at once do not take each other's export away while it is read."""
    kept = []

    def write(network, info, made, *_, **__):
        kept.append(shutil.copytree(exported[0], made.parents[2] / made.name).stat().st_ino)
        return writes(exported[0])(network, info, made)
    monkeypatch.setattr('ubcn_ros.runtime.backends.onnx.write_stages', write)
    Engine.load(tiny_model, 'cpu', 'fp32', backend='onnxruntime')
    assert [path.stat().st_ino for path in (cache / 'ubcn_ros' / 'onnx').iterdir()] == kept


def few_layers(rain_model, folder, **changes):
    """Save such a model: torch.export takes its time for each layer, and again to read it."""
    config = load_model(rain_model)[1].config
    changes = {'derain': replace(config.derain, blocks=1),
               'attention': replace(config.attention, blocks=1), **changes}
    network = build(replace(config, **changes))
    for last in (network.derain.tail[1], network.attention.tail[1]):  # these start at zero
        torch.nn.init.normal_(last.weight, std=0.02)
    save_model(folder / 'few.safetensors', network, {})
    return folder / 'few.safetensors'


@pytest.mark.skipif(not hasattr(shape_options, 'backed_size_oblivious'),
                    reason='exports of any size need PyTorch 2.7')
def test_torch_programs_equal_the_network_too(rain_model, tmp_path):
    model = few_layers(rain_model, tmp_path, segmentation_options={'width': 4},
                       segmentation='small_segmentation:SmallSegmentation')
    folder, _ = export_of(model, tmp_path / 'programs', '--format', 'torch')
    said = json.loads((folder / 'export.json').read_text())
    assert len({(row['height'], row['width']) for row in said['check']['rows']}) >= 3
    with pytest.raises(ModelFileError, match='holds torch models'):
        Engine.load(folder, device='cpu', backend='onnxruntime')


def test_torch_programs_of_one_size_equal_ddrnet_too(rain_model, tmp_path, monkeypatch):
    model = few_layers(rain_model, tmp_path, veil=None)
    load, held = torch.export.load, []

    def noted(file):
        program = load(file)
        held.append(program.state_dict)
        return program
    monkeypatch.setattr(torch.export, 'load', noted)
    # the command reads what it wrote, and compares that with PyTorch
    export_of(model, tmp_path / 'programs', '--format', 'torch', '--height', '48', '--width', '64')
    assert len(held) == 3 and all(held), 'each stage has weights'
    assert (sum(weight.numel() for stage in held for weight in stage.values())
            <= sum(weight.numel() for weight in load_model(model)[0].state_dict().values()))


def test_an_untrained_rain_head_is_not_exported(rain_model, tmp_path):
    path = tmp_path / 'dry.safetensors'
    save_model(path, load_model(rain_model)[0], {'estimates_rain': False})
    folder, _ = export_of(path, tmp_path / 'export')
    said = json.loads((folder / 'export.json').read_text())
    assert [value['name'] for value in said['stages']['derain']['outputs']] == [
        'derained', 'lifted']
    assert not any(', rain' in line for line in said['loop'])
    engine = Engine.load(folder, backend='onnxruntime', device='cpu')
    assert not engine.estimates_rain and engine(picture(64, 80), 2).rain is None


def test_stages_have_a_veil_once(rain_model):
    network, _ = load_model(rain_model)
    held = [name for stage in EXPORT_STAGES.values()
            for name, _ in stage(network).network.named_parameters()]
    assert sorted(held) == sorted(name for name, _ in network.named_parameters())


def test_the_check_finds_another_network(tiny_model, exported):
    from ubcn_ros.runtime.backends.onnx import OnnxBackend
    network, _ = load_model(tiny_model)
    with torch.no_grad():
        network.segmentation.classifier.bias[0] += 5
    stages = OnnxBackend(read_exported(exported[0]), torch.device('cpu')).stages
    with pytest.raises(ExportCheckError, match='differs from PyTorch'):
        require_equal(compare(network, stages, [(1, 32, 32)]), 'fp32')


def test_a_damaged_export_and_a_missing_one_are_named(exported, tmp_path):
    damaged = tmp_path / 'damaged'
    damaged.mkdir()
    for path in exported[0].iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    (damaged / 'attend.onnx').write_bytes(b'no model')
    for folder, told in ((damaged, 'attend.onnx'), (tmp_path, 'the folder of an export')):
        with pytest.raises(ModelFileError, match=told):
            Engine.load(folder, device='cpu', backend='onnxruntime')
    (damaged / 'export.json').write_text('[' * 100_000)
    with pytest.raises(ModelFileError, match='cannot be read .RecursionError'):
        Engine.load(damaged, device='cpu', backend='onnxruntime')
    (damaged / 'export.json').write_text('{"format": "ubcn_ros.export/3"}')  # before SAM's size
    with pytest.raises(ModelFileError, match='export of this version .*again with `ubcn export`'):
        Engine.load(damaged, device='cpu', backend='onnxruntime')
    with pytest.raises(ValueError, match='exported in fp32, not in fp16'):
        Engine.load(exported[0], device='cpu', precision='fp16', backend='onnxruntime')
    with pytest.raises(ValueError, match="no precision 'bf16'"):
        Engine.load(exported[0].parent / 'tiny.safetensors', device='cpu', precision='bf16',
                    backend='onnxruntime')


def test_an_export_that_overflows_half_precision_is_to_be_made_anew(exported, monkeypatch):
    monkeypatch.setattr(onnx, 'read_exported',
                        lambda folder: replace(read_exported(folder), precision='fp16'))
    backend = onnx.build(LoadOptions(exported[0], torch.device('cpu')))
    image = torch.full((1, 3, 8, 8), torch.nan)
    with pytest.raises(PrecisionError, match='not finite in fp16: export it in fp32 .`ubcn exp'):
        backend.download(Step(image, image, image, None), False)


@pytest.mark.parametrize('name', ['image', 'label'])
@pytest.mark.parametrize('size', [[64], [64, 64.0], [31, 64], [True, 64], 'ab', 5, [], 0, {}])
def test_a_description_with_sizes_that_are_none_is_refused(exported, tmp_path, name, size):
    said = json.loads((exported[0] / 'export.json').read_text())
    said['sizes'] |= {'image': [64, 64], 'label': [64, 64], name: size}
    (tmp_path / 'export.json').write_text(json.dumps(said))
    with pytest.raises(ModelFileError, match=f'{name} size is .*: expected null, or height and'):
        read_exported(tmp_path)


# it names a folder of TensorRT's
@pytest.mark.parametrize('precision', ['bf16', '../../elsewhere', None, ['fp32']])
def test_a_description_of_a_precision_that_is_none_is_refused(exported, tmp_path, precision):
    said = json.loads((exported[0] / 'export.json').read_text()) | {'precision': precision}
    (tmp_path / 'export.json').write_text(json.dumps(said))
    with pytest.raises(ModelFileError, match='its precision is .*: expected one of fp32, fp16'):
        read_exported(tmp_path)


def test_an_export_is_there_where_nothing_can_be_printed(exported, tiny_model, tmp_path,
                                                         monkeypatch, unheard):
    monkeypatch.setattr('ubcn_ros.runtime.export.write.write_stages', writes(exported[0]))
    result = CliRunner().invoke(export, ['--format', 'onnx', '--model', str(tiny_model),
                                         '--out', str(tmp_path / 'out')])
    assert result.exit_code == 1 and (tmp_path / 'out/export.json').is_file()
    assert 'comparing with PyTorch' in result.stderr


def test_an_export_replaces_an_export_and_nothing_else(exported, tiny_model, tmp_path,
                                                       monkeypatch):
    monkeypatch.setattr('ubcn_ros.runtime.export.write.write_stages', writes(exported[0]))
    folder = tmp_path / 'replaced'
    shutil.copytree(exported[0], folder)
    before = (folder / 'derain.onnx').stat().st_ino
    export_of(tiny_model, folder)
    assert (folder / 'derain.onnx').stat().st_ino != before
    (folder / 'notes.txt').write_text('mine')
    (folder / 'engine.plan').write_text('mine, too')
    result = CliRunner().invoke(export, ['--format', 'onnx', '--model', str(tiny_model),
                                         '--out', str(folder)])
    assert result.exit_code == 1
    assert "holds 'engine.plan' beside the export, and 1 more" in result.output
    assert (folder / 'notes.txt').read_text() == 'mine' and (folder / 'derain.onnx').is_file()


def test_an_export_says_which_parts_were_trained(exported, partial_model, tmp_path, monkeypatch):
    said = json.loads((exported[0] / 'export.json').read_text())
    assert said['metadata']['trained'] == ['derain', 'segmentation', 'attention']
    folder = tmp_path / 'partial'
    shutil.copytree(exported[0], folder)
    said['metadata'] = {'stage': 'adapt', 'trained': ['segmentation']}
    (folder / 'export.json').write_text(json.dumps(said))
    with pytest.raises(ModelFileError, match='partial holds random numbers for derain'):
        Engine.load(folder, device='cpu', backend='onnxruntime')
    engine = Engine.load(folder, device='cpu', backend='onnxruntime', allow_partial=True)
    assert engine.info.trained == ('segmentation',)
    # refused before it is exported
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    with pytest.raises(ModelFileError, match='random numbers for derain'):
        Engine.load(partial_model, device='cpu', backend='onnxruntime')
    assert not (tmp_path / 'cache').exists()


def test_a_shipped_model_is_found_beside_a_folder_of_its_name(partial_model, tmp_path,
                                                              monkeypatch):
    models = tmp_path / 'share/ubcn_ros/models'
    models.mkdir(parents=True)
    shutil.copy(partial_model, models / 'shipped.safetensors')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    (tmp_path / 'shipped').mkdir()
    monkeypatch.chdir(tmp_path)
    for backend in ('eager', 'onnxruntime'):
        with pytest.raises(ModelFileError, match='shipped.safetensors holds random numbers'):
            Engine.load('shipped', device='cpu', backend=backend)


def test_a_processing_size_is_resized_to_outside_the_models(exported, tiny_model, tiny_engine):
    engine = Engine.load(exported[0], device='cpu', backend='onnxruntime')
    image = picture(97, 131)
    for side in (32, 80, 96):  # at last SAM sees the whole image
        found, expected = (one(image, 3, processing_size=side) for one in (engine, tiny_engine))
        assert found.working_size == expected.working_size
        assert np.abs(found.derained.astype(int) - expected.derained).max() <= 1
        assert (found.labels == expected.labels).mean() >= 0.995
    network, _ = load_model(tiny_model)
    rows = compare(network, engine._backend.stages, [(2, 97, 131)], working=(40, 54))
    require_equal(rows, 'fp32')


def test_an_export_of_one_size_works_at_what_the_model_was_trained_for(tiny_model, tmp_path):
    model = tmp_path / 'trained.safetensors'
    save_model(model, load_model(tiny_model)[0],
               {'trained_short_side': 32, 'trained_focal_length': 1.5})
    export_of(model, tmp_path / 'fixed', '--height', '80', '--width', '100')
    said = json.loads((tmp_path / 'fixed' / 'export.json').read_text())
    shapes = {name: stage['inputs'][0]['shape'] for name, stage in said['stages'].items()}
    assert shapes == {'derain': [1, 3, 80, 100], 'segment': [1, 3, 32, 40],
                      'attend': [1, 3, 32, 40]}
    engine = Engine.load(tmp_path / 'fixed', device='cpu', backend='onnxruntime')
    assert engine.info.trained_focal_length is None, 'no camera changes what is fixed'
    frame = engine(picture(80, 100), 2)
    expected = Engine.load(model, 'cpu', 'fp32')(picture(80, 100), 2)
    assert frame.working_size == expected.working_size == (32, 40)
    assert (frame.labels == expected.labels).mean() >= 0.995
    for image, size in ((picture(80, 100), 0), (picture(80, 120), -1)):
        with pytest.raises(ValueError, match='takes images of 100x80 processed at 40x32, got'):
            engine(image, processing_size=size)


def test_a_veil_is_lifted_and_the_rain_told_by_the_first_model(rain_export, rain_model):
    said = json.loads((rain_export[0] / 'export.json').read_text())
    outputs = {value['name']: value['shape'] for value in said['stages']['derain']['outputs']}
    assert outputs == {'derained': ['batch', 3, 'height', 'width'],
                       'lifted': ['batch', 3, 'height', 'width'], 'rain': ['batch', 2]}
    assert said['stages']['attend']['inputs'][0]['name'] == 'lifted'
    assert any('x, y, rain = derain(small); ' in line for line in said['loop'])
    engines = [Engine.load(rain_export[0], 'cpu', backend='onnxruntime'),
               Engine.load(rain_model, 'cpu', 'fp32')]
    for size, side in (((57, 75), 0), ((97, 131), 40), ((200, 265), 60)):
        batch = [picture(*size, seed) for seed in (1, 2)]
        for found, expected in zip(*(engine.batch(batch, 3, processing_size=side)
                                     for engine in engines), strict=True):
            assert np.abs(found.derained.astype(int) - expected.derained).max() <= 1
            assert found.rain == pytest.approx(expected.rain, rel=1e-3)


def test_a_veil_of_a_fixed_size_in_half_precision_without_the_exporters_affairs(
        rain_model, tmp_path):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        # the command compares it with PyTorch
        export_of(rain_model, tmp_path / 'half', '--precision', 'fp16', '--height', '70',
                  '--width', '90')
    assert not [str(warning.message) for warning in told]


def test_the_check_finds_another_rain(rain_model, rain_export):
    from ubcn_ros.runtime.backends.onnx import OnnxBackend
    network, _ = load_model(rain_model)
    stages = OnnxBackend(read_exported(rain_export[0]), torch.device('cpu')).stages
    with torch.no_grad():
        network.rain_head.layers[-1].bias[1] += 0.01
    with pytest.raises(ExportCheckError, match='by 0.01 in the rain'):
        require_equal(compare(network, stages, [(1, 32, 32)]), 'fp32')

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recorded steps on fixed buffers are the loop's steps; where recording fails, a frame comes."""

import gc
import logging
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from ubcn_ros.runtime import Engine, load_model, save_model
from ubcn_ros.runtime.backends import graphs as graphs_module
from ubcn_ros.runtime.backends.backend import LoadOptions, PrecisionError
from ubcn_ros.runtime.backends.eager import load_eager
from ubcn_ros.runtime.backends.graph_recorder import run_plainly
from ubcn_ros.runtime.backends.graphs import KEPT_SIZES, GraphsBackend, Strategy
from ubcn_ros.runtime.backends.stages import StageFunctions
from ubcn_ros.runtime.stopwatch import TIMED_STAGES

CPU = torch.device('cpu')


def graphs_of(model, precision='fp32', progress=lambda _: None, **options):
    """Backend 'graphs', by default without a frame module by module first."""
    eager = load_eager(LoadOptions(model, CPU, precision))
    strategy = Strategy('graphs', StageFunctions.of(eager.network), run_plainly)
    return GraphsBackend(eager, [strategy], progress, **{'patience': 0, **options})


@pytest.fixture(scope='module')
def backend(tiny_model):
    return graphs_of(tiny_model)


@pytest.fixture(scope='module')
def graphs(backend):
    return Engine(backend)


def images(count, height=45, width=62, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]


def same(found, expected):
    """Whether frames are equal to the bit."""
    return all(np.array_equal(one.derained, other.derained)
               and np.array_equal(one.labels, other.labels)
               and np.array_equal(one.confidence, other.confidence)
               and one.iterations == other.iterations
               for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize('iterations', [1, 2, 3, 4])
def test_equals_the_eager_engine(graphs, tiny_engine, iterations):
    for confidence in (True, False):
        assert same(graphs.batch(images(1), iterations, confidence=confidence),
                    tiny_engine.batch(images(1), iterations, confidence=confidence))


@pytest.mark.parametrize(('count', 'size'), [(3, (45, 62)), (2, (33, 97)), (1, (32, 32))])
def test_equals_the_eager_engine_on_batches_and_odd_sizes(graphs, tiny_engine, count, size):
    batch = images(count, *size)
    assert same(graphs.batch(batch, 2, confidence=True),
                tiny_engine.batch(batch, 2, confidence=True))


def test_half_precision_equals_the_eager_engine(tiny_model):
    graphs = Engine(graphs_of(tiny_model, 'bf16'))
    eager = Engine.load(tiny_model, device='cpu', precision='bf16', backend='eager')
    one, other = (engine(images(1)[0], 2, confidence=True) for engine in (graphs, eager))
    assert np.abs(one.derained.astype(int) - other.derained).mean() <= 0.1
    assert (one.labels == other.labels).mean() >= 0.99


def test_confidence_comes_and_goes(graphs):
    image = images(1)[0]
    with_it, without = graphs(image, 2, confidence=True), graphs(image, 2)
    assert without.confidence is None and with_it.confidence.shape == image.shape[:2]
    assert np.array_equal(with_it.labels, without.labels)
    assert np.array_equal(with_it.derained, without.derained)


@pytest.mark.parametrize('name', ['graphs', 'eager'])
@pytest.mark.parametrize('confidence', [False, True])
def test_without_the_derained_image_all_else_is_the_same(graphs, tiny_engine, name, confidence):
    engine = graphs if name == 'graphs' else tiny_engine
    for number in range(2):  # the second is by graphs
        batch = images(2, seed=number)
        whole = engine.batch(batch, 2, confidence=confidence)
        for frame, expected in zip(engine.batch(batch, 2, confidence=confidence, derained=False),
                                   whole, strict=True):
            assert frame.derained is None and expected.derained is not None
            assert np.array_equal(frame.labels, expected.labels)
            assert np.array_equal(frame.confidence, expected.confidence)


@pytest.mark.parametrize('name', ['graphs', 'eager'])
@pytest.mark.parametrize('iterations', [1, 3])
@pytest.mark.parametrize('convergence', [0, 3])
def test_without_labels_the_derained_image_is_the_same(graphs, tiny_engine, name, iterations,
                                                       convergence):
    engine = graphs if name == 'graphs' else tiny_engine
    for number in range(2):
        batch, options = images(2, seed=number), {'convergence': convergence}
        whole = engine.batch(batch, iterations, **options)
        for frame, expected in zip(engine.batch(batch, iterations, labels=False, **options),
                                   whole, strict=True):
            assert frame.labels is frame.confidence is frame.unlabeled is None
            assert np.array_equal(frame.derained, expected.derained)
            assert (frame.iterations, frame.rain) == (expected.iterations, expected.rain)
    assert same(engine.batch(batch, iterations, confidence=True),
                engine.batch(batch, iterations, confidence=True))


def test_results_stay_when_the_next_frames_come(graphs):
    kept = [graphs(image, 1, confidence=True) for image in images(6)]
    again = [graphs(image, 1, confidence=True) for image in images(6)]
    assert same(kept, again)
    for frame in kept:
        for values in (frame.derained, frame.labels, frame.confidence):
            assert values.flags.c_contiguous and values.flags.writeable


def test_images_in_any_layout_and_read_only(graphs, tiny_engine):
    image = images(1)[0]
    for view in (image[::-1, ::-1, ::-1], np.asfortranarray(image), image[:, :40]):
        assert same([graphs(view, 2, confidence=True)], [tiny_engine(view, 2, confidence=True)])
    frozen = image.copy()
    frozen.flags.writeable = False
    assert np.array_equal(graphs(frozen, 1).derained, tiny_engine(image, 1).derained)


def test_sizes_change_and_the_ones_used_last_are_kept(tiny_model, monkeypatch):
    monkeypatch.setattr(graphs_module, 'RETRY', KEPT_SIZES - 1)  # frames, then a size has gone
    said = []
    engine = Engine(graphs_of(tiny_model, progress=said.append))

    def prepared(height):
        said.clear()
        engine(np.zeros((height, 32, 3), np.uint8), 1)
        return any('preparing graphs for 32x' in line for line in said)

    sizes = range(32, 32 + KEPT_SIZES)
    assert all(prepared(height) for height in sizes)
    assert not any(prepared(height) for height in sizes)
    assert prepared(32 + KEPT_SIZES)  # in place of the first
    assert prepared(32)
    assert not prepared(32 + KEPT_SIZES)


def test_of_more_sizes_in_turn_than_are_kept_none_is_prepared_anew(tiny_model, caplog):
    said = []
    backend = graphs_of(tiny_model, progress=said.append, sizes=2)
    engine = Engine(backend)
    for _ in range(4):
        for height in (32, 40, 48):
            engine(np.zeros((height, 32, 3), np.uint8), 1)
    assert len([line for line in said if 'preparing' in line]) == 2
    assert [size[1] for size, _ in backend.prepared] == [32, 40]
    record, = caplog.records
    assert 'images of more than 2 sizes come in turn' in record.getMessage()


def test_where_memory_is_short_for_another_size_all_is_released(tiny_model):
    backend = graphs_of(tiny_model)
    engine = Engine(backend)
    expected = engine(images(1)[0], 2)
    buffers = [weakref.ref(each) for each in backend.prepared.values()]
    engine.release_all()
    gc.collect()
    assert buffers and not any(buffer() for buffer in buffers) and not backend.prepared
    for _ in range(2):  # module by module: where memory is short, preparing is tried later
        assert same([engine(images(1)[0], 2)], [expected]) and not backend.prepared
    engine.warm_up(*images(1)[0].shape[:2])
    assert backend.prepared
    Engine.load(tiny_model, device='cpu', backend='eager').release_all()  # holds nothing


def test_batches_of_one_size_are_kept_together(tiny_model):
    backend = graphs_of(tiny_model)
    engine = Engine(backend)
    sizes = [((count, height, 32), None) for height in range(32, 32 + 8 * KEPT_SIZES, 8)
             for count in (1, 2)]
    for (count, height, width), _ in sizes:
        engine.warm_up(height, width, count=count)
    assert [*backend.prepared] == sizes, 'what was warmed up is warm'
    engine.warm_up(32, 96, count=2)
    assert [*backend.prepared] == [*sizes[2:], ((2, 32, 96), None)]


def test_a_released_size_keeps_no_memory_and_may_come_again(tiny_model):
    said = []
    backend = graphs_of(tiny_model, progress=said.append)
    engine = Engine(backend)
    for count in (1, 2):
        engine.warm_up(32, 48, count=count)
    expected = engine.batch(images(2, 32, 48), 2, confidence=True)
    sizes = (2, 32, 48), None
    buffers = [weakref.ref(each) for each in (
        backend.prepared[sizes], backend.prepared[sizes].rainy.untyped_storage())]
    engine.release(32, 48, count=2)
    engine.release(32, 48, count=3)  # never prepared
    gc.collect()
    assert [buffer() for buffer in buffers] == [None] * 2 and [*backend.prepared] == [
        ((1, 32, 48), None)]
    said.clear()
    assert same(engine.batch(images(2, 32, 48), 2, confidence=True), expected) and said


def test_a_size_is_prepared_when_it_comes_again(tiny_model, tiny_engine):
    said = []
    engine = Engine.load(tiny_model, device='cpu', precision='fp32', backend='graphs',
                         progress=said.append)
    for height in (32, 40, 48):
        batch = images(1, height)
        assert same(engine.batch(batch, 2, confidence=True),
                    tiny_engine.batch(batch, 2, confidence=True))
    assert not said
    engine(images(1, 40)[0], 1)
    assert [f'{what} graphs for 62x40, processed at 56x40' for what in ('preparing', 'prepared')
            ] == [line.split(' in ')[0] for line in said]


def test_warm_up_prepares_each_count_of_images(tiny_model):
    said = []
    engine = Engine.load(tiny_model, device='cpu', precision='fp32', backend='graphs',
                         progress=said.append)
    for count in (1, 2, 3):
        engine.warm_up(32, 40, count=count)
        assert 'prepared graphs for 40x32' in said[-1]
        said.clear()
    for count in (1, 2, 3):
        engine.batch(images(count, 32, 40), 1)
    assert not said


def test_what_is_not_kept_is_freed_at_once(tiny_model, monkeypatch):
    monkeypatch.setattr(graphs_module, 'RETRY', 0)
    backend = graphs_of(tiny_model, sizes=1)
    engine = Engine(backend)
    engine(np.zeros((32, 40, 3), np.uint8), 1)
    buffers = weakref.ref(backend.prepared[(1, 32, 40), None])
    image = weakref.ref(buffers().step.image)
    gc.disable()
    try:
        engine(np.zeros((40, 32, 3), np.uint8), 1)
        assert buffers() is None and image() is None
    finally:
        gc.enable()


def test_buffers_are_the_same_for_every_frame(graphs, backend):
    graphs(images(1)[0], 3)
    buffers = backend.prepared[(1, 45, 62), (40, 56)]
    where = [tensor.data_ptr() for tensor in
             (buffers.pixels, buffers.rainy, *buffers.step[:3], buffers.labels)]
    addresses = set()
    for image in images(5, seed=1):
        addresses.add(graphs(image, 3).derained.ctypes.data)
    assert backend.prepared[(1, 45, 62), (40, 56)] is buffers
    assert where == [tensor.data_ptr() for tensor in
                     (buffers.pixels, buffers.rainy, *buffers.step[:3], buffers.labels)]
    assert len(addresses) == 1  # results that nobody keeps


def test_a_deadline_ends_the_loop_between_steps(graphs):
    image = images(1)[0]
    graphs(image, 3, deadline=time.monotonic() + 60)  # measures a step
    assert graphs(image, 3, deadline=time.monotonic() - 1).iterations == 1
    one = graphs(image, 4, deadline=time.monotonic() - 1, confidence=True)
    assert same([one], [graphs(image, 1, confidence=True)])
    assert graphs(image, 4, deadline=time.monotonic() + 60).iterations == 4


def test_timings_cover_every_stage(graphs):
    timings = graphs(images(1)[0], 3).timings
    assert set(timings) == {*TIMED_STAGES, 'total'}
    assert all(timings[stage] > 0 for stage in TIMED_STAGES)
    assert timings['total'] == pytest.approx(sum(timings[s] for s in TIMED_STAGES), rel=1e-3)
    assert graphs(images(1)[0], 1).timings['attend'] == 0


class FailingRecorder:
    """As a GPU that cannot capture; `works` more recordings succeed."""

    def __init__(self, works=0):
        self.works = works
        self.given = []

    def __call__(self, work):
        self.given.append(weakref.ref(work))  # which holds the buffers
        if self.works == 0:
            try:
                raise RuntimeError('operation not permitted when stream is capturing\nmore lines')
            finally:
                raise ValueError('capture ended')
        self.works -= 1
        return run_plainly(work)


class FullRecorder:
    """As a GPU without memory for anything but small images."""

    def __init__(self):
        self.asked = 0

    def __call__(self, work):
        work()
        self.asked += 1
        if self.asked == 1:
            try:
                raise torch.OutOfMemoryError('CUDA out of memory')
            finally:
                raise RuntimeError('capture ended')
        return work


class StaleRecorder:
    """As a graph that does not read its inputs again: the third work is done once only."""

    def __init__(self, stale):
        self.stale = stale

    def __call__(self, work):
        self.stale -= 1
        work()
        return (lambda: None) if self.stale == 0 else work


def engine_of(tiny_model, *strategies):
    eager = load_eager(LoadOptions(tiny_model, CPU, 'fp32'))
    stages = StageFunctions.of(eager.network)
    strategies = [Strategy(name, change(stages), recorder)
                  for name, change, recorder in strategies]
    return Engine(GraphsBackend(eager, strategies, lambda _: None, patience=0))


@pytest.mark.parametrize('backend', ['eager', 'graphs'])
def test_a_model_that_overflows_half_precision_is_refused(tiny_model, tmp_path, backend):
    network, _ = load_model(tiny_model)
    with torch.no_grad():
        network.derain.head[0][0].weight.mul_(1e6)
        network.derain.head[1][0].weight.mul_(1e-6)
    save_model(tmp_path / 'large.safetensors', network, {})
    batch = images(1)

    def load(precision):
        return Engine.load(tmp_path / 'large.safetensors', 'cpu', precision, backend=backend)
    told = pytest.raises(ValueError, match="results of large are not finite in fp16: .* 'fp32'")
    engine = load('fp16')
    with told:
        engine.batch(batch)
    with told:
        engine.warm_up(45, 62)
    assert engine.backend == backend
    engine = load('fp32')
    engine.warm_up(45, 62)
    assert engine.batch(batch)[0].derained.any()


@pytest.mark.parametrize(('stage', 'without', 'options'), [
    ('attend', {'iterations': 1}, {'iterations': 2}),
    ('segment', {'iterations': 1, 'labels': False}, {'iterations': 1})])
def test_a_stage_that_a_first_frame_left_out_is_looked_at_when_it_runs(tiny_model, stage, without,
                                                                       options):
    eager = load_eager(LoadOptions(tiny_model, CPU, 'fp32'))
    called = getattr(eager.stages, stage)
    eager.stages = replace(eager.stages, **{stage: lambda *given: called(*given) * float('inf')})
    engine = Engine(eager)
    engine(images(1)[0], **without)
    with pytest.raises(PrecisionError):
        engine(images(1)[0], **options)


def test_what_half_precision_cannot_hold_is_not_counted_against_graphs(tiny_model, caplog):
    eager = load_eager(LoadOptions(tiny_model, CPU, 'fp32'))
    attend = eager.stages.attend
    eager.stages = replace(eager.stages, attend=lambda *given: attend(*given) * float('inf'))
    graphs = GraphsBackend(eager, [Strategy('graphs', eager.stages, run_plainly)], lambda _: None,
                           patience=0)
    with pytest.raises(PrecisionError):
        graphs.warm_up((1, 45, 62))
    assert graphs.name == 'graphs' and not caplog.records


def unchanged(stages):
    return stages


@pytest.mark.parametrize('works', [0, 3])
def test_where_recording_fails_the_modules_run(tiny_model, tiny_engine, caplog, works):
    engine = engine_of(tiny_model, ('graphs', unchanged, FailingRecorder(works)))
    with caplog.at_level(logging.WARNING):
        frames = [engine(image, 3, confidence=True) for image in images(2)]
        engine(images(1, 40, 40)[0], 1)
    assert same(frames, [tiny_engine(image, 3, confidence=True) for image in images(2)])
    assert engine.backend == 'eager'
    [record] = caplog.records
    assert record.getMessage() == (
        "backend 'graphs' does not work on cpu for 62x45, processed at 56x40: ValueError: capture "
        "ended (because of RuntimeError: operation not permitted when stream is capturing); going "
        "on with 'eager'")


def test_where_memory_is_short_only_this_size_goes_without(tiny_model, tiny_engine, caplog):
    recorder = FullRecorder()
    engine = engine_of(tiny_model, ('graphs', unchanged, recorder))
    for _ in range(2):
        assert same([engine(images(1)[0], 2, confidence=True)],
                    [tiny_engine(images(1)[0], 2, confidence=True)])
    assert recorder.asked == 1 and engine.backend == 'graphs' and len(caplog.records) == 1
    assert "out of memory); going on with 'eager' for this size" in caplog.text
    engine(images(1, 33)[0], 1)
    assert recorder.asked == 8  # all of the other size's work


def test_where_memory_was_short_it_is_tried_again_without_what_is_unused(tiny_model, monkeypatch):
    monkeypatch.setattr('ubcn_ros.runtime.backends.graphs.RETRY', 3)
    held = []

    def recorder(work):
        """As a GPU with memory for one size."""
        work()
        if len(engine._backend.prepared) + len(held):
            raise torch.OutOfMemoryError('CUDA out of memory')
        return work

    engine = engine_of(tiny_model, ('graphs', unchanged, recorder))

    def prepared(*heights):
        for height in heights:
            engine(images(1, height)[0], 1)
        return [size[1] for size, _ in engine._backend.prepared]

    assert prepared(32, 33, 33) == [32], 'for the second size memory is short'
    assert prepared(32, 33) == [32], 'the first one still comes'
    assert prepared(*[33] * 5) == [32], 'it has come since, and the next try is six frames later'
    assert prepared(33) == [33]
    held.append('as of another process')
    assert prepared(34, 33) == [33]
    held.clear()
    assert prepared(*[34] * 7) == [33]
    assert prepared(34) == [34]


def test_what_failed_is_freed_at_once(tiny_model):
    recorder = FailingRecorder(works=2)
    engine = engine_of(tiny_model, ('graphs', unchanged, recorder))
    gc.disable()
    try:
        engine(images(1)[0], 1)
        assert len(recorder.given) == 3 and not any(work() for work in recorder.given)
    finally:
        gc.enable()


@pytest.mark.parametrize(('stale', 'name'), [
    (1, 'image of step 1'), (2, 'image of step 1'), (3, 'logits of step 1'),
    (4, 'image of step 2'), (5, 'packed image'), (7, 'packed labels')])
def test_recordings_that_do_not_follow_their_input_are_found(tiny_model, tiny_engine, caplog,
                                                             stale, name):
    engine = engine_of(tiny_model, ('graphs', unchanged, StaleRecorder(stale)))
    with caplog.at_level(logging.WARNING):
        frame = engine(images(1)[0], 2, confidence=True)
    assert same([frame], [tiny_engine(images(1)[0], 2, confidence=True)])
    assert name in caplog.text and engine.backend == 'eager'


def test_a_veil_and_its_rain_are_as_the_eager_engines(rain_model):
    graphs, eager = Engine(graphs_of(rain_model)), Engine.load(rain_model, 'cpu', 'fp32', 'eager')
    for count, side in ((1, 0), (2, 0), (1, 32)):
        for seed in (1, 2):
            batch = images(count, 97, 131, seed)
            found, expected = (engine.batch(batch, 3, confidence=True, processing_size=side)
                               for engine in (graphs, eager))
            assert same(found, expected)
            assert [frame.rain for frame in found] == [frame.rain for frame in expected]
    assert graphs.backend == 'graphs'


@pytest.mark.parametrize(('change', 'told'), [
    (lambda image, lifted, rain: (image, lifted * 0.9, rain), 'image of step 2'),
    (lambda image, lifted, rain: (image, lifted, rain + 0.1), 'rain differs')])
def test_another_veil_or_rain_is_found(rain_model, caplog, change, told):
    engine = engine_of(rain_model, ('graphs', lambda stages: StageFunctions(
        lambda image: change(*stages.derain(image)), stages.segment, stages.attend),
        run_plainly))
    with caplog.at_level(logging.WARNING):
        engine(images(1)[0], 2)
    assert told in caplog.text and engine.backend == 'eager'


def wrong(stages):
    return StageFunctions(stages.derain, lambda *given: stages.segment(*given) * float('nan'),
                          stages.attend)


def raising(stages):
    def compile_(*_):
        raise RuntimeError('no working compiler')
    return StageFunctions(compile_, stages.segment, stages.attend)


@pytest.mark.parametrize(('change', 'told'), [(wrong, 'logits of step 1 differs by nan'),
                                              (raising, 'no working compiler')])
def test_the_next_strategy_is_taken_where_one_fails(tiny_model, tiny_engine, caplog, change, told):
    engine = engine_of(tiny_model, ('compiled', change, run_plainly),
                       ('graphs', unchanged, run_plainly))
    assert engine.backend == 'compiled'
    with caplog.at_level(logging.WARNING):
        frame = engine(images(1)[0], 2, confidence=True)
    assert same([frame], [tiny_engine(images(1)[0], 2, confidence=True)])
    assert engine.backend == 'graphs' and len(caplog.records) == 1
    assert told in caplog.text and "going on with 'graphs'" in caplog.text

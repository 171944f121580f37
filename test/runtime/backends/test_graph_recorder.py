# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recording: in which order what happens on a pretended GPU, and what happens on a real one."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.torch_version import TorchVersion

from ubcn_ros import Engine
from ubcn_ros.runtime.backends.graph_recorder import WARM_UP, GraphRecorder, run_plainly


def test_plain_work_is_run_and_repeated():
    done = []
    again = run_plainly(lambda: done.append(1))
    assert len(done) == 1
    again()
    assert len(done) == 2


class PretendCuda:
    """
    What the recorder asks of torch.cuda; `log` says what happened on which stream.

    As in PyTorch before 2.11, the first graph makes a tensor that every capture writes to.
    """

    def __init__(self):
        self.log, self.stream_now, self.made, self.seed = [], 'main', 0, None
        log, cuda = self.log, self

        class Stream:
            def __init__(self, name):
                self.name = name

            def wait_stream(self, other):
                log.append(f'{self.name} waits for {other.name}')

        class CUDAGraph:
            def __init__(self):
                cuda.made += 1
                self.number = cuda.made
                self._pool = f'pool {self.number}'

            def pool(self):
                return self._pool

            def register_generator_state(self, generator):
                assert generator == 'of GPU 0'
                if cuda.seed is None:
                    cuda.seed = torch.empty(1)

            def replay(self):
                log.append(f'replay {self.number} on {cuda.stream_now}')

        @contextlib.contextmanager
        def stream(stream):
            before, cuda.stream_now = cuda.stream_now, stream.name
            try:
                yield
            finally:
                cuda.stream_now = before

        @contextlib.contextmanager
        def graph(graph, pool, stream, capture_error_mode):
            assert capture_error_mode == 'thread_local' and stream.name == cuda.stream_now
            graph._pool = pool or graph._pool
            graph.register_generator_state('of GPU 0')
            cuda.seed.fill_(0)
            log.append(f'capture {graph.number} in {graph._pool}')
            try:
                yield
            finally:
                log.append('captured')

        self.names = {'Stream': lambda device: Stream('side'), 'CUDAGraph': CUDAGraph,
                      'stream': stream, 'graph': graph, 'default_generators': ['of GPU 0'],
                      'current_device': lambda: 0,
                      'current_stream': lambda device: Stream(cuda.stream_now)}


@pytest.fixture
def pretend(monkeypatch):
    pretend = PretendCuda()
    for name, value in pretend.names.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch._C, '_cuda_clearCublasWorkspaces',
                        lambda: pretend.log.append('workspaces cleared'), raising=False)
    return pretend


def test_work_is_warmed_up_and_captured_on_a_side_stream(pretend):
    log = pretend.log
    again = GraphRecorder(torch.device('cuda', 0)).record(
        lambda: log.append(f'work on {pretend.stream_now}'))
    assert log == ['side waits for main', *['work on side'] * WARM_UP, 'workspaces cleared',
                   'capture 1 in pool 1', 'work on side', 'captured', 'workspaces cleared',
                   'main waits for side', 'replay 1 on main']
    log.clear()
    again()
    assert log == ['replay 1 on main']


def test_the_pool_is_shared_while_a_graph_lives(pretend):
    recorder = GraphRecorder(torch.device('cuda', 0))
    kept = [recorder.record(lambda: None) for _ in range(3)]
    assert [line for line in pretend.log if 'capture ' in line] == [
        'capture 1 in pool 1', 'capture 2 in pool 1', 'capture 3 in pool 1']
    del kept
    pretend.log.clear()
    recorder.record(lambda: None)
    assert 'capture 4 in pool 4' in pretend.log  # the first pool went with its last graph


def test_a_failed_capture_leaves_the_stream_as_it_was(pretend):
    recorder = GraphRecorder(torch.device('cuda', 0))

    def work():
        if any('capture' in line for line in pretend.log):
            raise RuntimeError('not permitted when stream is capturing')

    with pytest.raises(RuntimeError, match='not permitted'):
        recorder.record(work)
    assert pretend.stream_now == 'main'
    assert pretend.log[-5:] == ['workspaces cleared', 'capture 1 in pool 1', 'captured',
                                'workspaces cleared', 'main waits for side']
    pretend.log.clear()
    recorder.record(lambda: None)
    assert 'capture 2 in pool 2' in pretend.log  # not in the failed one's


@pytest.mark.parametrize('ours', [True, False], ids=['we first', 'they first'])
def test_captures_within_and_outside_inference_mode_go_together(pretend, monkeypatch, ours):
    monkeypatch.setattr(torch, '__version__', TorchVersion('2.10.0+cu128'))
    recorder, side = GraphRecorder(torch.device('cuda', 0)), torch.cuda.Stream(None)

    def capture():
        with torch.cuda.stream(side), torch.cuda.graph(
                torch.cuda.CUDAGraph(), None, side, 'thread_local'):
            pass

    with torch.inference_mode():
        if not ours:
            capture()
        recorder.record(lambda: pretend.log.append(torch.is_inference_mode_enabled()))
    assert pretend.log.count(True) == WARM_UP + 1
    if ours:
        capture()
    assert len([line for line in pretend.log if 'capture ' in str(line)]) == 2


@pytest.mark.gpu
def test_the_callers_own_captures_follow_those_of_inference_mode():
    recorder = GraphRecorder(torch.device('cuda', 0))
    given = torch.ones(4, device='cuda')
    with torch.inference_mode():
        kept = recorder.record(lambda: given.add_(1))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        given.mul_(2)
    given.zero_()
    for again in (kept, graph.replay, kept):
        again()
    torch.cuda.synchronize()
    assert given.tolist() == [3.0] * 4


@pytest.mark.gpu
def test_a_graph_reads_its_inputs_again():
    recorder = GraphRecorder(torch.device('cuda', 0))
    given, found, doubled = (torch.zeros(1000, device='cuda') for _ in range(3))
    first = recorder.record(lambda: found.copy_((given + 1).relu()))
    second = recorder.record(lambda: doubled.copy_(found * 2))
    for value in (3.0, -5.0, 8.0):
        given.fill_(value)
        first()
        second()
        torch.cuda.synchronize()
        assert doubled.tolist() == [2 * max(value + 1, 0)] * 1000


@pytest.mark.gpu
def test_work_that_waits_for_the_device_cannot_be_captured():
    recorder = GraphRecorder(torch.device('cuda', 0))
    given = torch.ones(4, device='cuda')
    with pytest.raises(RuntimeError):
        recorder.record(lambda: given.mul_(given.sum().item()))
    again = recorder.record(lambda: given.add_(1))  # the next one can
    given.zero_()
    again()
    torch.cuda.synchronize()
    assert given.tolist() == [1.0] * 4


@pytest.mark.gpu
def test_products_are_right_after_another_graph_was_dropped():
    recorder = GraphRecorder(torch.device('cuda', 0))
    left, right = torch.rand(2, 64, 1 << 14, device='cuda').half()  # split along, by a workspace
    kept, other = (torch.zeros(64, 64, device='cuda').half() for _ in range(2))
    again = recorder.record(lambda: torch.mm(left, right.T, out=kept))
    expected = kept.clone()
    recorder.record(lambda: torch.mm(right, left.T, out=other))
    torch.cuda.empty_cache()
    kept.zero_()
    again()
    torch.cuda.synchronize()
    assert torch.equal(kept, expected)


def said_of_graphs(caplog):
    """Warnings of the backend; a kernel that is left out gives one, too."""
    return [record for record in caplog.records if record.name.endswith('backends.graphs')]


@pytest.mark.gpu
@pytest.mark.parametrize('precision', ['fp32', 'bf16', 'fp16'])
@pytest.mark.parametrize('backend', ['graphs', 'compiled'])
@pytest.mark.parametrize('model', ['tiny_model', 'rain_model'])
def test_the_engine_on_graphs_equals_the_eager_one(request, model, backend, precision, caplog):
    model = request.getfixturevalue(model)
    graphs = Engine.load(model, 'cuda', precision, backend)
    eager = Engine.load(model, 'cuda', precision, 'eager')
    random = np.random.default_rng(0)
    for count, height, width in ((1, 45, 62), (2, 64, 48), (1, 45, 62)):
        batch = [random.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]
        for iterations in (1, 3, 2):  # the second frame of a size is the first by graphs
            found = graphs.batch(batch, iterations, confidence=True)
            expected = eager.batch(batch, iterations, confidence=True)
            masks = graphs.batch(batch, iterations, derained=False)
            for one, mask in zip(found, masks, strict=True):
                assert mask.derained is mask.confidence is None
                assert (one.labels == mask.labels).mean() >= 0.999
            for one, other in zip(found, expected, strict=True):
                assert np.abs(one.derained.astype(int) - other.derained).mean() <= 1
                assert (one.labels == other.labels).mean() >= 0.98
                assert np.abs(one.confidence.astype(int) - other.confidence).mean() <= 3
                assert one.timings['segment'] > 0
                if one.rain is not None:
                    assert one.rain == pytest.approx(other.rain, rel=0.1)
    assert Engine.load(model, 'cuda').backend == 'graphs'
    if backend == 'graphs':
        assert graphs.backend == 'graphs' and not said_of_graphs(caplog)


@pytest.mark.gpu
def test_the_thread_that_owns_the_engine_captures(tiny_model, caplog):
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)

    def own():
        engine = Engine.load(tiny_model, 'cuda', 'fp16', 'graphs')
        engine.warm_up(64, 80, count=2)
        frame = engine(image, 3)
        return engine.backend, frame.labels

    with ThreadPoolExecutor(1) as worker:
        busy = worker.submit(own)
        while not busy.done():  # what other threads allocate must not end a capture
            torch.empty(1 << 20, device='cuda').zero_()
        backend, labels = busy.result()
    assert backend == 'graphs' and not said_of_graphs(caplog)
    expected = Engine.load(tiny_model, 'cuda', 'fp16', 'eager')(image, 3).labels
    assert (labels == expected).mean() >= 0.98


@pytest.mark.gpu
@pytest.mark.parametrize('model', ['tiny_model', 'rain_model'])
def test_a_frame_allocates_nothing_on_the_gpu(request, model):
    engine = Engine.load(request.getfixturevalue(model), 'cuda', 'fp16', 'graphs')
    image = np.random.default_rng(0).integers(0, 256, (128, 160, 3), np.uint8)
    engine.warm_up(128, 160)
    kept = [engine(image, 3, confidence=True) for _ in range(2)]
    before = torch.cuda.memory_stats()
    for _ in range(5):
        engine(image, 3, confidence=True)
        engine(image, 1)
    after = torch.cuda.memory_stats()
    for key in ('allocation.all.allocated', 'segment.all.allocated'):
        assert after[key] == before[key], key
    assert np.array_equal(kept[0].labels, kept[1].labels)

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What runs is what agrees on random values and is faster, decided once per kind of work."""

import copy
import re
import subprocess
import time

import pytest
import torch
from torch import nn

from ubcn_ros.network.blocks import RES
from ubcn_ros.runtime.kernels.autotune import (
    REFERENCE,
    TIMING,
    Autotuner,
    applies,
    fastest,
)
from ubcn_ros.runtime.kernels.choices import KernelChoices


def add(x, other):
    return x + other


def slow(run, seconds=0.02):
    """Run something after a nap, so that the order of times is certain."""
    def later(*inputs):
        time.sleep(seconds)
        return run(*inputs)
    return later


def failing(*_):
    """Fail as a compiler does, with a page."""
    raise RuntimeError('no such instruction\nand a page of code')


def on_cpu(choose=fastest, **options) -> Autotuner:
    return Autotuner('cpu', (torch.float32,), choose, **options)


def test_decides_once_per_kind_and_order_of_size():
    tried = []
    autotuner = on_cpu(lambda reference, candidates, x, operation:
                       tried.append(operation) or 'other')
    candidates = {'other': lambda x, other: add(x, other) * 2}
    x = torch.ones(1, 4, 3, 3)
    for kind, values in (('a', x), ('a', x), ('b', x), ('a', torch.ones(1, 4, 30, 30))):
        assert autotuner.run((kind,), kind, add, candidates, values, values).eq(4).all()
    assert tried == ['a', 'b', 'a']


@pytest.mark.parametrize('wrong', [
    lambda x, other: x,  # right where the second is zero, as it is in the frame at hand
    lambda x, other: (_ for _ in ()).throw(RuntimeError('no such instruction'))])
def test_what_is_wrong_is_left_out(wrong, caplog):
    autotuner = on_cpu()
    x = torch.ones(1, 4, 3, 3)
    assert torch.equal(autotuner.run(('a',), 'sum', add, {'w': wrong}, x, torch.zeros_like(x)), x)
    assert set(autotuner.chosen.values()) == {REFERENCE}
    assert 'sum: w is left out' in caplog.text


def test_a_later_autotuner_takes_the_same_and_times_nothing():
    choices, said = KernelChoices(None), []
    x = torch.ones(1, 4, 3, 3)
    candidates = {'twice': lambda *_: x * 2}

    def run(choose):
        return on_cpu(choose, choices=choices, progress=said.append).run(
            ('a',), 'sum', add, candidates, x, torch.zeros_like(x))
    assert torch.equal(run(lambda *_: 'twice'), x * 2)
    line, = said
    assert line.startswith(TIMING) and 'sum for (1, 4, 3, 3), torch.float32' in line
    for choose in (lambda *_: REFERENCE, None):
        assert torch.equal(run(choose), x * 2)
    candidates.clear()  # Triton is gone, say
    assert torch.equal(run(None), x)
    assert len(said) == 1
    assert torch.equal(run(lambda *_: REFERENCE), x) and len(said) == 2, 'it is chosen anew'


def test_where_nothing_may_be_timed_the_reference_runs_and_is_not_kept():
    choices = KernelChoices(None)
    x = torch.ones(1, 4, 3, 3)
    autotuner = on_cpu(None, choices=choices)
    assert torch.equal(autotuner.run(('a',), 'sum', add, {'other': add}, x, x), x * 2)
    assert set(autotuner.chosen.values()) == {REFERENCE} and not len(choices)


def test_the_choice_of_another_process_is_taken():
    class Theirs(KernelChoices):
        def keep(self, kind, name):
            return 'theirs'
    x = torch.ones(1, 4, 3, 3)
    for candidates, result in (({'theirs': lambda *_: x * 7, 'ours': add}, 7), ({'ours': add}, 2)):
        autotuner = on_cpu(lambda *_: 'ours', choices=Theirs(None))
        assert autotuner.run(('a',), 'sum', add, candidates, x, x).eq(result).all()


@pytest.mark.parametrize('error, kept', [
    (RuntimeError('Failed to find C compiler. Please specify via CC environment variable'), False),
    (subprocess.CalledProcessError(1, ['gcc', 'main.c']), False),  # without Python.h
    (PermissionError(13, 'Permission denied', '/root/.triton'), False),
    (RuntimeError('out of resource: shared memory'), True)], ids=str)
def test_what_the_system_lacks_decides_for_this_process_alone(error, kept):
    def run(*_):
        raise error
    choices, x = KernelChoices(None), torch.ones(1, 4, 3, 3)
    autotuner = on_cpu(choices=choices)
    assert autotuner.run(('a',), 'sum', add, {'triton': run}, x, x).eq(2).all()
    assert set(autotuner.chosen.values()) == {REFERENCE} and len(choices) == kept


@pytest.mark.parametrize('stage', ['a candidate', 'all of it'])
def test_what_short_memory_decides_is_not_kept(stage, caplog):
    def full(*_):
        raise torch.OutOfMemoryError('full')
    choices, x = KernelChoices(None), torch.ones(1, 4, 3, 3)
    autotuner = on_cpu(fastest if stage == 'a candidate' else full, choices=choices)
    for _ in range(2):
        assert autotuner.run(('a',), 'sum', add, {'full': full}, x, x).eq(2).all()
    assert not len(choices) and caplog.text.count('nothing else could be tried') == 1


def test_timing_is_tried_again_where_memory_was_short_for_it():
    failures, said = [torch.OutOfMemoryError('full')], []

    def choose(*_):
        if failures:
            raise failures.pop()
        return 'fast'
    autotuner = on_cpu(choose, progress=said.append)
    x = torch.ones(1, 4, 3, 3)
    found = [autotuner.run(('a',), 'sum', add, {'fast': lambda x, y: 3 * x * y}, x, x)
             for _ in range(2)]
    assert found[0].eq(2).all() and found[1].eq(3).all() and len(said) == 1


def test_a_candidate_that_fails_later_gives_way(caplog):
    def failing(*_):
        raise RuntimeError('lost')
    autotuner = on_cpu(lambda *_: 'failing')
    x = torch.ones(1, 4, 3, 3)
    for _ in range(2):
        assert autotuner.run(('a',), 'sum', add, {'failing': failing}, x, x).eq(2).all()
    assert caplog.text.count('lost') == 1


def test_a_candidate_is_tried_again_where_memory_was_short_once(caplog):
    failures = [torch.OutOfMemoryError('full')]

    def once(x, y):
        if failures:
            raise failures.pop()
        return 3 * x * y
    autotuner = on_cpu(lambda *_: 'once')
    x = torch.ones(1, 4, 3, 3)
    found = [autotuner.run(('a',), 'sum', add, {'once': once}, x, x) for _ in range(2)]
    assert found[0].eq(2).all() and found[1].eq(3).all() and not caplog.text


def test_applies_to_inference_that_nobody_watches():
    conv = nn.Conv2d(2, 2, 1)
    x = torch.ones(1, 2, 3, 3)
    assert not applies(x, conv), 'its weights learn'
    with torch.no_grad():
        assert applies(x, conv)
    conv.requires_grad_(False)
    assert applies(x, conv)
    assert not applies(x.clone().requires_grad_(), conv)
    handle = conv.register_forward_hook(lambda *_: None)
    assert not applies(x, conv)
    handle.remove()
    seen = []

    def traced(values):
        seen.append(applies(values, conv))
        return values
    torch.jit.trace(traced, x, check_trace=False)
    assert not any(seen)


def test_takes_its_device_and_types():
    assert on_cpu().supports(torch.ones(1))
    assert not on_cpu().supports(torch.ones(1).half())
    assert not Autotuner().supports(torch.ones(1).half())


def test_fastest_takes_the_least_time():
    example = torch.zeros(1, 32, 6, 6)
    reference = slow(torch.relu)
    candidates = {'late': slow(torch.relu, 0.04), 'early': torch.relu}
    assert fastest(reference, candidates, example, 'RES') == 'early'
    assert fastest(torch.relu, {'late': slow(torch.relu)}, example, 'RES') == REFERENCE
    assert fastest(reference, {}, example, 'RES') == REFERENCE


@pytest.mark.parametrize('wrong, reason', [
    (lambda x: x, 'values differ from the reference modules'),
    (lambda x: torch.relu(x) * float('nan'), 'values differ'),
    (lambda x: torch.relu(x).index_fill(2, torch.tensor(5), 0.3), 'values differ'),  # one border
    (lambda x: torch.relu(x).half(), 'torch.float16 where'),
    (lambda x: torch.relu(x)[:, :, 1:], r'\(1, 32, 5, 6\)'),
    (failing, 'RuntimeError: no such instruction')])
def test_fastest_leaves_out_what_is_wrong_and_says_why(caplog, wrong, reason):
    example = torch.zeros(1, 32, 6, 6)  # on zeros, some of these would pass
    assert fastest(slow(torch.relu), {'wrong': wrong}, example, 'RES of the test') == REFERENCE
    record, = caplog.records
    assert 'RES of the test: wrong is left out' in record.getMessage()
    assert record.getMessage().count('\n') == 0
    assert re.search(reason, record.getMessage())


def test_fastest_accepts_the_roundings_of_a_half():
    block = RES(32).eval().to(torch.bfloat16)
    exact = copy.deepcopy(block).float()
    example = torch.zeros(1, 32, 12, 12, dtype=torch.bfloat16)
    candidates = {'exact': lambda x: exact(x.float()).to(x.dtype)}
    assert fastest(slow(block), candidates, example, 'RES') == 'exact'


def test_fastest_leaves_the_random_state_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    fastest(torch.relu, {'same': torch.relu}, torch.zeros(1, 32, 4, 4), 'RES')
    assert torch.equal(torch.rand(3), expected)

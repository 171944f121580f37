# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Devices and precisions by name; threads are those of PyTorch and of OpenCV."""

import cv2
import pytest
import torch

from ubcn_ros.runtime.device import (
    cpu_computes_bf16,
    resolve_device,
    resolve_precision,
    use_threads,
)

CPU, GPU = torch.device('cpu'), torch.device('cuda', 0)


@pytest.fixture
def gpus(monkeypatch):
    """Let PyTorch see so many GPUs."""
    def see(count):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: count > 0)
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: count)
    return see


@pytest.mark.parametrize(('name', 'count', 'device'), [
    ('auto', 0, 'cpu'), ('auto', 2, 'cuda:0'), ('cpu', 2, 'cpu'), (CPU, 0, 'cpu'),
    (GPU, 1, 'cuda:0'), ('cuda', 1, 'cuda:0'), ('cuda:1', 2, 'cuda:1'), ('cuda:01', 2, 'cuda:1')])
def test_a_device_has_its_number(gpus, name, count, device):
    gpus(count)
    assert resolve_device(name) == torch.device(device)


@pytest.mark.parametrize('name', ['', 'gpu', 'CUDA', 'cuda:x', 'cuda:-1', 'cuda:²', 'cuda:1:1',
                                  'cuda: 1', 'cuda:', 'cpu:', 'cpu:x', 'cpu:7', None, 0])
def test_other_names_of_devices_are_refused(gpus, name):
    gpus(2)
    with pytest.raises(ValueError, match=f"unknown device '{name}': choose 'auto'"):
        resolve_device(name)


@pytest.mark.parametrize(('name', 'count'), [('cuda', 0), ('cuda:2', 2)])
def test_a_device_that_is_not_there_is_named(gpus, name, count):
    gpus(count)
    with pytest.raises(ValueError, match=f"'{name}' is not there: PyTorch sees {count} CUDA"):
        resolve_device(name)


@pytest.mark.parametrize(('flags', 'computes'), [
    ('flags\t: fpu avx512f avx512_bf16', True), ('flags\t: fpu amx_bf16 amx_tile', True),
    ('flags\t: fpu avx2 avx512f', False), ('Features\t: fp asimd bf16 svebf16', False),  # ARM
    (None, False)])
def test_a_cpu_computes_in_bf16_by_its_instructions(monkeypatch, flags, computes):
    def read(_):
        if flags is None:
            raise FileNotFoundError
        return flags
    monkeypatch.setattr('pathlib.Path.read_text', read)
    assert cpu_computes_bf16() == computes
    assert resolve_precision('auto', CPU) == ('bf16' if computes else 'fp32')
    assert resolve_precision('auto', GPU) == 'fp16'


def test_a_precision_stays_and_others_are_refused():
    assert [resolve_precision(name, CPU) for name in ('fp32', 'bf16', 'fp16')] == [
        'fp32', 'bf16', 'fp16']
    with pytest.raises(ValueError, match="unknown precision 'half': choose 'auto' or one of fp32"):
        resolve_precision('half', GPU)


@pytest.fixture
def as_before():
    before = torch.get_num_threads(), cv2.getNumThreads()
    yield before
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def test_threads_are_those_of_both_libraries(as_before):
    use_threads(None)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == as_before
    use_threads(3)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (3, 3)

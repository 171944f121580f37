# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Too little memory is known by whatever says it, and nothing else is taken for it."""

import cv2
import numpy as np
import pytest
import torch

from ubcn_ros.runtime.out_of_memory import (
    infer_freeing_memory,
    out_of_memory,
    release_cached_memory,
)


@pytest.mark.parametrize('error', [
    MemoryError('host'), torch.OutOfMemoryError('CUDA out of memory'),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 EB"),
    RuntimeError('CUDA error: out of memory\nCUDA kernel errors might be reported later'),
    RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`'),
    RuntimeError('cuDNN error: CUDNN_STATUS_ALLOC_FAILED'),
    RuntimeError('cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED'),
    RuntimeError('unable to mmap 9 bytes from file: Cannot allocate memory (12)'),
    RuntimeError('MPS backend out of memory (MPS allocated: 1 GB)'),
    RuntimeError('[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for '
                 'requested buffer of size 1073741824'),
    RuntimeError('CUDA failure 2: out of memory ; GPU=0'),
    RuntimeError('[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned '
                 'while running Conv node. Status Message: std::bad_alloc'),
    RuntimeError('NVML_SUCCESS == r INTERNAL ASSERT FAILED at "/opt/pytorch/pytorch/c10/cuda/'
                 'CUDACachingAllocator.cpp":1016, please report a bug to PyTorch. ')], ids=str)
def test_it_is_known(error):
    assert out_of_memory(error)


@pytest.mark.parametrize('error', [
    ValueError('memory'), RuntimeError('CUDA error: an illegal memory access was encountered'),
    RuntimeError('cuDNN error: CUDNN_STATUS_EXECUTION_FAILED'),
    RuntimeError('captures_underway.empty() INTERNAL ASSERT FAILED at "CUDACachingAllocator.cpp"'),
    OSError(28, 'No space left')],
    ids=str)
def test_other_errors_are_not_taken_for_it(error):
    assert not out_of_memory(error)


@pytest.mark.parametrize('allocate', [
    lambda: torch.empty(1 << 60, dtype=torch.uint8), lambda: np.empty(1 << 60, np.uint8),
    lambda: cv2.resize(np.zeros((2, 2), np.uint8), (1 << 30, 1 << 30))],
    ids=['PyTorch', 'NumPy', 'OpenCV'])
def test_a_real_allocation_that_cannot_be_is_known(allocate):
    with pytest.raises((RuntimeError, MemoryError, cv2.error)) as caught:
        allocate()
    assert out_of_memory(caught.value)


def test_what_cannot_be_given_back_raises_nothing(monkeypatch):
    calls = []

    def empty_cache():
        calls.append(1)
        raise RuntimeError('captures_underway.empty() INTERNAL ASSERT FAILED')
    monkeypatch.setattr('torch.cuda.empty_cache', empty_cache)
    release_cached_memory()
    assert not calls, 'without CUDA there is nothing'
    monkeypatch.setattr('torch.cuda.is_initialized', lambda: True)
    release_cached_memory()
    assert calls


@pytest.mark.parametrize(('again', 'steps'), [(None, [3, 3]), ({'iterations': 1}, [3, 1])])
def test_an_image_is_tried_once_more_when_memory_is_freed(again, steps):
    class Engine:
        seen, released = [], 0

        def __call__(self, image, iterations):
            self.seen = [*self.seen, iterations]
            if not self.released:
                raise MemoryError('one')
            return image

        def release_all(self):
            self.released += 1

    engine = Engine()
    frame, short = infer_freeing_memory(engine, 'image', {'iterations': 3}, again)
    assert frame == 'image' and str(short) == 'one' and engine.seen == steps
    assert short.__traceback__ is None, 'it keeps what had been allocated'
    assert infer_freeing_memory(engine, 'image', {'iterations': 3})[1] is None

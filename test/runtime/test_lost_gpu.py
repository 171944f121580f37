# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors after which a process has no GPU any more are known, and no others taken for them."""

import pytest
import torch

from ubcn_ros.runtime.lost_gpu import gpu_lost


@pytest.mark.parametrize('error', [
    RuntimeError('CUDA error: an illegal memory access was encountered\nSearch for '
                 "`cudaErrorIllegalAddress' in https://docs.nvidia.com for more information."),
    RuntimeError("OSError: (External) CUDA error(700) [Hint: 'cudaErrorIllegalAddress'.]"),
    RuntimeError('CUDA error: device-side assert triggered'),
    RuntimeError('CUDA error: unspecified launch failure'),
    RuntimeError('CUDA error: the launch timed out and was terminated'),
    RuntimeError('CUDA error: an illegal instruction was encountered'),
    RuntimeError('CUDA error: misaligned address'),
    RuntimeError('CUDA error: operation not supported on global/shared address space'),
    RuntimeError('CUDA error: invalid program counter'),
    RuntimeError('CUDA error: hardware stack error'),
    RuntimeError('CUDA error: Invalid access of peer GPU memory over nvlink or a hardware error'),
    RuntimeError('CUDA error: uncorrectable ECC error encountered'),
    RuntimeError('CUDA error: uncorrectable NVLink error detected during the execution'),
    RuntimeError("(External) CUDA error(214) [Hint: 'cudaErrorECCUncorrectable'.]"),
    RuntimeError('CUDA error: tensor memory not completely freed'),
    RuntimeError('Triton Error [CUDA]: an illegal memory access was encountered'),
    RuntimeError('CUDA failure 700: an illegal memory access was encountered ; GPU=0')], ids=str)
def test_it_is_known(error):
    assert gpu_lost(error)


@pytest.mark.parametrize('error', [
    torch.OutOfMemoryError('CUDA out of memory'), RuntimeError('CUDA error: out of memory'),
    RuntimeError('CUDA error: operation not permitted when stream is capturing'),
    RuntimeError('CUDA error: invalid device function'),
    RuntimeError('cuDNN error: CUDNN_STATUS_EXECUTION_FAILED'),
    ValueError('shapes differ'), MemoryError('host')], ids=str)
def test_other_errors_are_not_taken_for_it(error):
    assert not gpu_lost(error)

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tell errors after which CUDA does nothing more for this process from others."""

from __future__ import annotations

import re

# cudaError_t 226, 700, 702, 710, 714 to 719 and 721, of which CUDA's reference says that the
# process must be terminated, and 214 and 220, memory or a link that is broken; their texts are
# those of cudaGetErrorString
_TEXTS = re.compile(
    'uncorrectable ECC error encountered|uncorrectable NVLink error detected|'
    'Invalid access of peer GPU memory over nvlink or a hardware error|'
    'tensor memory not completely freed|'
    'an illegal memory access was encountered|the launch timed out and was terminated|'
    'device-side assert triggered|hardware stack error|an illegal instruction was encountered|'
    'misaligned address|operation not supported on global/shared address space|'
    'invalid program counter|unspecified launch failure|cudaError(?:ECCUncorrectable|'
    'NvlinkUncorrectable|Contained|IllegalAddress|'
    'LaunchTimeout|Assert|HardwareStackError|IllegalInstruction|MisalignedAddress|'
    r'InvalidAddressSpace|InvalidPc|LaunchFailure|TensorMemoryLeak)\b')


def gpu_lost(error: BaseException) -> bool:
    """Say whether an error, as an illegal memory access, ends CUDA for this process."""
    return isinstance(error, Exception) and _TEXTS.search(str(error)) is not None

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Devices and precisions by the names that users give them."""

from __future__ import annotations

import contextlib
import functools
import platform
import re
from pathlib import Path
from typing import Any

import torch

from ubcn_ros.runtime.checks import check_device_name

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
"""What the network may compute in."""


def resolve_device(device: str | torch.device) -> torch.device:
    """
    Turn a device's name into a device that is there.

    :param device: 'auto' (the first GPU, else the CPU), 'cpu', 'cuda' or 'cuda:N', or PyTorch's.
    :raises ValueError: the name is unknown, or there is no such device.
    """
    check_device_name(device)
    device = str(device)
    if device == 'auto':
        return torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')
    if device == 'cpu':
        return torch.device('cpu')
    number = int(device.partition(':')[2] or 0)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number >= count:
        raise ValueError(f"device {device!r} is not there: PyTorch sees {count} CUDA devices; "
                         "choose 'auto' or 'cpu', or install PyTorch with CUDA")
    return torch.device('cuda', number)


def resolve_precision(precision: str, device: torch.device) -> str:
    """
    Turn 'auto' into the fastest precision that the device computes in.

    :param precision: 'auto' or one of ``PRECISIONS``, which is returned.
    :raises ValueError: the name is unknown.
    """
    if precision == 'auto':
        if device.type == 'cuda':
            return 'fp16'
        return 'bf16' if cpu_computes_bf16() else 'fp32'
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}: choose 'auto' or one of "
                         f'{", ".join(PRECISIONS)}')
    return precision


def cpu_computes_bf16() -> bool:
    """
    Return whether the processor has the bfloat16 instructions of x86, AVX-512 or AMX.

    Emulated, bfloat16 is slower than fp32. Others, as those of ARM, are not looked for: nobody has
    measured them with this package.
    """
    try:
        flags = Path('/proc/cpuinfo').read_text()
    except OSError:
        return False
    return 'avx512_bf16' in flags or 'amx_bf16' in flags


def use_threads(count: int | None) -> None:
    """Have PyTorch use so many CPU threads, and OpenCV, too; None or 0 leaves them as they are."""
    if count:
        import cv2
        torch.set_num_threads(count)
        cv2.setNumThreads(count)


def processor_name(device: torch.device) -> str:
    """Return the name of a GPU or of the CPU, whose architecture where the system names none."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        if found := re.search('^model name\\s*:(.+)', Path('/proc/cpuinfo').read_text(), re.M):
            return ' '.join(re.sub(r'\((R|TM)\)', ' ', found[1]).split())
    return platform.machine()


@functools.cache
def processor(device: torch.device) -> tuple[Any, ...]:
    """Return what code made for a device depends on: a GPU's name and capability, or a CPU's."""
    if device.type == 'cuda':
        return (torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device))
    return (platform.machine(), torch.backends.cpu.get_cpu_capability())

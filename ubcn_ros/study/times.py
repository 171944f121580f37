# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Times and memory of baselines and of UBCN's presets on one large image."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ubcn_ros.benchmark.engine import (
    TimedCall,
    open_engine,
    rainy_images,
    run_interleaved,
    timed_baseline,
    timed_engine,
)
from ubcn_ros.runtime.processing import NATIVE
from ubcn_ros.text_table import counted


def time_all(times: dict[str, Any], baselines: Sequence[str], loops: Mapping[str, Path | None], *,
             precision: str, size: tuple[int, int], frames: int, iterations: int,
             done: Callable[[str], object]) -> None:
    """
    Time what is not timed yet, or with fewer frames, on the CPU and, where there is one, the GPU.

    Baselines and presets have random weights, which do not change their speed.

    :param times: is filled in: by device, 'cpu (NAME, N threads)' or 'cuda (NAME)', and
        'WIDTHxHEIGHT, precision', {name: {'ms': median, 'peak_mib': the most memory of a further
        image beside what was held before it was built (on a CPU about that: allocators keep
        some), 'frames'}}.
    :param baselines: of network.baselines.REGISTRY.
    :param loops: files of whole models by name; None for a preset of UBCN, whose name it is.
    :param size: width and height of the image, which is labelled at its own size.
    :param frames: that count, after WARM_UP that do not; with 0 nothing is timed.
    :param iterations: T of the loops.
    :param done: called after each, with its name.
    """
    from ubcn_ros.runtime.device import resolve_device, resolve_precision
    images: list[np.ndarray] = []  # one, made where something is left to time
    devices = ['cpu', *(['cuda'] if torch.cuda.is_available() else [])]
    for name in devices if frames else ():
        device = resolve_device(name)
        taken = resolve_precision(precision, device)
        known = times.setdefault(device_title(device), {}).setdefault(
            f'{size[0]}x{size[1]}, {taken}', {})
        with tempfile.TemporaryDirectory() as folder:
            calls: dict[str, Callable[[], TimedCall]] = {
                **{baseline: partial(timed_baseline, baseline, device, taken, size)
                   for baseline in baselines},
                **{f'{loop}, T = {iterations}': partial(
                    _timed_loop, loop, path, Path(folder), name, taken, size, iterations)
                   for loop, path in loops.items()}}
            for key in [key for key in calls if known.get(key, {}).get('frames', 0) < frames]:
                images = images or rainy_images(size[1], size[0], 1)
                known[key] = _timed_row(calls[key], images, frames, device)
                done(f'{key} on {name}')


def device_title(device: torch.device) -> str:
    """Name a device of this machine as ``time_all`` does: 'cpu (NAME, N threads)'."""
    from ubcn_ros.runtime.device import processor_name
    threads = (f', {counted(torch.get_num_threads(), "thread")}' if device.type == 'cpu' else '')
    return f'{device.type} ({processor_name(device)}{threads})'


def _timed_row(build: Callable[[], TimedCall], images: Sequence[np.ndarray], frames: int,
               device: torch.device) -> dict[str, Any]:
    """Build what is to be timed, and time it; return its row."""
    from ubcn_ros.runtime.peak_memory import peak_mib
    held = peak_mib(lambda: None, device)
    one = build()
    run_interleaved([one], images, frames, lambda: None)
    return {'ms': statistics.median(each['total'] for each in one.times),
            'peak_mib': round(peak_mib(partial(one.call, images[0]), device) - held, 1),
            'frames': frames}


def _timed_loop(name: str, path: Path | None, folder: Path, device: str, precision: str,
                size: tuple[int, int], iterations: int) -> TimedCall:
    engine = open_engine(name, path and str(path), folder, device=device, precision=precision)
    return timed_engine(engine, size, iterations, NATIVE)


def timed_rows(times: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """
    Return the rows of each device and size of the image, by both.

    :param times: as of ``time_all``.
    """
    return {f'{device} {size}': rows for device, sizes in times.items()
            for size, rows in sizes.items()}

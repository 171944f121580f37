# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Times and memory of baselines and of UBCN's presets on one large image."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ubcn_ros.benchmark.engine import TimedCall, open_engine, rainy_images, timed_baseline
from ubcn_ros.benchmark.engine import timed_engine as timed


def time_all(times: dict[str, Any], baselines: Sequence[str], presets: Sequence[str], *,
             devices: Sequence[str], precision: str, size: tuple[int, int], frames: int,
             iterations: int, done: Callable[[str], object] = lambda _name: None) -> None:
    """
    Time what is not timed yet; everything has random weights, which do not change its speed.

    :param times: is filled in: by device and 'WIDTHxHEIGHT, precision', {name: {'ms': median,
        'peak_mib': the most memory beside what was held before it was built (on a CPU about
        that: allocators keep some), 'frames'}}.
    :param baselines: of network.baselines.REGISTRY.
    :param presets: of UBCN, with the whole loop.
    :param size: width and height.
    :param frames: that count, after one that does not.
    :param iterations: T of the presets.
    :param done: called after each, with its name.
    """
    from ubcn_ros.runtime.device import resolve_device
    from ubcn_ros.runtime.peak_memory import peak_mib
    (image,) = rainy_images(size[1], size[0], 1)
    for name in devices:
        known = times.setdefault(name, {}).setdefault(f'{size[0]}x{size[1]}, {precision}', {})
        device = resolve_device(name)
        with tempfile.TemporaryDirectory() as folder:
            calls: dict[str, Callable[[], TimedCall]] = {
                **{baseline: partial(timed_baseline, baseline, device, precision, size)
                   for baseline in baselines},
                **{f'{preset}, T = {iterations}': partial(
                    _timed_preset, preset, Path(folder), name, precision, size, iterations)
                   for preset in presets}}
            for key in [key for key in calls if key not in known]:
                _release_memory()  # else this one would take what the one before held
                held = peak_mib(lambda: None, device)
                one = calls[key]()
                peak = round(peak_mib(partial(one.call, image), device) - held, 1)
                for _ in range(frames):
                    one.measure(image)
                known[key] = {'ms': statistics.median(each['total'] for each in one.times),
                              'peak_mib': peak, 'frames': frames}
                done(f'{key} on {name}')


def _release_memory() -> None:
    """Give free memory back to the system, where the C library can."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _timed_preset(preset: str, folder: Path, device: str, precision: str, size: tuple[int, int],
                  iterations: int) -> TimedCall:
    return timed(open_engine(preset, None, folder, device=device, precision=precision), preset,
                 size, iterations)

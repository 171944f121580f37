# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PSNR, SSIM and mIoU by rain rate, as studies keep and show them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

RateFigures = dict[str, dict[str, float | None]]
"""{rate: {'psnr': dB, 'ssim': 0..1, 'miou': %}}."""

_FORMATS = {'psnr': '.2f', 'ssim': '.3f', 'miou': '.1f'}
HEADER = ('PSNR dB', 'SSIM', 'mIoU %')
"""Of the columns of ``cells``."""


def by_step(rates: Mapping[str, Any]) -> list[RateFigures]:
    """
    Figures of every step of the loop, T = 1 first.

    :param rates: as ``measure_scenes`` has them under 'rates'.
    """
    count = len(next(iter(rates.values()))['steps'])
    return [{rate: {name: entry['steps'][t][name] for name in _FORMATS}
             for rate, entry in rates.items()} for t in range(count)]


def cells(rates: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """Return a cell for each figure, its rates side by side; '-' where one is not a number."""
    def cell(value: float | None, form: str) -> str:
        return '-' if value is None or not math.isfinite(value) else format(value, form)
    return [' / '.join(cell(row.get(name), form) for row in rates.values())
            for name, form in _FORMATS.items()]

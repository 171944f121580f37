# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PSNR, SSIM and mIoU by rain rate, as studies keep and show them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

RateFigures = dict[str, dict[str, float | None]]
"""{rate: {'psnr': dB, 'ssim': 0..1, 'miou': %}}."""

MEASURES = (('psnr', 'PSNR dB', 2), ('ssim', 'SSIM', 3), ('miou', 'mIoU %', 1))
"""Figures of quality: key, heading and digits."""
HEADER = tuple(heading for _, heading, _ in MEASURES)
"""Of the columns of ``cells``."""


def by_step(rates: Mapping[str, Any]) -> list[RateFigures]:
    """
    Figures of every step of the loop, T = 1 first.

    :param rates: as ``measure_scenes`` has them under 'rates'.
    """
    count = len(next(iter(rates.values()))['steps'])
    return [{rate: {key: entry['steps'][t][key] for key, _, _ in MEASURES}
             for rate, entry in rates.items()} for t in range(count)]


def cells(rates: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """Return a cell for each figure, its rates side by side; '-' where one is not a number."""
    def cell(value: float | None, digits: int) -> str:
        return '-' if value is None or not math.isfinite(value) else f'{value:.{digits}f}'
    return [' / '.join(cell(row.get(key), digits) for row in rates.values())
            for key, _, digits in MEASURES]

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of a degraded and a clean image on disk, without labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ubcn_ros.data.files import DataSetError, check_size, images_by_name, read_image


@dataclass(frozen=True)
class Pair:
    """A degraded image and what it should look like."""

    name: str
    input_path: Path
    target_path: Path

    def images(self) -> tuple[np.ndarray, np.ndarray]:
        """Input and target, (H, W, 3) uint8 RGB; DataSetError if damaged or of two sizes."""
        degraded, clean = read_image(self.input_path), read_image(self.target_path)
        check_size(self.input_path, degraded, self.target_path, clean)
        return degraded, clean


def pairs(root: Path | str) -> tuple[Pair, ...]:
    """
    Pairs of the layout ROOT/{input,target}/NAME.{png,jpg}, the suffixes free to differ.

    :raises DataSetError: a folder is missing or empty, or a name is in one of them only.
    """
    expected = f'expected pairs as {Path(root)}/input/NAME.png (or .jpg) with ' \
               f'{Path(root)}/target/NAME.png (or .jpg)'
    inputs, targets = (images_by_name(Path(root) / name, expected)
                       for name in ('input', 'target'))
    single = sorted(inputs.keys() ^ targets.keys())
    if single:
        raise DataSetError(f'{len(single)} images of {root} are without their other half '
                           f'({", ".join(single[:5])}{", ..." if single[5:] else ""}): '
                           f'{expected}')
    if not inputs:
        raise DataSetError(f'no images in {root}: {expected}')
    return tuple(Pair(name, path, targets[name]) for name, path in inputs.items())


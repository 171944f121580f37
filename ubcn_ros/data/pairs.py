# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of a degraded and a clean image on disk, without labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ubcn_ros.data.scenes import DataSetError

_SUFFIXES = ('.png', '.jpg', '.jpeg')


@dataclass(frozen=True)
class Pair:
    """A degraded image and what it should look like."""

    name: str
    input_path: Path
    target_path: Path

    def images(self) -> tuple[np.ndarray, np.ndarray]:
        """Input and target, (H, W, 3) uint8 RGB; DataSetError if damaged or of two sizes."""
        degraded, clean = _read(self.input_path), _read(self.target_path)
        if degraded.shape != clean.shape:
            raise DataSetError(
                f'{self.input_path} is {degraded.shape[1]}x{degraded.shape[0]} but '
                f'{self.target_path} is {clean.shape[1]}x{clean.shape[0]}: they must be of one '
                'size')
        return degraded, clean


def pairs(root: Path | str) -> tuple[Pair, ...]:
    """
    Pairs of the layout ROOT/{input,target}/NAME.{png,jpg}, the suffixes free to differ.

    :raises DataSetError: a folder is missing or empty, or a name is in one of them only.
    """
    expected = f'expected pairs as {Path(root)}/input/NAME.png (or .jpg) with ' \
               f'{Path(root)}/target/NAME.png (or .jpg)'
    found: list[dict[str, Path]] = []
    for folder in (Path(root) / 'input', Path(root) / 'target'):
        if not folder.is_dir():
            raise DataSetError(f'{folder} is not a folder: {expected}')
        found.append({p.stem: p for p in sorted(folder.iterdir())
                      if p.suffix.lower() in _SUFFIXES})
    inputs, targets = found
    single = sorted(inputs.keys() ^ targets.keys())
    if single:
        raise DataSetError(f'{len(single)} images of {root} are without their other half '
                           f'({", ".join(single[:5])}{", ..." if single[5:] else ""}): '
                           f'{expected}')
    if not inputs:
        raise DataSetError(f'no images in {root}: {expected}')
    return tuple(Pair(name, path, targets[name]) for name, path in inputs.items())


def _read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataSetError(f'{path} cannot be decoded as an image: replace it')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

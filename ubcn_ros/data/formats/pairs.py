# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of a degraded and a clean image, without labels."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ubcn_ros.data.description import SPLITS, Description
from ubcn_ros.data.files import DataSetError
from ubcn_ros.data.formats import Format, Opened
from ubcn_ros.data.listing import images_below
from ubcn_ros.data.scenes import Listing, Scene


def _found(root: Path) -> dict[str, Path]:
    """Folder of each split; without splits all of it is the split train."""
    return {split: base for split, base in (*((s, root / s) for s in SPLITS), ('train', root))
            if _is_split(base)}


def _is_split(base: Path) -> bool:
    return (base / 'input').is_dir() and (base / 'target').is_dir()


def _open(description: Description) -> Opened:
    root, train = description.root, description.root / 'train'
    if _is_split(root) and _is_split(train):
        raise DataSetError(f"{root} and {train} are both for the split 'train': move one's pairs "
                           'into the other')
    return Opened(None, {split: partial(_list, base)
                         for split, base in _found(description.root).items()})


def _list(base: Path) -> Listing:
    """Scenes: the target is the image, the input the image in rain."""
    rainy, problems = images_below(base / 'input')
    clean, more = images_below(base / 'target')
    problems += more
    for name in sorted(rainy.keys() ^ clean.keys()):
        path, lacking = (rainy[name], 'target') if name in rainy else (clean[name], 'input')
        problems.append(f'{path} is without its other half: expected {base}/{lacking}/{name}.png')
    return Listing(tuple(Scene(name, clean[name], None, rainy_path=path)
                         for name, path in rainy.items() if name in clean), tuple(problems))


FORMAT = Format('pairs', 'pairs: input/NAME.png in rain with target/NAME.png clean, if you like '
                'below train and val', frozenset(), _found, _open)

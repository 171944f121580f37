# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A folder of images without labels, for the stage derain alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ubcn_ros.data.description import SPLITS, Description
from ubcn_ros.data.files import DataSetError
from ubcn_ros.data.formats import Format, Opened
from ubcn_ros.data.listing import images_below, without_masks
from ubcn_ros.data.scenes import Listing
from ubcn_ros.images.files import is_image_name


def _found(root: Path) -> dict[str, Path]:
    """Folder of each split; without splits all of it is the split train."""
    if any(_holds_images(root / split) for split in SPLITS):
        return {split: root / split for split in SPLITS if (root / split).is_dir()}
    return {'train': root} if _holds_images(root) else {}


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and any(is_image_name(path) and not path.name.startswith('.')
                                   for path in folder.iterdir())


def _open(description: Description) -> Opened:
    found = _found(description.root)
    if description.root not in found.values() and _holds_images(description.root):
        raise DataSetError(f'{description.root} holds images, too, which are not read beside '
                           f'those in {", ".join(found)}: move them into train')
    return Opened(None, {split: partial(_list, folder) for split, folder in found.items()})


def _list(folder: Path) -> Listing:
    return without_masks(*images_below(folder, recursive=False))


FORMAT = Format('images', 'images without labels: NAME.jpg (or .png), if you like below train and '
                'val', frozenset(), _found, _open)

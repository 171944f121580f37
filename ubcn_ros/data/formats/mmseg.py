# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The folders that mmsegmentation takes: images in one, masks in the other, by split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from ubcn_ros.data.description import Description
from ubcn_ros.data.files import DataSetError
from ubcn_ros.data.formats import Format, Opened
from ubcn_ros.data.listing import images_below, with_masks, without_suffix
from ubcn_ros.data.scenes import Listing

# of its custom data sets, and of ADE20K
_FOLDERS = (('img_dir', 'ann_dir'), ('images', 'annotations'))
_SPLITS = {'train': ('train', 'training'), 'val': ('val', 'validation'), 'test': ('test',
                                                                                  'testing')}


def _found(root: Path) -> Iterator[tuple[str, Path, Path]]:
    """Splits with their folders of images and of masks, these only where some split has them."""
    for images, masks in _FOLDERS:
        folders = {split: [(root / images / name, root / masks / name) for name in names
                           if (root / images / name).is_dir()]
                   for split, names in _SPLITS.items()}
        labelled = {split: [both for both in found if both[1].is_dir()]
                    for split, found in folders.items()}
        if any(labelled.values()):
            for split in _SPLITS:
                yield from ((split, *both) for both in labelled[split] or folders[split])
            return


def _recognises(root: Path) -> bool:
    return any(_found(root))


def _open(description: Description) -> Opened:
    d = description
    if d.names is None:
        raise DataSetError(f'{d.source}: the names of the classes are not among its files: give '
                           'path and names (a list) in a YAML file')
    label_set, ids = d.label_set(), d.ids()
    readers: dict[str, Callable[[], Listing]] = {}
    for split, images, masks in _found(d.root):
        if split in readers:
            raise DataSetError(f'{d.source}: {images} is another folder for the split {split!r}: '
                               'rename one, or write a YAML with path, train, val and masks_dir')
        readers[split] = partial(_list, images, masks, d, ids)
    return Opened(label_set, readers)


def _list(images: Path, masks: Path, d: Description, ids: Mapping[int, int]) -> Listing:
    def mask_of(image: Path) -> Path:
        inner = without_suffix(image.relative_to(images), d.image_suffix)
        return masks / inner.with_name(inner.name + d.mask_suffix)

    return with_masks(*images_below(images, d.image_suffix), mask_of, ids)


FORMAT = Format('mmseg', 'mmsegmentation: img_dir/{train,val}/NAME.jpg (or .png) with '
                'ann_dir/{train,val}/NAME.png, and a YAML file with path and names',
                frozenset({'names', 'label_mapping', 'ignore', 'image_suffix', 'mask_suffix'}),
                _recognises, _open)

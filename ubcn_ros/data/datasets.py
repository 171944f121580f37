# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Open a data set: what its YAML says, or a folder whose layout is recognised."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from ubcn_ros.data.description import SPLITS, Description
from ubcn_ros.data.files import DataSetError
from ubcn_ros.data.formats import (
    Format,
    camvid,
    cityscapes,
    coco,
    cvat,
    images,
    mmseg,
    own,
    pairs,
    roboflow,
    voc2012,
)
from ubcn_ros.data.listing import NoMask
from ubcn_ros.data.scenes import DataSet, Listing
from ubcn_ros.images.files import natural_key

FORMATS: dict[str, Format] = {module.FORMAT.name: module.FORMAT for module in (
    # in the order in which they are tried: what could be several is the first
    cityscapes, cvat, voc2012, coco, roboflow, mmseg, own, camvid, pairs, images)}
_EVERY_KEY = frozenset({'path', 'format', 'license', 'focal_length', 'class_mapping', 'colors',
                        'paths'})
_YAML = ('.yaml', '.yml')
_IN_FOLDER = 'data.yaml'


def open_dataset(path: Path | str) -> DataSet:
    """
    Open a data set.

    :param path: of its YAML; or of its folder, which may hold a data.yaml, and whose layout is
        recognised otherwise.
    :raises DataSetError: the YAML is wrong, saying where and how; or no layout is recognised,
        saying what was looked for.
    """
    description = _describe(Path(path))
    try:
        layout = _layout(description)
        for key in sorted(description.given - layout.keys - _EVERY_KEY):
            if not (key == 'val' and description.val_fraction):
                raise DataSetError(f'{description.source}: {key}: means nothing for the format '
                                   f'{layout.name}: leave it out')
        label_set, readers, files, left_out = layout.open(description)
    except OSError as error:
        raise DataSetError(f'{error.filename or description.root} cannot be read: '
                           f'{error.strerror or error}') from error
    if not readers:
        raise DataSetError(f'{description.source}: none of {", ".join(SPLITS)} is in '
                           f'{description.root}: expected {layout.layout}')
    if label_set is not None:
        description.check_class_mapping(label_set.classes)
    elif meant := description.given & {'colors', 'paths', 'class_mapping'}:
        raise DataSetError(f'{description.source}: {min(meant)}: the format {layout.name} has no '
                           'classes: leave it out')
    own = layout.classes is not None and description.names is None
    dataset = DataSet(
        description.name, layout.base(description.root), description.source, layout.name,
        label_set, description.license or (layout.license if own else ''), readers,
        description.class_mapping, description.focal_length,
        paths_given=own or description.paths is not None, files=(description.source, *files),
        left_out=left_out)
    if own and description.format is None and _other_names(dataset, layout):
        dataset = replace(dataset, license=description.license, guessed=True)
    return _split(description, replace(dataset, readers={
        split: partial(_not_empty, dataset, split, layout) for split in readers
        if not (split == 'test' and readers.keys() > {split} and split not in description.places
                and _without_masks(dataset, split))}))


def _describe(path: Path) -> Description:
    if os.path.isfile(path):
        if path.suffix.lower() not in _YAML:
            raise DataSetError(f'{path} is a file, but not a YAML: give a YAML file or a folder'
                               + (', unpacked' if path.suffix.lower() in ('.zip', '.tar', '.gz')
                                  else ''))
        return Description.load(path)
    if not os.path.isdir(path):
        raise DataSetError(f'{path} is not there: give a YAML file or a folder')
    inside = path / _IN_FOLDER
    return Description.load(inside) if os.path.isfile(inside) else Description(path, path)


def _layout(description: Description) -> Format:
    """Return the format that the YAML names or implies, or the one that the folder has."""
    if description.format is not None:
        if description.format not in FORMATS:
            raise description.wrong('format', description.format, 'is not known: choose one of '
                                    f'{", ".join(FORMATS)}')
        return FORMATS[description.format]
    places = [place for places in description.places.values() for place in places]
    if places:
        json = all(place.suffix.lower() == '.json' for place in places)
        return FORMATS['coco' if json else 'own']
    found = next((f for f in FORMATS.values() if f.recognises(description.root)), None)
    if found is None:
        raise DataSetError(f'{description.root} has no layout that is known. Looked for:\n' +
                           ';\n'.join(f.layout for f in FORMATS.values()))
    return found


def _other_names(dataset: DataSet, layout: Format) -> bool:
    """Whether no image has a name as those of the published set, whose layout this is."""
    names = [scene.name for split in dataset.splits for scene in dataset.listing(split).scenes]
    return bool(names and layout.file_names) and not any(map(layout.file_names.match, names))


def _not_empty(dataset: DataSet, split: str, layout: Format) -> Listing:
    """Listing of a split; that it is empty is a problem, too."""
    listing = dataset.listing(split)
    if any(listing):
        return listing
    remedy = ('remove its folder, or give val: 0.2 in a YAML instead, or else ' if split == 'val'
              else '')
    return Listing((), (f'no images for the split {split!r} in {dataset.root}: {remedy}expected '
                        f'{layout.layout}',))


def _without_masks(dataset: DataSet, split: str) -> bool:
    """Whether a split has images without masks alone, as a ``test`` that is not published."""
    scenes, problems = dataset.listing(split)
    return (not scenes and bool(problems)
            and all(isinstance(problem, NoMask) for problem in problems))


def _split(description: Description, dataset: DataSet) -> DataSet:
    """Make the split val of a share of train where the YAML says so."""
    fraction = description.val_fraction
    if not fraction:
        return dataset
    if 'train' not in dataset.splits or ('val' in dataset.splits
                                         and dataset.listing('val').scenes):
        raise description.wrong('val', fraction, f'is a share of train, but {dataset.name} has '
                                f'{", ".join(dataset.splits)}: leave it out, or name folders')
    readers = {**dataset.readers, 'train': partial(_part, dataset, fraction, False),
               'val': partial(_part, dataset, fraction, True)}
    return replace(dataset, readers={split: readers[split] for split in SPLITS
                                     if split in readers})


def _part(dataset: DataSet, fraction: float, last: bool) -> Listing:
    """
    Last scenes of train in the order of their names, or all others, with the problems.

    Without the images of problems the cut is elsewhere: what was learnt from would be measured.
    """
    scenes, problems = dataset.listing('train')
    ordered = sorted(scenes, key=lambda scene: natural_key(scene.name))
    count = len(ordered) - max(1, min(len(ordered) - 1, round(fraction * len(ordered))))
    if last:
        unsure = (f'which images of train validate is not known before all of them can be taken: '
                  f'{problems[0]}',) if problems else ()
        return Listing(tuple(ordered[count:]), unsure)
    if not problems and not count:
        problems = (f'{dataset.name} has a single image: too few to train and to validate',)
    return Listing(tuple(ordered[:count]), problems)

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Findings about a split: its files and layout, and the shares of classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ubcn_ros.data.check.facts import UPRIGHT
from ubcn_ros.data.check.report import Finding, SplitFacts, relative
from ubcn_ros.data.datasets import FORMATS
from ubcn_ros.data.mixture import Data
from ubcn_ros.data.scenes import DataSet
from ubcn_ros.images.files import is_image_name
from ubcn_ros.labels import UNLABELED, plain_name
from ubcn_ros.text_table import counted, listed

MUCH_VOID = 0.3
"""Share of unlabeled pixels in a split that is worth a look: CamVid has 0.04, Cityscapes 0.1."""

MOSTLY_VOID = 0.9
"""Share of unlabeled pixels in an image that teaches almost nothing."""

RARE = 0.0002
"""Share of pixels below which a class is hardly learnt; Cityscapes' rarest has 0.001."""

_NO_CLASS = ('unlabeled', 'unlabelled', 'void')

_NOUNS = {'image': ('image', 'images'), 'mask': ('mask', 'masks'),
          'depth': ('depth image', 'depth images'), 'rainy': ('image in rain', 'images in rain')}
_PHRASES = {  # of one and of many
    'damaged': ('damaged {}', 'damaged {}'),
    'missing': ('{} that cannot be read', '{} that cannot be read'),
    'size': ('{} too small or too large', '{} too small or too large'),
    'mismatch': ('{} of another size than its image', '{} of another size than their images'),
    'format': ('{} that is not a PNG', '{} that are not PNGs'),
    'channels': ('{} with wrong channels or bits', '{} with wrong channels or bits'),
    'ids': ('{} with ids that no class has', '{} with ids that no class has'),
}


def split_findings(split: SplitFacts) -> Iterator[Finding]:
    """Yield what is wrong with a split alone."""
    yield from _layout(split)
    yield from _files(split)
    yield from _orientations(split)
    if split.dataset.label_set is not None and split.pixels.any():
        yield from _void(split)


def _layout(split: SplitFacts) -> Iterator[Finding]:
    if split.problems:
        first = '; '.join(split.problems[:3])
        more = len(split.problems) - 3
        yield Finding('error', 'layout', split.where,
                      f'{counted(len(split.problems), "problem")} of the layout: {first}'
                      + (f'; and {more} more' if more > 0 else ''), split.problems)


def _files(split: SplitFacts) -> Iterator[Finding]:
    """Group what cannot be read by part and kind."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for scene, found in zip(split.scenes, split.facts, strict=True):
        paths = {'image': scene.image_path, 'mask': scene.label_path, 'depth': scene.depth_path,
                 'rainy': scene.rainy_path}
        for part, kind, text in found.problems:
            path = paths[part]
            if not is_image_name(path):  # labels of many scenes in one file
                path = scene.image_path
            groups.setdefault((part, kind), []).append(
                (relative(path, split.dataset.root), text))
    for (part, kind), members in groups.items():
        one, many = (phrase.format(noun) for phrase, noun in zip(
            _PHRASES.get(kind, _PHRASES['damaged']), _NOUNS[part], strict=True))
        names = tuple(name for name, _ in members)
        also = f'; also {listed(names[1:])}' if names[1:] else ''
        yield Finding('error', many, split.where,
                      f'{counted(len(names), one, many)}: {members[0][1]}{also}', names)


def _orientations(split: SplitFacts) -> Iterator[Finding]:
    names = tuple(split.file(i) for i, found in enumerate(split.facts)
                  if found.orientation != UPRIGHT)
    if names:
        yield Finding('warning', 'EXIF orientation', split.where,
                      f'{counted(len(names), "image is", "images are")} stored turned, with an '
                      'EXIF orientation that is not applied, here as in the node: masks must be '
                      f'drawn on the image as it is stored ({listed(names)})', names)


def _void(split: SplitFacts) -> Iterator[Finding]:
    shares = {i: dict(found.counts).get(UNLABELED, 0) / sum(n for _, n in found.counts)
              for i, found in enumerate(split.facts) if found.counts}
    empty = tuple(split.file(i) for i, share in shares.items() if share == 1)
    almost = tuple(split.file(i) for i, share in shares.items() if MOSTLY_VOID < share < 1)
    if empty:
        # masks of a test that is not published may be dummies, as those of Cityscapes
        unpublished = split.split == 'test' and len(empty) == len(shares)
        level = 'error' if len(empty) == len(shares) and not unpublished else 'warning'
        remedy = 'nothing can be measured on test' if unpublished else (
            'label these images, or leave them out')
        yield Finding(level, 'masks without a class', split.where,
                      f'{counted(len(empty), "mask has", "masks have")} unlabeled pixels alone: '
                      f'{remedy} ({listed(empty)})', empty)
    if almost:
        yield Finding('warning', 'masks almost without a class', split.where,
                      f'{counted(len(almost), "mask is", "masks are")} unlabeled to more than '
                      f'{MOSTLY_VOID:.0%} ({listed(almost)})', almost)
    share = split.unlabeled()
    if share > MUCH_VOID and len(empty) < len(shares):
        yield Finding('warning', 'void share', split.where,
                      f'{share:.0%} of the pixels are unlabeled: nothing is learnt from them')


def class_findings(data: Data, splits: Sequence[SplitFacts]) -> Iterator[Finding]:
    """Yield classes that are missing or rare where the model learns or is validated, or alone."""
    label_set = data.classes or next((s.label_set for s in data.sets if s.label_set), None)
    if label_set is None:
        return
    yield from _mappings(data)
    yield from _unlabeled_classes(data)
    yield from _guessed(data)
    yield from _left_out(data)
    if label_set.num_classes == 1:
        yield Finding('warning', 'a single class', label_set.name,
                      f'{label_set.classes[0]} is the only class: every pixel gets it and mIoU is '
                      '100, whatever is learnt. Give the other pixels a class, such as '
                      'background, instead of unlabeled')
    for name in ('train', 'val'):
        used = [data.sets[i] for i in data.places(name)]
        chosen = [s for s in splits if s.split == name and s.pixels[:UNLABELED].any()
                  and any(s.dataset is dataset for dataset in used)]
        if not chosen:
            continue
        where = ' and '.join(s.where for s in chosen)
        pixels = _pixels_by_class(data, label_set.num_classes, chosen)
        shares = pixels / max(1, sum(int(s.pixels[:UNLABELED].sum()) for s in chosen))
        missing = tuple(c for c, n in zip(label_set.classes, pixels, strict=True) if n == 0)
        if missing and shares.max() == 1 and any(s.pixels[UNLABELED] for s in chosen):
            yield Finding('error' if name == 'train' else 'warning', f'one class in {name}', where,
                          f'the masks hold {label_set.classes[shares.argmax()]} and unlabeled '
                          'pixels alone, so that every pixel may get it. 255 is unlabeled: if it '
                          'is a class, store another number; if not, label the other classes, too')
        elif missing:
            effect = 'the model cannot learn it' if name == 'train' else 'it is not validated'
            named = data.first_labelled if name == 'train' and data.classes is None else None
            remedy = f'; {_leaving_out(named)}' if named and _takes_names(named) else ''
            yield Finding('warning', f'classes missing in {name}', where,
                          f'no pixel of {listed(missing, 10)}: {effect}{remedy}')
        rare = [f'{c} ({share:.4%})' for c, share in zip(label_set.classes, shares, strict=True)
                if 0 < share < RARE]
        if rare and name == 'train':
            yield Finding('warning', 'rare classes', where,
                          f'less than {RARE:.2%} of the pixels each: {listed(rare, 10)}')


def _guessed(data: Data) -> Iterator[Finding]:
    """Yield sets that have a format's folders, but other names of files."""
    for dataset in data.sets:
        if dataset.guessed:
            yield Finding('warning', 'format guessed', dataset.name,
                          f'taken for {dataset.format} by its folders, with the classes '
                          f'{", ".join(dataset.label_set.classes[:2])} and so on. For your own '
                          f'classes write a YAML with {FORMATS[dataset.format].own_keys}; if they '
                          f'are these, one with format: {dataset.format}')


def _left_out(data: Data) -> Iterator[Finding]:
    """Yield classes that a YAML leaves out of names, and that are annotated."""
    for dataset in data.sets:
        if dataset.left_out:
            said = [f'{name} ({counted(number, "annotation")})'
                    for name, number in dataset.left_out.items()]
            yield Finding('warning', 'classes left out', dataset.name,
                          f'names leaves out {listed(said, 10)}: their pixels are unlabeled')


def _takes_names(dataset: DataSet) -> bool:
    """Whether a YAML may choose from a data set's classes, but not give its masks others."""
    keys = FORMATS[dataset.format].keys
    return 'names' in keys and 'label_mapping' not in keys


def _leaving_out(dataset: DataSet) -> str:
    """Say how classes of a data set are left out, by keys that its format has."""
    if _takes_names(dataset):
        return 'to leave out classes list the others as names in a YAML'
    if own_keys := FORMATS[dataset.format].own_keys:
        return f'for other classes write a YAML with {own_keys}'
    return 'to join or leave out classes give names and label_mapping'


def _unlabeled_classes(data: Data) -> Iterator[Finding]:
    """Yield classes that are learnt and have the name of what is not."""
    for dataset in data.sets:
        for i, name in enumerate(dataset.label_set.classes if dataset.label_set else ()):
            if plain_name(name) in _NO_CLASS and data.ids_of(dataset)[i] != UNLABELED:
                remedy = (_leaving_out(dataset) if _takes_names(dataset) else
                          'leave it out of names, and give its number in ignore, or as ignore in '
                          'label_mapping')
                yield Finding('warning', 'unlabeled is a class', dataset.name,
                              f'{name} is learnt as a class: {remedy}')


def _mappings(data: Data) -> Iterator[Finding]:
    """Yield what a class_mapping does not do, or does to all of a set."""
    for dataset in data.sets:
        if dataset is data.first_labelled and dataset.class_mapping and data.classes is None:
            yield Finding('warning', 'class_mapping without effect', dataset.name,
                          "its classes are the model's, so that class_mapping does nothing: "
                          + _leaving_out(dataset))
        elif dataset.label_set and set(data.ids_of(dataset).values()) == {UNLABELED}:
            yield Finding('warning', 'set without a class', dataset.name,
                          'class_mapping ignores every class: nothing is learnt from its masks')


def _pixels_by_class(data: Data, num_classes: int, splits: Sequence[SplitFacts]) -> np.ndarray:
    """
    Add up the pixels of the model's classes over sets with classes of their own.

    Pixels of a coarser class count for none of those that it may be.
    """
    result = np.zeros(256, np.int64)
    for split in splits:
        for own, onto in data.ids_of(split.dataset).items():
            result[onto] += split.pixels[own]
    return result[:num_classes]

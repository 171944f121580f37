# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the YAML file of a data set says."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ubcn_ros.data.files import DataSetError
from ubcn_ros.data.yaml_values import (
    FORMS,
    Color,
    WrongValue,
    is_class_name,
    load_yaml,
    show,
    unknown_key,
)
from ubcn_ros.labels import UNLABELED, LabelSet, distinct_colors, dominant_paths, plain_name

SPLITS = ('train', 'val', 'test')
SPLIT_OF = {'default': 'train', 'train': 'train', 'val': 'val', 'valid': 'val',
            'validation': 'val', 'test': 'test'}
"""Our name of a split by the one that annotation tools export."""


@dataclass(frozen=True)
class Description:
    """
    A data set's YAML, each value of the right form; a folder without one says nothing.

    Classes that colors, paths and class_mapping name are checked later: most layouts have theirs.
    """

    # the YAML, or the folder; for texts
    source: Path
    # folder that all other paths start from
    root: Path
    # keys that were given
    given: frozenset[str] = frozenset()
    format: str | None = None
    license: str = ''
    # of the camera, in short sides of its images
    focal_length: float | None = None
    # folders or lists of images by split
    places: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    # share of train that validates, 0 for none
    val_fraction: float = 0.0
    masks_dir: str = 'masks'
    image_suffix: str = ''
    mask_suffix: str = '.png'
    depth_dir: str | None = None
    # stored number of one metre
    depth_scale: float = 256.0
    # of classes, by the number that files store, or that label_mapping refers to
    names: Mapping[int, str] | None = None
    # number or name of a class, or None for unlabeled, by stored number
    label_mapping: Mapping[int, int | str | None] | None = None
    # stored numbers that are unlabeled
    ignore: tuple[int, ...] = ()
    # one a class, or by its name
    colors: tuple[Color, ...] | Mapping[str, Color] | None = None
    # names of classes by path
    paths: tuple[tuple[str, ...], ...] | None = None
    # names of another set's classes, none for unlabeled, by this set's
    class_mapping: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path | str) -> Description:
        """
        Read and check a YAML.

        :raises DataSetError: not readable, or not of the right form; the text names the file,
            the key, the value and the remedy.
        """
        file = Path(file)
        found: dict[str, Any] = {}
        for key, value in load_yaml(file).items():
            if key not in FORMS:
                raise DataSetError(f'{file}: {unknown_key(key)}')
            try:
                if value is None:
                    raise WrongValue('is empty: give a value or leave the key out')
                found[key] = FORMS[key](value)
            except WrongValue as error:
                raise DataSetError(f'{file}: {key}: {error}') from error
        given = frozenset(found)
        root = below(file.parent, found.pop('path', '.'))
        if not os.path.isdir(root):
            raise DataSetError(f'{file}: path: {root} is not a folder: give that of the data '
                               f'set, relative to {file.parent}')
        fraction = found.pop('val') if isinstance(found.get('val'), float) else 0.0
        places = {split: tuple(below(root, text) for text in found.pop(split))
                  for split in SPLITS if split in found}
        description = cls(file, root, given, places=places, val_fraction=fraction, **found)
        description._check()
        return description

    @property
    def name(self) -> str:
        """
        Name to show: the YAML's, or the folder's where there is none or it is 'data', 'dataset'.

        It goes into the model's file: bytes that are not UTF-8 are escaped.
        """
        stem = self.source.stem if self.given else ''
        name = stem if stem not in ('', 'data', 'dataset') else (
            Path(os.path.abspath(self.root)).name or str(self.root))
        return name.encode('utf-8', 'backslashreplace').decode('utf-8')

    def wrong(self, key: str, value: Any, text: str) -> DataSetError:
        """Return the error that names the file, a key and its value; the text is the remedy."""
        return DataSetError(f'{self.source}: {key}: {show(value)} {text}')

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by class id."""
        return tuple(self.names[number] for number in sorted(self.names or ()))

    def ids(self) -> dict[int, int]:
        """Return the class id, or 255, of every number that a mask may store."""
        numbers = sorted(self.names)
        class_ids = {number: i for i, number in enumerate(numbers)}
        class_ids |= {plain_name(self.names[number]): i for i, number in enumerate(numbers)}
        if self.label_mapping is None:
            meant = {number: class_ids[number] for number in numbers}
        else:
            meant = {stored: UNLABELED if to is None else
                     class_ids[plain_name(to) if isinstance(to, str) else to]
                     for stored, to in self.label_mapping.items()}
        return {**meant, **dict.fromkeys((*self.ignore, UNLABELED), UNLABELED)}

    def with_names(self, names: Mapping[int, str]) -> Description:
        """
        Return the description with a format's own classes for names where it gives none.

        :param names: as of ``names``.
        :raises DataSetError: label_mapping or ignore contradict them.
        """
        if self.names is not None:
            return self
        named = replace(self, names=names)
        named._check()
        return named

    def label_set(self, known: LabelSet | None = None) -> LabelSet:
        """
        Make the label set of ``names``, or of a format's own classes.

        :param known: the format's, where there are no names; colours and paths that the YAML
            gives replace its own.
        :raises DataSetError: colours or paths name other classes, or are not one per class.
        """
        if known is None or self.names is not None:
            return self.label_set_of(self.classes)
        made = self.label_set_of(known.classes, known.colors)
        return replace(made, name=known.name,
                       paths=known.paths if self.paths is None else made.paths)

    def label_set_of(self, classes: Sequence[str], colors: Sequence[Color] | None = None
                     ) -> LabelSet:
        """
        Make the label set of classes that the data set's files name, as ``label_set`` does.

        Where the YAML gives no paths they are of the first classes, to be replaced.

        :param classes: names by class id.
        :param colors: where the YAML gives none.
        :raises DataSetError: names that no classes can have, or as ``label_set``.
        """
        for name in classes:
            if not is_class_name(name):
                raise DataSetError(f'{self.source} has the class {show(name)}, which is not a '
                                   'name for one: rename it, or list the classes to take as '
                                   'names in a YAML: the pixels of others are unlabeled')
        ids = {plain_name(name): i for i, name in enumerate(classes)}
        if len(ids) < len(classes):
            twice = next(name for i, name in enumerate(classes) if ids[plain_name(name)] != i)
            raise DataSetError(f'{self.source} has the class {show(twice)} twice (case, _, - and '
                               'blanks do not count): give each class a name of its own')
        chosen = self._colors(classes, ids, colors or distinct_colors(len(classes)))
        paths = (dominant_paths([0] * len(classes)) if self.paths is None else
                 self._paths(classes, ids))
        try:
            return LabelSet(self.name, tuple(classes), chosen, paths)
        except ValueError as error:
            raise DataSetError(f'{self.source}: {error}') from error

    def check_class_mapping(self, classes: Sequence[str]) -> None:
        """Raise DataSetError where class_mapping names a class that the set does not have."""
        known = {plain_name(name) for name in classes}
        for name in self.class_mapping:
            if plain_name(name) not in known:
                raise self.wrong('class_mapping', name, 'is not a class of this data set: choose '
                                 f'from {", ".join(classes)}')

    def _colors(self, classes: Sequence[str], ids: Mapping[str, int], default: Sequence[Color]
                ) -> tuple[Color, ...]:
        if self.colors is None:
            return tuple(default)
        if not isinstance(self.colors, Mapping):
            if len(self.colors) != len(classes):
                raise DataSetError(f'{self.source}: colors: {len(self.colors)} colours for '
                                   f'{len(classes)} classes: give one per class')
            return self.colors
        colors = list(default)
        for name, color in self.colors.items():
            colors[self._class_id('colors', name, classes, ids)] = color
        return tuple(colors)

    def _paths(self, classes: Sequence[str], ids: Mapping[str, int]
               ) -> tuple[tuple[int, ...], ...]:
        paths = [tuple(self._class_id('paths', name, classes, ids) for name in group)
                 for group in self.paths]
        placed = [i for group in paths for i in group]
        for i in placed:
            if placed.count(i) > 1:
                raise self.wrong('paths', classes[i], 'is there twice: put each class into one '
                                 'path')
        others = tuple(i for i in range(len(classes)) if i not in placed)
        return (*paths, others) if others else tuple(paths)

    def _class_id(self, key: str, name: str, classes: Sequence[str], ids: Mapping[str, int]
                  ) -> int:
        if plain_name(name) not in ids:
            raise self.wrong(key, name, f'is not a class: choose from {", ".join(classes)}')
        return ids[plain_name(name)]

    def _check(self) -> None:
        """Raise DataSetError where keys contradict each other."""
        if self.depth_dir is None and 'depth_scale' in self.given:
            raise self.wrong('depth_scale', self.depth_scale, 'is of depth images: give '
                             'depth_dir, too')
        if self.names is not None:
            self._check_numbers(self.names)

    def _check_numbers(self, names: Mapping[int, str]) -> None:
        if self.label_mapping is not None:
            known = {plain_name(name) for name in names.values()}
            for stored, to in self.label_mapping.items():
                if to is not None and (plain_name(to) not in known if isinstance(to, str) else
                                       to not in names):
                    raise self.wrong('label_mapping', to, f'(of {stored}) is not a class of '
                                     'names: give the number or name of one, or ignore')
                if to is not None and stored in self.ignore:
                    raise self.wrong('label_mapping', stored, 'is in ignore, too: leave it out '
                                     'of one of them')
        else:
            for stored in self.ignore:
                if stored in names:
                    raise self.wrong('ignore', stored, f'is the class {names[stored]!r} of '
                                     'names: leave it out of one of them')


def below(folder: Path, text: str) -> Path:
    """Return the path that a text means, seen from a folder; `~` is the user's home."""
    return folder / os.path.expanduser(text)

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Several data sets as one: the classes of the others are mapped onto those of the first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import yaml

from ubcn_ros.data.class_shares import pixel_shares
from ubcn_ros.data.datasets import open_dataset
from ubcn_ros.data.scenes import DataSet, DataSetError, Group, Scene, SceneList
from ubcn_ros.labels import UNLABELED, LabelSet, dominant_paths, plain_name
from ubcn_ros.text_table import counted

_SHOWN = 5
_MOST_IDS = UNLABELED  # classes and groups share the ids below


@dataclass(frozen=True)
class Data:
    """
    Data sets that are used together.

    :param sets: the first one with labels gives the classes, unless ``classes`` does.
    :param classes: label set that the classes of every data set are mapped onto.
    :param source: what ``classes`` are of, for errors.
    :raises DataSetError: a class of a set has neither a mapping nor a namesake, is mapped onto
        one that is not there, or there are more classes and groups than ids.
    """

    sets: tuple[DataSet, ...]
    classes: LabelSet | None = None
    source: str = 'the model'
    _scenes: dict[tuple[int, str], list[Scene]] = field(default_factory=dict, init=False,
                                                       repr=False, compare=False)

    def __post_init__(self) -> None:
        _ = self._tables  # what cannot be mapped is said before anything is read

    @cached_property
    def label_set(self) -> LabelSet | None:
        """
        Classes of all scenes, None where no set has labels.

        Where its data set does not give the paths, the dominant classes by pixel share of the
        split train have one each.
        """
        source = self._source
        if source is None or source.paths_given:
            return self._names
        split = 'train' if 'train' in source.splits else source.splits[0]
        scenes = SceneList(source.name, source.label_set, _sound(source, split))
        return replace(source.label_set, paths=dominant_paths(pixel_shares(scenes).tolist()))

    @property
    def groups(self) -> tuple[Group, ...]:
        """Groups of classes that a set does not tell apart."""
        return self._tables[1]

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that any set has."""
        return tuple(dict.fromkeys(split for s in self.sets for split in s.splits))

    @property
    def measured_split(self) -> str:
        """Split that is measured where none is asked for: val, or the only one."""
        return 'val' if len(self.splits) > 1 else self.splits[0]

    def split(self, name: str, only: Iterable[str] = (), exclude: Iterable[str] = ()
              ) -> SceneList:
        """
        Return scenes of a split, of the sets of ``places``.

        :param only: keep the scenes whose names start with one of these, all when empty.
        :param exclude: leave out the scenes whose names start with one of these.
        :raises DataSetError: there is no such split; its layout is wrong, with the first
            problems; a start is that of no name; nothing is left.
        """
        only, exclude = tuple(only), tuple(exclude)
        having = self.places(name)
        if not having:
            masks = ' with masks' if name == 'test' and self._names else ''
            raise DataSetError(f'{self._said()} has no split {name!r}{masks}: choose one of '
                               f'{", ".join(self.splits)}')
        scenes: list[Scene] = []
        for i in having:
            if (i, name) not in self._scenes:  # the same objects at every call
                self._scenes[i, name] = self._mapped(i, _sound(self.sets[i], name))
            scenes += self._scenes[i, name]
        for start in (*only, *exclude):
            if not any(scene.name.startswith(start) for scene in scenes):
                names = ', '.join(scene.name for scene in scenes[:_SHOWN])
                raise DataSetError(f'no scene in the split {name!r} of {self._said()} has a name '
                                   f'that begins with {start!r}: the first are {names}')
        # every name starts with '', and none with one of ()
        scenes = [scene for scene in scenes if scene.name.startswith(only or '')
                  and not scene.name.startswith(exclude)]
        if not scenes:
            raise DataSetError(f'no scenes in the split {name!r} of {self._said()} '
                               f'(only={list(only)}, exclude={list(exclude)}): give starts of '
                               'names that are there')
        names = '+'.join(self.sets[i].name for i in having)
        return SceneList(f'{names}/{name}', self.label_set, tuple(scenes), self.groups)

    def places(self, split: str) -> list[int]:
        """
        Return indices of the sets that a split is of: all that have it for train, else the first.

        A set with labels of single classes comes before one with groups of them, or without.
        """
        having = [i for i, s in enumerate(self.sets) if split in s.splits]
        return having if split == 'train' else sorted(
            having, key=lambda i: not self._tells_classes(i))[:1]

    def sets_of(self, split: str, scenes: SceneList) -> tuple[DataSet, ...]:
        """Return the sets that scenes of a split are from."""
        return tuple(dataset for dataset, count in zip(
            self.sets, self.counts(split, scenes), strict=True) if count)

    def counts(self, split: str, scenes: SceneList) -> list[int]:
        """Count how many of these scenes of a split each set has."""
        files = {(scene.image_path, scene.label_path) for scene in scenes.scenes}
        return [sum((scene.image_path, scene.label_path) in files
                    for scene in dataset.listing(split).scenes) if split in dataset.splits else 0
                for dataset in self.sets]

    def ids_of(self, dataset: DataSet) -> Mapping[int, int]:
        """Return the id of a class or group, or 255, that each class id of a set becomes."""
        return self._tables[0][next(i for i, s in enumerate(self.sets) if s is dataset)]

    @cached_property
    def meanings(self) -> dict[str, dict[str, str]]:
        """
        Class, or classes, by number in the label files of every set; none: unlabeled.

        The key of a set is its place and name, like '1 camvid': several may have the same name.
        """
        return {f'{place} {found.name}': self._meanings(found)
                for place, found in enumerate(self.sets, 1)}

    def _meanings(self, dataset: DataSet) -> dict[str, str]:
        if dataset.label_set is None:
            return {}
        names = [*self._names.classes, *(' or '.join(self._names.classes[i] for i in group.ids)
                                         for group in self.groups)]
        tables = {id(scene.ids): scene.ids for split in dataset.splits
                  for scene in dataset.listing(split).scenes}
        final = self.ids_of(dataset)
        said: dict[str, dict[str, None]] = {}  # label files of one set may be numbered differently
        for ids in tables.values():
            for stored, i in sorted(ids.items()):
                if final.get(i, UNLABELED) != UNLABELED:
                    said.setdefault(str(stored), {})[names[final[i]]] = None
        return {stored: ' or '.join(meant) for stored, meant in said.items()}

    def _tells_classes(self, index: int) -> bool:
        """Whether a set's labels are of classes, not of groups alone."""
        return any(i < self._names.num_classes for i in self._tables[0][index].values())

    @property
    def _source(self) -> DataSet | None:
        return None if self.classes is not None else self.first_labelled

    @property
    def first_labelled(self) -> DataSet | None:
        """The first data set that has labels; None where none has."""
        return next((s for s in self.sets if s.label_set is not None), None)

    @property
    def _names(self) -> LabelSet | None:
        """Label set whose classes count, its paths perhaps not yet."""
        return self.classes or (self._source.label_set if self._source else None)

    @cached_property
    def _tables(self) -> tuple[tuple[Mapping[int, int], ...], tuple[Group, ...]]:
        """Id by class id of every set, and the groups."""
        groups: list[Group] = []
        own = self.first_labelled
        if self.classes is not None and own and own.label_set.classes != self.classes.classes:
            own = None  # else its classes are the model's that was trained on it
        whose = self.source if self.classes is not None else str(own and own.source)
        tables = tuple({} if s.label_set is None else
                       {i: i for i in range(s.label_set.num_classes)} if s is own else
                       _table(s, self._names, whose, groups) for s in self.sets)
        count = (self._names.num_classes if self._names else 0) + len(groups)
        if count > _MOST_IDS:
            raise DataSetError(f'{self._said()} have {count} classes and groups of classes: at '
                               f'most {_MOST_IDS} fit; map fewer classes onto lists')
        return tables, tuple(groups)

    def _mapped(self, index: int, scenes: tuple[Scene, ...]) -> list[Scene]:
        table = self._tables[0][index]
        composed = {id(scene.ids): {stored: table.get(i, UNLABELED)
                                    for stored, i in scene.ids.items()}
                    for scene in {id(scene.ids): scene for scene in scenes}.values()}
        return [replace(scene, ids=composed[id(scene.ids)]) for scene in scenes]

    def _said(self) -> str:
        return ' and '.join(str(s.source) for s in self.sets)


def open_data(paths: Sequence[Path | str], label_set: LabelSet | None = None,
              source: str = Data.source) -> Data:
    """
    Open data sets to use them together.

    :param paths: of YAML files, or of folders whose layout is recognised.
    :param label_set: that the classes are mapped onto, such as a model's; by default that of the
        first set with labels.
    :param source: as of ``Data``.
    :raises DataSetError: as of ``open_dataset`` and ``Data``.
    """
    if not paths:
        raise DataSetError('no data set: give the path of a YAML file or of a folder')
    return Data(tuple(open_dataset(path) for path in paths), label_set, source)


def focal_length(sets: Iterable[DataSet]) -> float | None:
    """Return that of sets with labels, in short sides; None unless all say it alike."""
    said = [s.focal_length for s in sets if s.label_set is not None]
    if not said or None in said or max(said) > 1.01 * min(said):
        return None
    return said[0]


def _sound(dataset: DataSet, split: str) -> tuple[Scene, ...]:
    """Scenes of a split without problems."""
    scenes, problems = dataset.listing(split)
    if problems:
        more = f';\nand {len(problems) - _SHOWN} more' if len(problems) > _SHOWN else ''
        raise DataSetError(f'{counted(len(problems), "problem")} with the split {split!r} of '
                           f'{dataset.source}:\n' + ';\n'.join(problems[:_SHOWN]) + more)
    return scenes


def _table(dataset: DataSet, onto: LabelSet, whose: str, groups: list[Group]) -> dict[int, int]:
    """
    Id by class id of a data set; groups that are new are added.

    :param whose: classes those of ``onto`` are, for errors.
    """
    ids = {plain_name(name): i for i, name in enumerate(onto.classes)}
    mapping = {plain_name(name): targets for name, targets in dataset.class_mapping.items()}
    table: dict[int, int] = {}
    lost: list[str] = []
    for i, name in enumerate(dataset.label_set.classes):
        targets = mapping.get(plain_name(name), (name,))
        unknown = [target for target in targets if plain_name(target) not in ids]
        if unknown and plain_name(name) in mapping:
            raise DataSetError(f'class_mapping of {dataset.source} maps {name!r} onto '
                               f'{unknown[0]!r}, which is not a class of {whose}: choose '
                               f'from {", ".join(onto.classes)}')
        if unknown:
            lost.append(name)
            continue
        found = tuple(sorted({ids[plain_name(target)] for target in targets}))
        if not found:
            table[i] = UNLABELED
        elif len(found) == 1:
            table[i] = found[0]
        else:
            place = next((g for g, group in enumerate(groups) if group.ids == found), None)
            if place is None:
                place = len(groups)
                groups.append(Group(name, found))
            table[i] = onto.num_classes + place
    if lost:
        lines = yaml.safe_dump({'class_mapping': dict.fromkeys(lost, 'ignore')}, sort_keys=False,
                               allow_unicode=True, default_flow_style=None,
                               width=1 << 20).rstrip()
        file = (f'a YAML with path: {dataset.source}' if dataset.source.is_dir() else
                dataset.source)
        raise DataSetError(f'{dataset.source} has classes that {whose} lacks: '
                           f'{", ".join(lost)}. Say in {file} which of '
                           f'{", ".join(onto.classes)} they are, or a list of several, or ignore:'
                           f'\n{lines}')
    return table

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes on disk, lists of them, and the data sets that they are listed from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ubcn_ros.data.files import DataSetError, check_size, read_image, read_labels
from ubcn_ros.labels import UNLABELED, LabelSet


class CleanFrame(NamedTuple):
    """
    A clean frame, its labels and, where known, its depth (0 where not) and real rain.

    All arrays have one height and width.
    """

    image: np.ndarray
    labels: np.ndarray
    depth: np.ndarray | None = None
    rainy: np.ndarray | None = None


@dataclass(frozen=True)
class Scene:
    """
    One frame on disk.

    ``ids`` gives the class id, or 255 for unlabeled, of every number that a label file of the
    data set may hold. Data sets whose files need more than being read derive their own.
    """

    name: str
    image_path: Path
    label_path: Path | None
    ids: Mapping[int, int] = field(default_factory=dict, repr=False, compare=False)
    depth_path: Path | None = None
    rainy_path: Path | None = None

    @property
    def labelled(self) -> bool:
        """Whether there are labels; without, all of the frame is unlabeled."""
        return self.label_path is not None

    @property
    def files(self) -> list[Path]:
        """Paths of all that is read for it."""
        return [value for f in fields(self) if isinstance(value := getattr(self, f.name), Path)]

    def read(self) -> CleanFrame:
        """Return all of the scene; DataSetError, also where two files are of different sizes."""
        image = self.image()
        labels = (self.labels() if self.labelled else
                  np.full(image.shape[:2], UNLABELED, np.uint8))
        source = CleanFrame(image, labels, self.depth(), self.rainy())
        for path, part in zip((self.label_path, self.depth_path, self.rainy_path), source[1:],
                              strict=True):
            if part is not None:
                check_size(path, part, self.image_path, source.image)
        return source

    def image(self) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB, clean; DataSetError if the file cannot be decoded."""
        return read_image(self.image_path)

    def labels(self) -> np.ndarray:
        """
        Return (H, W) uint8 class ids, 255 = unlabeled, of a scene that has some.

        :raises DataSetError: the file cannot be decoded, or holds ids that no class has.
        """
        return read_labels(self.label_path, self.ids)

    def depth(self) -> np.ndarray | None:
        """Return (H, W) float32 metres, 0 where unknown; None where the data set has no depth."""
        return None

    def rainy(self) -> np.ndarray | None:
        """Return the frame in real rain, (H, W, 3) uint8 RGB; None where it is to be rendered."""
        return None if self.rainy_path is None else read_image(self.rainy_path)


class Group(NamedTuple):
    """Classes that a coarser data set has as one: its name, and the class ids."""

    name: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class SceneList:
    """
    Scenes of one split and the label set of their ids, None without labels.

    The id ``label_set.num_classes + i`` says that a pixel has one of the classes of groups[i].
    """

    name: str
    label_set: LabelSet | None
    scenes: tuple[Scene, ...]
    groups: tuple[Group, ...] = ()

    def __len__(self) -> int:
        return len(self.scenes)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Name of every id that labels hold, groups last; None without labels."""
        if self.label_set is None:
            return None
        return (*self.label_set.classes, *(group.name for group in self.groups))

    def unique(self) -> SceneList:
        """Return only the first scene of each name."""
        first: dict[str, Scene] = {}
        for scene in self.scenes:
            first.setdefault(scene.name, scene)
        return replace(self, scenes=tuple(first.values()))

    def labelled(self) -> SceneList:
        """Return only the scenes with labels."""
        return replace(self, scenes=tuple(scene for scene in self.scenes if scene.labelled))


class Listing(NamedTuple):
    """Scenes of a split, and a line for everything that is wrong with its layout."""

    scenes: tuple[Scene, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """
    A data set on disk, whose splits ``listing`` lists.

    :param name: for people: of its YAML file or folder.
    :param root: folder of its files.
    :param source: its YAML, or the folder that was given.
    :param format: name of its layout, as of ubcn_ros.data.datasets.FORMATS.
    :param label_set: its own classes; None where it has no labels.
    :param license: its terms, empty where nothing says.
    :param readers: a function for each split, by its name, that lists it.
    :param class_mapping: names of another data set's classes by this one's class: one, several
        that this class does not tell apart, or none where the class is left out.
    :param focal_length: of its camera, in short sides of the images; None where nothing says.
    :param guessed: whether folders alone say that it is a published set, with its classes, but
        the names of its images are others.
    :param paths_given: whether the label set's paths count; otherwise pixel shares decide.
    :param files: that say what is in it, beside those of its scenes: YAML, lists, annotations.
    :param left_out: number of annotations by class that its YAML leaves out, where that is known.
    """

    name: str
    root: Path
    source: Path
    format: str
    label_set: LabelSet | None
    license: str
    readers: Mapping[str, Callable[[], Listing]] = field(repr=False, compare=False)
    class_mapping: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    focal_length: float | None = None
    guessed: bool = False
    paths_given: bool = True
    files: tuple[Path, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    _listings: dict[str, Listing] = field(default_factory=dict, init=False, repr=False,
                                          compare=False)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of its splits: of train, val and test those that are there."""
        return tuple(self.readers)

    def listing(self, split: str) -> Listing:
        """
        List the scenes of a split and what is wrong with its layout, once.

        :raises DataSetError: there is no such split.
        """
        if split not in self.readers:
            raise DataSetError(f'{self.source} has no split {split!r}: choose one of '
                               f'{", ".join(self.splits)}')
        if split not in self._listings:
            try:
                self._listings[split] = self.readers[split]()
            except DataSetError as error:  # nothing of it can be listed
                self._listings[split] = Listing((), (str(error),))
            except OSError as error:  # such as a folder that may not be looked into
                self._listings[split] = Listing((), (
                    f'{error.filename or self.root} cannot be read: {error.strerror or error}',))
        return self._listings[split]

    def all_files(self) -> Iterator[Path]:
        """Yield the files that it is made of, in all splits that can be listed."""
        yield from self.files
        for split in self.splits:
            for scene in self.listing(split).scenes:
                yield from scene.files

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Label sets: class names, display colours, path groups of the semantic attentive module."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

UNLABELED = 255
"""Label id of a pixel without a class: ignored in training and evaluation, black in colour."""


@dataclass(frozen=True)
class LabelSet:
    """
    The classes that a segmentation network predicts.

    ``colors`` are RGB, 0..255. ``paths`` are the groups of class ids that share one path of the
    semantic attentive module: the dominant classes by pixel share, one each, then the others
    together (the paper's section 3.1: 10 paths for Cityscapes, 2 for VOC2012).

    :raises ValueError: the number of colours differs from the number of classes, or the paths
        are not a partition of the class ids.
    """

    name: str
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    paths: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if len(self.colors) != len(self.classes):
            raise ValueError(f'label set {self.name!r} has {len(self.classes)} classes but '
                             f'{len(self.colors)} colours: give one colour per class')
        ids = sorted(i for group in self.paths for i in group)
        if ids != list(range(self.num_classes)):
            raise ValueError(f'the paths of label set {self.name!r} must hold each class id '
                             f'0..{self.num_classes - 1} exactly once, got {ids}')

    @property
    def num_classes(self) -> int:
        """Number of classes, without the unlabeled id."""
        return len(self.classes)

    @property
    def path_names(self) -> tuple[str, ...]:
        """One name per path: the class's own, or 'others' for a group."""
        return tuple(self.classes[g[0]] if len(g) == 1 else 'others' for g in self.paths)

    def palette(self) -> np.ndarray:
        """Colour of every uint8 id: (256, 3) uint8 RGB; ids without a class are black."""
        table = np.zeros((256, 3), np.uint8)
        table[:self.num_classes] = self.colors
        return table

    def colorize(self, labels: np.ndarray) -> np.ndarray:
        """Colours of a label mask: (H, W) uint8 ids to (H, W, 3) uint8 RGB."""
        return np.take(self.palette(), labels, axis=0)


def _paths(num_classes: int, dominant: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    others = tuple(i for i in range(num_classes) if i not in dominant)
    return tuple((i,) for i in dominant) + ((others,) if others else ())


CAMVID = LabelSet(
    'camvid',
    ('Sky', 'Building', 'Pole', 'Road', 'Sidewalk', 'Tree', 'SignSymbol', 'Fence', 'Car',
     'Pedestrian', 'Bicyclist'),
    ((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192), (128, 128, 0),
     (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)),
    # the six classes with 4 % of the training pixels or more
    _paths(11, (0, 1, 3, 4, 5, 8)))

CITYSCAPES = LabelSet(
    'cityscapes',
    ('road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign',
     'vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train',
     'motorcycle', 'bicycle'),
    ((128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
     (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152),
     (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100),
     (0, 80, 100), (0, 0, 230), (119, 11, 32)),
    # the nine classes with most pixels: road, building, vegetation, car, sidewalk, sky,
    # pole, person, terrain
    _paths(19, (0, 2, 8, 13, 1, 10, 5, 11, 9)))

VOC2012 = LabelSet(
    'voc2012',
    ('background', 'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat',
     'chair', 'cow', 'diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant',
     'sheep', 'sofa', 'train', 'tvmonitor'),
    ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128),
     (0, 128, 128), (128, 128, 128), (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0),
     (64, 0, 128), (192, 0, 128), (64, 128, 128), (192, 128, 128), (0, 64, 0), (128, 64, 0),
     (0, 192, 0), (128, 192, 0), (0, 64, 128)),
    # background and foreground
    _paths(21, (0,)))

_LABEL_SETS = {s.name: s for s in (CAMVID, CITYSCAPES, VOC2012)}


def get_label_set(name: str) -> LabelSet:
    """Label set of that name; ValueError naming the known ones otherwise."""
    try:
        return _LABEL_SETS[name]
    except KeyError:
        raise ValueError(f'unknown label set {name!r}: choose one of '
                         f'{", ".join(sorted(_LABEL_SETS))}') from None

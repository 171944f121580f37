# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Single images as figures show them, with what `ubcn evaluate` would measure of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ubcn_ros.data.resizing import resized
from ubcn_ros.data.scenes import SceneList
from ubcn_ros.data.validation_rain import RENDERED, rainy_view
from ubcn_ros.evaluation.measure import LoadedModel, truth_of
from ubcn_ros.evaluation.scores import ImageScore, rounded
from ubcn_ros.evenly import evenly
from ubcn_ros.labels import UNLABELED, LabelSet
from ubcn_ros.network import Step
from ubcn_ros.study.print_cells import Zoom, unlabeled_color
from ubcn_ros.study.print_grid import PAPER_WIDTH
from ubcn_ros.training.label_score import LabelScore

LONGEST = {'psnr': '88.88 dB', 'miou': 'mIoU 100.0 %', 'error': 'mean 100.0',
           'wrong': '100.0 % wrong'}
"""The longest captions of figures, for which columns must have room."""


@dataclass(frozen=True)
class FigureView:
    """
    How a figure shows images.

    :param iterations: T of UBCN.
    :param size: width and height to which images are resized before rain falls; photographs are
        shrunk into it. None: as they are.
    :param zooms: what is shown larger: one for all images, or one for each.
    :param width: of the figure, inches.
    :param rain: that falls, one of RAINS.
    """

    iterations: int = 3
    size: tuple[int, int] | None = None
    zooms: Sequence[Zoom] = ()
    width: float = PAPER_WIDTH
    rain: str = RENDERED

    def checked_zooms(self, count: int) -> list[Zoom | None]:
        """
        Return what is shown larger of each of some images.

        :raises ValueError: there are not as many zooms as images.
        """
        if len(self.zooms) == 1 or not self.zooms:
            return [*self.zooms, None][:1] * count
        if len(self.zooms) != count:
            raise ValueError(f'{len(self.zooms)} zooms for {count} images: give one for all, or '
                             'one for each')
        return [*self.zooms]


@dataclass(frozen=True)
class Shown:
    """
    An image and its labels.

    ``image``: (H, W, 3) uint8 RGB; ``labels``: (H, W) uint8 ids; ``figures``: 'psnr' in dB and
    'ssim', and 'miou' in % over the classes that occur in the truth, None where there are none.
    """

    image: np.ndarray
    labels: np.ndarray
    figures: dict[str, float | None]


class ShownScene:
    """
    A labelled scene on the model's device; its place in the list is the seed of its rain.

    :param zoom: what is shown larger of it.
    :raises ValueError: as of ``check_zoom``.
    """

    def __init__(self, scenes: SceneList, index: int, model: LoadedModel, view: FigureView,
                 zoom: Zoom | None) -> None:
        self.scenes, self.index, self.model, self.view = scenes, index, model, view
        self.name, self.zoom = scenes.scenes[index].name, zoom
        frame = scenes.scenes[index].read()
        self.frame = frame if view.size is None else resized(frame, *view.size)
        check_zoom(zoom, self.name, self.frame.image, frame.image.shape[:2])
        self.clean = model.upload(self.frame.image)
        self.truth = truth_of(self.frame.labels, model.device)

    @property
    def true_labels(self) -> np.ndarray:
        """(H, W) uint8 ids, 255 where none is known, or a group of classes."""
        known = self.truth < self.scenes.label_set.num_classes
        return self.truth.where(known, UNLABELED).byte().cpu().numpy()

    def rainy(self, rate: float) -> torch.Tensor:
        """Return the image in the rain of all validation, (1, 3, H, W) 0..1."""
        image, labels, depth, _ = self.frame
        return self.model.upload(rainy_view(image, labels, self.scenes, rate, self.index, depth,
                                            self.view.rain))

    def shown(self, image: torch.Tensor, labels: torch.Tensor) -> Shown:
        """
        Measure an image and its labels against the truth.

        :param image: (1, 3, H, W) 0..1; ``labels``: (H, W) ids.
        """
        images, classes = ImageScore(), LabelScore(
            self.scenes.label_set, self.model.device, self.scenes.groups)
        images.add(image, self.clean)
        classes.add(labels, self.truth)
        return Shown(*as_arrays(image, labels), {
            key: None if math.isnan(value) else value for key, value in
            {**images.result(), 'miou': classes.result()['miou']}.items() if key != 'equal'})


def read_scenes(scenes: SceneList, indices: Sequence[int], model: LoadedModel, view: FigureView
                 ) -> list[ShownScene]:
    """Read the scenes of a figure; raises as ``checked_zooms`` and ``ShownScene``."""
    return [ShownScene(scenes, index, model, view, zoom) for index, zoom in zip(
        indices, view.checked_zooms(len(indices)), strict=True)]


def as_arrays(image: torch.Tensor, labels: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Turn (1, 3, H, W) 0..1 and (H, W) into (H, W, 3) uint8 RGB and (H, W) uint8."""
    return (rounded(image)[0].permute(1, 2, 0).byte().cpu().numpy(),
            labels.byte().cpu().numpy())


def step_labels(step: Step) -> torch.Tensor:
    """(H, W) ids of a step of one image, at its size."""
    return step.full_logits[0].argmax(0)


def chosen_indices(scenes: SceneList, names: Sequence[str], stride: int | None, limit: int
                   ) -> list[int]:
    """
    Choose the scenes of a figure.

    :param names: of them, in the order in which they are shown; none for those that follow. Of
        several scenes of one name it is the first.
    :param stride: take every n-th; None spreads them evenly over the list.
    :param limit: so many at most.
    :return: places in the list, of scenes with labels.
    :raises ValueError: there is no scene of a name, or it has no labels.
    """
    found = [i for i, scene in enumerate(scenes.scenes) if scene.labelled]
    if names:
        places = {scenes.scenes[i].name: i for i in reversed(found)}
        for name in names:
            if name not in places:
                raise ValueError(f'{scenes.name} has no image {name!r} with labels: its '
                                 f'{len(found)} images have names like '
                                 f'{", ".join(scenes.scenes[i].name for i in found[:3])}')
        return [places[name] for name in names]
    if stride:
        return found[::stride][:limit]
    return evenly(found, limit)


def check_zoom(zoom: Zoom | None, name: str, image: np.ndarray, stored: Sequence[int]) -> None:
    """
    Check what is to be shown larger of an image, (H, W, 3).

    :param stored: height and width in its file, before --size.
    :raises ValueError: it is not inside of the image, or a corner could not show it larger.
    """
    if not zoom:
        return
    (left, top, width, height), (rows, columns) = zoom, image.shape[:2]
    text = f'the zoom {width}x{height}+{left}+{top}'
    which = (f'{name}, which has {columns}x{rows} pixels' if (rows, columns) == tuple(stored) else
             f'{name}, of whose {stored[1]}x{stored[0]} pixels --size makes {columns}x{rows}')
    if left + width > columns or top + height > rows:
        raise ValueError(f'{text} is not inside of {which}')
    if 3 * width > columns or 3 * height > rows:
        raise ValueError(f'{text} is more than a third of {which}: a corner would not show it '
                         'larger')


def legend(label_set: LabelSet, labels: Iterable[np.ndarray]
           ) -> list[tuple[str, tuple[int, int, int]]]:
    """List names and colours of the classes that occur in some (H, W) labels."""
    found = {int(i) for each in labels for i in np.unique(each)}
    entries = [*zip(label_set.classes, label_set.colors, strict=True)]
    return [entries[i] for i in sorted(found - {UNLABELED})] + (
        [('no label', unlabeled_color(label_set))] if UNLABELED in found else [])

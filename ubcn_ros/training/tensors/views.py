# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Views of scenes: which part of an image, at which size, mirrored or turned, is a sample."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional as F

from ubcn_ros.data.log_uniform import log_uniform
from ubcn_ros.labels import UNLABELED
from ubcn_ros.training.tensors.scenes import LEVELS, SceneTensors
from ubcn_ros.training.tensors.transfer import per_image, to_device


@dataclass(frozen=True)
class View:
    """
    How a sample looks at an image.

    :param image: number of the image.
    :param scale: pixels of the sample for each of the image's.
    :param top, left: where the sample begins in the image of that size, whole pixels.
    :param mirror: left and right are exchanged.
    :param turns: quarter turns of the image to the left, before anything else.
    :param repeats: beyond the image's edges its mirror image is labelled, too.
    :param angle: of the camera about the sample's middle, degrees, small.
    :param shrunk: how much larger the camera's frame is than it is shown, 1 or more.
    """

    image: int
    scale: float
    top: int
    left: int
    mirror: bool
    turns: int = 0
    repeats: bool = False
    angle: float = 0.0
    shrunk: float = 1.0

    def matrix(self, size: Sequence[int], crop: Sequence[int]) -> np.ndarray:
        """
        Return what makes of a sample's (x, y, 1) the image's (x, y), (2, 3) float64.

        Both in pixels from the upper left corner, so that the first pixel's middle is 0.5.

        :param size: height and width of the image.
        :param crop: of the sample.
        """
        side = -1 if self.mirror else 1
        x = np.array([side, 0, crop[1] * self.mirror + self.left]) / self.scale
        y = np.array([0, 1, self.top]) / self.scale
        height, width = np.array([0, 0, size[0]]), np.array([0, 0, size[1]])
        matrix = np.stack([(x, y), (width - y, x), (width - x, height - y),
                           (y, height - x)][self.turns])
        return matrix @ self._tilt(crop) if self.angle else matrix

    def _tilt(self, crop: Sequence[int]) -> np.ndarray:
        """Rotate about the middle of a sample, (3, 3)."""
        c, s = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        y, x = crop[0] / 2, crop[1] / 2
        return np.array([[c, -s, x - c * x + s * y], [s, c, y - s * x - c * y], [0, 0, 1]])

    def from_middle(self, size: Sequence[int], crop: Sequence[int]) -> np.ndarray:
        """
        Return such a matrix to (x, y) from the image's middle, in pixels of the sample.

        It is without ``angle``: rain falls as before a camera that was not rotated.
        """
        matrix = replace(self, angle=0.0).matrix(size, crop)
        matrix[:, 2] -= np.array([size[1], size[0]]) / 2
        return matrix * self.scale

    def shown(self, size: Sequence[int], crop: Sequence[int]) -> np.ndarray:
        """Return the ranges of x and y, as of ``from_middle``, within the image, (2, 2)."""
        corners = self.from_middle(size, crop) @ np.array([[0, crop[1]], [0, crop[0]], [1, 1]])
        half = self.scale * np.array([[size[1]], [size[0]]]) / 2
        return np.sort(corners).clip(-half, half)


def draw_view(rng: np.random.Generator, image: int, size: Sequence[int], crop: Sequence[int],
              scale: float, strong: bool = False, focus: tuple[float, float] | None = None,
              rotation: float = 0.0) -> View:
    """
    Draw the place of a sample in an image.

    A sample larger than the image begins at its corner.

    :param size: height and width of the image.
    :param crop: of the sample.
    :param scale: as of ``View``.
    :param strong: turn and resize beyond what a drive shows, as ``strong_augmentation``.
    :param focus: (y, x), pixels of the image, that the sample's middle half shows where the
        image's edges allow it; not with ``strong``.
    :param rotation: largest angle of the camera, degrees.
    """
    turns = 0
    if strong:
        turns, scale = int(rng.integers(4)), scale * log_uniform(rng, 0.4, 3.0)
    height, width = (round(side * scale) for side in (size if turns % 2 == 0 else size[::-1]))
    room = [max(0, have - wanted) for have, wanted in zip((height, width), crop, strict=True)]
    if focus is None or strong:
        top, left = (int(rng.integers(most + 1)) for most in room)
    else:
        top, left = (min(max(round(at * scale - rng.uniform(0.25, 0.75) * wanted), 0), most)
                     for at, wanted, most in zip(focus, crop, room, strict=True))
    mirror = bool(rng.random() < 0.5)
    angle = float(rng.uniform(-rotation, rotation)) if rotation else 0.0
    return View(image, scale, top, left, mirror, turns, strong, angle)


class Views:
    """
    A batch of views of scenes, worked out on their device.

    :param scenes: what is looked at.
    :param views: of N samples.
    :param crop: height and width of every sample.
    """

    def __init__(self, scenes: SceneTensors, views: Sequence[View], crop: Sequence[int]) -> None:
        self.scenes, self.views, self.crop = scenes, views, crop
        sizes = [scenes.sizes[view.image] for view in views]
        matrices = [view.matrix(size, crop) for view, size in zip(views, sizes, strict=True)]
        self.sizes = to_device(np.array(sizes)[:, None, None, ::-1], scenes.device)
        self.points = transformed(matrices, crop, scenes.device)

    def images(self, numbers: Sequence[int] | None = None) -> torch.Tensor:
        """
        Look at the images, mirrored where a sample reaches beyond them.

        :param numbers: of other images of the same sizes, one a view.
        :return: (N, 3, h, w) float32 on 0..255.
        """
        numbers = [view.image for view in self.views] if numbers is None else numbers
        inside = self._inside()
        result = inside.new_empty((len(self.views), 3, *self.crop))
        looks = [(image_level(view.scale), view.scale < 1) for view in self.views]
        for level, shrinks in sorted(set(looks)):
            places = [n for n, look in enumerate(looks) if look == (level, shrinks)]
            where = to_device(places, inside.device, torch.int64)
            stack, chosen = self.scenes.images[level], [numbers[place] for place in places]
            points = inside[where] / 2 ** level
            result[where] = (
                averaged(stack, chosen, points,
                         [1 / self.views[place].scale / 2 ** level for place in places])
                if shrinks else sampled(stack, chosen, points, 'bicubic').clamp_(0, 255))
        return result

    def labels(self) -> torch.Tensor:
        """Look at the labels, (N, h, w) uint8, unlabeled beyond an image's edges."""
        inside = self._inside()
        x, y = inside.floor().long().unbind(-1)
        numbers = to_device([view.image for view in self.views], x.device, torch.int64)
        labels = self.scenes.labels[numbers[:, None, None], y, x]
        repeats = to_device([view.repeats for view in self.views], x.device, torch.bool)
        within = ((self.points >= 0) & (self.points < self.sizes)).all(-1)
        return torch.where(within | repeats[:, None, None], labels, UNLABELED)

    def depth(self) -> torch.Tensor:
        """Look at the distances, (N, 1, h, w) float32 metres."""
        points = (self._inside() + 0.5) / 2  # each distance is that of the first of two pixels
        return sampled(self.scenes.depth, [view.image for view in self.views], points)

    def select(self, places: Sequence[int]) -> Views:
        """Return some of the views."""
        return Views(self.scenes, [self.views[place] for place in places], self.crop)

    def _inside(self) -> torch.Tensor:
        """Points (N, h, w, 2), those beyond an edge mirrored at the middle of its pixels."""
        return reflected(self.points, self.sizes)


def image_level(scale: float) -> int:
    """Return the coarsest level of an image that is not smaller than the image at a scale."""
    return min(max(math.floor(-math.log2(scale)), 0), LEVELS - 1)


def transformed(matrices: Sequence[np.ndarray], crop: Sequence[int], device: torch.device
                ) -> torch.Tensor:
    """
    Take the middles of a sample's pixels elsewhere, (N, h, w, 2) float32 (x, y).

    :param matrices: N of (2, 3), as of ``View.matrix``; without shear.
    :param crop: height and width of the sample.
    """
    matrix = to_device(matrices, device)[:, None, None]
    y = torch.arange(crop[0], device=device, dtype=torch.float32)[:, None, None] + 0.5
    x = torch.arange(crop[1], device=device, dtype=torch.float32)[None, :, None] + 0.5
    return matrix[..., 0] * x + matrix[..., 1] * y + matrix[..., 2]


def reflected(points: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """
    Mirror points beyond the edges of images, at the middles of their outermost pixels.

    :param points: (N, h, w, 2), pixels (x, y).
    :param sizes: (N, 1, 1, 2) or (2,), width and height of the images.
    """
    last = (sizes - 1).clamp(min=1e-3)
    return last - (last - (points - 0.5).remainder(2 * last)).abs() + 0.5


def mirrored(points: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Say where ``reflected`` turns an image round, across and down: (N, h, w, 2) bool."""
    last = (sizes - 1).clamp(min=1e-3)
    return (points - 0.5).remainder(2 * last) > last


def sampled(stack: torch.Tensor, numbers: Sequence[int], points: torch.Tensor,
            mode: str = 'bilinear') -> torch.Tensor:
    """
    Read images at points, between the middles of pixels.

    :param stack: (M, C, H, W).
    :param numbers: N, which images.
    :param points: (N, h, w, 2) pixels from the upper left corner.
    :param mode: as of ``grid_sample``; 'bicubic' is sharper, and goes beyond the values read.
    :return: (N, C, h, w) float32.
    """
    height, width = stack.shape[-2:]
    size = to_device([width, height], points.device)
    chosen = stack[to_device(numbers, stack.device, torch.int64)].float()
    return F.grid_sample(chosen, points * (2 / size) - 1, mode=mode, padding_mode='border',
                         align_corners=False)


def averaged(stack: torch.Tensor, numbers: Sequence[int], points: torch.Tensor,
             widths: Sequence[float]) -> torch.Tensor:
    """
    Read images at points as means over squares: sharp, and without aliasing up to 2 pixels.

    :param stack, numbers, points: as of ``sampled``.
    :param widths: N, of the squares, 1 pixel or more.
    :return: (N, C, h, w) float32.
    """
    # of four values between pixels, each itself a mean over a pixel's width
    reach = per_image([(width - 1) / 2 for width in widths], points.device)
    corners = [points + reach * to_device(corner, points.device)
               for corner in itertools.product((-1, 1), repeat=2)]
    return sampled(stack, numbers, torch.cat(corners, 1)).unflatten(2, (4, -1)).mean(2)

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drops on the lens or the pane before it: blurred discs that refract the scene, drawn ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from ubcn_ros.data.log_uniform import log_uniform
from ubcn_ros.training.prerender import rendered_ahead
from ubcn_ros.training.tensors.transfer import per_image, stacked, to_device
from ubcn_ros.training.tensors.views import mirrored, reflected, sampled, transformed

_PICTURES = 32
_BLUR = 4  # pixels in one of what is seen through a drop, which is far out of focus
_SIDE = 512  # short side of the frame that a picture is drawn for, pixels: drops are soft


def drops_on_lens(height: int, width: int, rng: np.random.Generator, side: float
                  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Draw drops, from one large to many small ones.

    A drop is a short lens: it shows much of the scene, small and upside down. A third of them are
    films of water that blur alone.

    :param side: short side of the frame, pixels, of which height and width may be a part.
    :return: opacity of the drops, (H, W) float32 on 0..1; offset of what is seen through them,
        (H, W, 2) float32 pixels to the right and down; and factor on its brightness, (H, W)
        float32.
    """
    alpha = np.zeros((height, width), np.float32)
    shift = np.zeros((height, width, 2), np.float32)
    shade = np.ones((height, width), np.float32)
    typical = side * log_uniform(rng, 0.008, 0.05)
    share = log_uniform(rng, 0.01, 0.25)
    count = 1 + int(rng.poisson(min(200, share * height * width / (4 * typical ** 2))))
    blur = rng.uniform(0.05, 0.5)  # one focus for all
    for _ in range(count):
        radius = typical * float(np.exp(0.4 * rng.standard_normal()))
        x, y = rng.random() * width, rng.random() * height
        zoom = 0.0 if rng.random() < 0.33 else -1 - float(rng.uniform(2, 6))
        tall, wobble = float(np.exp(0.2 * rng.standard_normal())), rng.standard_normal(2) * 0.06
        turn, light = rng.random() * 2 * np.pi, float(rng.uniform(-0.25, 0.35))
        reach = int(np.ceil(1.6 * radius * max(tall, 1 / tall))) + 2
        top, left = max(0, int(y) - reach), max(0, int(x) - reach)
        rows, cols = slice(top, min(height, int(y) + reach)), slice(left, int(x) + reach)
        v = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5 - y)[:, None]
        u = (np.arange(left, min(width, cols.stop), dtype=np.float32) + 0.5 - x)[None]
        angle = np.arctan2(v, u) + turn
        outline = 1 + wobble[0] * np.cos(2 * angle) + wobble[1] * np.cos(3 * angle)
        place = np.hypot(u * tall, v / tall) / (radius * outline)
        disc = 1 / (1 + np.exp(np.clip((place - 1) * 4 / blur, -50, 50)))
        nearer = disc > alpha[rows, cols]
        alpha[rows, cols] = np.maximum(alpha[rows, cols], disc)
        both = np.stack(np.broadcast_arrays(u * zoom, v * zoom), -1)
        shift[rows, cols] = np.where(nearer[..., None], both, shift[rows, cols])
        shade[rows, cols] = np.where(nearer, 1 + light * np.clip(v / radius, -1, 1),
                                     shade[rows, cols])
    return alpha * np.float32(rng.uniform(0.6, 1.0)), shift, shade


@dataclass(frozen=True)
class Placement:
    """
    How a sample lies under a picture of drops.

    :param picture: which one.
    :param matrix: (2, 3), from the sample's pixels to the picture's.
    """

    picture: int
    matrix: np.ndarray


def _picture(size: tuple[int, int], seed: int, n: int) -> np.ndarray:
    """What hides, shifts and lights, (4, H, W) float16."""
    alpha, shift, shade = drops_on_lens(*size, np.random.default_rng([seed, 9, n]), _SIDE)
    return np.stack([alpha, shift[..., 0], shift[..., 1], shade]).astype(np.float16)


class LensPictures:
    """
    Pictures of drops on a device.

    :param size: height and width of every picture, pixels; that of the samples is good.
    :param seed: of what is drawn.
    :param workers: processes that draw.
    """

    def __init__(self, size: tuple[int, int], seed: int, device: torch.device, workers: int
                 ) -> None:
        self.size = size
        self._pictures = stacked(rendered_ahead(
            partial(_picture, size, seed), range(_PICTURES), workers), device)

    def draw(self, rng: np.random.Generator, side: float) -> Placement:
        """
        Draw a picture and a place in it.

        :param side: short side of the frame at the sample's size, pixels.
        """
        zoom = _SIDE / side
        x, y = rng.random(2) * self.size[::-1]
        return Placement(int(rng.integers(_PICTURES)), np.array([[zoom, 0, x], [0, zoom, y]]))

    def seen_through(self, images: torch.Tensor, placements: Sequence[Placement]) -> torch.Tensor:
        """
        Show images through drops, each by its own placement.

        :param images: (N, 3, h, w) float32.
        :return: likewise.
        """
        device, crop = images.device, images.shape[-2:]
        points = transformed([p.matrix for p in placements], crop, device)
        size = to_device(self.size[::-1], device)
        drops = sampled(self._pictures, [p.picture for p in placements], reflected(points, size))
        zoom = per_image([p.matrix[0, 0] for p in placements], device)
        alpha, shift, shade = drops.split((1, 2, 1), 1)
        turned = mirrored(points, size).movedim(-1, 1)
        return behind_drops(images, alpha, torch.where(turned, -shift, shift) / zoom, shade)


def behind_drops(images: torch.Tensor, alpha: torch.Tensor, shift: torch.Tensor,
                 shade: torch.Tensor) -> torch.Tensor:
    """
    Show images through drops, as of ``drops_on_lens``.

    :param images: (N, 3, h, w) float32.
    :param alpha: opacity of the drops, (N, 1, h, w) on 0..1.
    :param shift: offset of what is seen through them, (N, 2, h, w) pixels to the right and down.
    :param shade: factor on its brightness, (N, 1, h, w).
    """
    small = blurred(images, _BLUR)
    identity = np.array([[1.0, 0, 0], [0, 1, 0]])
    points = transformed([identity], images.shape[-2:], images.device) + shift.movedim(1, -1)
    size = to_device([small.shape[-1], small.shape[-2]], images.device)
    behind = sampled(small, range(len(images)), reflected(points / _BLUR, size))
    return torch.lerp(images, behind * shade, alpha)


def blurred(images: torch.Tensor, pixels: int) -> torch.Tensor:
    """Average over so many pixels and their neighbours, (N, C, h // pixels, w // pixels)."""
    small = F.avg_pool2d(images, pixels)
    return F.avg_pool2d(small, 3, stride=1, padding=1, count_include_pad=False)

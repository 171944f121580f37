# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A step of the loop: what it yields, and the sizes at which its parts see the image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from ubcn_ros.network.blocks import aligned, resample, resize

DERAIN_TRAINED = 1440
"""Largest short side, pixels, of the images that IDM was trained on, where nothing says."""


class Step(NamedTuple):
    """
    What one step of the loop yields; each step is a usable answer, and what the next one needs.

    :param image: Bt, (N, 3, H, W) RGB, not clamped.
    :param logits: St before the softmax, (N, num_classes, h, w) at the segmentation network's
        stride.
    :param rainy: (N, 3, H, W), what SAM takes, the same at every step: O', the rainy image
        without its veil, or O where the network has no ``Veil``, or a SAM that lifts it itself.
    :param rain: (N, 2), what the RainHead says, see ``rain_estimate``; None without one.
    """

    image: torch.Tensor
    logits: torch.Tensor
    rainy: torch.Tensor
    rain: torch.Tensor | None = None

    @property
    def full_logits(self) -> torch.Tensor:
        """The logits at the image's size, (N, K, H, W) fp32, as ``enlarged`` returns them."""
        return enlarged(self.logits, self.image.shape[-2:])


Derained = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]
"""Derained image, what SAM takes of the rainy one, and the rain, as in ``Step``."""


def enlarged(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """
    Enlarge logits, (N, K, h, w), bilinearly to (N, K, *size), the label of every pixel in them.

    In fp32: in half precision classes are equal that are not, and the first of them is the label.
    """
    return resize(logits.float(), size)


def label_view(image: torch.Tensor, size: tuple[int, int] | None = None) -> torch.Tensor:
    """
    Return what a segmentation network sees of an image.

    :param image: (N, 3, H, W).
    :param size: (h, w) at which it is labelled, the image's own where None; the sides that are
        seen are the multiples of ``ALIGNMENT`` at or below these.
    :return: (N, 3, h, w).
    """
    seen = aligned(*(size or image.shape[-2:]))
    return image if seen == tuple(image.shape[-2:]) else resample(image, seen)


def derain_size(height: int, width: int, side: int) -> tuple[int, int] | None:
    """
    Return the (h, w) at which IDM works: the image's divided by an integer, or None for its own.

    From twice that side on, streaks are far wider than any that it was trained on.

    :param side: ``UBCN.derain_side``.
    """
    part = min(height, width) // side
    return None if part < 2 else (round(height / part), round(width / part))


def derain_side(trained: int = DERAIN_TRAINED) -> int:
    """
    Return the ``UBCN.derain_side`` that follows from the largest images that IDM was trained on.

    Three quarters of their short side: images of up to one and a half times as many lines are seen
    as they are (models/README.md, "Figures"), larger ones no smaller than that.

    :param trained: their short side, pixels.
    """
    return math.ceil(trained * 3 / 4)


def derain_at(size: tuple[int, int] | None, derain: Callable[[torch.Tensor], Derained],
              image: torch.Tensor) -> Derained:
    """
    Derain an image at another size.

    The corrections of the image are enlarged and added to it, so that what is finer stays.

    :param size: (h, w), or None for the image's own.
    :param derain: ``UBCN.derain_natively``, or what stands for it.
    """
    if size is None:
        return derain(image)
    small = resample(image, size)
    derained, rainy, rain = derain(small)
    derained, rainy = (image if x is small else image + resize(x - small, image.shape[-2:])
                       for x in (derained, rainy))
    return derained, rainy, rain


def attend_at(size: tuple[int, int], attend: Callable[[Step], torch.Tensor], previous: Step
              ) -> torch.Tensor:
    """
    Restore an image by a SAM that works at no larger a size than the labels': Bt, (N, 3, H, W).

    At a smaller one it sees both images so, and its correction of the previous image is enlarged
    and added to it. What is finer was seen by IDM alone.

    :param size: (h, w) at which the image is labelled.
    :param attend: ``UBCN.attend``, or what stands for it.
    :param previous: as for ``UBCN.next_step``.
    """
    size = attention_size(previous.image.shape[-2:], size)
    if size is None:
        return attend(previous)
    before = previous._replace(image=resample(previous.image, size),
                               rainy=resample(previous.rainy, size))
    correction = attend(before) - before.image
    return previous.image + resize(correction, previous.image.shape[-2:])


def attention_size(image: Sequence[int], size: tuple[int, int]) -> tuple[int, int] | None:
    """
    Return the size at which SAM works: that of the labels, or None for the image's own.

    It needs no multiples of ``ALIGNMENT``, so that an image labelled as large as it goes is whole,
    and an enlarged one has no more to restore.

    :param image: its (H, W).
    :param size: (h, w) at which the image is labelled.
    """
    enlarged = any(side > own for side, own in zip(size, image, strict=True))
    return None if enlarged or size == aligned(*image) else size

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images to the device and results back: uint8 both ways, converted on the device."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np
import torch

from ubcn_ros.network import Step
from ubcn_ros.network.step import enlarged
from ubcn_ros.runtime.confidence import confidence_of
from ubcn_ros.runtime.cpu_output import labels_on_cpu, to_bytes

Result = tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]
"""Derained (H, W, 3), labels (H, W) and confidence (H, W), uint8, None where not asked for."""


def upload(images: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """Turn N arrays (H, W, 3) uint8 RGB into (N, 3, H, W) fp32 0..1, channels last."""
    height, width = images[0].shape[:2]
    batch = torch.empty((len(images), 3, height, width), dtype=torch.float32, device=device,
                        memory_format=torch.channels_last)
    for image, place in zip(images, batch, strict=True):
        # a view with negative strides (a mirrored image, BGR turned RGB) has to be copied
        image = np.ascontiguousarray(image)
        if not image.flags.writeable:
            image = image.copy()
        pixels = torch.from_numpy(image).to(device, non_blocking=True)
        place.copy_(pixels.permute(2, 0, 1)).mul_(1 / 255)
    return batch


def download(step: Step, confidence: bool, temperature: float = 1.0, derained: bool = True,
             labels: bool = True) -> list[Result]:
    """
    Return a step's results in new memory; on a CPU by its own fast kernels.

    :param confidence, derained, labels: whether these are asked for; confidence with labels only.
    :param temperature: of the confidence, as in ``confidence_of``.
    """
    results = []
    for i, image in enumerate(step.image):
        found = find_labels(step.logits[i], image.shape[-2:], confidence, temperature
                            ) if labels else (None, None)
        results.append((_bytes(image) if derained else None,
                        *(None if each is None else each.cpu().numpy() for each in found)))
    return results


def _bytes(image: torch.Tensor) -> np.ndarray:
    return to_bytes(image) if image.device.type == 'cpu' else image_bytes(image).cpu().numpy()


def image_bytes(image: torch.Tensor) -> torch.Tensor:
    """Clamp (3, H, W) RGB 0..1 and round it, half to even, to (H, W, 3) uint8."""
    rounded = image.clamp(0, 1).mul(255).round_().to(torch.uint8)
    return rounded.permute(1, 2, 0).contiguous()


def find_labels(logits: torch.Tensor, size: Sequence[int], confidence: bool,
                temperature: float) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Find labels as ``labels_of`` does; on a CPU by its own fast kernels."""
    find = labels_on_cpu if logits.device.type == 'cpu' else labels_of
    return find(logits, size, confidence, temperature)


def labels_of(logits: torch.Tensor, size: Sequence[int], confidence: bool,
              temperature: float = 1.0) -> tuple[torch.Tensor, torch.Tensor | None]:
    """
    Find the label of every pixel, and how sure it is.

    :param logits: (K, h, w), K up to 255; enlarged bilinearly.
    :param size: (H, W) pixels.
    :param temperature: of the confidence, as in ``confidence_of``.
    :return: (H, W) uint8 class ids; (H, W) uint8, their probability times 255, or None.
    """
    logits = enlarged(logits[None], tuple(size))[0]
    labels = logits.argmax(0).to(torch.uint8)
    if not confidence:
        return labels, None
    return labels, confidence_of(logits, temperature).mul(255).round_().to(torch.uint8)


class HostBuffers:
    """
    Buffers in main memory that are lent out with the results and lent again once these are gone.

    Pinned, a GPU writes into them directly, so that results need no further copy; making one
    takes milliseconds, so there are a few, made once. Whoever keeps more results than there are
    buffers gets ordinary memory: pinned memory stays bounded.

    :param length: bytes of each.
    :param count: how many.
    :param pinned: page-locked, which needs CUDA.
    """

    def __init__(self, length: int, count: int, pinned: bool) -> None:
        self._buffers = [torch.empty(length, dtype=torch.uint8, device='cpu', pin_memory=pinned)
                         for _ in range(count)]
        self._lent: list[weakref.ref[np.ndarray] | None] = [None] * count
        self._length = length

    def lend(self) -> tuple[torch.Tensor, np.ndarray]:
        """
        Return a buffer that nobody uses, (length,) uint8, as a tensor and as an array.

        It is in use for as long as the array or any view of it lives.
        """
        for i, buffer in enumerate(self._buffers):
            user = self._lent[i]
            if user is None or user() is None:
                array = buffer.numpy()
                self._lent[i] = weakref.ref(array)
                return buffer, array
        buffer = torch.empty(self._length, dtype=torch.uint8, device='cpu')
        return buffer, buffer.numpy()

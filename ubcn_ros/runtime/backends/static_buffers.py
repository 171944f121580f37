# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fixed buffers of one size of image, the recorded work on them, and its check."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from ubcn_ros.network import Step
from ubcn_ros.runtime.backends.backend import Mark, Size, WorkingSize, random_pixels
from ubcn_ros.runtime.backends.graph_recorder import Record, Work
from ubcn_ros.runtime.backends.stages import StageFunctions, StagesBackend
from ubcn_ros.runtime.transfer import HostBuffers, Result, find_labels, image_bytes

RESULTS = 2
"""Results per size that may be in use before further ones need memory of their own."""
STRIPS = 4
"""Parts of an image that are sent one by one: while one is on its way, the next is copied."""
_CHECKED_STEPS = 3
# by a number, bytes would be multiplied in PyTorch's default type, which callers may change, as
# they may its default device
_SCALE = torch.tensor(1 / 255, dtype=torch.float32, device='cpu')


class RecordingError(RuntimeError):
    """Recorded work gives other results than the modules called one by one."""


class StaticBuffers:
    """
    The buffers of one size, and the recorded work on them.

    ``rainy`` is (N, 3, H, W) fp32 RGB, ``step`` holds the last step as the network makes it and is
    overwritten by the next one.
    ``pixels`` and ``derained`` are (N, H, W, 3) uint8, ``labels`` and ``confidence`` (N, H, W).
    All that is needed per frame is made here.

    :param size: images, height and width.
    :param stages: called as often as ``record`` asks for.
    :param working: height and width at which images are labelled.
    :param temperature: of the confidence, as in ``confidence_of``.
    """

    def __init__(self, size: Size, stages: StageFunctions, record: Record,
                 device: torch.device, working: WorkingSize, temperature: float) -> None:
        n, height, width = size
        count = n * height * width
        cuda = device.type == 'cuda'
        self._size = size
        host = torch.empty((n, height, width, 3), dtype=torch.uint8, device='cpu',
                           pin_memory=cuda)
        host.copy_(random_pixels(size, seed=0))
        self._sent = torch.cuda.Event() if cuda else None
        self._results = HostBuffers(5 * count, RESULTS, pinned=cuda)

        pixels = host.to(device, copy=True)
        rows = -(-height // STRIPS)
        self._strips = [[(slice(top, top + rows), array[top:top + rows], tensor[top:top + rows],
                          target[top:top + rows]) for top in range(0, height, rows)]
                        for array, tensor, target in zip(host.numpy(), host, pixels, strict=True)]
        rainy = torch.empty((n, 3, height, width), dtype=torch.float32, device=device,
                            memory_format=torch.channels_last)
        packed = torch.empty(5 * count, dtype=torch.uint8, device=device)
        views = _views(packed, size)
        _unpack(pixels, rainy)
        step = _buffers_of_step(rainy, stages, working)
        self._work: dict[str, Work] = {
            name: record(work)
            for name, work in _work_on(pixels, rainy, step, views, stages, working,
                                       temperature).items()}
        self.pixels, self.rainy, self.step = pixels, rainy, step
        self.temperature = temperature
        self._packed = packed
        self.derained, self.labels, self.confidence = views

    def first(self, _image: torch.Tensor, mark: Mark, segment: bool = True) -> Step:
        """Derain and segment what was uploaded last."""
        return self._run_step('derain', mark, segment)

    def next(self, _previous: Step, mark: Mark, segment: bool = True) -> Step:
        """Attend and segment again; the previous step is overwritten."""
        return self._run_step('attend', mark, segment)

    def _run_step(self, stage: str, mark: Mark, segment: bool) -> Step:
        for name in (stage, 'segment') if segment else (stage,):
            self.run(name)
            mark(name)
        return self.step

    def run(self, name: str) -> None:
        """Repeat recorded work, by a name of ``_work_on``."""
        self._work[name]()

    def upload(self, images: Sequence[np.ndarray], _working: WorkingSize = None
               ) -> torch.Tensor:
        """Turn (H, W, 3) uint8 arrays, in any layout, into ``rainy``; the sizes are fixed."""
        if self._sent is not None:
            self._sent.synchronize()  # a frame that failed half-way may still be on its way
        for image, strips in zip(images, self._strips, strict=True):
            for rows, array, tensor, target in strips:
                np.copyto(array, image[rows])
                target.copy_(tensor, non_blocking=True)
        if self._sent is not None:
            self._sent.record(torch.cuda.current_stream(self.pixels.device))
        self.run('unpack')
        return self.rainy

    def download(self, _step: Step, confidence: bool, derained: bool = True, labels: bool = True
                 ) -> list[Result]:
        """Return the last step's results; from a GPU they are on their way."""
        if derained:
            self.run('pack image')
        if labels:
            self.run('pack labels and confidence' if confidence else 'pack labels')
        tensor, array = self._results.lend()
        count = len(self._packed) // 5
        part = slice(0 if derained else 3 * count, (3 + labels + confidence) * count)
        tensor[part].copy_(self._packed[part], non_blocking=True)
        views = _views(array, self._size)
        return [tuple(view[i] if wanted else None
                      for view, wanted in zip(views, (derained, labels, confidence), strict=True))
                for i in range(self._size[0])]


def _buffers_of_step(rainy: torch.Tensor, stages: StageFunctions, working: WorkingSize) -> Step:
    """Return buffers for a step; ``rainy`` is also what SAM takes where that is not lifted."""
    image, seen, rain = stages.derain(rainy)
    image = torch.empty_like(image).copy_(image)
    return Step(image, torch.empty_like(stages.segment(image, working)),
                rainy if seen is rainy else torch.empty_like(seen).copy_(seen),
                None if rain is None else torch.empty_like(rain))


def _work_on(pixels: torch.Tensor, rainy: torch.Tensor, step: Step, views: tuple,
             stages: StageFunctions, working: WorkingSize, temperature: float
             ) -> dict[str, Work]:
    """
    Return all work on these buffers, by name, in the order in which it is recorded.

    It refers to the buffers, not to the object that holds them: their memory is so free at once
    when that is dropped.
    """
    image, logits, seen, rain = step

    def derain() -> None:
        derained, seen_by_sam, estimate = stages.derain(rainy)
        image.copy_(derained)
        if seen is not rainy:
            seen.copy_(seen_by_sam)
        if rain is not None:
            rain.copy_(estimate)

    def segment() -> None:
        logits.copy_(stages.segment(image, working))

    def attend() -> None:
        image.copy_(stages.attend(step, working))

    def pack_image() -> None:
        for each, view in zip(image, views[0], strict=True):
            view.copy_(image_bytes(each))

    def pack_labels(confidence: bool) -> None:
        for i, each in enumerate(logits):
            found = find_labels(each, image.shape[-2:], confidence, temperature)
            for view, values in zip(views[1:], found, strict=True):
                if values is not None:
                    view[i].copy_(values)

    return {'unpack': lambda: _unpack(pixels, rainy), 'derain': derain, 'segment': segment,
            'attend': attend, 'pack image': pack_image,
            'pack labels': partial(pack_labels, False),
            'pack labels and confidence': partial(pack_labels, True)}


def _unpack(pixels: torch.Tensor, rainy: torch.Tensor) -> None:
    torch.mul(pixels.permute(0, 3, 1, 2), _SCALE, out=rainy)


def check(buffers: StaticBuffers, size: Size, reference: StagesBackend,
          working: WorkingSize) -> None:
    """
    Compare recorded steps with stages called one by one, on other images than the recorded.

    :param size, working: of the buffers.
    :param reference: calls the stages.
    :raises RecordingError: they differ by more than half precision and another order of the same
        sums explain.
    :raises PrecisionError: what the stages give is not finite.
    """
    pixels = random_pixels(size, seed=1).to(buffers.pixels.device)
    buffers.pixels.copy_(pixels)
    buffers.run('unpack')
    rainy = pixels.permute(0, 3, 1, 2).float().mul_(1 / 255)
    found = buffers.step
    image, seen, rain = reference.stages.derain(rainy)
    for number in range(1, _CHECKED_STEPS + 1):
        buffers.run('derain' if number == 1 else 'attend')
        buffers.run('segment')
        if number > 1:
            image = reference.stages.attend(step, working)  # noqa: F821
        step = Step(image, reference.stages.segment(image, working), seen, rain)
        reference.require_finite(step)
        _require(found.image, step.image, 1 / 255, f'image of step {number}')
        spread = step.logits.float().std().item()
        _require(found.logits, step.logits, 0.05 * spread + 1e-3, f'logits of step {number}')
    _require(found.rainy, seen, 1 / 255, 'what SAM takes of the rainy image')
    if rain is not None:
        _require(found.rain, rain, 0.05, 'rain')
    buffers.run('pack image')
    buffers.run('pack labels and confidence')
    for i in range(size[0]):
        _require(buffers.derained[i], image_bytes(found.image[i]), 0.01, 'packed image')
        labels, sure = find_labels(found.logits[i], size[1:], True, buffers.temperature)
        # where two classes are equal but for rounding, either may win
        _require(buffers.labels[i] != labels, torch.zeros_like(labels), 0.001, 'packed labels')
        _require(buffers.confidence[i], sure, 0.5, 'packed confidence')


def _require(found: torch.Tensor, expected: torch.Tensor, most: float, name: str) -> None:
    difference = (found.float() - expected.float()).abs().mean().item()
    if not difference <= most:  # so that NaN is refused, too
        raise RecordingError(f'{name} differs by {difference:.3g} on average, {most:.3g} is '
                             'allowed')


def _views(packed: torch.Tensor | np.ndarray, size: Size) -> tuple:
    """View derained (N, H, W, 3), labels and confidence (N, H, W) in a packed buffer."""
    pixels = size[0] * size[1] * size[2]
    return (packed[:3 * pixels].reshape(*size, 3), packed[3 * pixels:4 * pixels].reshape(size),
            packed[4 * pixels:].reshape(size))

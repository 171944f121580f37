# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether exported stages give what PyTorch gives, at sizes they were not traced with."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from ubcn_ros.network import UBCN, Step
from ubcn_ros.runtime.backends.backend import random_pixels
from ubcn_ros.runtime.backends.stages import StageFunctions
from ubcn_ros.runtime.export.stages import EXPORT_STAGES

CHECKED_SIZES = ((1, 32, 32), (1, 45, 61), (2, 64, 97), (1, 128, 75))
"""Batch, height and width to check by default: the least, odd ones, and two at a time."""
LIMITS = {'fp32': (0.25 / 255, 1e-3, 1e-3), 'fp16': (4 / 255, 2e-2, 0.05)}
"""
Largest difference of the derained image and the one without its veil, of the logits as a share of
the largest one, and of the logarithms of the rain.
"""


class ExportCheckError(ValueError):
    """An exported model computes something else than the network it was made of."""


@dataclass(frozen=True)
class Difference:
    """
    Of all steps of a loop at one size, against the network in fp32 PyTorch on the CPU.

    ``derained`` is the largest absolute difference of the derained image and the one without its
    veil, ``derained_mean`` the mean of the derained image, where 1 is the range of an image;
    ``logits`` the largest as a share of the largest logit; ``rain`` the
    largest of the logarithms, 0 where nothing is said of the rain; ``labels`` the share of pixels
    with the same label after the last step.
    """

    batch: int
    height: int
    width: int
    iterations: int
    derained: float
    derained_mean: float
    logits: float
    rain: float
    labels: float


def sample_image(batch: int, height: int, width: int) -> torch.Tensor:
    """Return (N, 3, H, W) 0..1: smooth surfaces, a little noise, and bright streaks like rain."""
    random = torch.Generator().manual_seed(0)
    image = random_pixels((batch, height, width), seed=0).permute(0, 3, 1, 2) / 255
    streaks = torch.rand(batch, 1, -(-height // 9), width, generator=random, device='cpu') > 0.97
    streaks = F.interpolate(streaks.float(), (height, width), mode='nearest')
    return (image + 0.4 * streaks).clamp(0, 1)


@torch.inference_mode()
def compare(network: UBCN, stages: StageFunctions,
            sizes: Sequence[tuple[int, int, int]] = CHECKED_SIZES,
            working: tuple[int, int] | None = None) -> list[Difference]:
    """
    Run a loop of three steps of each in turn, each on its own results.

    :param network: as ``load_model`` returned it.
    :param stages: the exported ones.
    :param sizes: batch, height and width of each.
    :param working: at which images are labelled, as in ``UBCN.forward``.
    """
    rows, iterations = [], 3
    for batch, height, width in sizes:
        image = sample_image(batch, height, width)
        wanted = network(image, iterations, working)
        worst, got = [], None
        for step in wanted:
            if got is None:
                derained, rainy, rain = stages.derain(image)
            else:
                derained = stages.attend(got, working)
            got = Step(derained, stages.segment(derained, working), rainy, rain)
            worst.append(_compare(step, got))
        same = (step.full_logits.argmax(1) == got.full_logits.argmax(1)).float().mean()
        # not max(): a NaN has to win
        rows.append(Difference(batch, height, width, iterations,
                               *torch.tensor(worst, device='cpu').amax(0).tolist(), float(same)))
    return rows


def _compare(wanted: Step, got: Step) -> tuple[float, float, float, float]:
    shapes = [{name: tuple(value.shape) for name, value in step._asdict().items()
               if value is not None} for step in (wanted, got)]
    if shapes[0] != shapes[1]:
        raise ExportCheckError(f'an exported step has {shapes[1]}, expected {shapes[0]}')
    image = (wanted.image - got.image).abs()
    largest = torch.maximum(image.max(), (wanted.rainy - got.rainy).abs().max())
    logits = (wanted.logits - got.logits).abs().max() / wanted.logits.abs().max()
    rain = 0 if wanted.rain is None else (wanted.rain - got.rain).abs().max()
    return float(largest), float(image.mean()), float(logits), float(rain)


def require_equal(rows: Sequence[Difference], precision: str) -> None:
    """Raise ExportCheckError where a difference is over the ``LIMITS`` or not a number."""
    derained, logits, rain = LIMITS[precision]
    for row in rows:
        if not (row.derained <= derained and row.logits <= logits and row.rain <= rain):
            raise ExportCheckError(
                f'at {row.width}x{row.height} the exported model differs from PyTorch by '
                f'{row.derained:.2g} in the image (at most {derained:.2g}), by {row.logits:.2g} '
                f'of the largest logit (at most {logits:.2g}) and by {row.rain:.2g} in the rain '
                f'(at most {rain:.2g}): nothing was written; report it with the versions of '
                'torch, onnx and onnxruntime')


def exported_programs(folder: Path, network: UBCN) -> StageFunctions:
    """
    Load the .pt2 files of a folder that this process has just written, to be checked.

    ``torch.export.load`` reads them, which may unpickle; no other file is ever given to it, and
    the engine takes none. A program that uses them calls it itself, on files that it trusts.

    :param network: that was exported.
    """
    return StageFunctions.of_models(
        *(torch.export.load(io.BytesIO((folder / f'{name}.pt2').read_bytes())).module()
          for name in EXPORT_STAGES), config=network.config, derain_side=network.derain_side)

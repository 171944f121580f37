# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sheets of pictures for whoever trains: the samples before, the validation frames after."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from tensorboard.compat.proto.summary_pb2 import Summary
from torchmetrics.functional.image import peak_signal_noise_ratio

from ubcn_ros.data.scenes import SceneList
from ubcn_ros.evenly import evenly
from ubcn_ros.images.contact_sheet import contact_sheet, scaled_to
from ubcn_ros.images.overlay import overlay
from ubcn_ros.labels import UNLABELED, LabelSet
from ubcn_ros.network import Step
from ubcn_ros.training.batches import make_samples
from ubcn_ros.training.config import STAGES, TrainConfig
from ubcn_ros.training.label_score import LabelScore
from ubcn_ros.training.samples import TrainingSamples, batch_numbers
from ubcn_ros.training.tensors.samples import TensorSamples

_SAMPLE_WIDTH, _FRAME_WIDTH = 260, 320  # of a picture on a sheet, pixels
_ROWS = 6  # of samples in a block
_KEPT_FRAMES = 3


def samples_sheet(scenes: Mapping[str, SceneList], config: TrainConfig, device: torch.device,
                  workers: int) -> np.ndarray:
    """
    Draw the first training samples of stages, two in a row: clean, degraded, labels over image.

    They are those of the run; each stage has a block of its own.

    :param scenes: what each stage that will run trains on, by its name.
    :param device, workers: as of ``batches.make_samples``.
    :return: (H, W, 3) uint8 RGB.
    :raises DataSetError: a file of the scenes cannot be read.
    """
    def block(name: str, training: SceneList) -> np.ndarray:  # with it end its samples' tensors
        stage = config.stages[name]
        samples = make_samples(training, stage.samples, config.seed, device, workers)
        height, width = stage.samples.crop
        return contact_sheet(
            _sample_rows(samples, STAGES.index(name)),
            ('clean', 'degraded', 'labels')[:2 if training.label_set is None else 3] * 2,
            training.label_set if name == [*scenes][-1] else None,
            f'{config.name}: {name} (batch {stage.batch})',
            f'{width}x{height} from {len(training)} scenes, {training.name}', _SAMPLE_WIDTH)

    return np.concatenate([block(*stage) for stage in scenes.items()])


def _sample_rows(samples: TrainingSamples | TensorSamples, stage: int
                 ) -> list[tuple[list[str], list[np.ndarray]]]:
    label_set = samples.scenes.label_set
    drawn = []
    for n, number in enumerate(next(batch_numbers(0, 1, 2 * _ROWS, stage=stage))):
        sample = {name: values.cpu() for name, values in samples[number].items()}
        clean, degraded = (_array(sample[key]) for key in ('clean', 'degraded'))
        dry = (', dry' if np.array_equal(clean, degraded) and not samples.config.degradation
               else '')
        images, captions = [clean, degraded], ['', f'sample {n}{dry}']
        if label_set is not None:
            labels = sample['labels'].numpy()
            captions.append('' if (labels != UNLABELED).any() else 'no labels')
            labels[labels >= label_set.num_classes] = UNLABELED  # groups of classes, too
            images.append(overlay(clean, labels, label_set))
        drawn.append((captions, images))
    return [(left[0] + right[0], left[1] + right[1])
            for left, right in zip(drawn[::2], drawn[1::2], strict=True)]


class ValidationPictures:
    """
    Keep a few frames of a validation at every rain rate.

    Of each, input, steps and clean image over their labels, with the frame's own figures. Give
    it to ``validate`` to be called with every frame.

    :param label_set: the network's.
    :param measures: of the stage: 'psnr', 'miou' or both; without 'miou' no labels are shown.
    :param frames: how many frames a rate has; those kept are spread evenly over them.
    """

    def __init__(self, label_set: LabelSet, measures: Collection[str], frames: int) -> None:
        self.label_set, self.measures = label_set, measures
        self._kept = {*evenly(range(frames), _KEPT_FRAMES)}
        self._rows: dict[tuple[int, float], tuple[list[str], list[np.ndarray]]] = {}

    def __call__(self, rate_mm_h: float, n: int, batch: Mapping[str, torch.Tensor],
                 steps: Sequence[Step]) -> None:
        """
        Keep a frame, if it is one of those to keep.

        :param rate_mm_h: rain rate.
        :param n: number of the frame among those of the rate.
        :param batch: 'clean' and 'degraded' (1, 3, H, W) RGB 0..1, 'labels' (1, H, W).
        :param steps: what the network made of it.
        """
        if n not in self._kept:
            return
        clean = batch['clean'].float()
        images = [batch['degraded'].float(), *(s.image.float().clamp(0, 1) for s in steps)]
        texts = [[f'{rate_mm_h:g} mm/hr'], *([] for _ in steps), [f'frame {n}']]
        if 'psnr' in self.measures:
            for text, image in zip(texts, images, strict=False):
                psnr = float(peak_signal_noise_ratio(image, clean, data_range=1.0))
                text.append('equal to clean' if math.isinf(psnr) else f'{psnr:.1f} dB')
        pictures = [_array(image[0].mul(255).round().byte().cpu()) for image in (*images, clean)]
        if 'miou' in self.measures:
            masks = [s.full_logits.argmax(1) for s in steps]
            for text, mask in zip(texts[1:], masks, strict=False):
                miou = self._miou(mask, batch['labels'])
                text.append('no labels' if math.isnan(miou) else f'mIoU {miou:.0f} %')
            colors = [self.label_set.colorize(mask[0].to(torch.uint8).cpu().numpy())
                      for mask in (*masks, batch['labels'])]
            pictures[1:] = [np.concatenate(pair) for pair in zip(pictures[1:], colors,
                                                                 strict=True)]
        # at the size of the sheet, so that large frames fill no memory
        self._rows[n, rate_mm_h] = ([', '.join(text) for text in texts],
                                    [scaled_to(_FRAME_WIDTH, picture) for picture in pictures])

    def _miou(self, mask: torch.Tensor, labels: torch.Tensor) -> float:
        score = LabelScore(self.label_set, mask.device)
        score.add(mask[0], labels[0])
        return score.result()['miou']

    def sheet(self, title: str, scores: Mapping[str, float]) -> np.ndarray:
        """
        Lay out what was kept, (H, W, 3) uint8 RGB; frame after frame, each at every rain rate.

        :param title: line above.
        :param scores: of the whole validation, by name.
        :raises ValueError: nothing was kept.
        """
        rows = [self._rows[key] for key in sorted(self._rows)]
        steps = len(rows[0][1]) - 2 if rows else 0
        return contact_sheet(
            rows, ('input', *(f'step {t + 1}' for t in range(steps)), 'clean'),
            self.label_set if 'miou' in self.measures else None, title,
            ', '.join(f'{name} {value:.2f}' for name, value in scores.items()), _FRAME_WIDTH)


def image_summary(tag: str, path: Path, image: np.ndarray) -> Summary:
    """
    Make TensorBoard's record of an image from its file: add_image takes 0.4 s for a PNG of it.

    :param path: that the image, (H, W, 3), was written to.
    """
    height, width, colors = image.shape
    return Summary(value=[Summary.Value(tag=tag, image=Summary.Image(
        height=height, width=width, colorspace=colors, encoded_image_string=path.read_bytes()))])


def _array(image: torch.Tensor) -> np.ndarray:
    """(3, H, W) uint8 as (H, W, 3) array."""
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())

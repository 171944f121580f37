# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training samples: crops of clean, degraded and labelled scenes, each fixed by its number."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from ubcn_ros.data.depth_prior import complete_depth
from ubcn_ros.data.log_uniform import log_uniform
from ubcn_ros.data.painted_rain import paint_rain, random_severity
from ubcn_ros.data.rain import add_rain
from ubcn_ros.data.rain_parameters import RainParameters, sample_rate
from ubcn_ros.data.scenes import CleanFrame, SceneList
from ubcn_ros.data.strong_augmentation import augment_strongly
from ubcn_ros.data.validation_rain import RENDERED, rainy_view
from ubcn_ros.evenly import evenly
from ubcn_ros.labels import UNLABELED
from ubcn_ros.training.drive_frames import DriveFrames, chosen_scene, drive_size
from ubcn_ros.training.sample_config import SampleConfig
from ubcn_ros.training.tensors.colors import Jitter

Sample = dict[str, torch.Tensor]

CLASS_DISTANCES = 0.6
"""Share of rain with other than physical parameters that follows the distances of classes."""

_KEPT_BYTES = 512 << 20  # of decoded files that a worker keeps: all of CamVid at 480x360
_RENDERED_BYTES = 1 << 30  # of rendered frames that a worker keeps: 64 of 1920x1080
_STAGE_SAMPLES = 1 << 32  # more than any stage takes


class _Rainy(NamedTuple):
    """A whole frame in its rain, whose rate and extinction may be known."""

    clean: np.ndarray
    degraded: np.ndarray
    labels: np.ndarray
    rain_rate: float = math.nan
    extinction: float = math.nan


class TrainingSamples(Dataset):
    """
    Endless training samples; sample n depends on n, the seed and the scenes alone.

    That is what makes a resumed run, and one on several processes, see the same data. Rendering
    costs more than an optimizer step, so ``reuse`` crops are taken from every rendered frame; a
    worker process meets the same frames again when it takes every W-th batch and the number of
    batches in ``renders`` frames is a multiple of W (see ``batches.useful_workers``).

    A sample holds 'clean' and 'degraded' (3, h, w) uint8 RGB, 'labels' (h, w) uint8, 'rain_rate'
    in mm/hr and 'extinction' of its veil in 1/m, float32: 0 where it is dry, NaN where nobody
    knows them, as of painted rain.

    :param scenes: what is cropped.
    :param config: how samples are drawn.
    :param seed: of everything that is drawn.
    """

    def __init__(self, scenes: SceneList, config: SampleConfig, seed: int) -> None:
        self.scenes, self.config, self.seed = scenes, config, seed
        self._files: OrderedDict[int, CleanFrame] = OrderedDict()
        self._files_bytes = 0
        self._frames: dict[int, _Rainy] = {}  # of one group

    def __getitem__(self, n: int) -> Sample:
        """Return sample n, 0 or more."""
        c = self.config
        group, place = divmod(n, c.renders * c.reuse)
        frame = group * c.renders + place % c.renders
        rainy = self._rendered(frame, group)
        clean, degraded, labels = _crop(rainy[:3], c, np.random.default_rng([self.seed, 1, n]))
        return {'clean': _to_tensor(clean), 'degraded': _to_tensor(degraded),
                'labels': torch.from_numpy(labels), 'rain_rate': torch.tensor(rainy.rain_rate),
                'extinction': torch.tensor(rainy.extinction)}

    def _rendered(self, frame: int, group: int) -> _Rainy:
        if frame in self._frames:
            return self._frames[frame]
        rainy = self._render(frame)
        if any(kept // self.config.renders != group for kept in self._frames):
            self._frames.clear()  # they do not come again
        # they come in turns: to drop the oldest for the newest would be to meet none again
        if sum(map(_bytes, self._frames.values())) + _bytes(rainy) <= _RENDERED_BYTES:
            self._frames[frame] = rainy
        return rainy

    @cached_property
    def _drives(self) -> DriveFrames:
        size = drive_size(self.scenes.scenes[0].image().shape[:2])
        return DriveFrames(self.seed, size, self.scenes.label_set)

    def _clean_frame(self, frame: int) -> CleanFrame:
        of_drive, number = chosen_scene(frame, len(self.scenes), self.config.drive_share,
                                        self.seed)
        return self._drives[number] if of_drive else self._scene(number)

    def _scene(self, index: int) -> CleanFrame:
        if index not in self._files:
            frame = self.scenes.scenes[index].read()
            self._files[index] = frame
            self._files_bytes += _bytes(frame)
            while self._files_bytes > _KEPT_BYTES and len(self._files) > 1:
                self._files_bytes -= _bytes(self._files.popitem(last=False)[1])
        return self._files[index]

    def _render(self, frame: int) -> _Rainy:
        c = self.config
        rng = np.random.default_rng([self.seed, 3, frame])
        image, labels, depth, rainy = self._clean_frame(frame)
        if c.color_jitter:
            table = Jitter.draw(c.color_jitter, rng).table()
            image = cv2.LUT(image, table)
            rainy = None if rainy is None else cv2.LUT(rainy, table)
        wet = rng.random() < c.rain_probability
        if wet and rainy is not None:
            return _Rainy(image, rainy, labels)
        painted = wet and rng.random() < c.painted_rain_probability
        if (c.strong_augmentation_probability and (painted or not wet)
                and rng.random() < c.strong_augmentation_probability):
            image, labels = augment_strongly(image, labels, rng)
        if painted:
            severity = random_severity(rng, *c.painted_severity)
            rainy = paint_rain(image, rng, severity, c.painted_haze_probability,
                               c.painted_noise_probability)
            return _Rainy(image, rainy, labels)
        if not wet:
            return _Rainy(image, image, labels, 0.0, 0.0)
        rate = sample_rate(rng)
        physical = rng.random() < c.physical_rain_probability
        parameters = RainParameters.random(rng, rate, physical)
        if depth is not None or (self.scenes.label_set is not None
                                 and (physical or rng.random() < CLASS_DISTANCES)):
            depth = complete_depth(depth, labels, self.scenes.class_names, parameters.horizon,
                                   parameters.focal)
        rainy = add_rain(image, rate, int(rng.integers(1 << 31)), depth, parameters)
        return _Rainy(image, rainy, labels, rate, parameters.extinction)


def _bytes(frame: CleanFrame | _Rainy) -> int:
    return sum(part.nbytes for part in frame if isinstance(part, np.ndarray))


def _crop(frame: tuple[np.ndarray, ...], c: SampleConfig, rng: np.random.Generator
          ) -> list[np.ndarray]:
    """Resize, crop and mirror all parts of a frame alike; what is outside is unlabeled."""
    height, width = frame[0].shape[:2]
    out_height, out_width = c.crop
    scale = log_uniform(rng, *c.scales_of(min(height, width)))
    # the window of the frame that becomes the crop
    h, w = min(height, round(out_height / scale)), min(width, round(out_width / scale))
    top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    # a window that the frame holds whole fills the crop, whatever rounding says
    size = (out_width if w < width else min(out_width, round(w * scale)),
            out_height if h < height else min(out_height, round(h * scale)))
    mirror = rng.random() < 0.5
    parts = []
    for part in frame:
        part = part[top:top + h, left:left + w]
        if part.shape[:2] != size[::-1]:
            enlarging = cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA
            part = cv2.resize(part, size, interpolation=(
                cv2.INTER_NEAREST_EXACT if part.ndim == 2 else enlarging))
        bottom, right = out_height - size[1], out_width - size[0]
        if bottom or right:
            part = (cv2.copyMakeBorder(part, 0, bottom, 0, right, cv2.BORDER_REFLECT_101)
                    if part.ndim == 3 else
                    cv2.copyMakeBorder(part, 0, bottom, 0, right, cv2.BORDER_CONSTANT,
                                       value=UNLABELED))
        # a copy: the frame is used again
        parts.append(np.array(part[:, ::-1] if mirror else part))
    return parts


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


def to_float(batch: Sample) -> Sample:
    """Convert the images of a batch that are uint8 to float RGB 0..1, channels last."""
    return {k: v.float().div(255).contiguous(memory_format=torch.channels_last)
            if v.ndim == 4 and v.dtype == torch.uint8 else v for k, v in batch.items()}


def batch_numbers(first: int, last: int, batch: int, rank: int = 0, world: int = 1,
                  stage: int = 0) -> Iterator[list[int]]:
    """
    Yield this process's sample numbers of every optimizer step from ``first`` to ``last``.

    Together the processes take the samples that one process would take.

    :param first, last: optimizer steps, the last one left out.
    :param batch: samples per optimizer step, over all processes.
    :param rank: of this process, 0 to world - 1.
    :param world: number of processes.
    :param stage: number of the stage: each has samples of its own.
    :raises ValueError: the batch is not a multiple of the number of processes.
    """

    if batch % world:
        raise ValueError(f'a batch of {batch} cannot be shared by {world} processes: choose a '
                         'multiple')
    share = batch // world
    for step in range(first, last):
        start = stage * _STAGE_SAMPLES + step * batch + rank * share
        yield list(range(start, start + share))


def validation_samples(scenes: SceneList, rate_mm_h: float, images: int, rain: str = RENDERED
                       ) -> Iterator[Sample]:
    """
    Yield whole validation frames at a rain rate, with fixed seeds.

    Scenes with rain of their own show it at every rate above 0.

    :param rate_mm_h: rain rate, 0..300 mm/hr.
    :param images: so many scenes at most are taken, spread evenly over all.
    :param rain: one of RAINS.
    """
    for index in evenly(range(len(scenes)), images):
        source = scenes.scenes[index].read()
        rainy = source.rainy if rate_mm_h else source.image
        if rainy is None:
            rainy = rainy_view(source.image, source.labels, scenes, rate_mm_h, index,
                               source.depth, rain)
        yield {'clean': _to_tensor(source.image), 'degraded': _to_tensor(rainy),
               'labels': torch.from_numpy(source.labels)}

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of a network in training; `ubcn evaluate` measures finished models."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator

import numpy as np
import torch
from lightning.fabric import Fabric
from torchmetrics.functional.image import peak_signal_noise_ratio
from tqdm import tqdm

from ubcn_ros.data.scenes import SceneList
from ubcn_ros.labels import UNLABELED
from ubcn_ros.network import Step
from ubcn_ros.network.rain_estimate import rain_of
from ubcn_ros.runtime.processing import NATIVE, working_size
from ubcn_ros.training.config import DataConfig
from ubcn_ros.training.label_score import LabelScore
from ubcn_ros.training.samples import to_float, validation_samples
from ubcn_ros.training.stage import Stage

RATES_MM_H = (0.0, 150.0)

_SHOW_EVERY = 5  # seconds, as of the bar of the training

Seen = Callable[[float, int, dict[str, torch.Tensor], list[Step]], None]


@contextlib.contextmanager
def _without_trials() -> Iterator[None]:
    """Let cuDNN try no algorithms: frames may be of many sizes, and each would cost them."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@torch.no_grad()
@_without_trials()
def validate(fabric: Fabric, stage: Stage, scenes: SceneList, data: DataConfig, seen: Seen,
             side: int = NATIVE, title: str = '') -> dict[str, float]:
    """
    Measure PSNR (dB) and mIoU (%) of every step on dry and on rainy validation frames.

    Of a network with a ``Veil``, the PSNR of what it lifted, before IDM, too: equal to the first
    step's where IDM has learnt nothing. Of one that estimates the rain, the median of the rates
    (mm/hr), too.

    :param stage: evaluated in eval mode, left in training mode.
    :param data: says how many of the scenes are used, spread evenly, and in which rain.
    :param seen: called with every frame: rain rate, number, batch of one and steps.
    :param side: short side that frames are labelled at, as of ``processing.working_size``.
    :param title: of a progress bar, shown where a rate takes long; '' for none.
    :return: by name, such as 'psnr_150_T2'.
    """
    stage.eval()
    label_set = stage.network.label_set
    scores: dict[str, float] = {}

    def decibels(image: torch.Tensor, clean: torch.Tensor) -> float:
        return float(peak_signal_noise_ratio(image.float().clamp(0, 1), clean, data_range=1.0))

    for rate in RATES_MM_H:
        psnr: dict[str, list[float]] = {}
        labels: dict[int, LabelScore] = {}
        estimates: list[float] = []
        samples = tqdm(validation_samples(scenes, rate, data.validation_images,
                                          data.validation_rain),
                       desc=f'{title} at {rate:g} mm/hr', unit=' frames', leave=False,
                       total=min(data.validation_images, len(scenes)), disable=not title,
                       mininterval=_SHOW_EVERY, delay=_SHOW_EVERY)
        for n, sample in enumerate(samples):
            batch = to_float({k: v[None].to(fabric.device) for k, v in sample.items()})
            truth = batch['labels'][0].clone()
            # in pictures a group of classes is not a class
            batch['labels'][batch['labels'] >= label_set.num_classes] = UNLABELED
            size = working_size(*sample['labels'].shape, side)
            with fabric.autocast():
                steps = stage.unrolled(batch['degraded'], size)
            if steps[0].rain is not None:
                estimates.append(float(rain_of(steps[0].rain).rate))
            if stage.network.veil is not None:
                with fabric.autocast():
                    lifted = stage.network.lift(batch['degraded'])
                psnr.setdefault('lifted', []).append(decibels(lifted, batch['clean']))
            for t, step in enumerate(steps, 1):
                psnr.setdefault(f'T{t}', []).append(decibels(step.image, batch['clean']))
                if 'miou' in stage.measures:
                    labels.setdefault(
                        t, LabelScore(label_set, fabric.device, scenes.groups)).add(
                        step.full_logits[0].argmax(0), truth)
            seen(rate, n, batch, steps)
        if 'psnr' in stage.measures:
            scores |= {f'psnr_{rate:.0f}_{of}': sum(v) / len(v) for of, v in psnr.items()}
        # 0 where no frame has labels: NaN is no better and no worse than anything
        scores |= {f'miou_{rate:.0f}_T{t}': float(np.nan_to_num(v.result()['miou']))
                   for t, v in labels.items()}
        scores |= {f'rate_{rate:.0f}': statistics.median(estimates)} if estimates else {}
    stage.train()
    return scores


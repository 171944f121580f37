# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures and pictures of a network in training; `ubcn evaluate` measures finished models."""

from __future__ import annotations

from collections.abc import Callable

import torch
from lightning.fabric import Fabric
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.functional.image import peak_signal_noise_ratio

from ubcn_ros.data.scenes import SceneList
from ubcn_ros.labels import UNLABELED
from ubcn_ros.network import Step
from ubcn_ros.training.samples import ValidationSamples, to_float
from ubcn_ros.training.stages import Stage

RATES_MM_H = (0.0, 150.0)

Show = Callable[[str, torch.Tensor], None]


@torch.no_grad()
def validate(fabric: Fabric, stage: Stage, scenes: SceneList, stride: int, show: Show
             ) -> dict[str, float]:
    """
    Measure PSNR (dB) and mIoU (%) of every step on dry and on rainy validation frames.

    :param stage: evaluated in eval mode, left in training mode.
    :param scenes: every stride-th is used.
    :param show: called per rate with a name and a picture (3, h, w) RGB 0..1: for the first
        frame, input, steps and clean image side by side over their labels.
    :return: by name, such as 'psnr_150_T2'.
    """
    stage.eval()
    label_set = stage.network.label_set
    palette = torch.from_numpy(label_set.palette()).to(fabric.device).float().div(255)
    scores: dict[str, float] = {}
    for rate in RATES_MM_H:
        psnr: dict[int, list[float]] = {}
        iou: dict[int, MulticlassJaccardIndex] = {}
        for n, sample in enumerate(ValidationSamples(scenes, rate, stride)):
            batch = to_float({k: v[None].to(fabric.device) for k, v in sample.items()})
            with fabric.autocast():
                steps = stage.unrolled(batch['degraded'])
            for t, step in enumerate(steps, 1):
                psnr.setdefault(t, []).append(float(peak_signal_noise_ratio(
                    step.image.float().clamp(0, 1), batch['clean'], data_range=1.0)))
                if 'miou' in stage.measures:
                    # process 0 is alone here: a metric that waited for the others would hang
                    iou.setdefault(t, MulticlassJaccardIndex(
                        label_set.num_classes, ignore_index=UNLABELED, sync_on_compute=False
                    ).to(fabric.device)).update(step.full_logits.argmax(1), batch['labels'])
            if n == 0:
                show(f'rain_{rate:.0f}', _picture(batch, steps, stage, palette))
        if 'psnr' in stage.measures:
            scores |= {f'psnr_{rate:.0f}_T{t}': sum(v) / len(v) for t, v in psnr.items()}
        scores |= {f'miou_{rate:.0f}_T{t}': 100 * float(v.compute()) for t, v in iou.items()}
    stage.train()
    return scores


def _picture(batch: dict[str, torch.Tensor], steps: list[Step], stage: Stage,
             palette: torch.Tensor) -> torch.Tensor:
    images = [batch['degraded'], *(s.image.float().clamp(0, 1) for s in steps), batch['clean']]
    rows = [torch.cat([image[0] for image in images], 2)]
    if 'miou' in stage.measures:
        known = [s.full_logits.argmax(1)[0] for s in steps]
        nothing = torch.full_like(known[0], UNLABELED)
        masks = [nothing, *known, batch['labels'][0].long()]
        rows.append(torch.cat([palette[mask].permute(2, 0, 1) for mask in masks], 2))
    return torch.cat(rows, 1).cpu()

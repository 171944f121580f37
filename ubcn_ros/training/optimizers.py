# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Optimizers and learning-rate schedules by name; the scale of gradients in fp16."""

from __future__ import annotations

import math

import torch
from lightning.fabric import Fabric

from ubcn_ros.training.config import OptimizerConfig


def make_optimizer(parameters: list[torch.nn.Parameter], config: OptimizerConfig,
                   fused: bool) -> torch.optim.Optimizer:
    """
    Build the optimizer of a configuration.

    :param fused: use PyTorch's fused implementation, which takes few kernels for all parameters.
    """
    more = {'weight_decay': config.weight_decay, 'fused': fused or None}
    if config.kind == 'sgd':
        return torch.optim.SGD(parameters, config.lr, config.momentum, **more)
    kinds = {'adam': torch.optim.Adam, 'adamw': torch.optim.AdamW}
    return kinds[config.kind](parameters, config.lr, **more)


def lr_factor(config: OptimizerConfig, progress: float) -> float:
    """
    Return the schedule's factor on the learning rate.

    :param progress: share of the stage that is done, 0..1.
    """
    if progress < config.warm_up:
        return (progress + 1e-3) / (config.warm_up + 1e-3)
    after = (progress - config.warm_up) / max(1.0 - config.warm_up, 1e-9)
    if config.schedule == 'cosine':
        return 0.5 * (1.0 + math.cos(math.pi * after))
    if config.schedule == 'poly':
        return (1.0 - after) ** 0.9
    if config.schedule == 'step':
        # 0.3 / 0.1 is a little under 3
        return config.gamma ** math.floor(progress / config.every + 1e-9)
    return 1.0


def new_scaler(fabric: Fabric) -> torch.amp.GradScaler | None:
    """
    Give a fabric a scaler of gradients that no other stage, and no estimate, has changed.

    :return: the scaler; None in a precision whose gradients need none.
    """
    precision = fabric._precision
    if getattr(precision, 'scaler', None) is None:
        return None
    precision.scaler = torch.amp.GradScaler(precision.device)
    return precision.scaler

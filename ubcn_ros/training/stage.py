# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the four training stages share."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from ubcn_ros.network import UBCN, Step
from ubcn_ros.training.config import OptimizerConfig, StageConfig
from ubcn_ros.training.losses import (
    block_means,
    coarse_part,
    derain_loss,
    near_boundary,
    psnr_loss,
    rain_loss,
    segmentation_loss,
)
from ubcn_ros.training.samples import to_float

# above it an image is as good as its 8 bits; else dry frames alone would choose
_PSNR_CAP = 50.0

Batch = dict[str, torch.Tensor]
Logs = dict[str, torch.Tensor]


class Stage(nn.Module):
    """
    Base: a network, what of it is trained, and the loss.

    forward(batch) returns (loss, values to log). A batch holds what samples do, see
    ``samples.TrainingSamples``, the images uint8 or float RGB 0..1. In mixed precision Fabric
    rounds floats that go into a module to half precision, but not uint8: so images are scaled
    in here.

    :param network: the UBCN that is trained in place.
    :param config: the stage's settings.
    :param weights: (K,) class weights or None.
    :param groups: (G, K) classes of the labels' groups, as of ``losses.group_members``, or None.
    """

    trained: tuple[str, ...] = ()
    measures: tuple[str, ...] = ('psnr', 'miou')
    """Figures of the steps of ``unrolled`` to validate by: 'psnr', 'miou' or both."""
    quality_text: str = ''
    """What ``quality`` is, in words."""

    def __init__(self, network: UBCN, config: StageConfig, weights: torch.Tensor | None = None,
                 groups: torch.Tensor | None = None) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.register_buffer('weights', weights, persistent=False)
        self.register_buffer('groups', groups, persistent=False)
        for name, module in network.named_children():
            module.requires_grad_(name in self.trained)
        if self.trains_rain(network, config):
            network.estimates_rain = True
        elif network.rain_head is not None:
            network.rain_head.requires_grad_(False)  # nothing would reach it
        self.prepare()

    @classmethod
    def trains_rain(cls, network: UBCN, config: StageConfig) -> bool:
        """Tell whether the stage trains the network's rain head, on rain that is known."""
        return ('rain_head' in cls.trained and network.rain_head is not None
                and config.rain_weight > 0 and config.samples.knows_rain)

    def prepare(self) -> None:
        """Change the network before the first step; nothing by default."""

    def check(self) -> None:
        """Raise ValueError where samples do not fit the network; any will do by default."""

    def check_alone(self) -> None:
        """
        Raise ValueError where the loss cannot be had of a single sample.

        As far as that is worked out on meta, where losses of images end in a RuntimeError.
        """
        image = torch.empty(1, 3, *self.config.samples.crop)
        try:
            self.loss({'clean': image, 'degraded': image, 'labels': image[:, 0].byte(),
                       'rain_rate': image[:, 0, 0, 0], 'extinction': image[:, 0, 0, 0]})
        except ValueError as error:
            raise ValueError(
                f'batch is {self.config.batch}, one sample a process, of which batch '
                'normalisation knows no spread: choose 2 or more for each, or set freeze_norm to '
                f'true ({error})') from error

    def forward(self, batch: Batch) -> tuple[torch.Tensor, Logs]:
        """Work out the loss of a batch, and values to log."""
        return self.loss(to_float(batch))

    def loss(self, batch: Batch) -> tuple[torch.Tensor, Logs]:
        """As ``forward``, of images (N, 3, H, W) that are RGB 0..1, and labels (N, H, W)."""
        raise NotImplementedError

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], OptimizerConfig]]:
        """Return parameters and settings, one entry per optimizer."""
        return [([p for p in self.network.parameters() if p.requires_grad],
                 self.config.optimizer)]

    def train(self, mode: bool = True) -> Stage:
        """Put what is trained in training mode; the rest keeps its normalisation statistics."""
        super().train(mode)
        for name, module in self.network.named_children():
            if name not in self.trained:
                module.eval()
        if self.network.rain_head is not None and not self.trains_rain(self.network, self.config):
            self.network.rain_head.eval()
        if self.config.freeze_norm:
            for module in self.network.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def labels_loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Compare logits with labels, by the stage's weights and groups of classes."""
        extra = self.config.boundary_weight
        pixels = 1 + extra * near_boundary(labels) if extra else None
        return segmentation_loss(logits, labels, self.weights, self.groups, pixels)

    def image_loss(self, image: torch.Tensor, clean: torch.Tensor, logs: Logs, suffix: str = ''
                   ) -> torch.Tensor:
        """
        Work out the loss of a derained image; its parts are logged by name and suffix.

        The PSNR beside it is that of the streaks. What is left of the veil differs from image to
        image, and is larger than they are: theirs would drown in its gradient, and nothing learns
        to take them away.
        """
        loss = derain_loss(image, clean)
        logs[f'derain{suffix}'] = loss.detach()
        if self.config.psnr_weight:
            minus_psnr = psnr_loss(image, clean + coarse_part(image - clean),
                                   self.config.psnr_cap)
            logs[f'psnr_loss{suffix}'] = minus_psnr.detach()
            loss = loss + self.config.psnr_weight * minus_psnr
        return loss

    def veil_loss(self, lifted: torch.Tensor, derained: torch.Tensor, batch: Batch, logs: Logs
                  ) -> torch.Tensor | float:
        """
        Work out the weighted losses of ``Veil`` and ``RainHead``; 0 without them, or weights.

        :param lifted, derained: O' and B1, which learn nothing from the rain that is estimated.
        """
        loss = 0.0
        if self.trains_rain(self.network, self.config):
            rain = self.network.rain_head(lifted.detach(), derained.detach())
            error = rain_loss(rain, batch['rain_rate'], batch['extinction'])
            logs['rain'] = error.detach()
            loss = loss + self.config.rain_weight * error
        if self.network.veil is not None and self.config.veil_weight:
            error = F.l1_loss(block_means(lifted.float()), block_means(batch['clean']))
            logs['veil'] = error.detach()
            loss = loss + self.config.veil_weight * error
        return loss

    def unrolled(self, image: torch.Tensor, size: tuple[int, int] | None = None) -> list[Step]:
        """
        Return the steps of the loop that this stage trains, for validation too.

        :param size: as of ``UBCN.forward``.
        """
        return self.network(image, self.config.iterations, size)

    def quality(self, scores: dict[str, float]) -> float:
        """
        Sum up a validation: the higher, the better is the network.

        :param scores: as of ``validation.validate``.
        """
        raise NotImplementedError

    def mean_score(self, scores: dict[str, float], what: str, step: int) -> float:
        """
        Average a step's figure over the rain rates, PSNR at most ``_PSNR_CAP`` dB each.

        :param what: 'psnr' or 'miou'.
        """
        found = [min(value, _PSNR_CAP) if what == 'psnr' else value
                 for name, value in scores.items()
                 if name.startswith(f'{what}_') and name.endswith(f'_T{step}')]
        return sum(found) / len(found)

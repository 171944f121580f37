# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The paper's four training stages: each is a module whose forward pass is its loss."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from ubcn_ros.network import UBCN, Discriminator, Step
from ubcn_ros.training.config import OptimizerConfig, StageConfig
from ubcn_ros.training.losses import (
    adversarial_loss,
    block_means,
    derain_loss,
    discriminator_loss,
    lovasz_loss,
    psnr_loss,
    segmentation_loss,
)

# above it an image is as good as its 8 bits; else dry frames alone would choose
_PSNR_CAP = 50.0

Batch = dict[str, torch.Tensor]
Logs = dict[str, torch.Tensor]


class Stage(nn.Module):
    """
    Base: a network, what of it is trained, and the loss.

    forward(batch) returns (loss, values to log). A batch holds 'clean' and 'degraded'
    (N, 3, H, W) RGB 0..1 and 'labels' (N, H, W).

    :param network: the UBCN that is trained in place.
    :param config: the stage's settings.
    :param weights: (K,) class weights or None.
    :param groups: (G, K) classes of the labels' groups, as of ``losses.group_members``, or None.
    """

    trained: tuple[str, ...] = ()
    measures: tuple[str, ...] = ('psnr', 'miou')
    """What of ``unrolled`` is worth measuring: 'psnr', 'miou' or both."""
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
        self.prepare()

    def prepare(self) -> None:
        """Change the network before the first step; nothing by default."""

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
        if self.config.freeze_norm:
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def labels_loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Compare logits with labels, by the stage's class weights and groups of classes."""
        return segmentation_loss(logits, labels, self.weights, self.groups)

    def image_loss(self, image: torch.Tensor, clean: torch.Tensor, logs: Logs, suffix: str = ''
                   ) -> torch.Tensor:
        """Work out the loss of a derained image; its parts are logged by name and suffix."""
        loss = derain_loss(image, clean)
        logs[f'derain{suffix}'] = loss.detach()
        return self.with_psnr(loss, image, clean, logs, f'psnr_loss{suffix}')

    def with_psnr(self, loss: torch.Tensor, image: torch.Tensor, clean: torch.Tensor, logs: Logs,
                  name: str) -> torch.Tensor:
        """Add the weighted PSNR, logged by name, to a loss; without a weight it stays as it is."""
        if not self.config.psnr_weight:
            return loss
        minus_psnr = psnr_loss(image, clean)
        logs[name] = minus_psnr.detach()
        return loss + self.config.psnr_weight * minus_psnr

    def unrolled(self, image: torch.Tensor) -> list[Step]:
        """Return the steps of the loop that this stage trains, for validation too."""
        return self.network(image, self.config.iterations)

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


class DerainStage(Stage):
    """
    IDM alone: rainy image to clean image.

    With ``veil_only`` its veil field alone, without the rest: a fraction of the work, for more and
    larger batches. What the field has to learn, how far away everything is and how hard it rains,
    a batch of a few frames says little about.

    :raises ValueError: veil_only for an IDM without a veil field.
    """

    trained = ('derain',)
    measures = ('psnr',)
    quality_text = 'PSNR, mean of 0 (at most 50 dB) and 150 mm/hr'

    def prepare(self) -> None:
        if self.config.veil_only:
            derain = self.network.derain
            if derain.veil is None:
                raise ValueError('veil_only: there is no veil field, set derain.veil_channels')
            derain.requires_grad_(False)
            derain.veil.requires_grad_(True)
            derain.veil.hints.requires_grad_(False)  # they do not change what the field hands on

    def forward(self, batch: Batch) -> tuple[torch.Tensor, Logs]:
        logs: Logs = {}
        if self.config.veil_only:
            lifted = block_means(self.network.derain.lift(batch['degraded']).float())
            clean, degraded = block_means(batch['clean']), block_means(batch['degraded'])
            loss = F.l1_loss(lifted, clean)
            logs |= {'veil': loss.detach(), 'veil_before': F.l1_loss(degraded, clean)}
            return self.with_psnr(loss, lifted, clean, logs, 'veil_psnr_loss'), logs
        loss = self.image_loss(self.network.derain(batch['degraded']).float(), batch['clean'],
                               logs)
        return loss, logs

    def unrolled(self, image: torch.Tensor) -> list[Step]:
        derain = self.network.derain
        derained = derain.lift(image) if self.config.veil_only else derain(image)
        return [Step(derained, derained.new_zeros(
            len(image), self.network.label_set.num_classes, 1, 1), image)]

    def quality(self, scores: dict[str, float]) -> float:
        return self.mean_score(scores, 'psnr', 1)


class AdaptStage(Stage):
    """
    FAM: segmentation plus adversarial alignment of clean and degraded features, 1 : 1e-3.

    The labelled loss takes the clean images; with ``derained_share`` above 0 that share of the
    labelled loss takes the degraded images after IDM, which is what the loop will show it. With
    ``adversarial_weight`` 0 there is no discriminator: the network trained on the samples as
    they are.
    """

    trained = ('segmentation',)
    measures = ('miou',)
    quality_text = 'mean of mIoU at 0 and 150 mm/hr of the first step'

    def prepare(self) -> None:
        self.discriminator = (Discriminator(self.network.segmentation.feature_channels)
                              if self.config.adversarial_weight else None)

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], OptimizerConfig]]:
        groups = super().parameter_groups()
        if self.discriminator is not None:
            groups.append((list(self.discriminator.parameters()), self.config.discriminator))
        return groups

    def forward(self, batch: Batch) -> tuple[torch.Tensor, Logs]:
        segmentation, labels = self.network.segmentation, batch['labels']
        share = self.config.derained_share
        if not share and self.discriminator is None:
            loss = self._supervised(segmentation.with_auxiliary(batch['clean']), labels)
            return loss, {'segmentation': loss.detach()}
        derained = self._derained(batch['degraded'])
        n = len(labels)
        logits, auxiliary, features = segmentation.with_features(
            torch.cat((batch['clean'], derained)))
        clean = self._supervised((logits[:n], [a[:n] for a in auxiliary]), labels)
        rainy = self._supervised((logits[n:], [a[n:] for a in auxiliary]), labels)
        loss = (1 - share) * clean + share * rainy
        logs = {'segmentation': clean.detach(), 'segmentation_derained': rainy.detach()}
        if self.discriminator is not None:
            # one backward pass serves both sides: the discriminator sees detached features, the
            # features see a detached discriminator
            frozen = {k: v.detach() for k, v in self.discriminator.named_parameters()}
            adversarial = adversarial_loss(
                functional_call(self.discriminator, frozen, (features[n:],)))
            detached = features.detach()
            discriminator = discriminator_loss(self.discriminator(detached[:n]),
                                               self.discriminator(detached[n:]))
            loss = loss + self.config.adversarial_weight * adversarial + discriminator
            logs |= {'adversarial': adversarial.detach(), 'discriminator': discriminator.detach()}
        return loss, logs

    @torch.no_grad()
    def _derained(self, image: torch.Tensor) -> torch.Tensor:
        derained = self.network.derain(image)
        _forget_casts()
        return derained.float().clamp(0, 1)

    def _supervised(self, outputs: tuple[torch.Tensor, list[torch.Tensor]], labels: torch.Tensor
                    ) -> torch.Tensor:
        logits, auxiliary = outputs
        loss = self.labels_loss(logits, labels)
        if self.config.lovasz_weight:
            loss = loss + self.config.lovasz_weight * lovasz_loss(logits, labels)
        for extra in auxiliary:
            loss = loss + 0.4 * self.labels_loss(extra, labels)
        return loss

    def unrolled(self, image: torch.Tensor) -> list[Step]:
        return [self.network.first_step(image)]

    def quality(self, scores: dict[str, float]) -> float:
        return self.mean_score(scores, 'miou', 1)


class AttendStage(Stage):
    """
    SAM, unrolled over the steps, each on its own predecessor, with the loss on each.

    With ``one_step`` only one of the steps, drawn at random, learns from a batch, and those before
    it are what they are: a fraction of the work, for more batches.

    :raises ValueError: iterations below 2.
    """

    trained = ('attention',)
    quality_text = 'PSNR of the last step, mean of 0 (at most 50 dB) and 150 mm/hr'

    def prepare(self) -> None:
        if self.config.iterations < 2:
            raise ValueError(f'iterations is {self.config.iterations}: the first step does not '
                             'use SAM, so this stage needs 2 or more')

    def forward(self, batch: Batch) -> tuple[torch.Tensor, Logs]:
        with torch.no_grad():
            steps = [self.network.first_step(batch['degraded'])]
            if self.config.one_step:
                chosen = int(torch.randint(2, self.config.iterations + 1, ()))
                while len(steps) < chosen - 1:
                    steps.append(self.network.next_step(steps[-1]))
        _forget_casts()
        if self.config.one_step:
            return self._one_step_loss(batch, steps[-1])
        return self._steps_loss(batch, steps)

    def _one_step_loss(self, batch: Batch, previous: Step) -> tuple[torch.Tensor, Logs]:
        image = self.network.attend(previous)
        logs: Logs = {}
        self.image_loss(previous.image.float(), batch['clean'], logs, '_before')
        loss = self.image_loss(image.float(), batch['clean'], logs)
        if self.config.segmentation_weight:
            labels = self.labels_loss(self.network.segmentation(image), batch['labels'])
            loss = loss + self.config.segmentation_weight * labels
            logs['segmentation'] = labels.detach()
        return loss, logs

    def _steps_loss(self, batch: Batch, steps: list[Step]) -> tuple[torch.Tensor, Logs]:
        weight = self.config.segmentation_weight
        while len(steps) < self.config.iterations:
            if weight or len(steps) + 1 < self.config.iterations:
                steps.append(self.network.next_step(steps[-1]))
            else:  # nobody asks for the labels of the last step
                steps.append(steps[-1]._replace(image=self.network.attend(steps[-1]),
                                               logits=None))
        loss, logs = torch.zeros((), device=batch['clean'].device), {}
        for t, step in enumerate(steps, 1):
            loss = loss + self.image_loss(step.image.float(), batch['clean'], logs, f'_{t}')
            if weight:
                labels = self.labels_loss(step.logits, batch['labels'])
                loss = loss + weight * labels
                logs[f'segmentation_{t}'] = labels.detach()
        return loss / len(steps), logs

    def quality(self, scores: dict[str, float]) -> float:
        return self.mean_score(scores, 'psnr', self.config.iterations)


def _forget_casts() -> None:
    """
    Let autocast cast the weights anew after steps without gradients.

    Older releases of PyTorch (its issue 158232) go on with the casts made there, through which no
    gradient reaches the weights.
    """
    torch.clear_autocast_cache()


class JointStage(AttendStage):
    """The whole network, unrolled, with the losses on every step."""

    trained = ('derain', 'segmentation', 'attention')
    quality_text = ('mIoU in points + PSNR in dB (at most 50) of the last step, '
                    'means of 0 and 150 mm/hr')

    def forward(self, batch: Batch) -> tuple[torch.Tensor, Logs]:
        return self._steps_loss(batch, [self.network.first_step(batch['degraded'])])

    def quality(self, scores: dict[str, float]) -> float:
        return super().quality(scores) + self.mean_score(scores, 'miou', self.config.iterations)


STAGE_CLASSES: dict[str, type[Stage]] = {
    'derain': DerainStage, 'adapt': AdaptStage, 'attend': AttendStage, 'joint': JointStage}

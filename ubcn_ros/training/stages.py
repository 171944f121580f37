# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The paper's four training stages: each is a module whose forward pass is its loss."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call

from ubcn_ros.data.scenes import SceneList
from ubcn_ros.network import UBCN, Discriminator, Step
from ubcn_ros.network.baselines.base import Baseline
from ubcn_ros.network.blocks import ALIGNMENT, aligned
from ubcn_ros.network.ubcn import DERAINING
from ubcn_ros.training.config import OptimizerConfig, StageConfig
from ubcn_ros.training.losses import (
    adversarial_loss,
    discriminator_loss,
    lovasz_loss,
)
from ubcn_ros.training.stage import Batch, Logs, Stage


class DerainStage(Stage):
    """
    IDM or a baseline, the ``Veil`` before it and the ``RainHead``: rainy image to clean image.

    A baseline is trained on every estimate that its paper trains on, by the same loss.
    """

    trained = DERAINING
    measures = ('psnr',)
    quality_text = 'PSNR, mean of 0 and 150 mm/hr (at most 50 dB each)'

    def loss(self, batch: Batch) -> tuple[torch.Tensor, Logs]:
        logs: Logs = {}
        derain, lifted = self.network.derain, self.network.lift(batch['degraded'])
        *early, last = (derain.stages(lifted) if isinstance(derain, Baseline)
                        else [derain(lifted)])
        beside = self.veil_loss(lifted, last, batch, logs)  # first, for check_alone
        loss = self.image_loss(last.float(), batch['clean'], logs)
        if early:
            others = [self.image_loss(x.float(), batch['clean'], {}) for x in early]
            loss = (loss + derain.early_weight * sum(others)) / (
                1 + derain.early_weight * len(early))
        return loss + beside, logs

    def unrolled(self, image: torch.Tensor, _size: tuple[int, int] | None = None) -> list[Step]:
        derained, rainy, rain = self.network.derain_first(image)
        return [Step(derained, derained.new_zeros(
            len(image), self.network.label_set.num_classes, 1, 1), rainy, rain)]

    def quality(self, scores: dict[str, float]) -> float:
        return self.mean_score(scores, 'psnr', 1)


class AdaptStage(Stage):
    """
    FAM: segmentation plus adversarial alignment of clean and degraded features, 1 : 1e-3.

    The labelled loss takes the clean images; with ``derained_share`` above 0 that share of the
    labelled loss takes the degraded images after IDM, which is what the loop will show it. Without
    a discriminator (``adversarial_weight`` 0) a sample is shown once, clean or derained; otherwise
    as both.
    """

    trained = ('segmentation',)
    measures = ('miou',)
    quality_text = 'mean of mIoU at 0 and 150 mm/hr of the first step'

    def prepare(self) -> None:
        self.discriminator = (Discriminator(self.network.segmentation.feature_channels)
                              if self.config.adversarial_weight else None)

    def check(self) -> None:
        if self.discriminator is not None:
            n = self.config.batch  # clean images, and as many rainy ones: as in the loss
            images = torch.empty(2 * n, 3, *self.config.samples.crop)
            self.discriminator(self.network.segmentation.with_features(images)[2][:n])

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], OptimizerConfig]]:
        groups = super().parameter_groups()
        if self.discriminator is not None:
            groups.append((list(self.discriminator.parameters()), self.config.discriminator))
        return groups

    def loss(self, batch: Batch) -> tuple[torch.Tensor, Logs]:
        segmentation, labels = self.network.segmentation, batch['labels']
        share = self.config.derained_share
        if self.discriminator is None:
            return self._one_view_loss(batch, share)
        derained = self._derained(batch['degraded'])
        n = len(labels)
        logits, auxiliary, features = segmentation.with_features(
            torch.cat((batch['clean'], derained)))
        clean = self._supervised(logits, auxiliary, slice(0, n), labels)
        rainy = self._supervised(logits, auxiliary, slice(n, None), labels)
        loss = (1 - share) * clean + share * rainy
        logs = {'segmentation': clean.detach(), 'segmentation_derained': rainy.detach()}
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

    def _one_view_loss(self, batch: Batch, share: float) -> tuple[torch.Tensor, Logs]:
        """
        Take that share of the samples derained and the others clean.

        Where no view is compared with the other, both of a sample would cost twice the time for
        the same labels once more.
        """
        labels, n = batch['labels'], len(batch['labels'])
        # rounded at random: on average the share is kept
        k = int(share * n + torch.rand((), device='cpu'))
        images = batch['clean'][k:]
        if k:
            images = torch.cat((self._derained(batch['degraded'][:k]), images))
        logits, auxiliary, _ = self.network.segmentation.with_features(images)
        loss, logs = torch.zeros((), device=labels.device), {}
        for name, part in (('segmentation', slice(k, n)), ('segmentation_derained', slice(0, k))):
            if count := len(labels[part]):
                of_part = self._supervised(logits, auxiliary, part, labels[part])
                loss, logs[name] = loss + count / n * of_part, of_part.detach()
        return loss, logs

    @torch.no_grad()
    def _derained(self, image: torch.Tensor) -> torch.Tensor:
        derained, _, _ = self.network.derain_first(image)
        # older PyTorch goes on with these casts, which pass no gradients on (its issue 158232)
        torch.clear_autocast_cache()
        return derained.float().clamp(0, 1)

    def _supervised(self, logits: torch.Tensor, auxiliary: list[torch.Tensor], part: slice,
                    labels: torch.Tensor) -> torch.Tensor:
        """Return the labelled loss of that part of the batch; the labels are of it alone."""
        logits, auxiliary = logits[part], [extra[part] for extra in auxiliary]
        loss = self.labels_loss(logits, labels)
        if self.config.lovasz_weight:
            loss = loss + self.config.lovasz_weight * lovasz_loss(logits, labels)
        for extra in auxiliary:
            loss = loss + 0.4 * self.labels_loss(extra, labels)
        return loss

    def unrolled(self, image: torch.Tensor, size: tuple[int, int] | None = None) -> list[Step]:
        return [self.network.first_step(image, size)]

    def quality(self, scores: dict[str, float]) -> float:
        return self.mean_score(scores, 'miou', 1)


class AttendStage(Stage):
    """
    SAM, unrolled over the steps, each on its own predecessor, with the loss on each.

    With ``one_step`` only one of the steps, drawn at random, learns from a batch, and those before
    it are what they are: a fraction of the work, for more batches. The losses of each step count
    ``step_factor`` times as much as those of the step before.

    :raises ValueError: iterations below 2.
    """

    trained = ('attention',)
    quality_text = 'PSNR of the last step, mean of 0 and 150 mm/hr (at most 50 dB each)'

    def prepare(self) -> None:
        if self.config.iterations < 2:
            raise ValueError(f'iterations is {self.config.iterations}: the first step does not '
                             'use SAM, so this stage needs 2 or more')

    def loss(self, batch: Batch) -> tuple[torch.Tensor, Logs]:
        with torch.no_grad():
            steps = [self.network.first_step(batch['degraded'])]
            if self.config.one_step:
                chosen = int(torch.randint(2, self.config.iterations + 1, (), device='cpu'))
                while len(steps) < chosen - 1:
                    steps.append(self.network.next_step(steps[-1]))
        # older PyTorch goes on with these casts, which pass no gradients on (its issue 158232)
        torch.clear_autocast_cache()
        if self.config.one_step:
            loss, logs = self._one_step_loss(batch, steps[-1])
            return self._step_weights(2)[len(steps) - 1] * loss, logs
        return self._steps_loss(batch, steps)

    def _step_weights(self, first: int) -> list[float]:
        """Return the weights of the steps from the first that learns on, of mean 1."""
        weights = [self.config.step_factor ** t
                   for t in range(self.config.iterations - first + 1)]
        return [weight * len(weights) / sum(weights) for weight in weights]

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
        for t, (step, share) in enumerate(zip(steps, self._step_weights(1), strict=True), 1):
            loss = loss + share * self.image_loss(step.image.float(), batch['clean'], logs,
                                                  f'_{t}')
            if weight:
                labels = self.labels_loss(step.logits, batch['labels'])
                loss = loss + share * weight * labels
                logs[f'segmentation_{t}'] = labels.detach()
        return loss / len(steps), logs

    def quality(self, scores: dict[str, float]) -> float:
        return self.mean_score(scores, 'psnr', self.config.iterations)


class JointStage(AttendStage):
    """The whole network, unrolled, with the losses on every step."""

    trained = (*DERAINING, 'segmentation', 'attention')
    quality_text = ('mIoU in points + PSNR in dB of the last step, means of 0 and 150 mm/hr '
                    '(at most 50 dB each)')

    def loss(self, batch: Batch) -> tuple[torch.Tensor, Logs]:
        lifted = self.network.lift(batch['degraded'])
        derained = self.network.derain(lifted)
        first = Step(derained, self.network.segment(derained),
                     self.network.rainy(batch['degraded'], lifted))
        told: Logs = {}
        beside = self.veil_loss(lifted, derained, batch, told)  # first, for check_alone
        loss, logs = self._steps_loss(batch, [first])
        return loss + beside, {**logs, **told}

    def quality(self, scores: dict[str, float]) -> float:
        return super().quality(scores) + self.mean_score(scores, 'miou', self.config.iterations)


STAGE_CLASSES: dict[str, type[Stage]] = {
    'derain': DerainStage, 'adapt': AdaptStage, 'attend': AttendStage, 'joint': JointStage}


def check_stage(name: str, network: UBCN, config: StageConfig, processes: int = 1) -> None:
    """
    Raise ValueError where a stage cannot train a network.

    :param network: on the device meta, so that nothing is computed. One of somebody's own may ask
        for numbers, which there are none of: then training tells.
    :param processes: that share a batch.
    """
    crop = config.samples.crop
    if name != 'derain' and aligned(*crop) != crop:
        raise ValueError(f'stages.{name}.samples.crop is {[*crop]}: the segmentation network sees '
                         f'images whose sides are multiples of {ALIGNMENT}: choose '
                         f'{[*aligned(*crop)]}')
    for key in ('rain_weight', 'veil_weight'):
        if network.veil is None and getattr(config, key):
            raise ValueError(f'stages.{name}.{key} is {getattr(config, key)}, but the network has '
                             f'no veil module: set {key} to 0, or give it one by '
                             'model.overrides.veil')
    try:
        with torch.device('meta'):
            stage = STAGE_CLASSES[name](network, config).train()
            stage.check()
            if config.batch == processes:  # of more, any batch normalisation knows a spread
                stage.check_alone()
    except ValueError as error:
        raise ValueError(f'stages.{name}: {error}') from error
    except RuntimeError:
        return


def check_labels(stage: str, config: StageConfig, training: SceneList) -> None:
    """Raise ValueError where a stage lacks labels."""
    for key in ('balanced_crop_probability', 'class_mix_probability'):
        if getattr(config.samples, key) and training.label_set is None:
            raise ValueError(f'stages.{stage}.samples.{key}: {training.name} has no labels')
    if stage != 'derain' and (training.label_set is None or not len(training)):
        raise ValueError(f'the stage {stage} needs labels, {training.name} has none: only the '
                         'stage derain trains without')

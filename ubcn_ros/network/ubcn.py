# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""UBCN: the loop of deraining and segmentation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.labels import LabelSet, numbered_labels
from ubcn_ros.network.attention import SAM, SAMConfig
from ubcn_ros.network.baselines import BaselineConfig, build_baseline
from ubcn_ros.network.derain import IDM, IDMConfig
from ubcn_ros.network.keywords import called
from ubcn_ros.network.rain_estimate import RainHead
from ubcn_ros.network.segmentation import build_segmentation
from ubcn_ros.network.step import (
    Derained,
    Step,
    attend_at,
    derain_at,
    derain_side,
    derain_size,
    label_view,
)
from ubcn_ros.network.veil import Veil, VeilConfig
from ubcn_ros.network.veil_field import FieldSAM, FieldSAMConfig

# as many classes and paths as the paper has for Cityscapes (section 3.1)
_NUMBERED = numbered_labels(19)

DERAINING = ('veil', 'derain', 'rain_head')
"""Modules that make the first image and estimate its rain; they are trained together."""

PRESETS = ('light', 'paper', 'wide')
"""Names of configurations, of ``UBCNConfig.preset``."""


@dataclass(frozen=True)
class UBCNConfig:
    """Everything needed to build a UBCN; kept in the model file's header."""

    # classes and their path groups; by default as many as the paper's, without names
    label_set: LabelSet = _NUMBERED
    # IDM, or a baseline in its place
    derain: IDMConfig | BaselineConfig = field(default_factory=IDMConfig)
    # SAM
    attention: SAMConfig = field(default_factory=SAMConfig)
    # FAM's network: a name of network.segmentation.REGISTRY, or module:Class
    segmentation: str = 'pspnet_resnet50'
    # keyword arguments of that network, besides the number of classes
    segmentation_options: dict[str, Any] = field(default_factory=dict)
    # Veil, in front of the loop, and RainHead behind IDM; None for neither, as in the paper
    veil: VeilConfig | None = None

    @property
    def lifted(self) -> bool:
        """Whether SAM takes O', the image without its veil, and not O."""
        return self.veil is not None and not self.attention.lifts

    @classmethod
    def preset(cls, name: str, label_set: LabelSet = _NUMBERED) -> UBCNConfig:
        """
        Return the configuration of that name.

        'paper' is tables 1 and 3 with PSPNet-ResNet50, 'wide' the same with the IDM of 92 channels
        and 22 RES that table 4's 13.40 MB fit; 'light' is the network that ships, for real
        time: a veil in front of the loop, IDM and the trunk form of SAM on 2x2 pixels at a time,
        SAM with a veil of its own, and DDRNet-23-slim with finer heads.

        :param name: one of ``PRESETS``.
        :param label_set: classes and paths; by default as many as the paper's, without names.
        :raises ValueError: the name is none of them.
        """
        if name == 'paper':
            return cls(label_set)
        if name == 'wide':
            return cls(label_set, IDMConfig(channels=92, blocks=22))
        if name == 'light':
            dilations = (1, 2, 4)
            return cls(label_set, IDMConfig(unshuffle=2, dilations=dilations),
                       FieldSAMConfig(blocks=11, unshuffle=2, dilations=dilations, form='trunk',
                                      veil_channels=24, veil_texture=16, veil_depth=1,
                                      veil_below=True, coarse_from_previous=0.7),
                       'ddrnet23_slim', {'stride2_head': True, 'context_window': [8, 10]},
                       VeilConfig())
        raise ValueError(f'unknown preset {name!r}: choose one of {", ".join(PRESETS)}')

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON or YAML."""
        return {**asdict(self), 'label_set': self.label_set.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> UBCNConfig:
        """
        Rebuild a configuration.

        :param values: as ``to_dict`` returns them.
        :raises TypeError: an unknown key, naming it and those known.
        :raises ValueError: a value that makes no network or label set.
        """
        values = dict(values)
        if 'label_set' in values:
            values['label_set'] = LabelSet.from_dict(values['label_set'])
        sam = FieldSAMConfig if 'veil_channels' in values.get('attention', ()) else SAMConfig
        for key, kind in (('derain', IDMConfig), ('attention', sam)):
            if key == 'derain' and 'network' in values.get(key, ()):
                values[key] = called(BaselineConfig, key, values[key])
            elif key in values:
                part = dict(values[key])
                if 'dilations' in part:
                    part['dilations'] = tuple(part['dilations'])
                values[key] = called(kind, key, part)
        if values.get('veil') is not None:
            values['veil'] = called(VeilConfig, 'veil', values['veil'])
        return called(cls, 'the network', values)


class UBCN(nn.Module):
    """
    The unified bottom-up and top-down network.

    :param veil: rainy image to what lifts its veil; None to leave it as it is.
    :param derain: IDM or a baseline, rainy image to derained image.
    :param segmentation: FAM's segmentation network, image to logits.
    :param attention: SAM, rainy image, previous image and path probabilities to a better image.
    :param rain_head: what IDM saw and made of it to the rain; None where nothing estimates it.
    :param config: what it was built of; its ``label_set`` has the classes and their path groups.

    ``derain_side`` is the short side, in pixels, that an image has at least where it is made
    smaller for IDM; it follows from what IDM was trained on, see ``step.derain_side``.
    ``estimates_rain`` says whether steps tell the rain: not where nothing trained the rain head,
    see ``ModelInfo.estimates_rain``.
    """

    def __init__(self, veil: Veil | None, derain: nn.Module, segmentation: nn.Module,
                 attention: SAM, rain_head: RainHead | None, config: UBCNConfig) -> None:
        super().__init__()
        self.veil = veil
        self.derain = derain
        self.segmentation = segmentation
        self.attention = attention
        self.rain_head = rain_head
        self.config = config
        self.derain_side = derain_side()
        self.estimates_rain = rain_head is not None
        label_set = config.label_set
        groups = torch.zeros(len(label_set.paths), label_set.num_classes)
        for path, classes in enumerate(label_set.paths):
            groups[path, list(classes)] = 1.0
        self.register_buffer('path_groups', groups[:, :, None, None], persistent=False)

    @property
    def label_set(self) -> LabelSet:
        """The classes that it labels."""
        return self.config.label_set

    def forward(self, image: torch.Tensor, iterations: int = 3,
                size: tuple[int, int] | None = None) -> list[Step]:
        """
        Run the loop.

        :param image: O, (N, 3, H, W) RGB 0..1, H and W from 32 up.
        :param iterations: T, 1 or more.
        :param size: (h, w) at which the image is labelled; None for its own. SAM works at that
            size where it is smaller, the veil and IDM as ``derain_first`` says; the images of the
            steps have the image's size all the same.
        :return: T steps.
        :raises ValueError: iterations below 1.
        """
        if iterations < 1:
            raise ValueError(f'iterations must be 1 or more, got {iterations}')
        steps = [self.first_step(image, size)]
        while len(steps) < iterations:
            steps.append(self.next_step(steps[-1], size))
        return steps

    def first_step(self, image: torch.Tensor, size: tuple[int, int] | None = None) -> Step:
        """
        Run the first step, bottom-up: B1 = IDM(O'), S1 = FAM(B1).

        :param image: O, (N, 3, H, W) RGB 0..1.
        :param size: as for ``forward``.
        """
        derained, rainy, rain = self.derain_first(image)
        return Step(derained, self.segment(derained, size), rainy, rain)

    def next_step(self, previous: Step, size: tuple[int, int] | None = None) -> Step:
        """
        Run a further step, top-down and bottom-up: Bt = SAM(O', Bt-1, St-1), St = FAM(Bt).

        :param previous: the step before.
        :param size: as for ``forward``.
        """
        derained = self.attend(previous, size)
        return previous._replace(image=derained, logits=self.segment(derained, size))

    def derain_first(self, image: torch.Tensor) -> Derained:
        """
        Lift the veil and derain, as ``derain_at`` has it: O' = veil(O), B1 = IDM(O').

        :param image: O, (N, 3, H, W) RGB 0..1.
        :return: B1, what SAM takes, and the rain, as in ``Step``.
        """
        size = derain_size(*image.shape[-2:], self.derain_side)
        return derain_at(size, self.derain_natively, image)

    def derain_natively(self, image: torch.Tensor) -> Derained:
        """Lift the veil and derain at the image's own size, whatever it is."""
        lifted = self.lift(image)
        derained = self.derain(lifted)
        rain = self.rain_head(lifted, derained) if self.estimates_rain else None
        return derained, self.rainy(image, lifted), rain

    def rainy(self, image: torch.Tensor, lifted: torch.Tensor) -> torch.Tensor:
        """Choose what SAM takes of the rainy image: O', or O, as in ``Step``."""
        return lifted if self.config.lifted else image

    def lift(self, image: torch.Tensor) -> torch.Tensor:
        """Lift the veil alone: O' = veil(O), or O without one."""
        return image if self.veil is None else self.veil(image).lift(image)

    def segment(self, image: torch.Tensor, size: tuple[int, int] | None = None) -> torch.Tensor:
        """Label an image alone: St = FAM(Bt) at that size, as ``label_view`` has it; logits."""
        return self.segmentation(label_view(image, size))

    def attend(self, previous: Step, size: tuple[int, int] | None = None) -> torch.Tensor:
        """
        Restore the image alone, without its labels: Bt = SAM(O', Bt-1, St-1), (N, 3, H, W).

        :param previous, size: as for ``next_step``.
        """
        if size is not None:
            return attend_at(size, self.attend, previous)
        return self.attention(previous.rainy, previous.image,
                              self.path_probabilities(previous.logits))

    def path_probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """
        Sum up the classes' probabilities by path group.

        :param logits: (N, num_classes, h, w), before the softmax, in any precision.
        :return: (N, num_paths, h, w), summing to 1 over the paths, in the network's precision.
        """
        return F.conv2d(logits.to(self.path_groups.dtype).softmax(1), self.path_groups)


def build(config: UBCNConfig) -> UBCN:
    """
    Build the network of a configuration, with random weights.

    :raises ValueError: the segmentation network is unknown or cannot be built, or SAM's
        path_threshold is 1 / K or more.
    """
    label_set = config.label_set
    idm = build_baseline if isinstance(config.derain, BaselineConfig) else IDM
    sam = FieldSAM if isinstance(config.attention, FieldSAMConfig) else SAM
    return UBCN(
        Veil(config.veil) if config.veil else None, idm(config.derain),
        build_segmentation(config.segmentation, label_set.num_classes,
                           **config.segmentation_options),
        sam(config.attention, len(label_set.paths)), RainHead() if config.veil else None, config)

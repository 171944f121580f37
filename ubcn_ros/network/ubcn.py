# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""UBCN: the loop of deraining and segmentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ubcn_ros.labels import LabelSet, numbered_labels
from ubcn_ros.network.attention import SAM, SAMConfig
from ubcn_ros.network.baselines import BaselineConfig, build_baseline
from ubcn_ros.network.blocks import aligned, resample, resize
from ubcn_ros.network.derain import IDM, IDMConfig
from ubcn_ros.network.keywords import called
from ubcn_ros.network.rain_estimate import RainHead
from ubcn_ros.network.segmentation import build_segmentation
from ubcn_ros.network.veil import Veil, VeilConfig
from ubcn_ros.network.veil_field import FieldSAM, FieldSAMConfig

# as many classes and paths as the paper has for Cityscapes (section 3.1)
_NUMBERED = numbered_labels(19)


class Step(NamedTuple):
    """
    What one step of the loop yields; each step is a usable answer, and what the next one needs.

    :param image: Bt, (N, 3, H, W) RGB, not clamped.
    :param logits: St before the softmax, (N, num_classes, h, w) at the segmentation network's
        stride.
    :param rainy: (N, 3, H, W), what SAM takes, the same at every step: O', the rainy image
        without its veil, or O where the network has no ``Veil``, or a SAM that lifts it itself.
    :param rain: (N, 2), what the RainHead says, see ``rain_estimate``; None without one.
    """

    image: torch.Tensor
    logits: torch.Tensor
    rainy: torch.Tensor
    rain: torch.Tensor | None = None

    @property
    def full_logits(self) -> torch.Tensor:
        """The logits at the image's size, (N, K, H, W) fp32, as ``enlarged`` returns them."""
        return enlarged(self.logits, self.image.shape[-2:])


Derained = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]
"""Derained image, what SAM takes of the rainy one, and the rain, as in ``Step``."""


def enlarged(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """
    Enlarge logits, (N, K, h, w), bilinearly to (N, K, *size), the label of every pixel in them.

    In fp32: in half precision classes are equal that are not, and the first of them is the label.
    """
    return resize(logits.float(), size)


DERAIN_SIDE = 720
"""Short side, pixels, that an image has at least where it is made smaller for IDM."""

DERAINING = ('veil', 'derain', 'rain_head')
"""Modules that make the first image and tell its rain; they are trained together."""

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
    :param rain_head: what IDM saw and made of it to the rain; None where nothing tells it.
    :param config: what it was built of; its ``label_set`` has the classes and their path groups.
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
        self.label_set = label_set = config.label_set

        groups = torch.zeros(len(label_set.paths), label_set.num_classes)
        for path, classes in enumerate(label_set.paths):
            groups[path, list(classes)] = 1.0
        self.register_buffer('path_groups', groups[:, :, None, None], persistent=False)

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
        return derain_at(derain_size(*image.shape[-2:]), self.derain_natively, image)

    def derain_natively(self, image: torch.Tensor) -> Derained:
        """Lift the veil and derain at the image's own size, whatever it is."""
        lifted = self.lift(image)
        derained = self.derain(lifted)
        return derained, self.rainy(image, lifted), self.tell_rain(lifted, derained)

    def rainy(self, image: torch.Tensor, lifted: torch.Tensor) -> torch.Tensor:
        """Choose what SAM takes of the rainy image: O', or O, as in ``Step``."""
        return lifted if self.config.lifted else image

    def lift(self, image: torch.Tensor) -> torch.Tensor:
        """Lift the veil alone: O' = veil(O), or O without one."""
        return image if self.veil is None else self.veil(image).lift(image)

    def tell_rain(self, lifted: torch.Tensor, derained: torch.Tensor) -> torch.Tensor | None:
        """Tell the rain from O' and B1, as in ``Step``."""
        return None if self.rain_head is None else self.rain_head(lifted, derained)

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


def label_view(image: torch.Tensor, size: tuple[int, int] | None = None) -> torch.Tensor:
    """
    Return what a segmentation network sees of an image.

    :param image: (N, 3, H, W).
    :param size: (h, w) at which it is labelled, the image's own where None; the sides that are
        seen are the multiples of ``ALIGNMENT`` at or below these.
    :return: (N, 3, h, w).
    """
    seen = aligned(*(size or image.shape[-2:]))
    return image if seen == tuple(image.shape[-2:]) else resample(image, seen)


def derain_size(height: int, width: int) -> tuple[int, int] | None:
    """
    Return the (h, w) at which IDM works: the image's divided by an integer, or None for its own.

    From twice ``DERAIN_SIDE`` on, streaks are wider than any that it was trained on.
    """
    part = min(height, width) // DERAIN_SIDE
    return None if part < 2 else (round(height / part), round(width / part))


def derain_at(size: tuple[int, int] | None, derain: Callable[[torch.Tensor], Derained],
              image: torch.Tensor) -> Derained:
    """
    Derain an image at another size.

    The corrections of the image are enlarged and added to it, so that what is finer stays.

    :param size: (h, w), or None for the image's own.
    :param derain: ``UBCN.derain_natively``, or what stands for it.
    """
    if size is None:
        return derain(image)
    small = resample(image, size)
    derained, rainy, rain = derain(small)
    derained, rainy = (image if x is small else image + resize(x - small, image.shape[-2:])
                       for x in (derained, rainy))
    return derained, rainy, rain


def attend_at(size: tuple[int, int], attend: Callable[[Step], torch.Tensor], previous: Step
              ) -> torch.Tensor:
    """
    Restore an image by a SAM that works at no larger a size than the labels': Bt, (N, 3, H, W).

    At a smaller one it sees both images so, and its correction of the previous image is enlarged
    and added to it. What is finer was seen by IDM alone.

    :param size: (h, w) at which the image is labelled.
    :param attend: ``UBCN.attend``, or what stands for it.
    :param previous: as for ``UBCN.next_step``.
    """
    size = attention_size(previous.image.shape[-2:], size)
    if size is None:
        return attend(previous)
    before = previous._replace(image=resample(previous.image, size),
                               rainy=resample(previous.rainy, size))
    correction = attend(before) - before.image
    return previous.image + resize(correction, previous.image.shape[-2:])


def attention_size(image: Sequence[int], size: tuple[int, int]) -> tuple[int, int] | None:
    """
    Return the size at which SAM works: that of the labels, or None for the image's own.

    It needs no multiples of ``ALIGNMENT``, so that an image labelled as large as it goes is whole,
    and an enlarged one has no more to restore.

    :param image: its (H, W).
    :param size: (h, w) at which the image is labelled.
    """
    enlarged = any(side > own for side, own in zip(size, image, strict=True))
    return None if enlarged or size == aligned(*image) else size


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

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
from ubcn_ros.network.segmentation import build_segmentation
from ubcn_ros.network.veil import Veil, VeilConfig
from ubcn_ros.network.veil_field import FieldIDM, FieldIDMConfig, FieldSAM, FieldSAMConfig

# as many classes and paths as the paper has for Cityscapes (section 3.1)
_NUMBERED = numbered_labels(19)


class Step(NamedTuple):
    """
    What one step of the loop yields; each step is a usable answer, and what the next one needs.

    :param image: Bt, (N, 3, H, W) RGB, not clamped.
    :param logits: St before the softmax, (N, num_classes, h, w) at the segmentation network's
        stride.
    :param lifted: O', (N, 3, H, W), the rainy image without its veil, the same at every step; O
        itself where the network has no ``Veil``.
    :param rain: (N, 2), what the Veil says of the rain, see ``rain_estimate``; None without one.
    """

    image: torch.Tensor
    logits: torch.Tensor
    lifted: torch.Tensor
    rain: torch.Tensor | None = None

    @property
    def full_logits(self) -> torch.Tensor:
        """The logits at the image's size, (N, K, H, W) fp32, as ``enlarged`` returns them."""
        return enlarged(self.logits, self.image.shape[-2:])


def enlarged(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """
    Enlarge logits, (N, K, h, w), bilinearly to (N, K, *size), the label of every pixel in them.

    In fp32: in half precision classes are equal that are not, and the first of them is the label.
    """
    return resize(logits.float(), size)


DERAIN_SIDE = 720
"""Short side, pixels, that an image has at least where it is made smaller for IDM."""

PRESETS = ('light', 'light-next', 'paper', 'wide')
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
    # Veil, in front of the loop; None for none, as in the paper
    veil: VeilConfig | None = None

    @property
    def derain_side(self) -> int | None:
        """DERAIN_SIDE; None with a Veil, trained for any camera: IDM sees all images whole."""
        return DERAIN_SIDE if self.veil is None else None

    @classmethod
    def preset(cls, name: str, label_set: LabelSet = _NUMBERED) -> UBCNConfig:
        """
        Return the configuration of that name.

        'paper' is tables 1 and 3 with PSPNet-ResNet50, 'wide' the same with the IDM of 92 channels
        and 22 RES that table 4's 13.40 MB fit; 'light' is the network that ships, for real
        time: it works on 2x2 pixels at a time, has veil fields, the trunk form of SAM, which takes
        most of the coarse difference to the previous image back, and DDRNet-23-slim with finer
        heads. 'light-next' follows it when it is trained: the veil is a module of its own in front
        of IDM and SAM, and says how hard it rains.

        :param name: one of ``PRESETS``.
        :param label_set: classes and paths; by default as many as the paper's, without names.
        :raises ValueError: the name is none of them.
        """
        dilations = (1, 2, 4)
        options = {'stride2_head': True, 'context_window': [8, 10]}
        if name == 'paper':
            return cls(label_set)
        if name == 'wide':
            return cls(label_set, IDMConfig(channels=92, blocks=22))
        if name == 'light-next':
            return cls(label_set, IDMConfig(unshuffle=2, dilations=dilations),
                       SAMConfig(blocks=11, unshuffle=2, dilations=dilations, form='trunk'),
                       'ddrnet23_slim', options, VeilConfig())
        if name == 'light':
            veil = {'veil_channels': 24, 'veil_texture': 16, 'veil_depth': 1}
            return cls(label_set, FieldIDMConfig(unshuffle=2, dilations=dilations, **veil),
                       FieldSAMConfig(blocks=11, unshuffle=2, dilations=dilations, form='trunk',
                                      veil_below=True, coarse_from_previous=0.7, **veil),
                       'ddrnet23_slim', options)
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
        for key, kind, with_field in (('derain', IDMConfig, FieldIDMConfig),
                                      ('attention', SAMConfig, FieldSAMConfig)):
            if key == 'derain' and 'network' in values.get(key, ()):
                values[key] = called(BaselineConfig, key, values[key])
            elif key in values:
                part = dict(values[key])
                if 'dilations' in part:
                    part['dilations'] = tuple(part['dilations'])
                values[key] = called(with_field if 'veil_channels' in part else kind, key, part)
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
    :param config: what it was built of; its ``label_set`` has the classes and their path groups.
    """

    def __init__(self, veil: Veil | None, derain: nn.Module, segmentation: nn.Module,
                 attention: SAM, config: UBCNConfig) -> None:
        super().__init__()
        self.veil = veil
        self.derain = derain
        self.segmentation = segmentation
        self.attention = attention
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
        :param size: (h, w) at which the image is labelled; None for its own. The veil is lifted
            from the whole image and IDM works as ``derain_first`` says, SAM at that size where it
            is smaller; the images of the steps have the image's size all the same.
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
        derained, lifted, rain = self.derain_first(image)
        return Step(derained, self.segment(derained, size), lifted, rain)

    def next_step(self, previous: Step, size: tuple[int, int] | None = None) -> Step:
        """
        Run a further step, top-down and bottom-up: Bt = SAM(O', Bt-1, St-1), St = FAM(Bt).

        :param previous: the step before.
        :param size: as for ``forward``.
        """
        derained = self.attend(previous, size)
        return previous._replace(image=derained, logits=self.segment(derained, size))

    def derain_first(self, image: torch.Tensor
                     ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """
        Lift the veil and derain, at ``derain_size``, without labels: O' = veil(O), B1 = IDM(O').

        :param image: O, (N, 3, H, W) RGB 0..1.
        :return: B1, O' and the rain, as in ``Step``.
        """
        lifted, rain = self.lift(image)
        size = derain_size(*image.shape[-2:], self.config.derain_side)
        return derain_at(size, self.derain, lifted), lifted, rain

    def lift(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Lift the veil alone: O' = veil(O), or O without one, and the rain, as in ``Step``."""
        if self.veil is None:
            return image, None
        estimate = self.veil(image)
        return estimate.lift(image), estimate.rain

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
        lifted = previous.lifted
        if self.veil is not None and self.veil.config.every_step:
            lifted, _ = self.lift(lifted)
        return self.attention(lifted, previous.image, self.path_probabilities(previous.logits))

    def path_probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """
        Sum up the classes' probabilities by path group.

        :param logits: (N, num_classes, h, w), before the softmax.
        :return: (N, num_paths, h, w), summing to 1 over the paths.
        """
        return F.conv2d(logits.softmax(1), self.path_groups)


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


def derain_size(height: int, width: int, side: int | None) -> tuple[int, int] | None:
    """
    Return the (h, w) at which IDM works: the image's divided by an integer, or None for its own.

    From twice ``side`` on, streaks are wider than any that it was trained on.

    :param side: ``UBCNConfig.derain_side``.
    """
    part = min(height, width) // side if side else 1
    return None if part < 2 else (round(height / part), round(width / part))


def derain_at(size: tuple[int, int] | None, derain: Callable[[torch.Tensor], torch.Tensor],
              image: torch.Tensor) -> torch.Tensor:
    """
    Derain an image by an IDM that works at another size: B1, (N, 3, H, W).

    Its correction of the image is enlarged and added to it, so that what is finer stays.

    :param size: (h, w), or None for the image's own.
    :param derain: ``UBCN.derain``, or what stands for it.
    """
    if size is None:
        return derain(image)
    small = resample(image, size)
    return image + resize(derain(small) - small, image.shape[-2:])


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
                               lifted=resample(previous.lifted, size))
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
    idm = (build_baseline if isinstance(config.derain, BaselineConfig) else
           FieldIDM if isinstance(config.derain, FieldIDMConfig) else IDM)
    sam = FieldSAM if isinstance(config.attention, FieldSAMConfig) else SAM
    return UBCN(
        Veil(config.veil) if config.veil else None, idm(config.derain),
        build_segmentation(config.segmentation, label_set.num_classes,
                           **config.segmentation_options),
        sam(config.attention, len(label_set.paths)), config)

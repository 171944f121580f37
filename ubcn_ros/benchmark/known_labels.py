# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
SAM's masks in a benchmark of random weights: the labels of a rendered drive.

What SAM's stacks cost follows from its masks where it has a path threshold. A segmentation network
of random weights is as unsure of every pixel, which no trained one is. Here it does its work, and
then answers with labels that the renderer knows.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from ubcn_ros.network import UBCNConfig
from ubcn_ros.network.segmentation import build_segmentation
from ubcn_ros.network.segmentation.base import SegmentationNetwork

if TYPE_CHECKING:
    from ubcn_ros.runtime.engine import Engine

_NAME = f'{__name__}:KnownLabels'
_ROWS = 20  # of the labels' averages: a drive at 2048x1024 then has 2.5 of 10 paths a cell
_LEAST = 1e-6  # probability of a class that is not there


class KnownLabels(SegmentationNetwork):
    """
    A segmentation network that answers with the labels of a frame of a drive.

    :param num_classes: 11 or more, of which the drive's come first.
    :param network: name of the network that does the work, as of ``build_segmentation``.
    :param options: of that network.
    """

    def __init__(self, num_classes: int, network: str, **options: object) -> None:
        super().__init__()
        self.network = build_segmentation(network, num_classes, **options)
        self.register_buffer('shares', _shares(num_classes).clone(), persistent=False)
        for name in ('feature_channels', 'with_features'):
            setattr(self, name, getattr(self.network, name))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Segment (N, 3, H, W): logits of the frame's labels, of the network's shape and type."""
        logits = self.network(image)
        shares = F.interpolate(self.shares.float(), logits.shape[-2:], mode='bilinear')
        return (shares + _LEAST).log().to(logits.dtype) + 0 * logits


@functools.cache
def _shares(num_classes: int) -> torch.Tensor:
    """Return the classes' shares of the parts of a frame, (1, num_classes, rows, columns)."""
    from ubcn_ros.data.drive.drive import Drive
    labels = torch.from_numpy(Drive(1, 256, 512).frame(0.0).labels).long()
    classes = F.one_hot(labels.clamp(max=num_classes - 1), num_classes).permute(2, 0, 1)
    return F.adaptive_avg_pool2d(classes[None].float(), (_ROWS, 2 * _ROWS))


def with_threshold(config: UBCNConfig, threshold: float) -> UBCNConfig:
    """
    Give a network's SAM a path threshold, and the masks of known labels.

    :raises ValueError: the threshold is not in [0, 1), or the SAM has no stacks to save work in.
    """
    if config.attention.form != 'stacks':
        raise ValueError('a path threshold spares work in a SAM with stacks alone: choose the '
                         'preset paper or wide')
    return replace(config, attention=replace(config.attention, path_threshold=threshold),
                   segmentation=_NAME, segmentation_options={
                       'network': config.segmentation, **config.segmentation_options})


def masks_of(config: UBCNConfig) -> dict[str, Any]:
    """Return what a row says of the masks where they decide what SAM costs."""
    if not config.attention.has_zeros:
        return {}
    return {'path_threshold': config.attention.path_threshold,
            'masks': 'labels of a rendered drive' if config.segmentation == _NAME
            else "the model's own"}


def paths_reached(engine: Engine, image: np.ndarray, processing_size: int = -1
                  ) -> dict[str, Any]:
    """
    Count the paths that have reached a cell of 16x16 pixels by SAM's last block.

    :return: the mean over the cells, as 'paths_reached', and 'paths', how many there are; nothing
        where the masks decide nothing, or for an export.
    """
    if not (engine.info.path.is_file() and engine.info.config.attention.has_zeros):
        return {}
    from ubcn_ros.benchmark.engine import eager_engine
    from ubcn_ros.runtime.sparse_attention import CELL, reached
    reference, network = eager_engine(engine.info.path, engine.device, engine.precision,
                                      fused=False)
    mixer = network.attention.path_mixer
    dilations = [block.conv1.dilation[0] for block in mixer.stacks[0]]
    found = []

    def count(_, inputs: tuple[torch.Tensor, ...]) -> None:
        levels = reached(inputs[1], dilations, CELL)  # the side of a tile on a GPU, too
        found.append(float((levels < len(dilations)).sum(1).float().mean()))

    mixer.register_forward_pre_hook(count)
    reference(image, 2, processing_size=processing_size)
    return {'paths': len(engine.label_set.paths), 'paths_reached': round(found[0], 2)}


def notes_on_masks(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return lines that go below a table of these rows."""
    notes = []
    for row in rows:
        if 'masks' in row:
            notes.append(f"{row['name']}: SAM with a path threshold of {row['path_threshold']}, "
                         f"masks are {row['masks']}")
        if 'paths_reached' in row:
            notes[-1] += (f'; at {row["width"]}x{row["height"]}, {row["paths_reached"]} of '
                          f'{row["paths"]} paths reach a cell of 16x16 pixels by the last block')
    return list(dict.fromkeys(notes))

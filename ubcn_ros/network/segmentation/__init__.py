# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The replaceable segmentation networks of FAM.

A segmentation network is an ``nn.Module`` built with ``num_classes`` (and options of its own):

- ``forward(image)``: (N, 3, H, W) RGB 0..1 to logits (N, num_classes, h, w), h and w at the
  network's own stride; any H, W from 32 up;
- ``features(image)``: the (N, C, h', w') features that the discriminator sees, with
  C = ``feature_channels``;
- ``with_auxiliary(image)``: (logits, list of auxiliary logits) for deep supervision, and
  ``with_features(image)``: (logits, list of auxiliary logits, features) in one pass.

A new one is a file here and a line in ``REGISTRY``; one that lives in another package is named
as ``module:callable``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from torch import nn

REGISTRY = {
    'ddrnet23_slim': 'ubcn_ros.network.segmentation.ddrnet:DDRNet23Slim',
    'pspnet_resnet50': 'ubcn_ros.network.segmentation.pspnet:PSPNetResNet50',
}


def build_segmentation(name: str, num_classes: int, **options: object) -> nn.Module:
    """
    Build the segmentation network of that name.

    :param name: a key of ``REGISTRY``, or ``module:callable``.
    :raises ValueError: the name is neither, or cannot be imported.
    """
    target = REGISTRY.get(name, name)
    module, _, attribute = target.partition(':')
    if not attribute:
        raise ValueError(f'unknown segmentation network {name!r}: choose one of '
                         f'{", ".join(sorted(REGISTRY))}, or name yours as module:callable')
    try:
        constructor: Callable[..., nn.Module] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f'cannot import the segmentation network {name!r}: {error}') from error
    return constructor(num_classes=num_classes, **options)

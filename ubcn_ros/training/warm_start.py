# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SAM's start from a trained IDM."""

from __future__ import annotations

import math
from copy import deepcopy

import torch

from ubcn_ros.network import UBCN, UBCNConfig
from ubcn_ros.network.baselines import BaselineConfig
from ubcn_ros.network.veil_field import FieldIDM, FieldSAM, VeilField


def check_warm_start(config: UBCNConfig) -> None:
    """Raise ValueError where SAM cannot start from what derains, saying what to do."""
    ours, theirs = config.attention, config.derain
    if isinstance(theirs, BaselineConfig):
        raise ValueError(f'SAM cannot start from {theirs.network}, which is there in the place of '
                         'IDM: train the stage derain alone, with --stage derain, or set '
                         'warm_start to false')
    alike = ('channels', 'unshuffle', 'veil_texture')
    pairs = [(name, getattr(ours, name, 0), getattr(theirs, name, 0)) for name in alike]
    differ = [f'{name} {one} and {other}' for name, one, other in pairs if one != other]
    if differ:
        raise ValueError(f'SAM cannot start from IDM, they differ in {", ".join(differ)}: set '
                         'warm_start to false')


def start_from_derain(network: UBCN) -> None:
    """
    Give SAM the weights of IDM, as many of its blocks as SAM has.

    The rainy image's half of the first convolution is IDM's, the previous image's half starts at
    zero: of the form trunk, with as many blocks as IDM, a second step starts as the first.

    :raises ValueError: as ``check_warm_start``.
    """
    source, target = network.derain, network.attention
    check_warm_start(network.config)
    with torch.no_grad():
        weight = source.head[0][0].weight
        target.head[0][0].weight.zero_()
        target.head[0][0].weight[:, :weight.shape[1]] = weight
        target.head[0][0].bias.copy_(source.head[0][0].bias)
        target.head[1].load_state_dict(source.head[1].state_dict())
        stacks = ([target.path_mixer.trunk] if target.config.form == 'trunk'
                  else target.path_mixer.stacks)
        for stack in stacks:
            for ours, theirs in zip(stack, source.body, strict=False):
                ours.load_state_dict(theirs.state_dict())
        target.tail[0].load_state_dict(source.tail[0].state_dict())
        target.tail[1].load_state_dict(source.tail[1].state_dict())
        if isinstance(source, FieldIDM) and isinstance(target, FieldSAM) and (
                source.veil is not None and target.veil is not None):
            _start_veil(source.veil, target.veil)


def tensors_from_derain(network: UBCN) -> set[str]:
    """Name the tensors of SAM that ``start_from_derain`` replaces; none where it cannot."""
    tried = deepcopy(network)
    state = tried.attention.state_dict()
    for tensor in state.values():
        tensor.fill_(math.nan if tensor.is_floating_point() else -1)
    try:
        start_from_derain(tried)
    except ValueError:
        return set()
    return {name for name, tensor in state.items() if not (tensor.isnan() | (tensor == -1)).all()}


def _start_veil(source: VeilField, target: VeilField) -> None:
    """Give SAM's field the weights of IDM's, on the rainy image."""
    ours, theirs = target.state_dict(), source.state_dict()
    for name, weight in theirs.items():
        if ours[name].shape == weight.shape:
            ours[name].copy_(weight)
    texture = 0 if source.texture is None else source.texture[0].out_channels
    for name in ('down1.0.weight', 'up0.0.weight'):
        # what the level below says, then the image, then its texture
        before, image, fine = theirs[name].split(
            (theirs[name].shape[1] - 3 - texture, 3, texture), 1)
        start = before.shape[1]
        ours[name].zero_()
        ours[name][:, :start] = before
        ours[name][:, start:start + 3] = image
        if texture:
            ours[name][:, -texture:] = fine

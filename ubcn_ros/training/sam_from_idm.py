# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SAM's start from a trained IDM."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ubcn_ros.network import UBCN, UBCNConfig
from ubcn_ros.network.baselines import BaselineConfig


def check_warm_start(config: UBCNConfig) -> None:
    """Raise ValueError where SAM cannot start from what derains, saying what to do."""
    ours, theirs = config.attention, config.derain
    if isinstance(theirs, BaselineConfig):
        raise ValueError(f'SAM cannot start from {theirs.network}, which is there in the place of '
                         'IDM: train the stage derain alone, with --stage derain, or set '
                         'warm_start to false')
    pairs = [(name, getattr(ours, name), getattr(theirs, name))
             for name in ('channels', 'unshuffle')]
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
    check_warm_start(network.config)
    theirs, ours = network.derain.state_dict(), network.attention.state_dict()
    mixer = network.attention.path_mixer
    stacks = (['path_mixer.trunk'] if network.config.attention.form == 'trunk' else
              [f'path_mixer.stacks.{k}' for k in range(len(mixer.stacks))])
    found = {}
    for name, tensor in theirs.items():
        part, _, inner = name.partition('.')
        if part == 'body':  # SAM may have fewer blocks
            found |= {place: tensor for place in (f'{stack}.{inner}' for stack in stacks)
                      if place in ours}
        else:
            found[name] = tensor
    first = 'head.0.0.weight'
    found[first] = torch.zeros_like(ours[first])
    found[first][:, :theirs[first].shape[1]] = theirs[first]
    if network.veil is not None and network.config.attention.lifts:
        found |= _veil_tensors(network, ours)
    network.attention.load_state_dict({**ours, **found})


def _veil_tensors(network: UBCN, ours: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """
    Return what SAM's field takes of the ``Veil`` before IDM; nothing where their sizes differ.

    :param ours: all tensors of SAM, by name.
    """
    veil, sam = network.config.veil, network.config.attention
    if (veil.channels, veil.depth, veil.texture) != (
            sam.veil_channels, sam.veil_depth, sam.veil_texture):
        return {}
    found = {}
    for name, tensor in network.veil.state_dict().items():
        field = ours.get(f'veil.{name}')
        if name in ('down1.0.0.weight', 'up0.0.weight'):
            # the field sees the previous image and the paths, too, before its texture
            seen = tensor.shape[1] - veil.texture
            more = tensor.new_zeros(len(tensor), field.shape[1] - tensor.shape[1], 3, 3)
            tensor = torch.cat((tensor[:, :seen], more, tensor[:, seen:]), 1)
        elif name.startswith('field.'):  # the hints stay
            tensor = torch.cat((tensor, field[len(tensor):]))
        if field.shape == tensor.shape:
            found[f'veil.{name}'] = tensor
    return found

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
    network.attention.load_state_dict({**network.attention.state_dict(),
                                       **tensors_from_derain(network)})


def tensors_from_derain(network: UBCN) -> dict[str, torch.Tensor]:
    """
    Return the tensors of SAM that ``start_from_derain`` replaces, by name, as they become.

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
        elif part != 'veil':
            found[name] = tensor
    first = 'head.0.0.weight'
    found[first] = torch.zeros_like(ours[first])
    found[first][:, :theirs[first].shape[1]] = theirs[first]
    if any(name.startswith('veil.') for name in theirs.keys() & ours.keys()):
        found |= _veil_tensors(ours, theirs, network.config.derain.veil_texture)
    return found


def _veil_tensors(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor],
                  texture: int) -> dict[str, torch.Tensor]:
    """Return what SAM's field takes of IDM's, on the rainy image; both with all tensors' names."""
    found = {name: tensor for name, tensor in theirs.items()
             if name.startswith('veil.') and ours[name].shape == tensor.shape}
    for name in ('veil.down1.0.weight', 'veil.up0.0.weight'):
        # what the level below says, then the image, then its texture
        before, image, fine = theirs[name].split(
            (theirs[name].shape[1] - 3 - texture, 3, texture), 1)
        start = before.shape[1]
        found[name] = torch.zeros_like(ours[name])
        found[name][:, :start] = before
        found[name][:, start:start + 3] = image
        if texture:
            found[name][:, -texture:] = fine
    return found

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SAM's start from one with other semantic paths: each path from those of the same classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ubcn_ros.labels import LabelSet, plain_name
from ubcn_ros.network.attention import SAM
from ubcn_ros.network.veil_field import FieldSAM

_IMAGES = 6  # channels of the rainy and the previous image, which the veil field sees first


def path_sources(labels: LabelSet, others: LabelSet) -> list[list[int]]:
    """
    Find for each path of a label set those of another that its weights come from.

    Those with a class of the same name; all of them where there is none.
    """
    theirs = [{plain_name(others.classes[i]) for i in group} for group in others.paths]
    ours = [{plain_name(labels.classes[i]) for i in group} for group in labels.paths]
    return [[k for k, names in enumerate(theirs) if names & group] or [*range(len(theirs))]
            for group in ours]


def path_weights(source: SAM, sources: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    """
    Return SAM's tensors that depend on the paths, each path's the mean of its sources'.

    :param source: SAM to start from.
    :param sources: as of ``path_sources``.
    :return: by name in SAM's state.
    """
    state = source.state_dict()

    def means(parts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [torch.stack([parts[k] for k in row]).mean(0) for row in sources]

    found = {}
    if source.config.form == 'trunk':
        paths = len(state['path_mixer.mix.bias']) // source.path_mixer.channels
        for name in ('path_mixer.mix.weight', 'path_mixer.mix.bias'):
            found[name] = torch.cat(means(state[name].chunk(paths)))
    elif not source.config.share_paths:
        paths = len(source.path_mixer.stacks)
        for name in source.path_mixer.stacks[0].state_dict():
            each = [state[f'path_mixer.stacks.{k}.{name}'] for k in range(paths)]
            found |= {f'path_mixer.stacks.{k}.{name}': value
                      for k, value in enumerate(means(each))}
    if isinstance(source, FieldSAM) and source.veil is not None:
        repeats = 2 if source.config.veil_below else 1
        for name, before in (('veil.down1.0.weight', 0),
                             ('veil.up0.0.weight', source.config.veil_channels)):
            weight, start = state[name], before + _IMAGES
            paths = (weight.shape[1] - start - source.config.veil_texture) // repeats
            columns = weight[:, start:start + repeats * paths].split(1, 1)
            parts = [torch.cat(means(columns[i * paths:(i + 1) * paths]), 1)
                     for i in range(repeats)]
            found[name] = torch.cat((weight[:, :start], *parts,
                                     weight[:, start + repeats * paths:]), 1)
    return found

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Take from another model the weights that fit; the rest starts anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from torch import nn

from ubcn_ros.labels import MAX_CLASSES, LabelSet, numbered_labels, paths_of, plain_name
from ubcn_ros.network import UBCN, UBCNConfig, build
from ubcn_ros.network.attention import SAM
from ubcn_ros.network.veil_field import FieldSAM
from ubcn_ros.runtime.model_info import PARTS
from ubcn_ros.text_table import listed, table

_NAMED = 4  # modules in a row of the table
_IMAGES = 6  # channels of the rainy and the previous image, which the veil field sees first


@dataclass(frozen=True)
class PartStart:
    """
    What a part of a network took from another model.

    ``tensors`` counts the statistics of normalisation, too, ``weights`` the learned numbers alone;
    ``anew`` says of each tensor that was not taken why, in the network's order; ``by_path`` are
    those of SAM that were taken path by path.
    """

    part: str
    tensors: int
    weights: int
    taken_tensors: int
    taken_weights: int
    anew: dict[str, str]
    by_path: tuple[str, ...]


def start_from(network: UBCN, source: UBCN, trained: Sequence[str] = PARTS) -> list[PartStart]:
    """
    Copy into a network what fits of another one, and say part by part what that was.

    A tensor is copied where the source has one of the same name and shape. Those that depend on
    the classes are copied only where both label sets have the same class names in the same order,
    those that depend on the paths only where the paths hold classes of the same names: else SAM's
    are put together path by path (``path_weights``). Everything else keeps its values. Case, `_`,
    `-` and blanks of names do not count.

    :param network: is changed in place.
    :param source: of any configuration.
    :param trained: parts of the source that were trained; nothing is taken of the others.
    :return: a row for each of PARTS; veil and rain head count as of IDM.
    """
    labels, others = network.config.label_set, source.config.label_set
    dependent, of_paths = {}, {}
    if _paths(labels) != _paths(others):
        dependent |= dict.fromkeys(_varying(network.config, _other_paths(labels)), 'other paths')
        of_paths = path_weights(source.attention, path_sources(labels, others))
    if [*map(plain_name, labels.classes)] != [*map(plain_name, others.classes)]:
        dependent |= dict.fromkeys(_varying(network.config, _other_classes(labels)),
                                   'other classes')
    rows = []
    for part in PARTS:
        ours, theirs = (_joined(each, part, nn.Module.state_dict) for each in (network, source))
        anew, by_path = {}, []
        for name, tensor in ours.items():
            if part not in trained:
                anew[name] = 'never trained in the source'
            elif part == 'attention' and name in of_paths and (
                    of_paths[name].shape == tensor.shape):
                tensor.copy_(of_paths[name])
                by_path.append(name)
            elif f'{part}.{name}' in dependent:
                anew[name] = dependent[f'{part}.{name}']
            elif name not in theirs:
                anew[name] = 'not in the source'
            elif theirs[name].shape != tensor.shape:
                anew[name] = 'another shape'
            else:
                tensor.copy_(theirs[name])  # the module's own tensor, detached
        counts = {name: p.numel() for name, p in
                  _joined(network, part, lambda m: dict(m.named_parameters())).items()}
        taken = sum(count for name, count in counts.items() if name not in anew)
        rows.append(PartStart(part, len(ours), sum(counts.values()), len(ours) - len(anew), taken,
                              anew, tuple(by_path)))
    return rows


def _joined(network: UBCN, part: str, values: Callable[[nn.Module], Mapping[str, torch.Tensor]]
            ) -> dict[str, torch.Tensor]:
    """Values by name of a part; of derain those of what it is trained with, too."""
    found = dict(values(getattr(network, part)))
    if part == 'derain' and network.veil is not None:
        for beside in ('veil', 'rain_head'):
            found |= {f'{beside}.{name}': value
                      for name, value in values(getattr(network, beside)).items()}
    return found


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
        for name, before in (('veil.down1.0.0.weight', 0),
                             ('veil.up0.0.weight', source.config.veil_channels)):
            weight, start = state[name], before + _IMAGES
            paths = (weight.shape[1] - start - source.config.veil_texture) // repeats
            columns = weight[:, start:start + repeats * paths].split(1, 1)
            parts = [torch.cat(means(columns[i * paths:(i + 1) * paths]), 1)
                     for i in range(repeats)]
            found[name] = torch.cat((weight[:, :start], *parts,
                                     weight[:, start + repeats * paths:]), 1)
    return found


def trained_after(rows: Iterable[PartStart], trained: Sequence[str]) -> tuple[str, ...]:
    """
    Return the parts that count as trained after such a start, before any stage has run.

    Those that were taken whole: one tensor that starts anew, a head of other classes, makes what
    the part yields worthless until a stage trains it.

    :param trained: parts of the source that were trained.
    """
    return tuple(row.part for row in rows if row.part in trained and not row.anew)


def init_table(rows: Sequence[PartStart]) -> str:
    """Lay out what each part took, and what of it starts anew and why, as text."""
    return table(('part', 'tensors taken', 'weights taken', 'starts anew'), [
        (row.part, f'{row.taken_tensors} of {row.tensors}',
         f'{row.taken_weights:,} of {row.weights:,}', _anew_text(row)) for row in rows],
        left=(0, 3))


def _anew_text(row: PartStart) -> str:
    reasons = {why: [name for name, other in row.anew.items() if other == why]
               for why in dict.fromkeys(row.anew.values())}
    if not row.taken_tensors:
        return f'all of it ({", ".join(reasons)})'
    text = '; '.join(f'{_modules(names)} ({why})' for why, names in reasons.items()) or '-'
    return f'{text} (by path: {_modules(row.by_path)})' if row.by_path else text


def _modules(names: Sequence[str]) -> str:
    """Name the modules of tensors, at most some of them."""
    modules = [module for module, _ in groupby(names, lambda name: name.rpartition('.')[0])]
    return listed(modules, _NAMED)


def _paths(labels: LabelSet) -> list[frozenset[str]]:
    return [frozenset(plain_name(labels.classes[i]) for i in group) for group in labels.paths]


def _other_classes(labels: LabelSet) -> LabelSet:
    """Return a label set with one class more (or less, at the most) and as many paths."""
    count = labels.num_classes + (1 if labels.num_classes < MAX_CLASSES else -1)
    return _with_paths(count, min(len(labels.paths), count))


def _other_paths(labels: LabelSet) -> LabelSet:
    """Return a label set with as many classes, where that can be, and another number of paths."""
    count = len(labels.paths) - 1 or 2
    return _with_paths(max(labels.num_classes, count), count)


def _with_paths(classes: int, paths: int) -> LabelSet:
    return replace(numbered_labels(classes), paths=paths_of(classes, range(paths - 1)))


def _varying(config: UBCNConfig, label_set: LabelSet) -> set[str]:
    """
    Names of the tensors that another label set changes.

    Their shape changes, or there are more or fewer of the kind: of lists with an entry for each
    class or path all entries vary.
    """
    # a threshold that fits few paths only changes no shape
    config = replace(config, attention=replace(config.attention, path_threshold=0))
    ours, theirs = _shapes(config), _shapes(replace(config, label_set=label_set))
    kinds = {_kind(name) for name in ours.keys() ^ theirs.keys()}
    return {name for name, shape in ours.items()
            if theirs.get(name, shape) != shape or _kind(name) in kinds}


def _kind(name: str) -> str:
    return re.sub(r'\d+', '#', name)


def _shapes(config: UBCNConfig) -> dict[str, torch.Size]:
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device('meta'):
                network = build(config)
        except ValueError:  # one of somebody's own that reads its weights
            network = build(config)
    return {name: tensor.shape for name, tensor in network.state_dict().items()}

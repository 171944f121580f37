# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Check data sets before they are trained on: every fault that can be found, not the first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from ubcn_ros.data.check.copies import copy_findings
from ubcn_ros.data.check.facts import (
    SceneFacts,
    load_facts,
    look_at_all,
    save_facts,
    state_of,
)
from ubcn_ros.data.check.findings import class_findings, split_findings
from ubcn_ros.data.check.report import CheckReport, Finding, SplitFacts
from ubcn_ros.data.description import SPLITS
from ubcn_ros.data.mixture import Data
from ubcn_ros.data.scenes import DataSet, Scene

Progress = Callable[[int, int], None]


def check_data(data: Data, progress: Progress | None = None, used: Collection[str] = SPLITS
               ) -> CheckReport:
    """
    Check data sets.

    Every file is read once, as for training, and facts are kept by its size and time of change.

    :param progress: called with the number of scenes that were looked at, and of all.
    :param used: splits that are about to be used: what is wrong with another is a warning.
    :return: the report; wrong data is in there, not raised.
    :raises ChildProcessError: a process that reads images was ended from outside.
    """
    listings = [(place, split, *dataset.listing(split))
                for place, dataset in enumerate(data.sets) for split in dataset.splits]
    known = _facts(data.sets, [(place, scenes) for place, _, scenes, _ in listings], progress)
    names = _names(data.sets)
    splits = tuple(
        SplitFacts(data.sets[place], names[place], split, scenes, tuple(facts), problems)
        for (place, split, scenes, problems), facts in zip(listings, known, strict=True))
    found = [*_split_names(splits), *(f for split in splits for f in split_findings(split)),
             *class_findings(data, splits), *copy_findings(splits)]
    unused = {split.where for split in splits if split.split not in used}
    found = [replace(f, level='warning') if f.where in unused else f for f in found]
    return CheckReport(splits, tuple(sorted(found, key=lambda f: f.level != 'error')))


def _names(sets: Sequence[DataSet]) -> list[str]:
    """Name every set, with a number where it is not the first of its name."""
    names: list[str] = []
    for dataset in sets:
        same = sum(other.name == dataset.name for other in sets[:len(names)])
        names.append(f'{dataset.name} ({same + 1})' if same else dataset.name)
    return names


def _facts(sets: Sequence[DataSet], listings: Sequence[tuple[int, Sequence[Scene]]],
           progress: Progress | None) -> list[list[SceneFacts]]:
    """
    Facts of the scenes of every listing, read where they are not known.

    :param listings: index of the data set, and scenes.
    """
    known = [load_facts(dataset) for dataset in sets]
    keys = [[(place, state_of(scene)) for scene in scenes] for place, scenes in listings]
    scenes = {key: scene for group, (_, members) in zip(keys, listings, strict=True)
              for key, scene in zip(group, members, strict=True)}
    facts = {(place, state): known[place][state] for place, state in scenes
             if state in known[place]}
    waiting = [key for key in scenes if key not in facts]
    try:
        for key, found in zip(waiting, look_at_all([scenes[key] for key in waiting]),
                              strict=True):
            facts[key] = found
            if progress is not None:
                progress(len(facts), len(scenes))
    finally:  # whoever is stopped after an hour goes on from there
        for place, dataset in enumerate(sets if waiting else ()):
            save_facts(dataset, {key[1]: found for key, found in facts.items()
                                 if key[0] == place and found.lasting})
    return [[facts[key] for key in group] for group in keys]


def _split_names(splits: Sequence[SplitFacts]) -> Iterator[Finding]:
    """Say which splits are nowhere."""
    have = {split.split for split in splits}
    if 'train' not in have:
        yield Finding('error', 'no train split', '', 'no data set has a split train: name its '
                      'images as train')
    if 'val' not in have:
        yield Finding('warning', 'no val split', '', 'no data set has a split val: the last '
                      'weights of a training are taken, not the best')

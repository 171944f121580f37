# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Findings about images that are there more than once, or look as if."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

import numpy as np

from ubcn_ros.data.check.report import Finding, SplitFacts
from ubcn_ros.data.check.similarity import NEAR, most_similar, split_recordings, unpack
from ubcn_ros.data.description import SPLITS
from ubcn_ros.images.files import is_image_name
from ubcn_ros.text_table import counted, listed

Parts = tuple[str, ...]
"""Names of a folder's path, from the data set on."""

FEW_DIFFERENT = 0.2
"""Share of near-duplicates within val or test from which its figures rest on few streets."""

_OPTIMISTIC = 'figures on it will be too good'
_EFFECTS = {'train': _OPTIMISTIC,
            'val': f'the weights are chosen on these images, and {_OPTIMISTIC}'}


def copy_findings(splits: Sequence[SplitFacts]) -> Iterator[Finding]:
    """Yield images in two splits, copies, near-duplicates and split recordings."""
    train, val, test = ([s for s in splits if s.split == name] for name in SPLITS)
    yield from _copies(train)
    for known, others in ((train, (*val, *test)), (val, test)):
        yield from _leaks(known, others)
        yield from _near(known, others)
    yield from _shared_masks([*train, *val, *test])
    for split in (*val, *test):
        yield from _copies([split])
        yield from _near_within(split)
        for own in train:
            if own.dataset is split.dataset:
                yield from _recordings(own, split)


def _leaks(known: Sequence[SplitFacts], others: Sequence[SplitFacts]) -> Iterator[Finding]:
    names = _by_pixels(known)
    for split in others:
        leaks = [(split.file(i), names[found.pixels][0])
                 for i, found in enumerate(split.facts) if found.pixels in names]
        if leaks:
            where = known[0].split
            yield Finding('error' if where == 'train' else 'warning', 'leak', split.where,
                          f'{counted(len(leaks), "image is", "images are")} in {where}, too: '
                          f'{_EFFECTS[where]}; remove one of the two ({_pairs(leaks)})',
                          tuple(name for name, _ in leaks))


def _by_pixels(splits: Sequence[SplitFacts]) -> dict[str, list[str]]:
    """Files by the hash of their pixels."""
    found: dict[str, list[str]] = {}
    for split in splits:
        for i, facts in enumerate(split.facts):
            if facts.pixels:
                name = split.file(i) if len(splits) == 1 else f'{split.set_name}/{split.file(i)}'
                found.setdefault(facts.pixels, []).append(name)
    return found


def _copies(splits: Sequence[SplitFacts]) -> Iterator[Finding]:
    groups = [names for names in _by_pixels(splits).values() if len(names) > 1]
    if groups:
        yield Finding('warning', 'copies', ' and '.join(s.where for s in splits),
                      f'{counted(len(groups), "image is", "images are")} there under several '
                      f'names: {listed([" = ".join(names[:3]) for names in groups], 3)}',
                      tuple(name for names in groups for name in names))


def _shared_masks(splits: Sequence[SplitFacts]) -> Iterator[Finding]:
    """Masks of other images of a set's other splits; within a split the layout says so."""
    owners: dict[tuple[int, Path], tuple[SplitFacts, int]] = {}
    for split in splits:
        shared: list[tuple[SplitFacts, str, str]] = []
        for i, (scene, found) in enumerate(zip(split.scenes, split.facts, strict=True)):
            mask = scene.label_path
            if mask is None or not is_image_name(mask):  # labels of many scenes in one file
                continue
            owner, k = owners.setdefault((id(split.dataset), mask), (split, i))
            if owner is not split and owner.facts[k].pixels != found.pixels:  # else it is a leak
                shared.append((owner, split.file(i), owner.file(k)))
        if shared:
            level = 'error' if any(s.split == 'train' for s, _, _ in shared) else 'warning'
            yield Finding(level, 'shared masks', split.where,
                          f'{counted(len(shared), "image has", "images have")} the mask of an '
                          'image of another split: give each a mask of its own '
                          f'({_pairs([names for _, *names in shared])})',
                          tuple(name for _, name, _ in shared))


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return listed([f'{one} = {other}' for one, other in pairs], 3)


def _bits(splits: Sequence[SplitFacts]) -> tuple[np.ndarray, list[tuple[SplitFacts, int]]]:
    """Hashes of the images that could be read, and whose they are."""
    owners = [(split, i) for split in splits for i, found in enumerate(split.facts)
              if found.difference_hash]
    return unpack([split.facts[i].difference_hash for split, i in owners]), owners


def _near(known: Sequence[SplitFacts], others: Sequence[SplitFacts]) -> Iterator[Finding]:
    bits, owners = _bits(known)
    for split in others:
        own, members = _bits([split])
        if not owners or not members:
            continue
        best, differences = most_similar(own, bits)
        pairs = []
        for (_, i), j, difference in zip(members, best, differences, strict=True):
            source, k = owners[j]
            if difference <= NEAR and split.facts[i].pixels != source.facts[k].pixels:
                pairs.append((split.file(i), source.file(k)))
        if pairs:
            texts, where = [f'{one} and {other}' for one, other in pairs], known[0].split
            yield Finding('warning', 'near-duplicates', split.where,
                          f'{counted(len(pairs), "image looks", "images look")} like one of '
                          f'{where}: {_EFFECTS[where]}; split by drives, not by frames '
                          f'({listed(texts, 3)})', tuple(one for one, _ in pairs))


def _near_within(split: SplitFacts) -> Iterator[Finding]:
    bits, members = _bits([split])
    if len(members) < 2:
        return
    names = tuple(split.file(i) for (_, i), difference in zip(
        members, most_similar(bits, bits)[1], strict=True) if difference <= NEAR)
    if len(names) > max(2, FEW_DIFFERENT * len(members)):
        yield Finding('warning', 'near-duplicates within a split', split.where,
                      f'{len(names)} of {len(members)} images look like another one of '
                      f'{split.split}: its figures rest on fewer streets than it has images; '
                      f'take frames farther apart ({listed(names, 3)})', names)


def _recordings(train: SplitFacts, split: SplitFacts) -> Iterator[Finding]:
    """
    Frames of a drive between those that train has of it.

    Either their names differ in the last number alone; or they do within folders whose paths
    differ in one part, which is the same for all of train or all of the split.
    """
    ours, theirs = _by_folder(train), _by_folder(split)
    pairs = [(*([*itertools.chain(*found.values())] for found in (ours, theirs)), str)]
    pairs += [(ours[one], theirs[other], os.path.basename)
              for one, other in _in_one_part(list(ours), list(theirs))]
    told: set[str] = set()
    for known, own, called in pairs:
        parts = (train, known), (split, own)
        bits = unpack([s.facts[i].difference_hash for s, indices in parts for i in indices])
        names = ([called(s.scenes[i].name) for i in indices] for s, indices in parts)
        for between, before, after in split_recordings(*names, bits):
            files = tuple(split.file(own[j]) for j in between)
            if told.isdisjoint(files):
                yield Finding(
                    'warning', 'recording in two splits', split.where,
                    f'{counted(len(files), "image lies", "images lie")} between frames of one '
                    f'drive in train ({files[0]} between {train.file(known[before])} and '
                    f'{train.file(known[after])}): {_OPTIMISTIC}; split by drives, not by frames',
                    files)
            told.update(files)


def _in_one_part(ours: Sequence[Parts], theirs: Sequence[Parts]) -> Iterator[tuple[Parts, Parts]]:
    """Yield folders that differ in one part alone, which is the same for all of ours or theirs."""
    shared = {part for found in (ours, theirs) if found
              for part in set.intersection(*({*enumerate(folder)} for folder in found))}
    places = sorted({place for place, _ in shared})
    alike: dict[tuple[int, Parts, Parts], list[int]] = {}  # by what is before and after the part
    for i, other in enumerate(theirs):
        for place in places:
            alike.setdefault((place, other[:place], other[place + 1:]), []).append(i)
    for one in ours:
        found = ((i, place) for place in places
                 for i in alike.get((place, one[:place], one[place + 1:]), ()))
        for i, place in sorted(found):
            other = theirs[i]
            if place < len(one) == len(other) and one != other and (
                    {(place, one[place]), (place, other[place])} & shared):
                yield one, other


def _by_folder(split: SplitFacts) -> dict[Parts, list[int]]:
    """Indices of the images that could be read by the parts of their folder's path."""
    folders: dict[Parts, list[int]] = {}
    for i, found in enumerate(split.facts):
        if found.difference_hash:
            folders.setdefault(PurePath(split.file(i)).parent.parts, []).append(i)
    return folders

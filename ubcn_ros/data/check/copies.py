# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Findings about images that are there more than once, or look as if."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ubcn_ros.data.check.report import Finding, SplitFacts
from ubcn_ros.data.check.similarity import NEAR, most_similar, split_recordings, unpack
from ubcn_ros.images.files import is_image_name
from ubcn_ros.text_table import counted, listed

FEW_DIFFERENT = 0.2
"""Share of near-duplicates within val or test from which its figures rest on few streets."""

_OPTIMISTIC = 'figures on it will be too good'


def copy_findings(splits: Sequence[SplitFacts]) -> Iterator[Finding]:
    """Yield leaks between train and the others, copies, near-duplicates and split recordings."""
    train = [s for s in splits if s.split == 'train']
    others = [s for s in splits if s.split != 'train']
    known = _by_pixels(train)
    yield from _copies(train)
    for split in others:
        leaks = [(split.file(i), known[found.pixels][0])
                 for i, found in enumerate(split.facts) if found.pixels in known]
        if leaks:
            yield Finding('error', 'leak', split.where,
                          f'{counted(len(leaks), "image is", "images are")} in train, too: '
                          f'{_OPTIMISTIC}; remove one of the two ({_pairs(leaks)})',
                          tuple(name for name, _ in leaks))
        yield from _copies([split])
    yield from _near(train, others)
    yield from _shared_masks([*train, *others])
    for split in others:
        yield from _near_within(split)
        yield from _recordings(split, [s for s in train if s.dataset is split.dataset])


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


def _near(train: Sequence[SplitFacts], others: Sequence[SplitFacts]) -> Iterator[Finding]:
    bits, owners = _bits(train)
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
            texts = [f'{one} and {other}' for one, other in pairs]
            yield Finding('warning', 'near-duplicates', split.where,
                          f'{counted(len(pairs), "image looks", "images look")} like one of '
                          f'train: {_OPTIMISTIC}; split by drives, not by frames '
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


def _recordings(split: SplitFacts, train: Sequence[SplitFacts]) -> Iterator[Finding]:
    bits, owners = _bits([*train, split])
    ours = [(s, i) for s, i in owners if s is not split]
    theirs = [(s, i) for s, i in owners if s is split]
    for between, before, after in split_recordings(
            [s.scenes[i].name for s, i in ours], [s.scenes[i].name for s, i in theirs], bits):
        names = tuple(split.file(theirs[j][1]) for j in between)
        (s, i), (t, k) = ours[before], ours[after]
        yield Finding('warning', 'recording in two splits', split.where,
                      f'{counted(len(names), "image lies", "images lie")} between frames of one '
                      f'drive in train ({names[0]} between {s.file(i)} and {t.file(k)}): '
                      f'{_OPTIMISTIC}; split by drives, not by frames', names)

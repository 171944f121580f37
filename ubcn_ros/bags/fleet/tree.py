# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Find the bags of folders, and say where the outputs of each go: a tree of the same shape."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ubcn_ros.bag_names import BAG_SUFFIXES, has_bag_name
from ubcn_ros.bags.errors import BagError, reason
from ubcn_ros.bags.process.jobs import PIECES
from ubcn_ros.bags.storage.metadata import NAME

Tell = Callable[[str], None]
_LIKE_BAG = re.compile(r'.+\.(mcap|db3|bag)(\.(zstd?|lz4|gz|bz2|xz))?', re.IGNORECASE)


def find_bags(folder: Path, tell: Tell) -> list[Path]:
    """
    Find the bags in and below a folder, in the order of their paths.

    A bag is a folder with metadata.yaml, a folder whose bag files are the numbered files of one
    recording, or else a file. Names with a leading dot, and pieces of bags, are left out.

    :param tell: called with a line for each folder, or entry of one, that cannot be read, and for
        each file that is left out, though its name is like that of a bag.
    """
    return sorted(_walk(Path(folder), set(), tell))


def pair_outputs(sources: Sequence[Path], out: Path, tell: Tell = lambda line: None
                 ) -> list[tuple[Path, Path]]:
    """
    Pair each bag with its output.

    One bag goes to OUT itself, the bags of one folder to the same place in OUT, of several
    sources each to its name in OUT. Where two of a folder would get one name, a file keeps its
    suffix.

    :param sources: bags, and folders of bags.
    :param tell: called with a line for each folder that cannot be read.
    :raises BagError: two bags would be written to one place, or one into another, or a tree into
        itself.
    """
    trees = {source: bags_below(source, tell) for source in sources}
    if len(trees) == 1:
        return _pairs(*trees.popitem(), out)
    pairs: dict[Path, Path] = {}
    for source, bags in trees.items():
        # of '..', too, which has no name of its own
        for bag, target in _pairs(source, bags, out / _stem(Path(os.path.abspath(source)))):
            if target in pairs:
                raise BagError(f'{pairs[target]} and {bag} would both be written to {target}: '
                               'process them one by one')
            pairs[target] = bag
    for target, bag in pairs.items():
        if around := next((parent for parent in target.parents if parent in pairs), None):
            raise BagError(f'{bag} would be written to {target}, which is inside of {around}, '
                           f'where {pairs[around]} is written: process them one by one')
    return [(bag, target) for target, bag in pairs.items()]


def bags_below(source: Path, tell: Tell) -> list[Path] | None:
    """Return the bags of a folder that is none itself; None for everything else."""
    if not source.is_dir():
        return None
    told: list[str] = []
    bags = find_bags(source, told.append)
    for line in told:
        tell(line)
    # a folder with a file is its bag, if it has no others; outputs stay where they were
    # when what cannot be read now can be
    alone = len(bags) == 1 and bags[0].parent == source and bags[0].is_file() and not told
    return None if bags == [source] or alone or not (bags or told) else bags


def _pairs(source: Path, bags: list[Path] | None, out: Path) -> list[tuple[Path, Path]]:
    if bags is None:
        return [(source, out)]
    real, target = source.resolve(), out.resolve()
    if target == real or real in target.parents:
        raise BagError(f'the bags of {source} would be written into it, as {out}: give a path '
                       'outside of it')
    places = [bag.relative_to(source) for bag in bags]
    taken = {parent for place in places for parent in place.parents}
    taken |= {place for bag, place in zip(bags, places, strict=True) if bag.is_dir()}
    pairs = []
    for bag, place in zip(bags, places, strict=True):
        if not bag.is_dir():
            stem = place.with_name(_stem(bag))
            place = place if stem in taken else stem
            taken.add(stem)
        pairs.append((bag, out / place))
    return pairs


def _stem(path: Path) -> str:
    """Return the name of a bag without the suffix of a file."""
    name = path.name.removesuffix('.zstd') if not path.is_dir() else path.name
    return next((name.removesuffix(suffix) for suffix in BAG_SUFFIXES if name.endswith(suffix)
                 and not path.is_dir()), name)


def _walk(folder: Path, seen: set[Path], tell: Tell) -> Iterator[Path]:
    """Yield the bags below a folder; links to folders are followed, each folder is seen once."""
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    try:
        with os.scandir(folder) as entries:
            paths = sorted(Path(entry.path) for entry in entries if not entry.name.startswith('.'))
    except OSError as error:
        tell(_unreadable(folder, error))
        return
    if folder / NAME in paths:
        yield folder
        return
    folders, files = [], []
    for path in paths:
        try:
            if path.is_dir():
                folders.append(path)
            elif has_bag_name(path.name):
                files.append(path)
            elif _LIKE_BAG.fullmatch(path.name):
                tell(f'{path} is left out, as its name does not end in '
                     f'{", ".join(BAG_SUFFIXES)} or these with .zstd: rename it, if it is a bag')
        except OSError as error:  # as of a mount that is gone, or a link to where nobody may look
            tell(_unreadable(path, error))
    if _is_recording(folder, files):
        yield folder
        return
    yield from files
    for path in folders:
        if not path.name.endswith(PIECES):
            yield from _walk(path, seen, tell)


def _unreadable(path: Path, error: OSError) -> str:
    return (f'{path} cannot be read ({reason(error)}): bags in it are left out; make it '
            'readable, or name the bags that are to be processed one by one')


def _is_recording(folder: Path, files: Sequence[Path]) -> bool:
    """Say whether files are those of one recording that ended without metadata.yaml."""
    found = [re.fullmatch(r'(.+)_(\d+)', _stem(file)) for file in files]
    if not files or not all(found) or len({match[1] for match in found}) > 1:
        return False
    return found[0][1] == folder.name or 0 in {int(match[2]) for match in found}

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Open a data set whose layout is recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from ubcn_ros.data.formats import camvid as camvid_format
from ubcn_ros.data.formats import cityscapes as cityscapes_format
from ubcn_ros.data.formats import voc2012 as voc_format
from ubcn_ros.data.formats.camvid import camvid
from ubcn_ros.data.formats.cityscapes import cityscapes
from ubcn_ros.data.formats.voc2012 import voc2012
from ubcn_ros.data.pairs import pairs
from ubcn_ros.data.scenes import (
    DataSet,
    DataSetError,
    Listing,
    Scene,
    SceneList,
    choose,
    chosen_or_fail,
)


def paired_scenes(root: Path | str, split: str = 'train', only: Iterable[str] = (),
                  exclude: Iterable[str] = ()) -> SceneList:
    """
    Pairs of ROOT/SPLIT/{input,target}, or of ROOT/{input,target}, which serve every split.

    The target is a scene's image, the input the image in rain; there are no labels.

    :raises DataSetError: as ``pairs``, or nothing is left.
    """
    base = Path(root) / split if (Path(root) / split).is_dir() else Path(root)
    found = {pair.name: pair for pair in pairs(base)}
    scenes = [Scene(name, found[name].target_path, None, rainy_path=found[name].input_path)
              for name in choose(found, only, exclude)]
    return SceneList(f'pairs/{base.name}', None, chosen_or_fail(
        scenes, base, only, exclude, f'expected pairs as {base}/{{input,target}}/NAME.png'))


KINDS: dict[str, Callable[..., SceneList]] = {
    'camvid': camvid, 'cityscapes': cityscapes, 'voc2012': voc2012, 'pairs': paired_scenes}


def open_scenes(kind: str, root: Path | str, split: str = 'train', only: Iterable[str] = (),
                exclude: Iterable[str] = ()) -> SceneList:
    """
    Scenes of one split of a data set.

    :param kind: 'camvid', 'cityscapes', 'voc2012' or 'pairs'.
    :param root: the data set's folder, in its own layout.
    :param only: keep the scenes whose names start with one of these, all when empty.
    :param exclude: leave out the scenes whose names start with one of these.
    :raises DataSetError: an unknown kind, naming the known ones; a wrong or incomplete folder,
        saying what was expected.
    """
    if kind not in KINDS:
        raise DataSetError(f'unknown data kind {kind!r}: choose one of {", ".join(KINDS)}')
    return KINDS[kind](root, split, tuple(only), tuple(exclude))


def open_dataset(path: Path | str) -> DataSet:
    """
    Open a data set.

    :param path: its folder, whose layout is recognised.
    :raises DataSetError: no layout that is known; the text says what was looked for.
    """
    root = Path(path)
    found = {'camvid': ('*/images', camvid, camvid_format.CAMVID),
             'cityscapes': ('leftImg8bit', cityscapes, cityscapes_format.CITYSCAPES),
             'voc2012': ('ImageSets/Segmentation', voc2012, voc_format.VOC2012),
             'pairs': ('input', paired_scenes, None)}
    for name, (mark, reader, label_set) in found.items():
        if list(root.glob(mark)):
            def listing(split: str, reader=reader) -> Listing:
                return Listing(reader(root, split).scenes)
            return DataSet(root.resolve().name, root, name, label_set, '', {
                split: partial(listing, split) for split in ('train', 'val')})
    raise DataSetError(f'{root} has no layout that is known')

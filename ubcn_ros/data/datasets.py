# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every data set by the name of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from ubcn_ros.data.formats.camvid import camvid
from ubcn_ros.data.formats.cityscapes import cityscapes
from ubcn_ros.data.formats.voc2012 import voc2012
from ubcn_ros.data.pairs import pairs
from ubcn_ros.data.scenes import DataSetError, Scene, SceneList, choose, chosen_or_fail


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

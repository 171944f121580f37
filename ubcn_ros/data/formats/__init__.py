# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layouts of data sets, a module each; ``datasets.FORMATS`` lists them in the order of trial."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ubcn_ros.data.description import Description
from ubcn_ros.data.scenes import Listing
from ubcn_ros.labels import LabelSet


class Opened(NamedTuple):
    """
    What a format found in a folder.

    :param label_set: classes of the data set; None without labels.
    :param readers: by split, a function that lists it.
    :param files: that say what is in the splits, such as lists, beside the files of scenes.
    :param left_out: number of annotations by class that ``names`` leaves out, where a file counts
        them.
    """

    label_set: LabelSet | None
    readers: Mapping[str, Callable[[], Listing]]
    files: tuple[Path, ...] = ()
    left_out: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class Format:
    """
    A layout of files that is recognised and read.

    :param name: of a YAML's key ``format``.
    :param layout: what it looks like below the folder, for texts.
    :param keys: of a YAML, beside those that every format has.
    :param recognises: something true where a folder has this layout, from names alone.
    :param open: raises DataSetError where there is nothing to list.
    :param classes: that it has where a YAML gives no names, with their paths; None for none.
    :param license: of data with these classes.
    :param base: of the folder that is given, the one that holds the files.
    :param file_names: that the images of the published set with these classes have.
    :param own_keys: of a YAML for own classes in this layout, for texts.
    """

    name: str
    layout: str
    keys: frozenset[str]
    recognises: Callable[[Path], object]
    open: Callable[[Description], Opened]
    classes: LabelSet | None = None
    license: str = ''
    base: Callable[[Path], Path] = lambda root: root
    file_names: re.Pattern[str] | None = None
    own_keys: str = ''

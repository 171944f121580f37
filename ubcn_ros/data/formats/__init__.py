# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layouts of data sets, a module each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ubcn_ros.data.description import Description
from ubcn_ros.data.scenes import DataSet


@dataclass(frozen=True)
class Format:
    """
    A layout of files that is recognised and read.

    :param name: of a YAML's key ``format``.
    :param layout: what it looks like below the folder, for texts.
    :param keys: of a YAML, beside those that every format has.
    :param recognises: something true where a folder has this layout, from names alone.
    :param open: raises DataSetError where there is nothing to list.
    """

    name: str
    layout: str
    keys: frozenset[str]
    recognises: Callable[[Path], object]
    open: Callable[[Description], DataSet]

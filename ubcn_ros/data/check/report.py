# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a check of data found."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ubcn_ros.data.check.facts import SceneFacts
from ubcn_ros.data.scenes import DataSet, Scene
from ubcn_ros.labels import UNLABELED
from ubcn_ros.text_table import counted


@dataclass(frozen=True)
class Finding:
    """
    Something that is wrong, or may be.

    :param level: 'error': what uses the split would fail or its figures would be wrong;
        'warning' else.
    :param kind: in a word or two, the same for all of its kind.
    :param where: split and data set.
    :param text: one sentence or two, with the remedy.
    :param files: all that it concerns, for programs; the text names the first few.
    """

    level: str
    kind: str
    where: str
    text: str
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f'{self.level}: {self.where}: {self.text}' if self.where else (
            f'{self.level}: {self.text}')


@dataclass(frozen=True)
class SplitFacts:
    """
    A split of a data set with the facts of its scenes.

    :param set_name: of the data set, each once in a check.
    :param problems: of the split's layout.
    """

    dataset: DataSet
    set_name: str
    split: str
    scenes: tuple[Scene, ...]
    facts: tuple[SceneFacts, ...]
    problems: tuple[str, ...]

    @property
    def where(self) -> str:
        """Name for people."""
        return f'{self.split} of {self.set_name}'

    @property
    def sizes(self) -> Counter[str]:
        """Number of images by WIDTHxHEIGHT."""
        return Counter('{}x{}'.format(*found.size) for found in self.facts if found.size)

    @property
    def labelled(self) -> int:
        """Number of scenes with labels."""
        return sum(scene.labelled for scene in self.scenes)

    @cached_property
    def pixels(self) -> np.ndarray:
        """Pixels by class id, (256,) int64; 255 unlabeled."""
        pixels = np.zeros(256, np.int64)
        for found in self.facts:
            for i, count in found.counts or ():
                pixels[i] += count
        return pixels

    def shares(self) -> dict[str, float]:
        """Return the share of the labelled pixels by class name."""
        if self.dataset.label_set is None or not self.pixels.any():
            return {}
        labelled = max(1, int(self.pixels[:UNLABELED].sum()))
        return {name: float(self.pixels[i] / labelled)
                for i, name in enumerate(self.dataset.label_set.classes)}

    def unlabeled(self) -> float:
        """Return the share of all pixels of masks that is unlabeled."""
        return float(self.pixels[UNLABELED] / max(1, self.pixels.sum()))

    def file(self, index: int) -> str:
        """Return the path of a scene's image below its data set."""
        return relative(self.scenes[index].image_path, self.dataset.root)


@dataclass(frozen=True)
class CheckReport:
    """
    All that a check found.

    :param splits: with the facts of their scenes, in order of sets and splits.
    :param findings: errors first.
    """

    splits: tuple[SplitFacts, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that training must not begin with."""
        return tuple(found for found in self.findings if found.level == 'error')

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that may be meant."""
        return tuple(found for found in self.findings if found.level == 'warning')

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Number of images by data set and split."""
        return self._by_set(lambda s: len(s.scenes))

    @property
    def shares(self) -> dict[str, dict[str, dict[str, float]]]:
        """Shares of pixels by data set, split and class, see ``SplitFacts.shares``."""
        return self._by_set(SplitFacts.shares)

    @property
    def unlabeled(self) -> dict[str, dict[str, float]]:
        """Unlabeled share of pixels by data set and split; a class may have that name, too."""
        return self._by_set(SplitFacts.unlabeled)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """
        SHA-256 by data set, over splits, names and contents; each file counts with all its bytes.

        The same on every machine, wherever the data lies.
        """
        result = {}
        for name, splits in self._by_set(lambda s: s).items():
            lines = sorted(f'{split} {scene.name!r} {found.content}\n'
                           for split, s in splits.items()
                           for scene, found in zip(s.scenes, s.facts, strict=True))
            result[name] = hashlib.sha256(''.join(lines).encode()).hexdigest()
        return result

    def summary(self) -> str:
        """Count the findings in a line."""
        images = sum(len(s.scenes) for s in self.splits)
        return f'{counted(len(self.errors), "error")} and ' \
               f'{counted(len(self.warnings), "warning")} in {counted(images, "image")}'

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            'findings': [asdict(found) for found in self.findings],
            'counts': self.counts, 'shares': self.shares, 'unlabeled': self.unlabeled,
            'fingerprints': self.fingerprints, 'sizes': self._by_set(lambda s: dict(s.sizes))}

    def _by_set(self, value: Callable[[SplitFacts], Any]) -> dict[str, dict[str, Any]]:
        """Return a value of each split, by data set and split."""
        result: dict[str, dict[str, Any]] = {}
        for s in self.splits:
            result.setdefault(s.set_name, {})[s.split] = value(s)
        return result


def relative(path: Path, root: Path) -> str:
    """Return the path below a root; the whole path where it is elsewhere."""
    try:
        return Path(path).relative_to(root).as_posix()
    except ValueError:
        return str(path)

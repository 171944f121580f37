# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What studies of whole data sets share: what they are given, and their one file of figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ubcn_ros.data.mixture import Data
from ubcn_ros.data.scenes import SceneList
from ubcn_ros.study.results_file import StudyResults

if TYPE_CHECKING:
    from ubcn_ros.training.config import TrainConfig
    from ubcn_ros.training.run import Run


@dataclass(kw_only=True)
class Study:
    """
    A study in one output folder.

    :param out: output folder.
    :param stride, limit: which scenes of the split are measured.
    :param workers: processes that render.
    :param command: that makes the study, for its file.
    :param fingerprints: hashes of the files of every set by its name, of its ``CheckReport``.
    :param say: told what is being done.
    :ivar file: name of the file of figures.
    :ivar scenes: of the split that is measured.
    :ivar results: what is in it.
    """

    data: Data
    out: Path
    stride: int
    limit: int | None
    workers: int
    command: str
    fingerprints: Mapping[str, str]
    say: Callable[[str], object]

    file: ClassVar[str]
    scenes: SceneList = field(init=False)
    results: StudyResults = field(init=False)

    @property
    def path(self) -> Path:
        """Path of the file that holds all figures."""
        return self.out / self.file

    def save(self) -> None:
        """Write all figures."""
        self.results.save(self.path)

    def text_of(self, results: Mapping[str, Any]) -> str:
        """Lay out results of this study for a terminal: tables and statements of its report."""
        from ubcn_ros.study.report.assemble import study_text  # which imports the studies
        return study_text(self.path, results)

    @property
    def data_settings(self) -> dict[str, Any]:
        """
        What of the data decides on figures: the files' content, and what labels mean.

        Plain values, as ``training.run`` has them in a checkpoint.
        """
        return {'files': dict(self.fingerprints),
                'label_set': self.data.label_set and self.data.label_set.to_dict(),
                'labels': self.data.meanings}

    @property
    def indices(self) -> range:
        """Of the scenes that are measured; each is the seed of its rain."""
        return range(0, len(self.scenes), self.stride)[:self.limit]

    def timed(self, name: str) -> None:
        """Say that something is timed, and write it."""
        self.say(f'timed {name}')
        self.save()


def check_last_counts(config: TrainConfig) -> None:
    """Raise ValueError where a recipe would choose a network by the split that is tested."""
    images = config.data.validation_images
    if images:
        raise ValueError(f'the recipe {config.name!r} has data.validation_images {images}, and so '
                         'the best network by the split val would count, which is the test: set '
                         'it to 0, and the last one counts')


def left_to_train(run: Run) -> list[str]:
    """
    Return the stages of a study's network that are not trained to their end yet.

    :raises ValueError: what lies there was begun with something else, or is damaged.
    """
    try:
        return run.plan(resume=True)
    except ValueError as error:  # whose remedy is that of `ubcn train`
        raise ValueError(f'{error}. That is for `ubcn train`; for a study choose another --out, '
                         f'or remove {run.out}') from error

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The folders of studies: which are there, what each holds, and how it was made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ubcn_ros.study.report.content import Section
from ubcn_ros.study.results_file import read_results
from ubcn_ros.training.estimate import duration

_SHOWN = 12  # names of a list that are written out


@dataclass(frozen=True)
class StudyKind:
    """
    One kind of study.

    :param name: of its JSON file and of its command.
    :param title: of its section.
    :param paper: what of the paper it makes again.
    :param sections: makes its sections, one or one for each data set, of what was found; raises
        KeyError of a file of another layout.
    """

    name: str
    title: str
    paper: str
    lead: str
    sections: Callable[[FoundStudy], Iterable[Section]]

    @property
    def command(self) -> str:
        """Command that makes it, shown where it is missing."""
        return f'ubcn study {self.name}' + (' PHOTOGRAPHS' if self.name == 'real-rain' else
                                            ' --data FOLDER')


@dataclass(frozen=True)
class FoundStudy:
    """Results of a study, and the folder that they are in."""

    kind: StudyKind
    folder: Path
    results: dict[str, Any]

    def section(self) -> Section:
        """Begin its section, with how it was made."""
        return Section(self.kind.title, self.kind.paper, self.kind.lead, facts=self.facts())

    def pictures(self) -> list[Path]:
        """Figures beside the JSON, a PNG of each."""
        return [self.folder / name for name in self.results['pictures'] if name.endswith('.png')]

    def facts(self, command: str | None = None) -> list[tuple[str, str]]:
        """
        Say how it was made: command, data, seeds and other settings, and time.

        :param command: of a part of it; by default the one that began it.
        """
        return [('command', command or self.results['command']),
                ('folder', str(self.folder)), *_plain(self.results['settings']),
                ('time', f'{duration(self.results["seconds"])}, all runs together')]


def find_studies(folders: Sequence[Path], kinds: Sequence[StudyKind]) -> list[FoundStudy]:
    """
    Read all studies in some folders, in the order of the kinds.

    :raises ValueError: a folder holds no study, or a file is not one of a study.
    :raises OSError: a file cannot be read.
    """
    for folder in folders:
        if not _holds_study(folder, kinds):
            raise ValueError(f'{folder} holds no study: expected one of '
                             f'{", ".join(f"{kind.name}.json" for kind in kinds)} in it')
    return [FoundStudy(kind, folder, read_results(folder / f'{kind.name}.json'))
            for kind in kinds for folder in folders if (folder / f'{kind.name}.json').is_file()]


def study_folders(runs: Path, kinds: Sequence[StudyKind]) -> list[Path]:
    """Return the folders of studies below a folder, as they are called when nothing is said."""
    return sorted(path for path in runs.glob('study-*') if _holds_study(path, kinds))


def _holds_study(folder: Path, kinds: Sequence[StudyKind]) -> bool:
    return any((folder / f'{kind.name}.json').is_file() for kind in kinds)


def _plain(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Write out what is short; recipes are in the file."""
    for name, value in settings.items():
        text = _text(value)
        if text:
            yield name.replace('_', ' '), text


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:.6g}'
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, list):
        shown = [_text(each) for each in value[:_SHOWN]]
        return ', '.join(filter(None, shown)) + ' ...' * (len(value) > _SHOWN)
    if isinstance(value, dict) and len(value) <= _SHOWN and all(
            isinstance(each, (str, int, float)) for each in value.values()):
        return ', '.join(f'{name} {_text(each)}' for name, each in value.items())
    return ''

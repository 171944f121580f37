# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The whole report: a section for each study, those that are missing with what makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from ubcn_ros import __version__
from ubcn_ros.json_files import as_written
from ubcn_ros.study.report.baselines import baselines_sections
from ubcn_ros.study.report.content import Section, StudyReport, section_text
from ubcn_ros.study.report.degradations import degradation_sections
from ubcn_ros.study.report.figures import methods_sections, real_rain_sections, steps_sections
from ubcn_ros.study.report.networks import networks_sections
from ubcn_ros.study.report.sources import FoundStudy, StudyKind, find_studies
from ubcn_ros.training.record import source_commit

TITLE = "UBCN: the paper's tables and figures, made again"
SUBTITLE = ('The supplementary material of Li, Chang, Yu and Yan, “Close the Loop”, AAAI 2022, '
            'beside what this program finds on the data at hand. What the main part of the paper '
            'reports is not known here, and nothing of it is quoted.')

KINDS = (
    StudyKind('degradations', 'What degradation costs a segmentation network', 'Figure 1',
              'A segmentation network is trained at each of four levels of a degradation, and '
              'tested at each: level of training down, level of test across, mIoU in %.',
              degradation_sections),
    StudyKind('baselines', 'UBCN beside networks that derain alone', 'Table 4',
              'The five baselines, IDM and UBCN, from scratch on the same rain, for as many '
              'samples and for as much time as IDM; size and time beside the figures of the '
              'paper.',
              baselines_sections),
    StudyKind('networks', 'Whole models, and lighter ones', 'Section 3',
              "The paper's own setting and others, each with its own segmentation network, by "
              'rain rate and step; a lighter segmentation network is what the paper names as '
              'future work.',
              networks_sections),
    StudyKind('methods', 'Every method side by side', 'Figures 2 to 7',
              'Image and mask of every baseline and of UBCN, in light and in heavy rain.',
              methods_sections),
    StudyKind('steps', 'The steps of the loop', 'Figures 8 and 9',
              'Input, ground truth and every step: image, segmentation, and where both are wrong.',
              steps_sections),
    StudyKind('real-rain', 'Real photographs', 'Figures 2 to 9',
              'Photographs in real rain, by every baseline and by UBCN. There is no ground truth.',
              real_rain_sections),
)


def study_report(folders: Sequence[Path], command: str) -> StudyReport:
    """
    Put together what some folders of studies hold; texts of it can all be written as UTF-8.

    :param folders: of studies; none for a report of what is missing.
    :param command: that makes the report.
    :raises ValueError: a folder holds no study, or a file has another layout.
    :raises OSError: a file cannot be read.
    """
    found, sections = find_studies(folders, KINDS), []
    for kind in KINDS:
        made = [section for study in found if study.kind == kind for section in _sections(study)]
        made = made or [Section(kind.title, kind.paper, kind.lead, missing=[
            ('The whole study; its --help says what it needs', kind.command)])]
        for number, section in enumerate(made):
            section.anchor = f'{kind.name}-{number}' if number else kind.name
        sections += made
    return _printable(StudyReport(TITLE, SUBTITLE, sections, [
        ('command', command), ('folders', ', '.join(map(str, folders)) or 'none'),
        ('ubcn_ros', __version__), ('commit', source_commit()),
        ("the paper's figures", 'table 4 as printed; figure 1 read off, ±0.3 points of mIoU')]))


def study_text(path: Path, results: Mapping[str, Any]) -> str:
    """
    Lay out for a terminal what a study has found.

    :param path: of its file, which names its kind.
    """
    (kind,) = (each for each in KINDS if each.name == path.stem)
    return '\n\n'.join(map(section_text, kind.sections(FoundStudy(kind, path.parent, results))))


def _printable(value: Any) -> Any:
    """Escape in all texts the bytes of file names that are not UTF-8; paths stay as they are."""
    if isinstance(value, str):
        return value.encode('utf-8', 'backslashreplace').decode()
    if isinstance(value, (list, tuple)):
        parts = map(_printable, value)
        return value._make(parts) if hasattr(value, '_make') else type(value)(parts)
    if is_dataclass(value):
        return replace(value, **{each.name: _printable(getattr(value, each.name))
                                 for each in fields(value)})
    return value


def _sections(study: FoundStudy) -> list[Section]:
    name = study.kind.name
    with as_written(study.folder / f'{name}.json', f'ubcn study {name}'):
        return [*study.kind.sections(study)]

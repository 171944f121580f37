# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report of the studies as one PDF, set by Typst, which brings its own fonts."""

from __future__ import annotations

import json
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from ubcn_ros.images.fonts import font_with
from ubcn_ros.report.charts import Chart
from ubcn_ros.study.report.content import Block, Section, StudyReport

_CHART_STYLE = """<style>
polyline { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
circle { fill: currentColor; }
line { stroke: #dfe3e7; }
text { fill: #4a535c; font-family: "Libertinus Serif", serif; font-size: 12px; }
g text { fill: currentColor; }
.dashed polyline { stroke-dasharray: 5 4; }
.middle { text-anchor: middle; } .end { text-anchor: end; }
.l0 { color: #1f6fd1; } .l1 { color: #c8600a; } .l2 { color: #1f8a5b; }
.l3 { color: #a83f86; } .l4 { color: #6b57d6; } .l5 { color: #7a828b; }
</style>"""


def pdf(report: StudyReport) -> bytes:
    """
    Set a report in pages of A4.

    :raises ValueError: Typst is not installed; a picture of a study is not there, or not one.
    """
    try:
        import typst
    except ImportError as error:
        raise ValueError("the PDF is set by Typst, which is not installed: pip install "
                         "'typst>=0.14' or leave it out (--no-pdf)") from error
    files: dict[str, bytes] = {
        'main.typ': resources.files(__package__).joinpath('document.typ').read_bytes()}
    data = {'title': report.title, 'subtitle': report.subtitle, 'facts': report.facts,
            'tallies': [tally._asdict() for tally in report.tallies],
            'sections': [_section(section, files) for section in report.sections]}
    # a text as it is given is data, never markup
    files['data.json'] = json.dumps(data).encode()
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        try:
            return typst.compile(Path(folder) / 'main.typ', root=folder, ignore_system_fonts=True,
                                 font_paths=_further_fonts(data))
        except typst.TypstError as error:
            raise ValueError(f'the PDF cannot be set: {error.message}') from error


def _further_fonts(data: Any) -> list[Path]:
    """Return the folder of a font for letters beyond Latin, Greek and Cyrillic, if needed."""
    letters = ''.join(sorted({each for each in json.dumps(data, ensure_ascii=False)
                              if each > '\u052f' and each.isalpha()}))
    font = font_with(letters) if letters else None
    return [] if font is None else [font.parent]


def _section(section: Section, files: dict[str, bytes]) -> dict[str, Any]:
    return {**vars(section),
            'statements': [{**vars(each), 'verdict': each.verdict, 'word': each.word}
                           for each in section.statements],
            'blocks': [_block(block, files) for block in section.blocks]}


def _block(block: Block, files: dict[str, bytes]) -> dict[str, Any]:
    """Plain values of a block, and its pictures among the files."""
    if block.kind == 'charts':
        return {'kind': block.kind, 'charts': [
            {'title': each.title, 'y': each.y, 'note': each.note,
             'file': _added(files, _svg(each), '.svg')} for each in block.charts if each.drawn]}
    if block.kind == 'table':
        return {'kind': block.kind, 'title': block.title, 'columns': block.columns,
                'groups': block.groups, 'note': block.note,
                'rows': [[{'text': text, 'strong': (r, c) in block.strong}
                          for c, text in enumerate(row)] for r, row in enumerate(block.rows)]}
    for_print = block.path.with_suffix('.pdf')
    path = for_print if for_print.is_file() else block.path
    try:
        picture = path.read_bytes()
    except OSError as error:
        raise ValueError(f'{path}, a figure of a study, cannot be read: make it again') from error
    return {'kind': block.kind, 'caption': block.caption,
            'file': _added(files, picture, path.suffix)}


def _svg(chart: Chart) -> bytes:
    """Return a chart as a file of its own, with colours for white paper."""
    opened = '<svg xmlns="http://www.w3.org/2000/svg" '
    return chart.svg().replace('<svg ', opened, 1).replace('<title>', f'{_CHART_STYLE}<title>', 1
                                                           ).encode()


def _added(files: dict[str, bytes], data: bytes, suffix: str) -> str:
    name = f'{len(files)}{suffix}'
    files[name] = data
    return name

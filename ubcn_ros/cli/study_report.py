# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study report`: all studies as one page and one PDF."""

from __future__ import annotations

from pathlib import Path

import click

from ubcn_ros.cli.commands import Command, typed_command
from ubcn_ros.cli.param_types import OUTPUT_FOLDER, InputType

_RUNS = Path('runs')


@click.command(cls=Command)
@click.option('--study', 'folders', multiple=True, metavar='FOLDER',
              type=InputType(exists=True, file_okay=False, path_type=Path),
              help='Output folder of a study; may be repeated  [default: all of '
              f'{_RUNS}/study-*].')
@click.option('--out', type=OUTPUT_FOLDER, default='runs/study-report', show_default=True,
              help='Output folder.')
@click.option('--no-pdf', is_flag=True, help='Write only the HTML page; the PDF needs Typst.')
def report(folders: tuple[Path, ...], out: Path, no_pdf: bool) -> None:
    """
    Show all studies beside the paper, as one HTML page and one PDF.

    Where our figures agree with the paper's, where not, and by how much is computed from the files
    of the studies; explanations are marked as opinion. Missing or unfinished studies are listed
    with the command that runs them. OUT gets report.html, which loads nothing from elsewhere, and
    report.pdf.
    """
    from ubcn_ros.study.report.assemble import KINDS, study_report
    from ubcn_ros.study.report.page import html
    from ubcn_ros.study.report.pdf import pdf
    from ubcn_ros.study.report.sources import study_folders
    from ubcn_ros.whole_files import write_whole
    made = study_report(folders or study_folders(_RUNS, KINDS), typed_command())
    files = {'report.html': html(made).encode()}
    if not no_pdf:
        files['report.pdf'] = pdf(made)
    for tally in made.tallies:
        click.echo(f'{tally.title}: {tally.agree} {tally.words[0]}, {tally.differ} '
                   f'{tally.words[1]}, {tally.open} not known')
    for text, command in made.missing:
        click.echo(f'missing: {text}' + (f': {command}' if command else ''))
    for name, data in files.items():
        write_whole(out / name, data)
        click.echo(f'wrote {out / name}')

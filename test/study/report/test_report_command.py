# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study report`."""

import pytest
from command_line import ubcn
from made_up import STUDIES, written

from ubcn_ros.cli import study
from ubcn_ros.study.report.assemble import KINDS


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def called(*arguments):
        return ubcn('study', 'report', *arguments)
    return called


def test_all_studies_below_runs_are_shown(run, tmp_path):
    for name in STUDIES:
        written(tmp_path / 'runs', name)
    for other in ('begun', 'foo'):
        (tmp_path / f'runs/study-{other}').mkdir()
    (tmp_path / 'runs/study-foo/notes.json').write_text('{}')
    result = run()
    assert result.exit_code == 0, result.output
    assert 'Claims of the paper: 12 agree, 1 differ, 1 not known' in result.output
    assert 'Targets of this project: 4 reached' in result.output
    out = tmp_path / 'runs' / 'study-report'
    assert {path.name for path in out.iterdir()} == {'report.html', 'report.pdf'}
    assert run().exit_code == 0, 'its own folder is not a study'


def test_what_is_missing_is_said_with_its_command(run, tmp_path):
    folder = written(tmp_path, 'steps')
    result = run('--study', folder, '--out', 'out', '--no-pdf')
    assert result.exit_code == 0, result.output
    page = (tmp_path / 'out/report.html').read_text()
    for kind in KINDS:
        assert (f'ubcn study {kind.name}' in result.output) == (kind.name != 'steps')
        assert kind.title in page
    assert not (tmp_path / 'out/report.pdf').exists()
    assert run('--no-pdf').exit_code == 0, 'and where nothing is there'


@pytest.mark.parametrize(('text', 'complaint'), [
    (None, 'holds no study: expected one of degradations.json'), ('{', 'is not JSON'),
    ('{"settings": {}, "seconds": 0}', 'is not as `ubcn study methods` writes it')])
def test_a_folder_of_something_else_ends_in_one_line(run, tmp_path, text, complaint):
    (tmp_path / 'odd').mkdir()
    if text:
        (tmp_path / 'odd' / 'methods.json').write_text(text)
    result = run('--study', 'odd')
    assert result.exit_code == 1 and complaint in result.output.splitlines()[-1]
    assert not (tmp_path / 'runs').exists()


def test_every_study_has_a_section():
    assert {kind.name for kind in KINDS} == {*study.lazy} - {'report'}

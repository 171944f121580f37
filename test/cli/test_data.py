# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn data check`: what it prints, what it writes, and how it ends."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from camvid_folder import write_scene
from command_line import ubcn


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three images of noise in CamVid's layout, in which some classes are missing."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    rng = np.random.default_rng(0)
    for split, name in (('train', 'a'), ('train', 'b'), ('val', 'c')):
        write_scene(tmp_path / 'set', split, name, rng.integers(0, 256, (40, 48, 3), np.uint8),
                    rng.integers(0, 9, (40, 48), np.uint8))
    (tmp_path / 'set/data.yaml').write_text('format: camvid')
    return tmp_path / 'set'


def check(*arguments):
    return ubcn('data', 'check', *arguments)


def test_warnings_are_printed_and_end_with_0(folder, tmp_path):
    done = check(folder, '--json', tmp_path / 'report.json')
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[2].split() == ['set', 'train', '2', '2', '48x40']
    assert 'warning: train of set: no pixel of Pedestrian, Bicyclist: ' \
        'the model cannot learn it' in lines
    assert ['unlabeled', '0.00', '0.00'] in [line.split() for line in lines]
    assert '0 errors and 2 warnings in 3 images' in lines
    written = json.loads((tmp_path / 'report.json').read_text())
    assert written['counts'] == {'set': {'train': 2, 'val': 1}}
    assert [f['level'] for f in written['findings']] == ['warning', 'warning']
    assert len(written['fingerprints']['set']) == 64


def test_files_are_written_where_nothing_can_be_printed(folder, tmp_path, unheard):
    done = check(folder, '--json', tmp_path / 'report.json', '--sheet', tmp_path / 'sheet.html')
    assert done.exit_code == 1
    assert (tmp_path / 'report.json').exists() and (tmp_path / 'sheet.html').exists()


def test_errors_end_with_1_and_come_first(folder):
    (folder / 'val/images/c.png').write_bytes(b'')
    done = check(folder)
    assert done.exit_code == 1
    levels = [line.split(':')[0] for line in done.output.splitlines() if ': ' in line]
    assert levels == ['error', 'warning', 'warning']
    assert '1 error and 2 warnings in 3 images' in done.output


def test_a_check_imports_no_pytorch(folder):
    code = ('import sys\n'
            'from ubcn_ros.cli import main\n'
            f"main(['data', 'check', {str(folder)!r}], standalone_mode=False)\n"
            "print([n for n in ('torch', 'lightning', 'matplotlib') if n in sys.modules])")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == '[]'


def test_a_sheet_is_written_in_spite_of_errors(folder, tmp_path):
    (folder / 'val/images/c.png').write_bytes(b'')
    done = check(folder, '--sheet', tmp_path / 'sheet.html')
    assert done.exit_code == 1 and f'wrote {tmp_path / "sheet.html"}' in done.output
    assert 'damaged image' in (tmp_path / 'sheet.html').read_text()
    wrong = check(folder, '--sheet', tmp_path / 'sheet.png')
    assert wrong.exit_code == 2 and 'sheet.png' in wrong.output


def test_names_that_are_not_utf8_are_escaped(folder, tmp_path):
    strange = tmp_path / os.fsdecode(b'caf\xe9')
    folder.rename(strange)
    for kind in ('images', 'labels'):
        (strange / 'val' / kind / 'c.png').rename(
            strange / 'val' / kind / os.fsdecode(b'gar\xe7on.png'))
    done = check(strange, '--sheet', tmp_path / 'sheet.html', '--json', tmp_path / 'r.json')
    assert done.exit_code == 0, done.output
    assert r'warning: train of caf\udce9: ' in done.output
    assert r'gar\udce7on.png' in (tmp_path / 'sheet.html').read_text('utf-8')
    (strange / 'val/labels' / os.fsdecode(b'gar\xe7on.png')).unlink()
    done = check(strange)
    assert done.exit_code == 1 and r'gar\udce7on.png has no mask' in done.output

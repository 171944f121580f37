# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark startup`: a fresh process, its times, and its error."""

import json

import pytest
from click.testing import CliRunner

from ubcn_ros.cli.benchmark_startup import startup


def test_rows_of_fresh_processes(tiny_model, tmp_path):
    found = tmp_path / 'rows.json'
    result = CliRunner().invoke(startup, [
        '--model', str(tiny_model), '--device', 'cpu', '--precision', 'fp32', '--size', '64x48',
        '--runs', '1', '--threads', '1', '--json', str(found)])
    assert result.exit_code == 0, result.output
    rows = json.loads(found.read_text())
    assert [row['start'] for row in rows] == ['cold', 'warm 1']
    for row in rows:
        parts = row['import'] + row['load'] + row['first_frame']
        assert row['first_result'] == pytest.approx(parts) and min(
            row[k] for k in ('import', 'load', 'first_frame', 'second_frame')) > 0
    assert 'first result' in result.output and 'warm 1' in result.output


def test_a_wrong_size_is_named():
    result = CliRunner().invoke(startup, ['--size', '640'])
    assert result.exit_code != 0 and "'640' is not WIDTHxHEIGHT" in result.output

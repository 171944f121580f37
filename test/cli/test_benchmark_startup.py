# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark startup`: fresh processes, their times, and whether they agree."""

import json

import pytest
from click.testing import CliRunner

from ubcn_ros.benchmark import startup as benchmark
from ubcn_ros.cli.benchmark_startup import startup


def test_rows_of_fresh_processes_that_agree(tiny_model, tmp_path):
    found = tmp_path / 'rows.json'
    result = CliRunner().invoke(startup, [
        '--model', str(tiny_model), '--device', 'cpu', '--precision', 'fp32', '--size', '64x48',
        '--runs', '1', '--threads', '1', '--backend', 'graphs', '--json', str(found)])
    assert result.exit_code == 0, result.output
    rows = json.loads(found.read_text())
    assert [row['start'] for row in rows] == ['cold', 'warm 1']
    for row in rows:
        assert row['first_result'] == pytest.approx(sum(row[k] for k in benchmark.PHASES))
        assert min(row[k] for k in benchmark.PHASES) > 0 == row['timed']
        assert (row['backend'], row['device']) == ('graphs', 'cpu')
        assert row['log']
    assert rows[0]['outputs'] == rows[1]['outputs']
    assert 'first result' in result.output and 'warm 1' in result.output
    assert 'all 2 starts give the same outputs, bit for bit' in result.output


def test_a_backend_that_prepares_nothing_logs_nothing(tiny_model, one_thread):
    found = benchmark.probe({
        'model': str(tiny_model), 'device': 'cpu', 'precision': 'fp32', 'backend': 'eager',
        'fused': True, 'autotune': True, 'processing_size': 0, 'threads': 1, 'height': 48,
        'width': 64, 'iterations': 1})
    assert (found['backend'], found['device']) == ('eager', 'cpu')
    assert found['log'] == [] and found['timed'] == 0
    assert [*found['marks']] == [*benchmark.PHASES]
    assert sorted(found['marks'].values()) == [*found['marks'].values()]


@pytest.fixture
def rows(monkeypatch):
    """Of three starts, the last of which gives other outputs."""
    rows = [{'start': f'{number}', 'outputs': outputs, 'timed': 0, 'backend': 'graphs',
             'device': 'cuda:0', 'first_result': 1.0, **dict.fromkeys(benchmark.PHASES, 0.2)}
            for number, outputs in enumerate('aab')]
    monkeypatch.setattr(benchmark, 'start_repeatedly', lambda *_, **__: rows)
    return rows


def test_a_start_that_differs_is_an_exit_code(rows):
    result = CliRunner().invoke(startup, [])
    assert result.exit_code == 1
    assert '1 of 3 starts give other outputs than the first' in result.output


def test_rows_are_written_where_nothing_can_be_printed(rows, tmp_path, unheard):
    found = tmp_path / 'rows.json'
    assert CliRunner().invoke(startup, ['--json', str(found)]).exit_code == 1
    assert json.loads(found.read_text()) == rows


def test_the_starts_before_one_that_fails_are_kept(rows, tmp_path, monkeypatch):
    def failing(*_, **__):
        yield from rows[:2]
        raise ValueError('no memory is left')
    monkeypatch.setattr(benchmark, 'start_repeatedly', failing)
    found = tmp_path / 'rows.json'
    result = CliRunner().invoke(startup, ['--json', str(found)])
    assert result.exit_code == 1 and 'Error: no memory is left' in result.output
    assert json.loads(found.read_text()) == rows[:2]

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command around the benchmark of the node: its options, its table and its verdict."""

import json

import pytest
from click.testing import CliRunner

from ubcn_ros.bags.live.client import NoAnswerError
from ubcn_ros.bags.live.node_process import ReplayError
from ubcn_ros.cli import benchmark
from ubcn_ros.cli.benchmark_node import latency_line, side_by_side


def test_columns_are_laid_out_side_by_side():
    text = side_by_side({'one': {'sent': 10, 'latency_ms': {'p50': 1.5}},
                  'other': {'sent': 9, 'latency_ms': None}})
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ['one', 'other']
    assert lines[2:] == [['sent', '10', '9'], ['latency_ms', 'p50', '1.5', '-']]


def test_a_peak_is_of_the_transport_that_is_asked_for(monkeypatch):
    monkeypatch.setattr('ubcn_ros.benchmark.node.find_peak', lambda load, _: {
        'peak_hz': 40.0 if load.shared_memory else 20.0})
    for more, peak in ([], '40.0'), (['--transport', 'default'], '20.0'):
        result = CliRunner().invoke(benchmark, ['node', '--peak', '--stand-in', '5', *more])
        assert ['peak_hz', peak] in [line.split() for line in result.output.splitlines()]


def test_help_names_the_commands():
    result = CliRunner().invoke(benchmark, ['--help'])
    assert result.exit_code == 0 and 'node' in result.output


@pytest.mark.parametrize('within, verdict', [(True, 'pass'), (False, 'FAIL')])
def test_the_verdict_on_the_age_gives_its_figures(within, verdict):
    line = latency_line('one', {'within': within, 'max': 70.0, 'period': 33.3, 'inference': 50.5})
    assert line.startswith('one: ') and verdict in line and '70.0 ms' in line
    assert '33.3 + 50.5 ms' in line
    assert 'not measured' in latency_line('one', {'within': None})


def test_a_transport_that_loses_everything_has_an_exit_code_of_its_own(monkeypatch, tmp_path):
    def stream(load, progress):
        raise NoAnswerError('waited 60 s in vain')

    monkeypatch.setattr('ubcn_ros.benchmark.node.stream', stream)
    out = tmp_path / 'figures.json'
    result = CliRunner().invoke(benchmark, ['node', '--stand-in', '5', '--json', str(out)])
    assert result.exit_code == 3 and 'waited 60 s in vain' in result.output
    assert not out.exists()


def test_what_was_measured_before_a_failure_is_shown_and_written(monkeypatch, tmp_path):
    def stream(load, progress):
        if load.cameras > 1:
            raise ReplayError('the node ended with exit code 1')
        return {'sent': load.cameras}

    monkeypatch.setattr('ubcn_ros.benchmark.node.stream', stream)
    out = tmp_path / 'figures.json'
    result = CliRunner().invoke(benchmark, ['node', '--json', str(out), '--cameras', '1',
                                            '--cameras', '2', '--stand-in', '5'])
    assert result.exit_code == 1
    assert json.loads(out.read_text()) == {'by_cameras': {'1 camera': {'sent': 1}}}
    assert ['sent', '1'] in [line.split() for line in result.output.splitlines()]
    assert 'ended with exit code 1' in result.output.splitlines()[-1]


def test_figures_are_written_where_nothing_can_be_printed(monkeypatch, tmp_path, tiny_model,
                                                          unheard):
    figures = {'sent': 5, 'stages_ms': {'derain': {'p50': 2.0}}}
    monkeypatch.setattr('ubcn_ros.benchmark.node.stream', lambda *_: figures)
    out, picture = tmp_path / 'figures.json', tmp_path / 'stages.png'
    result = CliRunner().invoke(benchmark, [
        'node', '--model', str(tiny_model), '--json', str(out), '--picture', str(picture)])
    assert result.exit_code == 1
    assert json.loads(out.read_text()) == figures and picture.exists()


def test_figures_are_written_before_the_picture_is_drawn(monkeypatch, tmp_path, tiny_model):
    def draw(*_):
        raise ModuleNotFoundError("No module named 'matplotlib'", name='matplotlib')

    figures = {'sent': 5, 'stages_ms': {}}
    monkeypatch.setattr('ubcn_ros.benchmark.node.stream', lambda *_: figures)
    monkeypatch.setattr('ubcn_ros.images.plots.stacked_bars', draw)
    out = tmp_path / 'figures.json'
    result = CliRunner().invoke(benchmark, [
        'node', '--model', str(tiny_model), '--json', str(out),
        '--picture', str(tmp_path / 'stages.png')])
    assert result.exit_code == 1 and "pip install 'ubcn_ros[train]'" in result.output
    assert json.loads(out.read_text()) == figures

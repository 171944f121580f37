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


@pytest.mark.parametrize('more, refused', [
    ([], False), (['--transport', 'default'], False), (['--frames', '9'], True),
    (['--transport', 'both'], True)])
def test_a_peak_is_searched_by_one_transport(monkeypatch, more, refused):
    monkeypatch.setattr('ubcn_ros.benchmark.node.find_peak', lambda *_: 1 / 0)
    result = CliRunner().invoke(benchmark, ['node', '--peak', '--device', 'cpu', *more])
    assert ('leave --frames' in result.output) == refused
    assert isinstance(result.exception, ZeroDivisionError) != refused


def test_help_names_the_commands():
    result = CliRunner().invoke(benchmark, ['--help'])
    assert result.exit_code == 0 and 'node' in result.output


@pytest.mark.parametrize('within, verdict', [(True, 'pass'), (False, 'FAIL')])
def test_the_verdict_on_the_age_gives_its_figures(within, verdict):
    line = latency_line('one', {'within': within, 'max': 70.0, 'period': 33.3, 'inference': 50.5})
    assert line.startswith('one: ') and verdict in line and '70.0 ms' in line
    assert '33.3 + 50.5 ms' in line
    assert 'not measured' in latency_line('one', {'within': None})


@pytest.mark.parametrize('transport, code', [('both', 0), ('default', 3), ('shared-memory', 0)])
def test_a_transport_that_loses_everything_is_told_and_compared_with_nothing(
        monkeypatch, tmp_path, tiny_model, transport, code):
    figures = {'sent': 5, 'latency_bound_ms': {'within': None}}

    def stream(load, progress):
        if not load.shared_memory:
            raise NoAnswerError('waited 60 s in vain')
        return figures

    monkeypatch.setattr('ubcn_ros.benchmark.node.stream', stream)
    out = tmp_path / 'figures.json'
    result = CliRunner().invoke(benchmark, [
        'node', '--model', str(tiny_model), '--transport', transport, '--json', str(out)])
    assert result.exit_code == code, result.output
    assert ('not one image came through' in result.output) == (transport == 'both')
    assert out.exists() == (code == 0)
    if transport == 'both':
        assert json.loads(out.read_text()) == {**figures, 'without_shared_memory': None}


@pytest.mark.parametrize('arguments, written', [
    (['--transport', 'both'], {'sent': 1}),
    (['--cameras', '1,2', '--stand-in', '5'], {'by_cameras': {'1 camera': {'sent': 1}}})], ids=str)
def test_what_was_measured_before_a_failure_is_shown_and_written(monkeypatch, tmp_path, tiny_model,
                                                                 arguments, written):
    def stream(load, progress):
        if load.cameras > 1 or not load.shared_memory:
            raise ReplayError('the node ended with exit code 1')
        return {'sent': load.cameras}

    monkeypatch.setattr('ubcn_ros.benchmark.node.stream', stream)
    out = tmp_path / 'figures.json'
    if '--stand-in' not in arguments:
        arguments = [*arguments, '--model', str(tiny_model)]
    result = CliRunner().invoke(benchmark, ['node', '--json', str(out), *arguments])
    assert result.exit_code == 1 and json.loads(out.read_text()) == written
    assert ['sent', '1'] in [line.split() for line in result.output.splitlines()]
    assert 'ended with exit code 1' in result.output.splitlines()[-1]


def test_figures_are_written_where_nothing_can_be_printed(monkeypatch, tmp_path, tiny_model,
                                                          unheard):
    figures = {'sent': 5, 'stages_ms': {'derain': {'p50': 2.0}}}
    monkeypatch.setattr('ubcn_ros.benchmark.node.stream', lambda *_: figures)
    out, picture = tmp_path / 'figures.json', tmp_path / 'stages.png'
    result = CliRunner().invoke(benchmark, [
        'node', '--model', str(tiny_model), '--transport', 'shared-memory', '--json', str(out),
        '--picture', str(picture)])
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
        'node', '--model', str(tiny_model), '--transport', 'shared-memory', '--json', str(out),
        '--picture', str(tmp_path / 'stages.png')])
    assert result.exit_code == 1 and "pip install 'ubcn_ros[train]'" in result.output
    assert json.loads(out.read_text()) == figures

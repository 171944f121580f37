# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command around the benchmark of the node: its options, its table and its verdict."""

import pytest
from click.testing import CliRunner

from ubcn_ros.evaluation.benchmark_command import benchmark


def test_columns_are_laid_out_side_by_side():
    pytest.importorskip('rclpy')
    from ubcn_ros.node_benchmark_command import table
    text = table({'one': {'sent': 10, 'latency_ms': {'p50': 1.5}},
                  'other': {'sent': 9, 'latency_ms': None}})
    lines = [line.split() for line in text.splitlines()]
    assert lines == [['one', 'other'], ['sent', '10', '9'], ['latency_ms', 'p50', '1.5', '-']]


@pytest.mark.parametrize('arguments, told', [
    (['--size', '640'], 'is no WIDTHxHEIGHT'), (['--size', '640x16'], 'at least 32x32'),
    (['--frames', '0'], 'frames'), (['--rate', '0'], 'rate')])
def test_what_cannot_be_sent_is_refused(arguments, told):
    result = CliRunner().invoke(benchmark, ['node', *arguments])
    assert result.exit_code == 2 and told in result.output


def test_help_names_the_commands():
    result = CliRunner().invoke(benchmark, ['--help'])
    assert result.exit_code == 0 and 'node' in result.output


@pytest.mark.parametrize('within, verdict', [(True, 'pass'), (False, 'FAIL')])
def test_the_verdict_on_the_age_gives_its_figures(within, verdict):
    pytest.importorskip('rclpy')
    from ubcn_ros.node_benchmark_command import age_line
    line = age_line('one', {'within': within, 'max': 70.0, 'period': 33.3, 'inference': 50.5})
    assert line.startswith('one: ') and verdict in line and '70.0 ms' in line
    assert '33.3 + 50.5 ms' in line
    assert 'not measured' in age_line('one', {'within': None})

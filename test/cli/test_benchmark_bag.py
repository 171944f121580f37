# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark bag`, small: every figure is told, and what is wrong ends in an error."""

import json

import pytest
from click.testing import CliRunner

from ubcn_ros.cli.benchmark_bag import bag


@pytest.mark.parametrize('name', ['stamps_equal', 'copied_identical'])
def test_an_output_that_is_not_as_it_should_be_is_an_error(tmp_path, monkeypatch, name):
    whole = dict.fromkeys(('stamps_equal', 'stamps_compared', 'copied_identical', 'copied',
                           'frames_per_s', 'engine_frames_per_s', 'share', 'took_s'), 5)
    figures = {**whole, 'busy_s': {}, name: 4}
    monkeypatch.setattr('ubcn_ros.benchmark.bag.measure', lambda *_: figures)
    found = tmp_path / 'figures.json'
    result = CliRunner().invoke(bag, ['--json', str(found)])
    assert result.exit_code == 1 and '4 of 5' in result.output
    assert json.loads(found.read_text()) == figures


def test_figures_are_written_where_nothing_can_be_printed(tmp_path, monkeypatch, unheard):
    figures = {'busy_s': {}, **dict.fromkeys((
        'stamps_equal', 'stamps_compared', 'copied_identical', 'copied', 'frames_per_s',
        'engine_frames_per_s', 'share', 'took_s'), 5)}
    monkeypatch.setattr('ubcn_ros.benchmark.bag.measure', lambda *_: figures)
    found = tmp_path / 'figures.json'
    assert CliRunner().invoke(bag, ['--json', str(found)]).exit_code == 1
    assert json.loads(found.read_text()) == figures


@pytest.mark.slow
@pytest.mark.usefixtures('one_thread')
def test_all_figures_are_told(tiny_model, tmp_path):
    found = tmp_path / 'figures.json'
    result = CliRunner().invoke(bag, [
        '--model', str(tiny_model), '--device', 'cpu', '--precision', 'fp32', '--iterations', '1',
        '--frames', '12', '--size', '64x48', '--threads', '1', '--work', str(tmp_path / 'work'),
        '--json', str(found)])
    assert result.exit_code == 0, result.output
    figures = json.loads(found.read_text())
    assert figures['stamps_equal'] == figures['stamps_compared'] == 2 * 14 + 12
    assert figures['copied_identical'] == figures['copied'] == 12 * 6 + 2
    assert figures['frames'] == 14 and figures['share'] > 0
    for text in ('40 of 40 outputs', '74 of 74 messages', 'the bare engine'):
        assert text in result.output
    assert list((tmp_path / 'work').iterdir()) == []

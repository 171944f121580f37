# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark bag`, small: a run that is killed goes on, and every figure is told."""

import json

import pytest
from click.testing import CliRunner

from ubcn_ros.bags import BagError
from ubcn_ros.cli.benchmark_bag import bag


def test_what_was_measured_is_kept_whatever_comes_of_the_rest(tmp_path, monkeypatch):
    whole = dict.fromkeys(('stamps_equal', 'stamps_compared', 'copied_identical', 'copied',
                           'frames_per_s', 'engine_frames_per_s', 'share', 'took_s'), 1)

    def peak(load, _folder):
        if load.frames == 9:
            raise BagError('a run ended with exit code 3')
        return 100.0 + load.frames
    for name, fake in (('measure', lambda *_: ({**whole, 'busy_s': {}}, tmp_path, tmp_path)),
                       ('small_model', lambda _: tmp_path), ('peak_memory_mib', peak)):
        monkeypatch.setattr(f'ubcn_ros.benchmark.bag.{name}', fake)
    found = tmp_path / 'figures.json'
    result = CliRunner().invoke(bag, ['--kills', '', '--memory-frames', '5,5,9', '--json',
                                      str(found)])
    assert result.exit_code == 1 and 'exit code 3' in result.output.splitlines()[-1]
    assert result.output.count('the memory of 5') == 1, 'the same would be the same work again'
    assert 'memory, 5 small frames: 105.0 MiB' in result.output
    assert json.loads(found.read_text())['memory_mib'] == {'5': 105.0}


@pytest.mark.slow
@pytest.mark.usefixtures('one_thread')
def test_a_killed_run_ends_as_one_that_was_not(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    found = tmp_path / 'figures.json'
    result = CliRunner().invoke(bag, [
        '--model', str(tiny_model), '--device', 'cpu', '--precision', 'fp32', '--iterations', '1',
        '--frames', '30', '--size', '64x48', '--kills', '30', '--memory-frames', '',
        '--threads', '1', '--work', str(tmp_path / 'work'), '--json', str(found)])
    assert result.exit_code == 0, result.output
    figures = json.loads(found.read_text())
    (kill,) = figures['kills']
    assert kill['messages'] == kill['identical'] == figures['copied'] + 2 * 33 + 30 + 2
    assert figures['stamps_equal'] == figures['stamps_compared'] == 2 * 33 + 30
    assert figures['copied_identical'] == figures['copied'] == 30 * 6 + 3
    assert figures['frames'] == 33 and figures['share'] > 0
    for text in ('96 of 96 outputs', '183 of 183 messages', 'the bare engine', 'killed at 30 %'):
        assert text in result.output
    assert list((tmp_path / 'work').iterdir()) == []

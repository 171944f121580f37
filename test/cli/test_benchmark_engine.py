# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark engine`: rows, their keys and their files, on a small model."""

import json

import pytest
import torch
from click.testing import CliRunner
from random_images import cloudy_images

from ubcn_ros.benchmark.engine import TimedCall
from ubcn_ros.benchmark.roofline import Ceilings
from ubcn_ros.cli.benchmark_engine import engine

KEYS = {'name', 'height', 'width', 'iterations', 'precision', 'backend', 'device', 'p50_ms',
        'p95_ms', 'peak_mib', 'images_per_s', 'stages_ms', 'frames'}


@pytest.fixture
def run(tiny_model, monkeypatch):
    # the real ceilings take seconds to measure
    monkeypatch.setattr('ubcn_ros.benchmark.roofline.measure_ceilings',
                        lambda *_: Ceilings(1e12, 1e12))
    monkeypatch.setattr('ubcn_ros.benchmark.engine.rainy_images', cloudy_images)

    def invoke(*arguments):
        return CliRunner().invoke(engine, [
            '--model', str(tiny_model), '--device', 'cpu', '--size', '64x48', '--frames', '3',
            *map(str, arguments)])
    return invoke


def test_rows_of_sizes_steps_and_precisions_with_the_baseline(run, tmp_path):
    found, picture = tmp_path / 'rows.json', tmp_path / 'rows.svg'
    result = run('--size', '80x40', '--iterations', 1, '--iterations', 2, '--precision', 'fp32',
                 '--baseline', 'prenet', '--json', found, '--picture', picture)
    assert result.exit_code == 0, result.output
    rows = json.loads(found.read_text())
    assert [(r['name'], r['width'], r['height'], r['iterations']) for r in rows] == [
        (name, *size, t) for size in ((64, 48), (80, 40))
        for name, t in (('tiny', 1), ('tiny', 2), ('prenet', 1))]
    for row in rows:
        assert KEYS <= set(row) and 0 < row['p50_ms'] <= row['p95_ms']
        assert (row['precision'], row['device'], row['frames']) == ('fp32', 'cpu', 3)
        assert 0 <= row['peak_mib'] < 50, 'of an image, not of the process'
    one, two, baseline = rows[:3]
    assert one['stages_ms']['attend']['p50'] == 0 < two['stages_ms']['attend']['p50']
    assert set(one['roofline_share']) == {'derain', 'segment'}
    assert two['roofline_ms']['derain'] == one['roofline_ms']['derain']
    assert two['roofline_ms']['segment'] == pytest.approx(2 * one['roofline_ms']['segment'],
                                                          abs=0.002)
    assert one['speed_up'] > 0 and baseline['precision'] == 'fp32' and 'speed_up' not in baseline
    for name in ('tiny', 'prenet', 'segment'):
        assert name in result.output
    assert '<svg' in picture.read_text()


def test_sizes_measured_before_one_that_fails_are_kept(run, tmp_path, monkeypatch):
    from ubcn_ros.benchmark import engine as module
    whole = module.measure

    def no_memory(rows, size, *given):
        if size == (80, 40):
            raise RuntimeError('CUDA out of memory')
        whole(rows, size, *given)

    monkeypatch.setattr(module, 'measure', no_memory)
    found = tmp_path / 'rows.json'
    result = run('--size', '80x40', '--iterations', 1, '--precision', 'fp32', '--json', found)
    assert result.exit_code == 1 and '64x48' in result.output
    assert [row['width'] for row in json.loads(found.read_text())] == [64]


@pytest.mark.parametrize(('ends', 'frames'), [('measure', 2), ('peak', 3)])
def test_images_timed_before_a_signal_count(run, tmp_path, monkeypatch, ends, frames):
    measure, found = TimedCall.measure, tmp_path / 'rows.json'

    def stopped(*_):
        raise KeyboardInterrupt

    def stopped_in_the_third(one, image):
        if one.row['name'] == 'prenet' and len(one.times) == 2:
            raise KeyboardInterrupt
        measure(one, image)

    if ends == 'peak':
        monkeypatch.setattr('ubcn_ros.runtime.peak_memory.peak_mib', stopped)
    else:
        monkeypatch.setattr(TimedCall, 'measure', stopped_in_the_third)
    result = run('--iterations', 1, '--precision', 'fp32', '--baseline', 'prenet', '--json', found)
    assert result.exit_code == 130 and f'{frames} images a row' in result.output, result.output
    rows = json.loads(found.read_text())
    assert [(row['name'], row['frames']) for row in rows] == [('tiny', frames), ('prenet', frames)]
    assert rows[0]['speed_up'] > 0


def test_the_waterfall_adds_one_optimisation_after_the_other(run, tmp_path):
    found = tmp_path / 'rows.json'
    result = run('--waterfall', '--iterations', 1, '--precision', 'bf16', '--json', found,
                 '--processing-size', 0, '--processing-size', 32)
    assert result.exit_code == 0, result.output
    rows = json.loads(found.read_text())
    assert [row['optimisation'] for row in rows] == [
        'fp32, layers as trained', '+ batch normalisation folded', '+ channels last',
        '+ paths mixed in strips', '+ bf16', '+ fused kernels'] * 2
    assert [row['speed_up'] for row in rows[::6]] == [1, 1], 'of the same work'
    assert all(row['speed_up'] > 0 for row in rows)


def test_rows_name_the_backend_that_ran(run, tmp_path, monkeypatch):
    from ubcn_ros.runtime.backends import graphs as graph_backend
    monkeypatch.setattr(graph_backend, 'check', None)  # not callable: no recording passes
    found = tmp_path / 'rows.json'
    result = run('--iterations', 1, '--precision', 'fp32', '--backend', 'graphs', '--json', found)
    assert result.exit_code == 0, result.output
    assert json.loads(found.read_text())[0]['backend'] == 'eager'


@pytest.mark.parametrize('arguments, told', [
    (['--picture', 'rows.gif'], "'rows.gif' ends in none of .png"),
    (['--path-threshold', '0.02'], '--path-threshold is for random weights'),
    (['--preset', 'paper'], '--preset is for random weights'),
    (['--waterfall', '--backend', 'eager'], 'leave out --backend'),
    (['--waterfall', '--precision', 'fp32', '--precision', 'bf16'], 'with one --precision'),
    (['--baseline-precision', 'bf16'], '--baseline-precision bf16 is of a --baseline: give one'),
    (['--path-threshold', '1'], '1.0 is not in the range 0<x<1')])
def test_errors_name_the_value(run, arguments, told):
    result = run(*arguments)
    assert result.exit_code != 0 and told in result.output and 'Traceback' not in result.output


@pytest.mark.parametrize('asked', [False, True])
def test_cudnn_times_its_algorithms_on_request_alone(run, monkeypatch, asked):
    monkeypatch.setattr(torch.backends.cudnn, 'benchmark', not asked)
    seen = []
    monkeypatch.setattr('ubcn_ros.benchmark.engine.measure', lambda *_: seen.append(
        torch.backends.cudnn.benchmark))
    result = run(*['--cudnn-benchmark'] * asked)
    assert result.exit_code == 0 and seen == [asked], result.output

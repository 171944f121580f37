# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark equality`: what is compared, what is left out, and the exit code."""

import json
import sys

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from ubcn_ros.cli.benchmark_equality import equality


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for name in ('0.png', '1.jpeg', '2.bmp'):
        assert cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (48, 64, 3), np.uint8))
    return tmp_path


def invoke(*arguments):
    return CliRunner().invoke(equality, [*map(str, arguments), '--device', 'cpu'])


def test_the_command_compares_and_leaves_out_what_is_not_to_be_had(tiny_model, images, tmp_path,
                                                                   monkeypatch):
    found = tmp_path / 'rows.json'
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    result = invoke(images, '--model', tiny_model, '--precision', 'fp32', '--backend', 'eager',
                    '--backend', 'onnxruntime', '--iterations', 2, '--every', 2, '--json', found)
    assert result.exit_code == 0, result.output
    assert 'left out: onnxruntime, fp32: the onnxruntime backend needs' in result.output
    (row,) = json.loads(found.read_text())
    assert (row['images'], row['iterations'], row['labels'], row['equal']) == (2, 2, 100, True)


def test_rows_before_a_failure_are_written_and_where_nothing_can_be_printed(
        tiny_model, images, tmp_path, monkeypatch, unheard):
    from ubcn_ros.benchmark import equality as benchmark
    measure, found = benchmark.measure_equality, tmp_path / 'rows.json'

    def fails_at_2(engines, reference, files, iterations, *more):
        if iterations == 2:
            raise MemoryError('Unable to allocate 3 TiB')
        measure(engines, reference, files, iterations, *more)

    monkeypatch.setattr(benchmark, 'measure_equality', fails_at_2)
    result = invoke(images, '--model', tiny_model, '--precision', 'fp32', '--iterations', 1,
                    '--iterations', 2, '--json', found)
    assert result.exit_code == 1
    assert [row['iterations'] for row in json.loads(found.read_text())] == [1]


def test_images_before_a_signal_count(tiny_model, images, tmp_path, monkeypatch):
    from ubcn_ros.images import files
    read, found = files.read_image, tmp_path / 'rows.json'

    def stopped_at_the_last(path):
        if path.name == '2.bmp':
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(files, 'read_image', stopped_at_the_last)
    result = invoke(images, '--model', tiny_model, '--precision', 'fp32', '--iterations', 1,
                    '--json', found)
    assert result.exit_code == 130 and '2 images, ' in result.output
    (row,) = json.loads(found.read_text())
    assert row['images'] == 2 and row['equal']


def test_what_differs_ends_with_one(tiny_model, images, monkeypatch):
    monkeypatch.setattr('ubcn_ros.benchmark.equality.MIN_LABELS', 101)
    result = invoke(images, '--model', tiny_model, '--precision', 'fp32', '--iterations', 1)
    assert result.exit_code == 1 and 'no' in result.output.split()


def test_nothing_to_compare_is_named(tiny_model, images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    result = invoke(images, '--model', tiny_model, '--backend', 'onnxruntime')
    assert result.exit_code == 1 and 'no backend and precision is left' in result.output
    (tmp_path / 'empty').mkdir()
    result = invoke(tmp_path / 'empty', '--model', tiny_model)
    assert result.exit_code == 1 and 'holds no images' in result.output


def test_the_reference_is_not_fused(tiny_model, images, monkeypatch):
    from ubcn_ros.runtime import Engine
    load, fused = Engine.load, []

    def noted(*arguments, **options):
        fused.append(options.get('fused', True))
        return load(*arguments, **options)

    monkeypatch.setattr(Engine, 'load', noted)
    result = invoke(images, '--model', tiny_model, '--precision', 'fp32', '--backend', 'eager')
    assert result.exit_code == 0, result.output
    assert fused == [False, True], 'the reference first'

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What differs between engines: figures worked out by hand, and the verdict."""

import numpy as np
import pytest
import torch

from ubcn_ros.benchmark.equality import compare, measure_equality
from ubcn_ros.data.drive.drive import drive_clip
from ubcn_ros.runtime import Engine, Frame
from ubcn_ros.runtime.installed import DEFAULT_MODEL

ON_A_GPU = (pytest.mark.gpu, pytest.mark.timeout(600))


def frame(value, label, shape=(32, 50)):
    return Frame(np.full((*shape, 3), value, np.uint8), np.full(shape, label, np.uint8), None, 1,
                 working_size=shape)


def test_compare_by_hand():
    ours, theirs = frame(10, 1), frame(12, 1)
    ours.derained[0, 0] = 20  # 3 of 32 * 50 * 3 values differ by 8, the rest by 2
    ours.labels[0, :8] = 2
    found = compare(ours, theirs)
    assert found['difference'] == pytest.approx((3 * 8 + (4800 - 3) * 2) / 4800)
    assert found['largest'] == 8 and found['labels'] == pytest.approx(100 - 0.5)


def test_compare_refuses_other_sizes():
    with pytest.raises(ValueError, match='derained is uint8'):
        compare(frame(0, 0), frame(0, 0, (32, 51)))


def test_the_reference_is_of_full_precision_and_by_cudnn():
    flags = []

    def reference(image, iterations):
        flags.append((torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32))
        return frame(10, 1)
    before = torch.backends.cudnn.allow_tf32
    measure_equality([], reference, [np.zeros((32, 50, 3), np.uint8)], 1, rows := [])
    assert rows == []
    assert flags == [(True, False)] and torch.backends.cudnn.allow_tf32 == before


def test_the_worst_image_decides(tiny_model):
    reference = Engine.load(tiny_model, 'cpu', 'fp32')
    calls, warmed = [], []

    class Other:
        backend, precision, device = 'other', 'fp32', 'cpu'

        def warm_up(self, height, width):
            warmed.append((height, width))

        def __call__(self, image, iterations):
            result = reference(image, iterations)
            calls.append(iterations)
            if len(calls) == 2:  # one image of two: 16 of 3072 labels, 0.52 %
                result.labels[:16, 0] += 1
            return result

    pictures = list(np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8))
    measure_equality([reference, Other()], reference, pictures, 2, rows := [])
    same, other = rows
    assert same['equal'] and same['difference'] == 0 and same['labels'] == 100
    assert calls == [2, 2] and not other['equal']
    assert warmed == [(48, 64)], 'or the first image would be computed eagerly'
    assert other['worst_labels'] == pytest.approx(100 - 100 * 16 / 3072)
    assert other['labels'] == pytest.approx(100 - 50 * 16 / 3072) and other['labels'] > 99.5


def rainy_images(*sizes):
    """Render a frame of a rainy drive in each of these sizes (H, W)."""
    return [next(drive_clip(3, 1, 15, *size, 120.0)) for size in sizes]


@pytest.mark.parametrize(('device', 'backend', 'precision', 'sizes'), [
    ('cpu', 'graphs', 'bf16', [(144, 192)]),
    *(pytest.param('cuda', *engine, [(360, 640), (720, 1280), (1080, 1920)], marks=ON_A_GPU)
      for engine in (('eager', 'fp32'), ('eager', 'fp16'), ('eager', 'bf16'), ('graphs', 'fp32'),
                     ('graphs', 'fp16'), ('graphs', 'bf16'), ('compiled', 'fp16'),
                     ('onnxruntime', 'fp32'), ('onnxruntime', 'fp16')))])
def test_every_engine_gives_what_eager_fp32_gives(device, backend, precision, sizes, tmp_path,
                                                  monkeypatch):
    if backend == 'onnxruntime':
        pytest.importorskip('onnx')
        providers = pytest.importorskip('onnxruntime').get_available_providers()
        if 'CUDAExecutionProvider' not in providers:
            pytest.skip('onnxruntime has no CUDA provider')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    engine = Engine.load(DEFAULT_MODEL, device, precision, backend)
    reference = Engine.load(DEFAULT_MODEL, device, 'fp32', 'eager')
    images = rainy_images(*sizes)
    for iterations in (1, 3):
        measure_equality([engine], reference, images, iterations, rows := [])
        (row,) = rows
        assert row['equal'], row
        if precision != 'bf16':  # of 8 bits
            assert row['worst_difference'] <= 0.05 and row['worst_labels'] >= 99.9, row

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Times of the engine: their arithmetic, and the roofline, on a small model."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ubcn_ros.benchmark import engine as engine_benchmark
from ubcn_ros.benchmark.engine import TimedCall, speed_up
from ubcn_ros.benchmark.roofline import Ceilings, roofline_times


def test_a_ratio_is_the_median_of_the_turns():
    ours, theirs = (TimedCall({}, None, None, [{'total': t} for t in times])
                    for times in ((1, 2, 8), (4, 4, 4)))
    assert speed_up(ours, theirs) == 2 and speed_up(theirs, ours) == 0.5


def test_the_roofline_is_that_of_the_reference_modules(tiny_model, monkeypatch):
    monkeypatch.setattr('ubcn_ros.benchmark.roofline.measure_ceilings',
                        lambda *_: Ceilings(1e12, 1e12))
    image = np.zeros((48, 64, 3), np.uint8)
    (fast, fast_network), (reference, network) = (
        engine_benchmark.eager_engine(tiny_model, torch.device('cpu'), 'fp32',
                                      fast_attention=fast) for fast in (True, False))
    with roofline_times(network.attention, Ceilings(1e12, 1e12)) as seconds:
        reference(image, 2)
    found = engine_benchmark.roofline_ms(fast, image, 2)
    assert found['attend'] == pytest.approx(1e3 * sum(seconds))
    with roofline_times(fast_network.attention, Ceilings(1e12, 1e12)) as less:
        fast(image, 2)
    assert sum(less) < sum(seconds)  # the mix of the fast form is no convolution


def test_an_export_has_no_roofline(tmp_path):
    exported = SimpleNamespace(info=SimpleNamespace(path=tmp_path))
    assert engine_benchmark.roofline_ms(exported, None, 1) == {}


def test_presets_come_with_random_weights(tmp_path):
    opened = engine_benchmark.open_engine('light', None, tmp_path, device='cpu', precision='fp32')
    assert opened.info.config.label_set.num_classes == 19

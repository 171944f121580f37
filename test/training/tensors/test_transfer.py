# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers arrive as they are, and batches on a GPU do not wait for it."""

import numpy as np
import pytest
import torch

from ubcn_ros.training.sample_config import SampleConfig
from ubcn_ros.training.tensors.samples import TensorSamples
from ubcn_ros.training.tensors.transfer import to_device

CPU = torch.device('cpu')


@pytest.mark.parametrize(('values', 'dtype', 'shape'), [
    ([1, 2], torch.int64, (2,)), ([True, False], torch.bool, (2,)),
    ([np.eye(2), np.ones((2, 2))], torch.float32, (2, 2, 2)),
    (np.arange(6.0)[::-1], torch.float32, (6,))])
def test_values_arrive(values, dtype, shape):
    found = to_device(values, CPU, dtype)
    assert found.dtype == dtype and found.shape == shape
    np.testing.assert_array_equal(found, np.array(values))


@pytest.mark.gpu
def test_a_batch_on_a_gpu_waits_for_nothing_and_is_that_of_the_cpu(scene_list, street):
    scenes = scene_list(street, (street[0][:, ::-1].copy(), street[1]))
    config = SampleConfig(crop=(48, 64), on_device=True, short_sides=(48, 144), color_jitter=0.5,
                          strong_augmentation_probability=0.5, physical_rain_probability=0.5)
    samples = {kind: TensorSamples(scenes, config, 1, torch.device(kind))
               for kind in ('cpu', 'cuda')}
    batches = {kind: made.batch(range(24)) for kind, made in samples.items()}
    for name, expected in batches['cpu'].items():
        # rounding at a half, and the noise, are of the kind of device
        near = (batches['cuda'][name].cpu().int() - expected.int()).abs() <= 1
        assert near.float().mean() > (0.6 if name == 'degraded' else 0.99), name
    _ = samples['cuda'].streaks, samples['cuda'].paintings  # the first sample of theirs makes them
    torch.cuda.set_sync_debug_mode('error')
    try:
        samples['cuda'].batch(range(24, 48))
    finally:
        torch.cuda.set_sync_debug_mode('default')

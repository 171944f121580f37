# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All stages train on a GPU, a simulated one, which an optimizer step never waits for."""

import pytest
from lightning.fabric import Fabric
from simulated_cuda import on_gpu

from ubcn_ros.training.config import STAGES

SAMPLES = {'crop': [64, 80], 'on_device': True, 'short_sides': [64, 96], 'rain_probability': 0.8,
           'painted_rain_probability': 0.3, 'misty_rain_probability': 0.3, 'color_jitter': 0.5,
           'physical_rain_probability': 0.5, 'strong_augmentation_probability': 0.5,
           'class_mix_probability': 0.5, 'whole_frame_probability': 0.3, 'drive_share': 0.2,
           'balanced_crop_probability': 0.5, 'photometric_probability': 0.8, 'rotation_deg': 5,
           'drive_frames': 2}
LOSSES = {'psnr_weight': 0.01, 'rain_weight': 0.1, 'veil_weight': 0.5, 'boundary_weight': 1,
          'lovasz_weight': 0.5, 'derained_share': 0.5,
          'adversarial_weight': 1e-3, 'ema_decay': 0.9}


@pytest.fixture
def trainer(simulated_gpu, recipe, data, make_trainer, few_pictures):
    """Function that makes the trainer of a stage, with few pictures of rain."""
    def made(kind, **changes):
        # the discriminator needs features of 12x12 at stride 8
        samples = {**SAMPLES, 'crop': [96, 96]} if kind == 'adapt' else SAMPLES
        config = recipe(kind, {'samples': samples, **LOSSES, **changes})
        config.model.overrides.update(veil={'channels': 4})
        fabric = Fabric(accelerator='cuda', devices=1, precision='bf16-mixed')
        fabric.launch()
        return make_trainer(config, kind, validation=data.split('val'), fabric=fabric)
    return made


@pytest.mark.parametrize('kind', STAGES)
def test_a_step_waits_for_nothing(simulated_gpu, trainer, kind):
    made = trainer(kind, one_step=True)
    samples = made.samples()
    _ = samples.streaks, samples.paintings, samples.misty_rain, samples.class_places
    simulated_gpu.waits.clear()
    samples.batch(range(8))  # of all kinds
    batch = samples.batch(range(8, 10))
    for _ in range(2):
        loss, logs = made.train_step(batch)
    assert simulated_gpu.waits == []
    tensors = {**batch, **logs, 'loss': loss, **made.network.state_dict()}
    assert [name for name, value in tensors.items() if not on_gpu(value)] == []


def test_a_stage_is_validated_saved_and_resumed(trainer):
    made = trainer('joint', optimizer_steps=1, iterations=2)
    made.fit()
    assert {'psnr_150_T2', 'miou_0_T1', 'rate_150'} <= made.scores.keys()
    again = trainer('joint', optimizer_steps=1, iterations=2)
    assert again.resume() and again.optimizer_step == 1
    again.train_step(again.samples().batch(range(2)))
    assert all(map(on_gpu, again.network.state_dict().values()))

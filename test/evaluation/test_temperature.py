# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The temperature is found again that a confidence was spoilt by, at the last step."""

import pytest
import torch

from ubcn_ros.data.mixture import open_data
from ubcn_ros.evaluation.measure import LoadedModel, measure_scenes
from ubcn_ros.evaluation.temperature import calibrate, fit_temperature
from ubcn_ros.runtime import load_model, save_model


def sampled(count=20000, seed=0):
    """Logits, and truth drawn from their probabilities: their temperature is 1."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn((count, 6), generator=generator)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize('temperature', [0.2, 1.0, 1.7, 12.0])
def test_what_spoilt_the_confidence_is_found(temperature):
    logits, truth = sampled()
    assert fit_temperature(temperature * logits, truth) == pytest.approx(temperature, rel=0.03)


def test_labels_of_chance_have_no_temperature():
    logits, _ = sampled()
    truth = torch.randint(6, (len(logits),), generator=torch.Generator().manual_seed(1))
    worse = logits.argmin(1)
    for wrong in (truth, worse):
        with pytest.raises(ValueError, match='no better than chance'):
            fit_temperature(logits, wrong)


def test_what_is_calibrated_is_the_last_step(tiny_model, camvid_folder, tmp_path):
    network, _ = load_model(tiny_model)
    network.segmentation.classifier.weight.data.neg_()  # now it is right oftener than chance
    save_model(tmp_path / 'better.safetensors', network, {})
    model = LoadedModel.load(tmp_path / 'better.safetensors', 'cpu', 'fp32')
    scenes = open_data([camvid_folder]).split('val')
    found = calibrate(model, scenes, [0], [1], [150.0], 3)['rates']['150']
    steps = measure_scenes(model, scenes, [1], [150.0], 3)['rates']['150']['steps']
    assert found['accuracy'] == pytest.approx(steps[2]['accuracy'])
    assert found['ece_before'] == pytest.approx(steps[2]['ece'])
    assert steps[2]['ece'] != pytest.approx(steps[0]['ece'])

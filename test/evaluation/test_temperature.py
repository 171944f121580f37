# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The temperature is found again that a confidence was spoilt by."""

import pytest
import torch

from ubcn_ros.evaluation.temperature import fit_temperature


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

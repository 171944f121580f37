# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Colours change by each image's own curves."""

import cv2
import numpy as np
import pytest
import torch

from ubcn_ros.data.strong_augmentation import Recolouring
from ubcn_ros.training.tensors.colors import Jitter, jittered, recoloured


@pytest.mark.parametrize('strength', [0.0, 0.5, 1.0])
def test_jitter_is_that_of_the_table(street, strength):
    image = street[0]
    jitters = [Jitter.draw(strength, np.random.default_rng(n)) for n in (1, 2)]
    images = torch.from_numpy(image).permute(2, 0, 1)[None].float().repeat(2, 1, 1, 1)
    found = jittered(images, jitters).permute(0, 2, 3, 1).numpy()
    for jitter, seen in zip(jitters, found, strict=True):
        assert np.abs(seen - cv2.LUT(image, jitter.table())).max() <= 0.51
    color = np.array([0.2, 0.5, 0.7])
    expected = jittered(torch.tensor(color * 255).view(1, 3, 1, 1).float(), jitters[:1]) / 255
    np.testing.assert_allclose(jitters[0](color), expected[0, :, 0, 0], atol=1e-5)


def test_recolouring():
    image = torch.tensor([[10.0, 200], [50, 60], [90, 250]]).view(3, 1, 2)
    same = recoloured(image, Recolouring((0, 1, 2), False, 1.0, 1.0, 1.0))
    torch.testing.assert_close(same, image)
    swapped = recoloured(image, Recolouring((2, 0, 1), True, 1.0, 1.0, 1.0))
    torch.testing.assert_close(swapped, 255 - image[[2, 0, 1]])
    grey = recoloured(image, Recolouring((0, 1, 2), False, 0.0, 1.0, 1.0))
    torch.testing.assert_close(grey, image.mean(0, keepdim=True).expand_as(image))
    rng = np.random.default_rng(0)
    drawn = [recoloured(image, Recolouring.draw(rng)) for _ in range(50)]
    assert all(0 <= d.min() and d.max() <= 255 for d in drawn)
    assert len({tuple(d.flatten().tolist()) for d in drawn}) == 50

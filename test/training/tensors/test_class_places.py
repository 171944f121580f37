# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Balanced crops show every class as often as the others."""

import numpy as np
import pytest
import torch

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.training.tensors.class_places import ClassPlaces
from ubcn_ros.training.tensors.scenes import load_scenes

CPU = torch.device('cpu')


@pytest.fixture
def rare(street):
    """Three frames of Road, a corner of one of which is Pole."""
    plain = street[0], np.full((96, 128), 3, np.uint8)
    corner = plain[1].copy()
    corner[80:92, 100:108], corner[:20] = 2, 255
    return [plain, plain, (street[0], corner)]


def test_places_are_of_their_class(scene_list, rare):
    scenes = scene_list(*rare)
    places = ClassPlaces(load_scenes(scenes, CPU), CAMVID.num_classes, 0)
    rng, seen = np.random.default_rng(0), []
    for _ in range(100):
        image, (y, x) = places.draw(rng)
        seen.append(int(scenes.scenes[image].read().labels[int(y), int(x)]))
    assert set(seen) == {2, 3} and 30 < seen.count(2) < 70


def test_balanced_crops_show_a_rare_class(samples, rare):
    shown = []
    for share in (0.0, 1.0):
        found = samples(rare, crop=(32, 32), rain_probability=0, balanced_crop_probability=share)
        labels = found.batch(range(40))['labels']
        shown.append(int((labels == 2).flatten(1).any(1).sum()))
    assert shown[0] <= 8 and 12 <= shown[1] <= 28


def test_balanced_crops_keep_the_share_of_drives(samples, rare):
    found = samples(rare, rain_probability=0, balanced_crop_probability=1, drive_share=0.25,
                    drive_frames=4)
    drives = [found.draw(n).view.image >= found.tensors.scenes for n in range(80)]
    assert sum(drives) == 20


def test_a_balanced_crop_lies_inside_its_image(samples, rare):
    labels = samples(rare, rain_probability=0, balanced_crop_probability=1).batch(range(24))
    outside = samples(rare[:1], rain_probability=0, balanced_crop_probability=1).batch(range(24))
    assert (outside['labels'] == 3).all() and (labels['labels'] == 2).any()


def test_there_must_be_a_class(samples, street):
    unlabeled = [(street[0], np.full((96, 128), 255, np.uint8))]
    with pytest.raises(ValueError, match='no pixel of the scenes has a class'):
        samples(unlabeled, balanced_crop_probability=1).batch([0])

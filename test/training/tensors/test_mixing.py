# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Mixed views show the chosen classes of another view over their own, image, labels and depth."""

from dataclasses import replace

import numpy as np
import torch

from ubcn_ros.training.tensors.mixing import Mixed, MixedViews
from ubcn_ros.training.tensors.scenes import load_scenes
from ubcn_ros.training.tensors.views import View, Views

CPU = torch.device('cpu')


def two_scenes(scene_list):
    """One all of class 0, black and near; one of classes 1, 2 and unlabeled, bright and far."""
    labels = np.full((64, 80), 1, np.uint8)
    labels[:, 40:], labels[:8] = 2, 255
    return load_scenes(scene_list(
        (np.zeros((64, 80, 3), np.uint8), np.zeros((64, 80), np.uint8),
         np.full((64, 80), 5, np.float32)),
        (np.full((64, 80, 3), 200, np.uint8), labels, np.full((64, 80), 90, np.float32))), CPU)


def test_the_chosen_classes_come_with_their_pixels_and_distances(scene_list):
    scenes = two_scenes(scene_list)
    classes = np.zeros(256, bool)
    classes[2] = True
    plain, other = View(0, 1.0, 0, 0, False), View(1, 1.0, 0, 0, False)
    mixed = MixedViews(scenes, [plain, plain], (64, 80), {1: Mixed(other, classes)})
    images, labels, depth = mixed.images(), mixed.labels(), mixed.depth()
    assert not images[0].any() and not labels[0].any() and (depth[0] == 5).all()
    pasted = torch.zeros(64, 80, dtype=torch.bool)
    pasted[8:, 40:] = True
    assert torch.equal(labels[1] == 2, pasted) and not labels[1][~pasted].any()
    assert (images[1, :, pasted] > 199).all() and not images[1, :, ~pasted].any()
    assert (depth[1, 0, pasted] == 90).all() and (depth[1, 0, ~pasted] == 5).all()
    alone = mixed.select([1])
    assert torch.equal(alone.images()[0], images[1]) and torch.equal(alone.labels()[0], labels[1])
    assert torch.equal(mixed.select([0]).depth()[0], depth[0])


def test_without_any_they_are_views(scene_list):
    scenes = two_scenes(scene_list)
    views = [View(1, 0.8, 3, 5, True), View(0, 1.3, 1, 2, False)]
    mixed, plain = MixedViews(scenes, views, (40, 48), {}), Views(scenes, views, (40, 48))
    for look in ('images', 'labels', 'depth'):
        assert torch.equal(getattr(mixed, look)(), getattr(plain, look)())


def test_half_of_the_classes_are_drawn_and_never_what_is_unlabeled():
    drawn = [Mixed.draw(np.random.default_rng(seed), None, 11).classes for seed in range(200)]
    assert not np.any(np.stack(drawn)[:, 11:])
    assert abs(np.mean(np.stack(drawn)[:, :11]) - 0.5) < 0.05


def test_samples_are_mixed_as_often_as_asked(samples, street):
    frames = [(np.full_like(street[0], 10), np.zeros((96, 128), np.uint8)),
              (np.full_like(street[0], 200), np.full((96, 128), 3, np.uint8))]
    found = samples(frames, rain_probability=0, class_mix_probability=0.5)
    drawn = [found.draw(n) for n in range(200)]
    assert 60 < sum(draw.mixed is not None for draw in drawn) < 140
    batch = found.batch(range(32))
    assert torch.equal(batch['labels'] == 3, batch['clean'][:, 0] == 200)
    assert torch.equal(batch['clean'], batch['degraded'])
    rainy = {'class_mix_probability': 1, 'misty_rain_probability': 0.5}
    whole, again = samples(frames, **rainy).batch(range(8)), samples(frames, **rainy)[5]
    for name in ('clean', 'degraded', 'labels'):
        assert torch.equal(again[name], whole[name][5])


def test_what_is_mixed_in_is_of_drives_as_often_as_samples_are(samples):
    found = samples(rain_probability=0, class_mix_probability=1)
    found.config = replace(found.config, drive_share=0.2)
    found.tensors = replace(found.tensors, drives=6, sizes=found.tensors.sizes.repeat(7, 0))
    drawn = [found.draw(n).mixed.view.image for n in range(300)]
    assert 0.12 < np.mean([image > 0 for image in drawn]) < 0.28
    assert {*drawn} == {*range(7)}

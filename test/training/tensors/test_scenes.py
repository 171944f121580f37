# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes lie on the device once, whatever their sizes."""

import math
import time
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from ubcn_ros.data.depth_prior import complete_depth
from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.rain import estimate_airlight
from ubcn_ros.training.tensors import scenes as module
from ubcn_ros.training.tensors.scenes import LEVELS, load_scenes

CPU = torch.device('cpu')


def test_images_labels_and_levels(scene_list, street):
    image, labels = street
    small = (image[:31, :45].copy(), labels[:31, :45].copy())
    found = load_scenes(scene_list(street, small), CPU)
    assert len(found.images) == LEVELS and found.images[0].dtype == torch.uint8
    assert torch.equal(found.images[0][0].permute(1, 2, 0), torch.from_numpy(image))
    assert found.sizes.tolist() == [[96, 128], [31, 45]]
    # padded by its last row and column
    assert torch.equal(found.images[0][1, 0, :31, 100], found.images[0][1, 0, :31, 44])
    assert torch.equal(found.labels[1, 90, :45], torch.from_numpy(small[1][30]))
    assert [tuple(level.shape[-2:]) for level in found.images] == [
        (96, 128), (48, 64), (24, 32), (12, 16)]
    means = image.reshape(48, 2, 64, 2, 3).mean((1, 3))
    np.testing.assert_allclose(found.images[1][0].permute(1, 2, 0), means, atol=0.51)


def test_distance_is_measured_or_tied_to_the_classes(scene_list, street):
    measured = np.full((96, 128), 33, np.float32)
    measured[:40] = 0
    found = load_scenes(scene_list(street, (*street, measured)), CPU)
    prior = complete_depth(None, street[1][::2, ::2].copy(), CAMVID.classes)
    np.testing.assert_allclose(found.depth[0, 0], prior, rtol=1e-3)
    np.testing.assert_allclose(found.depth[1, 0, :20], prior[:20], rtol=1e-3)
    assert (found.depth[1, 0, 20:] == 33).all()
    assert found.measured == (False, True)


def test_airlight_and_rainy_views(scene_list, street):
    found = load_scenes(scene_list(street, (*street, None, street[0] // 2)), CPU)
    assert found.rainy == {1: 2}
    assert torch.equal(found.images[0][2], found.images[0][0] // 2)
    np.testing.assert_allclose(found.airlight[0], estimate_airlight(street[0]))


def test_the_same_scenes_are_loaded_once(scene_list, street):
    scenes = scene_list(street, street)
    first = load_scenes(scenes, CPU, 0, 3)
    assert load_scenes(scenes.labelled(), CPU, 0, 3) is first
    fewer = replace(scenes, scenes=scenes.scenes[:1])
    assert len(load_scenes(fewer, CPU, 0, 3).labels) == 1


def test_scenes_that_are_no_keys(scene_list, street):
    scenes = scene_list(street)
    object.__setattr__(scenes.scenes[0], 'label_path', ['a'])  # as COCO's outlines
    with pytest.raises(TypeError):
        hash(scenes)
    assert len(load_scenes(scenes, CPU).labels) == 1


@pytest.mark.parametrize('workers', [0, 2])
def test_drives_come_after_the_scenes(scene_list, street, workers):
    found = load_scenes(scene_list(street), CPU, 3, 5, workers)
    assert found.drives == 3 and len(found.labels) == 4
    assert found.measured == (False, True, True, True)
    assert not torch.equal(found.images[0][1], found.images[0][2])


def test_a_memory_that_is_too_small_is_named(scene_list, street):
    size, free = np.array([96, 128]), (1 << 20, 'on cuda')
    for count, rainy in ((200, 0), (10, 10)):  # views in rain need room, too
        with pytest.raises(ValueError, match=f'{count + rainy} images of up to 128x96 need .* free'
                                             ' on cuda: .*on_device') as told:
            module._check_memory(count, rainy, size, free, scene_list(street))
        assert ('pairs take no notice' in str(told.value)) == (rainy > 0)
    module._check_memory(10, 0, size, free, scene_list(street))


def test_free_memory_is_the_devices_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda _: (1 << 20, 1 << 21))
    assert module._free_memory(torch.device('cuda')) == (1 << 20, 'on cuda')
    assert 1 << 25 < module._free_memory(CPU)[0] < 1 << 50
    monkeypatch.setattr(module.Path, 'read_text', Mock(side_effect=FileNotFoundError))
    assert module._free_memory(CPU) == (math.inf, 'in the memory of this machine')


def test_what_is_decoded_does_not_count_twice(scene_list, street, monkeypatch):
    scenes, asked = scene_list(street, tuple(part.repeat(2, 0) for part in street)), []
    monkeypatch.setattr(module, '_free_memory', lambda _: (asked.append(1) or 1 << 40, 'here'))
    assert len(load_scenes(scenes, CPU).labels) == 2 and len(asked) == 1


def test_too_many_scenes_are_told_before_all_are_decoded(scene_list, street, monkeypatch):
    read = []
    scenes = scene_list(*[street] * 200)

    def slow(scene):
        read.append(scene)
        time.sleep(0.001)
        return scene.frame
    monkeypatch.setattr(type(scenes.scenes[0]), 'read', slow)
    monkeypatch.setattr(module, '_free_memory', lambda _: (1 << 20, 'here'))
    with pytest.raises(ValueError, match='200 images of up to 128x96 need'):
        load_scenes(scenes, CPU)
    assert len(read) < 100

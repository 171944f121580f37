# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Samples follow from their number, their parts belong together, processes share batches."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from lightning.fabric import Fabric

from ubcn_ros.data.depth_prior import complete_depth
from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.mixture import open_data
from ubcn_ros.data.rain_parameters import RainParameters
from ubcn_ros.data.scenes import DataSetError, Scene, SceneList
from ubcn_ros.labels import LabelSet, distinct_colors, paths_of
from ubcn_ros.training.batches import training_batches
from ubcn_ros.training.drive_frames import chosen_scene
from ubcn_ros.training.sample_config import SampleConfig
from ubcn_ros.training.samples import (
    TrainingSamples,
    batch_numbers,
    to_float,
    validation_samples,
)

CONFIG = SampleConfig(crop=(32, 48), scale=(0.7, 1.5), rain_probability=0.8, color_jitter=1.0,
                      renders=4, reuse=2)


class ArrayScene(Scene):
    """A scene from memory, whose red is 10 times its class and whose rain may be given."""

    def __init__(self, name='a', shape=(64, 80), depth=None, rainy=None):
        super().__init__(name, None, Path(f'{name}.png'))
        labels = np.random.default_rng(0).integers(0, 11, (4, 5)).astype(np.uint8)
        labels = labels.repeat(shape[0] // 4, 0).repeat(shape[1] // 5, 1)
        object.__setattr__(self, 'arrays', (labels, depth, rainy))

    def image(self):
        labels = self.labels()
        return np.stack([10 * labels, labels, labels], 2)

    def labels(self):
        return self.arrays[0].copy()

    def depth(self):
        return self.arrays[1]

    def rainy(self):
        return self.arrays[2]


def one(scene, config, label_set=CAMVID, seed=1):
    return TrainingSamples(SceneList('one', label_set, (scene,)), config, seed)


def equal(a, b):
    return all(torch.equal(a[k], b[k]) for k in ('clean', 'degraded', 'labels'))


def test_shapes_and_types(scenes):
    sample = TrainingSamples(scenes, CONFIG, 1)[3]
    assert sample['clean'].shape == sample['degraded'].shape == (3, 32, 48)
    assert sample['labels'].shape == (32, 48)
    assert all(sample[name].dtype == torch.uint8 for name in ('clean', 'degraded', 'labels'))
    assert sample['rain_rate'].dtype == sample['extinction'].dtype == torch.float32


def test_a_sample_follows_from_its_number_in_any_order(scenes):
    forward, backward = TrainingSamples(scenes, CONFIG, 1), TrainingSamples(scenes, CONFIG, 1)
    expected = {n: forward[n] for n in range(20)}
    for n in (*range(19, -1, -1), 7):
        assert equal(backward[n], expected[n]), n


def test_samples_differ_by_number_and_by_seed(scenes):
    first = TrainingSamples(scenes, CONFIG, 1)
    for n in range(12):
        assert not any(equal(first[n], first[m]) for m in range(n))
    assert not equal(first[0], TrainingSamples(scenes, CONFIG, 2)[0])


def test_changing_a_sample_does_not_change_the_next_from_the_same_frame():
    whole = SampleConfig(crop=(64, 80), renders=1, reuse=8, rain_probability=0)
    samples = one(ArrayScene(), whole)
    expected = [samples[n]['clean'].clone() for n in range(8)]
    for n in range(8):
        samples[n]['clean'].zero_()
    assert all(torch.equal(samples[n]['clean'], expected[n]) for n in range(8))


def test_image_and_labels_are_cropped_and_mirrored_alike():
    samples = one(ArrayScene(), SampleConfig(crop=(32, 48), rain_probability=0))
    for n in range(12):
        sample = samples[n]
        assert torch.equal(sample['clean'][0], 10 * sample['labels'])
        assert torch.equal(sample['clean'], sample['degraded'])


def test_a_crop_larger_than_the_frame_is_unlabeled_outside():
    sample = one(ArrayScene(), SampleConfig(crop=(96, 100), rain_probability=0))[0]
    outside = sample['labels'] == 255
    assert int(outside.sum()) == 96 * 100 - 64 * 80
    # mirrored or not, the labelled part is one rectangle
    assert outside[64:].all() and not outside[:64].all(0)[40]


@pytest.mark.parametrize('scale', [1.01, 1.37, 1.6, 0.73])
def test_no_pixel_is_made_up_where_the_frame_is_large_enough(scale):
    samples = one(ArrayScene(shape=(128, 160)),
                  SampleConfig(crop=(53, 67), scale=(scale, scale), rain_probability=0))
    assert not any((samples[n]['labels'] == 255).any() for n in range(8))


def test_every_scene_comes_once_an_epoch(scenes):
    config = SampleConfig(crop=(64, 80), rain_probability=0, renders=5, reuse=1)
    samples = TrainingSamples(scenes, config, 1)
    clean = {scene.image().tobytes() for scene in scenes.scenes}
    for epoch in range(2):
        seen = set()
        for n in range(5 * epoch, 5 * epoch + 5):
            image = samples[n]['clean'].permute(1, 2, 0).numpy()
            seen |= {image.tobytes(), image[:, ::-1].tobytes()} & clean
        assert seen == clean


def test_share_of_rain():
    for share in (0.0, 1.0):
        samples = one(ArrayScene(), SampleConfig(crop=(64, 80), rain_probability=share,
                                                 painted_rain_probability=1.0))
        rainy = [not torch.equal(samples[n]['clean'], samples[n]['degraded']) for n in range(8)]
        assert all(rainy) if share else not any(rainy)


@pytest.mark.parametrize(('config', 'known'), [
    ({'rain_probability': 0}, 0), ({'painted_rain_probability': 1}, math.nan)])
def test_rates_are_told_of_rendered_rain_and_of_none(config, known):
    sample = one(ArrayScene(), SampleConfig(crop=(64, 80), **config))[0]
    for name in ('rain_rate', 'extinction'):
        assert float(sample[name]) == pytest.approx(known, nan_ok=True)
    assert torch.equal(sample['clean'], sample['degraded']) == (known == 0)


def test_a_rendered_sample_tells_its_rate_and_extinction():
    samples = one(ArrayScene(), SampleConfig(crop=(64, 80), painted_rain_probability=0,
                                             physical_rain_probability=1, reuse=1))
    rates, extinctions = (np.array([float(samples[n][name]) for n in range(12)])
                          for name in ('rain_rate', 'extinction'))
    assert rates.max() > 50
    np.testing.assert_allclose(
        extinctions, [RainParameters(rate).extinction for rate in rates], rtol=1e-6)


def test_strong_augmentation_is_for_frames_without_rendered_rain():
    for rain, painted, expected in ((0.0, 0.0, 8), (1.0, 1.0, 8), (1.0, 0.0, 0)):
        config = SampleConfig(crop=(64, 80), rain_probability=rain, reuse=1,
                              painted_rain_probability=painted,
                              strong_augmentation_probability=1.0)
        samples = one(ArrayScene(), config)
        # recoloured, red is no longer 10 times the class
        recoloured = [not torch.equal(samples[n]['clean'][0], 10 * samples[n]['labels'])
                      for n in range(8)]
        assert sum(recoloured) == expected


def test_measured_depth_is_used_and_completed():
    depth = np.full((64, 80), 200, np.float32)
    depth[:20] = 0
    # physical rain leaves horizon and focal length of the prior as they are
    config = SampleConfig(crop=(64, 80), painted_rain_probability=0, physical_rain_probability=1)
    completed = complete_depth(depth, ArrayScene().labels(), CAMVID.classes)
    measured, whole, prior = (
        [one(ArrayScene(depth=d), config)[n] for n in range(4)]
        for d in (depth, completed, None))
    assert all(equal(a, b) for a, b in zip(measured, whole, strict=True))
    assert not any(equal(a, b) for a, b in zip(measured, prior, strict=True))


@pytest.mark.parametrize('physical', [1.0, 0.0])
def test_physical_rain_ties_distances_to_the_classes(physical):
    class Labelled(ArrayScene):
        """The same picture, with one class everywhere."""

        def __init__(self, label):
            super().__init__()
            self.__dict__['label'] = label

        def image(self):
            return np.full((64, 80, 3), 60, np.uint8)

        def labels(self):
            return np.full((64, 80), self.label, np.uint8)

    config = SampleConfig(crop=(64, 80), painted_rain_probability=0,
                          physical_rain_probability=physical, reuse=1)
    sky, road = (one(Labelled(CAMVID.classes.index(name)), config) for name in ('Sky', 'Road'))
    rainy = [n for n in range(20) if not torch.equal(sky[n]['clean'], sky[n]['degraded'])]
    same = [torch.equal(sky[n]['degraded'], road[n]['degraded']) for n in rainy]
    assert any(same) != bool(physical) and not all(same)


def test_pairs_show_their_own_rain():
    rainy = np.full((64, 80, 3), 222, np.uint8)
    scene = ArrayScene(rainy=rainy)
    sample = one(scene, SampleConfig(crop=(32, 32), color_jitter=0), None)[0]
    assert (sample['degraded'] == 222).all() and not (sample['clean'] == 222).all()
    scenes = SceneList('pairs', None, (scene,))
    assert (next(validation_samples(scenes, 150, 1))['degraded'] == 222).all()
    dry = next(validation_samples(scenes, 0, 1))
    assert torch.equal(dry['degraded'], dry['clean'])


@pytest.fixture
def broken_scenes(camvid_root, tmp_path):
    """Scenes of which one has labels of half the size, and its path."""
    shutil.copytree(camvid_root, tmp_path / 'camvid')
    path = tmp_path / 'camvid/train/labels/0001TP_1.png'
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[::2, ::2])
    return open_data([tmp_path / 'camvid']).split('train'), path


def test_files_of_two_sizes_are_an_error(broken_scenes):
    scenes, path = broken_scenes
    training = TrainingSamples(scenes, CONFIG, 1)
    for samples in (map(training.__getitem__, range(5)), validation_samples(scenes, 0, 5)):
        with pytest.raises(DataSetError, match=f'{path} is 40x32 .*0001TP_1.png is 80x64'):
            list(samples)


@pytest.mark.parametrize('workers', [0, 2])
def test_an_error_in_a_worker_process_is_one_line(broken_scenes, workers):
    scenes, path = broken_scenes
    batches = training_batches(Fabric(accelerator='cpu', devices=1),
                               TrainingSamples(scenes, CONFIG, 1), batch_numbers(0, 8, 2),
                               workers)
    with pytest.raises(DataSetError) as error:
        list(batches)
    text = str(error.value)
    assert text.startswith(f'{path} is 40x32') and '\n' not in text


def test_kept_files_are_bounded(scenes, monkeypatch):
    reads = []

    class Counted(Scene):
        def image(self):
            reads.append(self.name)
            return super().image()

    counted = SceneList(scenes.name, scenes.label_set, tuple(
        Counted(scene.name, scene.image_path, scene.label_path, scene.ids)
        for scene in scenes.scenes))
    config = replace(CONFIG, renders=5, reuse=1)  # an epoch, and then another
    free = TrainingSamples(counted, config, 1)
    expected = [free[n] for n in range(10)]
    assert sorted(reads) == sorted({scene.name for scene in scenes.scenes})
    reads.clear()
    monkeypatch.setattr('ubcn_ros.training.samples._KEPT_BYTES', 2 * 64 * 80 * 4)
    bounded = TrainingSamples(counted, config, 1)
    assert all(equal(bounded[n], expected[n]) for n in range(10))
    assert len(reads) >= 8  # of the second epoch at most two were kept


def test_kept_renders_are_bounded(scenes, monkeypatch):
    rendered, render = [], TrainingSamples._render
    monkeypatch.setattr(TrainingSamples, '_render',
                        lambda self, frame: rendered.append(frame) or render(self, frame))
    config = replace(CONFIG, renders=4, reuse=3)
    free = TrainingSamples(scenes, config, 1)
    expected = [free[n] for n in range(24)]
    assert rendered == [*range(8)] and len(free._frames) == 4
    rendered.clear()
    monkeypatch.setattr('ubcn_ros.training.samples._RENDERED_BYTES', 3 * 64 * 80 * 7)
    bounded = TrainingSamples(scenes, config, 1)
    assert all(equal(bounded[n], expected[n]) for n in range(24))
    assert rendered == [0, 1, 2, 3, 3, 3, 4, 5, 6, 7, 7, 7] and len(bounded._frames) == 3


def test_drives_have_their_share_and_follow_from_their_number(scenes):
    config = SampleConfig(crop=(64, 80), rain_probability=0, renders=4, reuse=1, drive_share=0.25)
    samples, again = (TrainingSamples(scenes, config, 1) for _ in range(2))
    drives = [n for n in range(8) if chosen_scene(n, len(scenes), 0.25, 1)[0]]
    assert len(drives) == 2
    known = {*np.unique(np.stack([scene.labels() for scene in scenes.scenes])).tolist(), 255}
    for n in range(8):
        seen = {*samples[n]['labels'].unique().tolist()}
        assert (not seen <= known) == (n in drives), n
        # they are as large as the scenes
        assert (samples[n]['labels'][-1] != 255).any()
    assert equal(again[drives[1]], samples[drives[1]]), 'without the one before'
    assert not equal(samples[drives[0]], samples[drives[1]])


@pytest.mark.parametrize('classes, known', [
    (('road', 'car', 'lamp'), {0, 1}), (('lamp', 'tram'), set())])
def test_drives_have_the_classes_of_the_same_names(scenes, classes, known):
    config = SampleConfig(crop=(64, 80), rain_probability=0, renders=4, reuse=1, drive_share=1)
    own = LabelSet('own', classes, distinct_colors(len(classes)), paths_of(len(classes), ()))
    samples = TrainingSamples(SceneList('own', own, scenes.scenes), config, 1)
    seen = set(np.unique(torch.stack([samples[n]['labels'] for n in range(4)])).tolist())
    assert seen - {255} == known


def test_processes_share_what_one_process_takes():
    whole = list(batch_numbers(3, 9, 6))
    shares = [list(batch_numbers(3, 9, 6, rank, 3)) for rank in range(3)]
    assert len(whole) == len(shares[0]) == 6
    for step, batch in enumerate(whole):
        assert batch == [n for share in shares for n in share[step]]
    assert [n for batch in whole for n in batch] == list(range(18, 54))


def test_every_stage_has_samples_of_its_own():
    numbers = [{n for batch in batch_numbers(0, 9, 6, stage=stage) for n in batch}
               for stage in range(4)]
    assert len(set.union(*numbers)) == 4 * 54 and numbers[0] == {*range(54)}


def test_a_batch_that_cannot_be_shared_says_so():
    with pytest.raises(ValueError, match='multiple'):
        next(batch_numbers(0, 1, 5, 0, 2))


def test_a_worker_gives_the_samples_in_order(scenes):
    samples = TrainingSamples(scenes, CONFIG, 1)
    loaded = list(training_batches(Fabric(accelerator='cpu', devices=1), samples,
                                   batch_numbers(1, 4, 2), workers=1))
    for batch, numbers in zip(loaded, batch_numbers(1, 4, 2), strict=True):
        for i, n in enumerate(numbers):
            assert equal({k: v[i] for k, v in batch.items()}, samples[n])


def test_validation_rain_is_fixed(scenes):
    first, second = ([*validation_samples(scenes, 150, 3)] for _ in range(2))
    assert len(first) == 3 and equal(first[1], second[1])
    assert not torch.equal(first[1]['clean'], first[1]['degraded'])
    dry = [*validation_samples(scenes, 0.0, 9)]
    assert torch.equal(dry[1]['clean'], dry[1]['degraded'])
    for sample, scene in zip(dry, scenes.scenes, strict=True):  # there are no more
        assert np.array_equal(sample['clean'].permute(1, 2, 0), scene.image())


def test_to_float_scales_images_and_keeps_labels():
    batch = to_float({'clean': torch.full((1, 3, 2, 2), 255, dtype=torch.uint8),
                      'labels': torch.full((1, 2, 2), 255, dtype=torch.uint8)})
    assert float(batch['clean'].max()) == 1 and batch['labels'].dtype == torch.uint8
    assert to_float(batch)['clean'] is batch['clean'], 'once'


def test_short_sides_are_those_of_the_resized_frame():
    # 64x80 at a short side of 32 is 32x40: the crop holds it whole
    sample = one(ArrayScene(), SampleConfig(crop=(48, 48), short_sides=(32, 32),
                                            rain_probability=0))[0]
    assert int((sample['labels'] != 255).sum()) == 32 * 40

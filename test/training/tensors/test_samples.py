# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Samples made of tensors follow from their number, and look as those of the renderer."""

import gc
import math

import numpy as np
import pytest
import torch

from ubcn_ros.data.degradations import Degradation
from ubcn_ros.data.depth_prior import complete_depth
from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.rain import RainRenderer
from ubcn_ros.data.rain_parameters import RainParameters
from ubcn_ros.data.scenes import Group

ALL = {'rain_probability': 0.8, 'painted_rain_probability': 0.3, 'misty_rain_probability': 0.3,
       'color_jitter': 0.5,
       'strong_augmentation_probability': 0.5, 'physical_rain_probability': 0.5,
       'short_sides': (48, 144)}


def equal(a, b):
    return all(torch.equal(a[k], b[k]) for k in ('clean', 'degraded', 'labels'))


def test_shapes_and_types(samples, scenes):
    batch = samples(**ALL).batch(range(5))
    assert batch['clean'].shape == batch['degraded'].shape == (5, 3, 48, 64)
    assert batch['labels'].shape == (5, 48, 64)
    pictures = [batch[name] for name in ('clean', 'degraded', 'labels')]
    assert all(v.dtype == torch.uint8 and not v.requires_grad for v in pictures)
    assert batch['rain_rate'].shape == batch['extinction'].shape == (5,)


def test_a_sample_follows_from_its_number_in_any_batch(samples, street):
    frames = [street, (street[0][:, ::-1].copy(), street[1])]
    first, again = samples(frames, **ALL), samples(frames, **ALL)
    batch = first.batch(range(24))
    few = again.batch([17, 3, 9])
    for place, n in enumerate((17, 3, 9)):
        assert equal({k: v[place] for k, v in few.items()}, {k: v[n] for k, v in batch.items()})
    assert equal(again[5], {k: v[5] for k, v in batch.items()})
    kinds = [(d.rain is not None, d.painting is not None, d.misty is not None,
              d.recolouring is not None) for d in map(first.draw, range(24))]
    assert {(True, False, False, False), (False, True, False, True), (False, False, True, False),
            (False, False, False, True)} <= set(kinds)


def test_rates_are_told_of_rendered_rain_and_of_none(samples):
    found = samples(**ALL)
    batch = found.batch(range(32))
    for n, draw in enumerate(map(found.draw, range(32))):
        rate, extinction = float(batch['rain_rate'][n]), float(batch['extinction'][n])
        if draw.rain is not None:
            assert rate == pytest.approx(draw.rain.rate_mm_h) and rate > 0
            assert extinction == pytest.approx(draw.rain.extinction)
        elif draw.painting or draw.misty:
            assert math.isnan(rate) and math.isnan(extinction)
        else:
            assert rate == extinction == 0
            assert torch.equal(batch['clean'][n], batch['degraded'][n])


def test_samples_differ_by_number_and_by_seed(samples):
    first = samples(**ALL)
    batch = first.batch(range(8))
    assert len({batch['clean'][n].numpy().tobytes() for n in range(8)}) == 8
    assert not equal(first[0], samples(seed=2, **ALL)[0])


def test_dry_is_exactly_clean(samples):
    dry = samples(**{**ALL, 'rain_probability': 0}).batch(range(12))
    assert torch.equal(dry['clean'], dry['degraded'])
    wet = samples(rain_probability=1, painted_rain_probability=1).batch(range(12))
    changed = (wet['clean'] != wet['degraded']).flatten(1).any(1)
    assert changed.sum() >= 10, 'a few streaks may all lie beside the crop'


@pytest.mark.parametrize('sides', [(96, 96), (48, 48), (32, 32), (144, 144), (35, 300)])
@pytest.mark.parametrize('strong', [0, 1])
def test_labels_stay_on_a_drawn_edge_at_every_scale(samples, sides, strong):
    labels = np.ones((96, 128), np.uint8)
    labels[:, 40:], labels[50:] = 3, 255
    image = np.where(labels[..., None] == 3, 200, 40).astype(np.uint8).repeat(3, 2)
    found = samples([(image, labels)], rain_probability=0, short_sides=sides,
                    strong_augmentation_probability=strong)
    if strong:  # the view without the colours
        found._coloured = lambda images, _: images
    batch = found.batch(range(12))
    bright, known = batch['clean'][:, 0] > 120, batch['labels'] != 255
    # the edge's own pixels may go either way
    agree = (bright == (batch['labels'] == 3))[known].float().mean()
    assert agree > 0.97 and set(batch['labels'].unique().tolist()) <= {1, 3, 255}


def test_whole_frames_fill_the_sample(samples, street):
    # a frame of 96x128 in samples of 48x64, and of another shape
    large = tuple(part.repeat(2, 0).repeat(2, 1) for part in street)
    for frame, crop, scale in ((street, (48, 64), 0.5), (large, (64, 64), 64 / 192)):
        found = samples([frame], crop=crop, rain_probability=0.5, whole_frame_probability=1,
                        balanced_crop_probability=0.5)
        assert all(found.draw(n).view.scale == scale for n in range(8))
        assert (found.batch(range(8))['labels'] != 255).all()


def test_whole_frames_are_those_of_cameras_of_all_sizes(samples):
    found = samples(whole_frame_probability=0.5, short_sides=(48, 192), painted_rain_probability=0)
    draws = [found.draw(n) for n in range(60)]
    whole = [draw for draw in draws if draw.view.shrunk > 1]
    assert 15 < len(whole) < 45 and all(draw.view.scale == 0.5 for draw in whole)
    assert max(draw.view.shrunk for draw in whole) > 3
    streaks, layers = found.streaks, {draw.layer.size for draw in draws if draw.layer}
    assert sum(min(streaks.sizes[n]) == 56 < min(streaks.frames[n]) for n in layers) >= 2


def test_groups_and_unlabeled_survive_at_every_scale(samples, street):
    labels = np.full((96, 128), 11, np.uint8)  # the id of a group
    labels[:48] = 255
    found = samples([(street[0], labels)], groups=(Group('moving', (8, 9)),), **ALL)
    batch = found.batch(range(12))
    assert set(batch['labels'].unique().tolist()) == {11, 255}


def test_a_sample_larger_than_the_scene_is_unlabeled_outside(samples):
    batch = samples(crop=(120, 140), rain_probability=0).batch(range(3))
    assert ((batch['labels'] == 255).sum((1, 2)) == 120 * 140 - 96 * 128).all()
    assert (batch['labels'][:, 96:] == 255).all()


def test_at_its_own_size_a_scene_is_shown_pixel_by_pixel(samples, street):
    batch = samples(rain_probability=0).batch(range(6))
    windows = np.lib.stride_tricks.sliding_window_view(street[0][..., 0], (48, 64))
    for image in batch['clean'][:, 0].numpy():
        assert any((windows == part).all((2, 3)).any() for part in (image, image[:, ::-1]))


def test_every_scene_comes_once_an_epoch_and_drives_have_their_share(samples, street):
    frames = [(np.full_like(street[0], 10 * n), street[1]) for n in range(5)]
    found = samples(frames, rain_probability=0)
    seen = found.batch(range(5))['clean'][:, 0, 0, 0]
    assert sorted(seen.tolist()) == [0, 10, 20, 30, 40]
    found = samples(frames, rain_probability=0, drive_share=0.25, drive_frames=2)
    assert found.tensors.drives == 2
    images = [found.draw(n).view.image for n in range(16)]
    assert sorted(n for n in images if n >= 5) == [5, 5, 6, 6]


def test_scenes_show_their_own_rain(samples, street):
    image = np.full((96, 128, 3), 60, np.uint8)
    batch = samples([(image, street[1], None, image + 90)], color_jitter=0).batch(range(4))
    assert (batch['clean'] == 60).all() and (batch['degraded'] == 150).all()
    assert batch['rain_rate'].isnan().all()


def test_scenes_of_several_sizes_and_without_labels(samples, street):
    small = tuple(part[::2, ::2].copy() for part in street)
    batch = samples([street, small], short_sides=(48, 48), crop=(48, 64), rain_probability=0,
                    ).batch(range(4))
    assert (batch['labels'] != 255).all()
    batch = samples([(street[0],), (small[0],)], label_set=None).batch(range(4))
    assert (batch['labels'] == 255).all()
    assert not torch.equal(batch['clean'], batch['degraded'])


def psnr(a, b):
    return float(10 * torch.log10(255 ** 2 / (a.float() - b.float()).square().mean()))


def test_rain_is_that_of_the_renderer(samples, street, monkeypatch):
    image, labels = street
    depth = complete_depth(None, labels, CAMVID.classes)
    found = samples([street], variants=32, crop=(96, 128), painted_rain_probability=0,
                    physical_rain_probability=1)
    monkeypatch.setattr('ubcn_ros.training.tensors.streaks.RATES_MM_H', (45.0, 240.0))
    _ = found.streaks
    for rate in (50.0, 250.0):
        monkeypatch.setattr('ubcn_ros.training.tensors.samples.sample_rate', lambda _, r=rate: r)
        batch, figures = found.batch(range(48)), []
        for n in range(48):
            parameters = RainParameters.random(np.random.default_rng(n), rate, physical=True)
            renderer = RainRenderer(parameters, 96, 128, n)
            rainy, dense = renderer(image, depth), renderer(image, depth * 0 + 1e-3)
            figures.append((psnr(torch.from_numpy(rainy), torch.from_numpy(image)),
                            np.mean(np.abs(dense.astype(int) - image) > 8)))
        expected = np.mean(figures, 0)
        got = np.mean([psnr(a, b) for a, b in zip(batch['degraded'], batch['clean'],
                                                  strict=True)])
        assert got == pytest.approx(expected[0], abs=1), rate
        with monkeypatch.context() as patch:
            patch.setattr('ubcn_ros.training.tensors.views.Views.depth',
                          lambda views: torch.full((len(views.views), 1, *views.crop), 1e-3))
            streaks = found.batch(range(48))
        changed = (streaks['degraded'].int() - streaks['clean'].int()).abs() > 8
        assert float(changed.float().mean()) == pytest.approx(expected[1], rel=0.25), rate


def test_the_veil_is_that_of_the_distance(samples, street):
    near, far = (samples([(*street, np.full((96, 128), metres, np.float32))],
                         painted_rain_probability=0, physical_rain_probability=1).batch(range(8))
                 for metres in (1.0, 400.0))
    assert torch.equal(near['clean'], far['clean'])
    change = [(b['degraded'].float() - b['clean'].float()).abs().mean() for b in (near, far)]
    assert change[1] > 2 * change[0]


def test_batches_leave_no_tensors_behind(samples):
    found = samples(**ALL)

    def tensors():
        gc.collect()
        return sum(torch.is_tensor(value) for value in gc.get_objects())
    found.batch(range(8))
    before = tensors()
    for _ in map(found.batch, [range(8, 16), range(16, 24), range(24, 32)]):
        pass
    del _
    assert tensors() <= before


@pytest.mark.parametrize(('kind', 'level', 'tolerance'), [
    ('rain', 150, 0.25), ('pepper', 50, 0.05), ('haze', 0.01, 0.02), ('gaussian', 50, 0.02)])
def test_a_fixed_degradation_changes_all_images_as_on_whole_frames(samples, street, kind, level,
                                                                   tolerance):
    settings = {'rain_probability': 0, 'degradation': kind, 'degradation_level': level,
                'crop': (96, 128)}
    found = samples(**settings)
    batch = found.batch(range(8))
    assert torch.equal(batch['clean'], batch['degraded'])
    few = samples(**settings).batch([5, 2])
    assert equal({k: v[0] for k, v in few.items()}, {k: v[5] for k, v in batch.items()})
    assert len({image.numpy().tobytes() for image in batch['clean']}) == (2 if kind == 'haze'
                                                                          else 8), 'mirrored'

    def change(images):
        return np.abs(np.asarray(images).astype(float) - street[0].mean()).mean()
    depth = complete_depth(None, street[1], CAMVID.classes)
    frames = [Degradation(kind, level)(street[0], n, depth) for n in range(8)]
    assert change(batch['clean']) == pytest.approx(change(frames), rel=tolerance)
    assert batch['rain_rate'].isnan().all() or (batch['rain_rate'] == level).all()


def test_level_0_of_a_fixed_degradation_is_clean(samples):
    clean = samples(rain_probability=0).batch(range(4))
    for kind in ('rain', 'pepper', 'haze', 'gaussian'):
        assert equal(samples(rain_probability=0, degradation=kind).batch(range(4)), clean)

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Misty rain of tensors is that of ``data.misty_rain``, part by part."""

import cv2
import numpy as np
import pytest
import torch

from ubcn_ros.data.lens_drops import drops_on_lens, seen_through
from ubcn_ros.data.misty_rain import Mist, add_misty_rain, misty, random_streaks
from ubcn_ros.training.tensors import misty as tensors
from ubcn_ros.training.tensors.lens_drops import LensPictures, Placement, behind_drops


def as_tensor(array):
    return torch.from_numpy(np.array(array, np.float32)).permute(2, 0, 1)[None]


@pytest.mark.parametrize('seed', range(8))
def test_the_same_mist_and_streaks_make_the_same_image(street, seed):
    image = street[0].astype(np.float32)
    rng = np.random.default_rng(seed)
    mist, streaks = Mist.draw(rng, np.array([0.8, 0.8, 0.8])), random_streaks(96, 128, rng)
    depth = np.geomspace(3, 200, 96, dtype=np.float32)[::-1, None].repeat(128, 1)
    expected = misty(image, depth, streaks, mist)
    found = tensors.misty(as_tensor(image), as_tensor(depth[..., None]),
                          as_tensor(streaks[..., None]), [mist])
    np.testing.assert_allclose(found[0].permute(1, 2, 0), expected, atol=1)
    assert np.abs(found[0].permute(1, 2, 0).numpy() - expected).mean() < 0.1


def test_the_same_drops_show_the_same_image(street):
    image = cv2.GaussianBlur(street[0], (0, 0), 2).astype(np.float32)
    alpha, shift, shade = drops_on_lens(96, 128, np.random.default_rng(3), 96)
    assert alpha.max() > 0.5
    found = behind_drops(as_tensor(image), as_tensor(alpha[..., None]), as_tensor(shift),
                         as_tensor(shade[..., None]))
    expected = seen_through(image, alpha, shift, shade)
    assert np.abs(found[0].permute(1, 2, 0).numpy() - expected).mean() < 1


@pytest.mark.parametrize('x, y', [(63, 0), (0, 47), (63, 47), (126, 94)])
def test_mirrored_drops_show_the_scene_mirrored_too(monkeypatch, x, y):
    monkeypatch.setattr('ubcn_ros.training.tensors.lens_drops._PICTURES', 2)
    drops = LensPictures((48, 64), 3, torch.device('cpu'), 0)
    image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 255
    flips = [axis for axis, moved in ((2, y % 94), (3, x % 126)) if moved]
    plain, moved = (Placement(1, np.array([[1.0, 0, dx], [0, 1.0, dy]]))
                    for dx, dy in ((0, 0), (x, y)))
    found = drops.seen_through(image.flip(flips), [moved])
    expected = drops.seen_through(image, [plain]).flip(flips)
    inside = (..., slice(1, -1), slice(1, -1))  # the outermost pixels lie on the mirror
    torch.testing.assert_close(found[inside], expected[inside], atol=0.05, rtol=0)


def test_samples_have_as_much_of_it(samples, street):
    """Over many samples its PSNR is spread as that of ``add_misty_rain``."""
    image, labels = street
    depth = np.full((96, 128), 30.0, np.float32)
    found = samples([(image, labels, depth)], crop=(96, 128), painted_rain_probability=0,
                    misty_rain_probability=1)
    batch = found.batch(range(48))

    def psnr(a, b):
        return 10 * np.log10(255 ** 2 / np.mean((np.float32(a) - np.float32(b)) ** 2))
    got = [psnr(a, b) for a, b in zip(batch['degraded'], batch['clean'], strict=True)]
    wanted = [psnr(add_misty_rain(image, np.random.default_rng(n), depth), image)
              for n in range(48)]
    assert np.median(got) == pytest.approx(np.median(wanted), abs=2.5)
    assert np.std(got) == pytest.approx(np.std(wanted), rel=0.5)


def test_streaks_keep_their_share_of_the_frame(samples, street):
    """Those of a frame twice as large are twice as long in its samples."""
    image, labels = (part.repeat(4, 0).repeat(4, 1) for part in street)
    lengths = []
    for side in (96, 192):
        found = samples([(image, labels)], crop=(96, 96), short_sides=(side, side),
                        misty_rain_probability=0.5)
        rng = np.random.default_rng(0)
        layers = [[found.misty_rain.streaks.draw(rng, side, 0.0)] for _ in range(40)]
        thickness = found.misty_rain.streaks.thickness(layers, (96, 96)).numpy()[:, 0]
        spectra = np.abs(np.fft.rfft(thickness - thickness.mean((1, 2), keepdims=True), axis=1))
        power = (spectra ** 2).mean((0, 2))
        lengths.append(1 / ((power * np.arange(len(power))).sum() / power.sum()))
    assert 1.4 < lengths[1] / lengths[0] < 2.8

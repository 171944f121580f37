# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The veil: what it looks at, and what it does to the image."""

import pytest
import torch
from torch.nn import functional as F

from ubcn_ros.network import Veil, VeilConfig
from ubcn_ros.network.blocks import resample
from ubcn_ros.network.veil import GRID, THUMBNAIL, VeilEstimate

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def veil():
    """Make one with values to work with."""
    torch.manual_seed(0)
    made = Veil(VeilConfig(4, 1, 4)).eval()
    for last in (made.whole, made.field):
        torch.nn.init.normal_(last.weight, std=0.1)
    return made


def scene(height, width, seed=0):
    """Return an image of smooth surfaces."""
    coarse = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (height, width), mode='bilinear')


@pytest.mark.parametrize('config', [VeilConfig(), VeilConfig(3, 0, 0)])
def test_it_starts_as_no_change(config):
    image = torch.rand(2, 3, 40, 56)
    assert torch.equal(Veil(config).eval()(image).lift(image), image)


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (120, 60), (400, 530)])
def test_any_size(veil, size):
    image = torch.rand(2, 3, *size)
    gain, offset = veil(image)
    assert gain.shape == offset.shape == image.shape


def test_the_airlight_of_an_even_veil_is_taken_off():
    image, through, airlight = torch.rand(1, 3, 8, 9), 0.6, 0.9
    veiled = image * through + airlight * (1 - through)
    estimate = VeilEstimate(torch.full_like(image, 1 / through - 1),
                            torch.full_like(image, airlight * (1 - 1 / through)))
    torch.testing.assert_close(estimate.lift(veiled), image)


def test_gain_and_offset_change_slowly(veil):
    gain, offset = veil(torch.rand(1, 3, 192, 256))  # noise: hard edges everywhere
    for field in (gain, offset):
        assert field.diff(dim=2).abs().max() < 0.6 * (field.amax() - field.amin())
        assert field.std() > 0


@torch.no_grad()
def test_the_same_scene_gets_the_same_at_any_size(veil):
    large = scene(720, 960)
    assert veil(large).gain.std() > 0.01
    found = veil(large)
    for height, width in ((1440, 1920), (360, 480)):
        other = veil(F.interpolate(large, (height, width), mode='bilinear', antialias=True))
        for one, theirs in zip(found, other, strict=True):
            one, theirs = resample(one, THUMBNAIL), resample(theirs, THUMBNAIL)
            torch.testing.assert_close(theirs, one, atol=0.05 * float(one.std()), rtol=0)


def test_streaks_are_as_sharp_to_it_in_small_frames():
    torch.manual_seed(0)
    # three pixels wide
    small, larger = (resample(F.avg_pool2d(torch.rand(1, 3, *size), 3, 1, 1), GRID).std()
                     for size in ((360, 480), GRID))
    assert float(small / larger) == pytest.approx(1, abs=0.12)


def test_it_sees_the_whole_frame(veil):
    image = torch.rand(1, 3, 96, 128, requires_grad=True)
    veil(image).gain[0, :, 0, 0].sum().backward()
    assert image.grad[0, :, -8:, -8:].abs().sum() > 0


def test_texture_tells_apart_what_the_thumbnail_averages_away():
    torch.manual_seed(0)
    smooth = torch.full((1, 3, *GRID), 0.5)
    streaks = smooth + 0.4 * torch.tensor([1.0, -0.5, -0.5, 0]).repeat(GRID[1] // 4)
    for texture in (0, 6):
        veil = Veil(VeilConfig(4, 1, texture)).eval()
        torch.nn.init.normal_(veil.field.weight)
        same = torch.allclose(veil(smooth).gain, veil(streaks).gain, atol=1e-4)
        assert same == (texture == 0)


@torch.no_grad()
def test_the_finest_features_pass_by_the_coarser_ones(veil):
    torch.nn.init.zeros_(veil.up1[0].weight)
    veil.up0[0].weight[:, 4:] = 0  # nor is the thumbnail seen but through the levels
    one, other = (veil(scene(96, 128, seed)).gain for seed in (1, 2))
    assert not torch.allclose(one, other)


def test_texture_starts_blind_to_even_areas():
    veil = Veil(VeilConfig(4, 0, 6))
    assert veil.texture(torch.full((1, 12, 8, 8), 0.7))[..., 1:-1, 1:-1].abs().max() < 1e-5
    assert veil.texture(torch.rand(1, 12, 8, 8)).abs().max() > 0.05


def test_features_cannot_die():
    veil = Veil(VeilConfig(4, 0, 2)).eval()
    torch.nn.init.normal_(veil.field.weight)
    for name, parameter in veil.named_parameters():
        if name.endswith('0.bias'):  # every unit far on the flat side of a ReLU
            torch.nn.init.constant_(parameter, -10)
    veil(torch.rand(1, 3, 96, 128)).gain.sum().backward()
    for layer in (veil.texture, veil.down1[0], veil.up0):
        assert layer[0].weight.grad.abs().max() > 0


def test_half_precision_keeps_the_image(veil):
    image = torch.rand(1, 3, 48, 64)
    expected = veil(image).lift(image)
    found = veil.to(torch.bfloat16)(image).lift(image)
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 0.02 * (expected - image).abs().max() + 2e-3


@pytest.mark.parametrize(('size', 'name'), [
    ({'channels': 0}, 'channels is 0'), ({'depth': -1}, 'depth is -1'),
    ({'texture': 1.5}, 'texture is 1.5')])
def test_sizes_that_no_network_has_are_named(size, name):
    with pytest.raises(ValueError, match=name):
        VeilConfig(**size)


def test_the_veil_is_learnt(monkeypatch):
    # every scene's mean is 0.5, the veil is brighter: the whole frame tells how thick it is
    monkeypatch.setattr('ubcn_ros.network.veil.GRID', (72, 96))
    torch.manual_seed(0)
    veil = Veil(VeilConfig(8, 0, 0))
    optimizer = torch.optim.Adam(veil.parameters(), 3e-3)
    images = []
    for _ in range(40):
        clean = torch.rand(4, 3, 48, 64)
        thickness = 0.6 * torch.rand(4, 1, 1, 1)
        veiled = clean * (1 - thickness) + 0.8 * thickness
        image = (veil(veiled).lift(veiled) - clean).abs().mean()
        image.backward()
        optimizer.step()
        optimizer.zero_grad()
        images.append(image.item())
    assert sum(images[-8:]) < 0.8 * sum(images[:8])

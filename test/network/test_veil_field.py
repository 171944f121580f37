# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The veil field: no change at the start, linear in the image, of any size, able to learn."""

import pytest
import torch

from ubcn_ros.network.blocks import shuffle, unshuffle
from ubcn_ros.network.veil_field import (
    THUMBNAIL,
    FieldSAM,
    FieldSAMConfig,
    VeilField,
    coarse,
    thumbnail,
)

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def awake(field):
    """Give the field values to work with."""
    torch.nn.init.normal_(field.field.weight, std=0.05)
    torch.nn.init.normal_(field.hints.weight, std=0.05)
    return field


def test_sam_starts_as_without_it():
    image, previous = torch.rand(2, 1, 3, 50, 70)
    paths = torch.rand(1, 5, 13, 18).softmax(1)
    plain, veiled = (FieldSAM(FieldSAMConfig(channels=8, blocks=2, unshuffle=2, form='trunk',
                                             veil_channels=channels), 5).eval()
                     for channels in (0, 4))
    torch.nn.init.normal_(plain.tail[1].weight, std=0.05)
    missing = veiled.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert all(key.startswith('veil.') for key in missing.missing_keys)
    assert torch.equal(plain(image, previous, paths), veiled(image, previous, paths))


def test_blocks_change_linearly_and_pixels_of_a_block_alike():
    field = awake(VeilField(3, 4, 8, factor=2)).eval()
    small, blocks = torch.rand(1, 3, *THUMBNAIL), torch.rand(1, 12, 9, 11)
    black = field(small, torch.zeros_like(blocks)).change
    white = field(small, torch.ones_like(blocks)).change
    mixed = field(small, blocks).change
    torch.testing.assert_close(mixed, black + (white - black) * blocks)
    for offset_or_gain in (black, white - black):
        pixels = offset_or_gain.unflatten(1, (3, 4))
        torch.testing.assert_close(pixels, pixels[:, :, :1].expand_as(pixels))
    assert (white - black).any() and black.any()


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (400, 500)])
@pytest.mark.parametrize(('factor', 'texture'), [(1, 0), (2, 5)])
def test_any_size(size, texture, factor):
    sam = FieldSAM(FieldSAMConfig(channels=8, blocks=1, unshuffle=factor, veil_channels=4,
                                  veil_texture=texture, veil_depth=1), 5).eval()
    awake(sam.veil)
    image, paths = torch.rand(2, 3, *size), torch.rand(2, 5, 8, 8).softmax(1)
    assert sam(image, image, paths).shape == (2, 3, *size)


def test_what_the_field_hands_on_is_what_sam_adds_its_residual_to():
    sam = FieldSAM(FieldSAMConfig(channels=8, blocks=1, unshuffle=2, veil_channels=4), 5).eval()
    awake(sam.veil)
    image, previous = torch.rand(2, 1, 3, 50, 70)
    paths = torch.full((1, 5, 8, 8), 0.2)
    seen = torch.cat((thumbnail(image), thumbnail(previous), sam.masks(paths, THUMBNAIL)), 1)
    change = shuffle(sam.veil(seen, unshuffle(image, 2)).change, 2, (50, 70))
    assert change.abs().max() > 1e-3
    # the last convolution is zero
    torch.testing.assert_close(sam(image, previous, paths), image + change)


def test_texture_starts_blind_to_even_areas():
    field = VeilField(3, 4, 8, factor=2, texture=6)
    assert field.texture(torch.full((1, 12, 8, 8), 0.7))[..., 1:-1, 1:-1].abs().max() < 1e-5
    assert field.texture(torch.rand(1, 12, 8, 8)).abs().max() > 0.05


def test_a_thumbnail_is_the_frame_in_small():
    ramp = torch.linspace(0, 1, 480).expand(1, 3, 360, 480)
    small = thumbnail(ramp)
    assert small.shape == (1, 3, *THUMBNAIL)
    torch.testing.assert_close(small[0, 0, 50], torch.linspace(0, 1, 128), atol=5e-3, rtol=0)


def test_it_sees_the_whole_frame():
    field = awake(VeilField(3, 4, 8, factor=1)).eval()
    torch.nn.init.normal_(field.whole.weight)
    small = torch.rand(1, 3, *THUMBNAIL, requires_grad=True)
    field(small, torch.rand(1, 3, 96, 128)).change[0, :, 0, 0].sum().backward()
    assert small.grad[0, :, -8:, -8:].abs().sum() > 0


def test_texture_tells_apart_what_the_thumbnail_averages_away():
    field = awake(VeilField(3, 4, 8, factor=2, texture=6, depth=1)).eval()
    small = torch.full((1, 3, *THUMBNAIL), 0.5)
    smooth = torch.full((1, 12, 96, 128), 0.5)
    streaks = smooth + 0.4 * torch.tensor([1.0, -1.0]).repeat(64)
    assert not torch.equal(field(small, smooth).features, field(small, streaks).features)
    plain = awake(VeilField(3, 4, 8, factor=2)).eval()
    assert torch.equal(plain(small, smooth).features, plain(small, streaks).features)


def test_the_paths_count_in_sam_unless_masks_are_uniform():
    image = torch.rand(1, 3, 48, 64)
    one, other = torch.rand(2, 1, 5, 12, 16).softmax(2)
    for uniform in (False, True):
        config = FieldSAMConfig(8, 1, veil_channels=4, uniform_masks=uniform)
        sam = FieldSAM(config, 5)
        awake(sam.eval().veil)  # the last convolution is zero: what differs comes from the field
        assert torch.equal(sam(image, image, one), sam(image, image, other)) == uniform


def test_sam_sees_what_lies_below_a_place():
    torch.manual_seed(1)
    image = torch.rand(1, 3, 48, 64)
    paths = torch.zeros(1, 5, 12, 16)
    paths[:, 0] = 1
    other = paths.clone()
    other[:, 0, -1], other[:, 1, -1] = 0, 1  # another path in the lowest row alone
    fields = []
    for below in (False, True):
        sam = FieldSAM(FieldSAMConfig(8, 1, veil_channels=4, veil_below=below), 5).eval()
        seen = []
        sam.veil.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        sam(image, image, paths), sam(image, image, other)
        changed = (seen[0] - seen[1])[0, :, :80].abs().amax((1, 2))
        fields.append(changed)
    assert not fields[0].any(), 'the masks differ in the lowest rows alone'
    torch.testing.assert_close(fields[1][-5], fields[1][-4])
    assert fields[1][-5] > 0 and not fields[1][:-5].any()


def test_features_cannot_die():
    field = awake(VeilField(3, 4, 8, factor=1, texture=2)).eval()
    for name, parameter in field.named_parameters():
        if name.endswith('0.bias'):  # every unit far on the flat side of a ReLU
            torch.nn.init.constant_(parameter, -10)
    small = torch.rand(1, 3, *THUMBNAIL)
    field(small, torch.rand(1, 3, 96, 128)).change.sum().backward()
    for layer in (field.texture, field.down1[0], field.up0):
        assert layer[0].weight.grad.abs().max() > 0


def test_a_veil_is_learnt(monkeypatch):
    monkeypatch.setattr('ubcn_ros.network.veil_field.THUMBNAIL', (24, 32))
    # every scene's mean is 0.5, the veil is brighter: the whole frame tells how thick it is
    torch.manual_seed(0)
    sam = FieldSAM(FieldSAMConfig(channels=4, blocks=1, unshuffle=2, veil_channels=8), 5)
    optimizer = torch.optim.Adam(sam.veil.parameters(), 6e-3)
    paths, losses = torch.full((4, 5, 8, 8), 0.2), []
    for _ in range(40):
        clean = torch.rand(4, 3, 24, 32)
        thickness = 0.6 * torch.rand(4, 1, 1, 1)
        rainy = clean * (1 - thickness) + 0.8 * thickness
        loss = (sam(rainy, rainy, paths) - clean).abs().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


@pytest.mark.parametrize('size', [(32, 32), (45, 131)])
def test_sam_takes_back_a_share_of_the_coarse_difference_alone(size):
    torch.manual_seed(0)
    image = torch.rand(1, 3, *size)
    paths = torch.full((1, 3, 4, 4), 1 / 3)
    rows, columns = (torch.arange(n) for n in size)
    # finer than a cell of 24x32, where the frame is large enough to have anything finer
    fine = 0.1 * (-1.0) ** (rows[:, None] + columns)
    free, anchored = (FieldSAM(FieldSAMConfig(8, 1, coarse_from_previous=share), 3).eval()
                      for share in (0.0, 0.75))
    assert torch.equal(free(image, image + 0.2, paths), image)  # tails are zero
    torch.testing.assert_close(anchored(image, image + 0.2, paths), image + 0.15)
    torch.testing.assert_close(anchored(image, image + fine, paths), image, atol=0.02, rtol=0)


def test_the_coarse_image_keeps_slow_changes():
    slow = torch.linspace(0, 1, 480).expand(1, 3, 360, 480)
    assert (coarse(slow) - slow)[..., 16:-16].abs().max() < 1e-3


@pytest.mark.parametrize('share', [-0.1, 1.0, float('nan')])
def test_a_share_that_is_none_is_named(share):
    with pytest.raises(ValueError, match=f'coarse_from_previous {share}'):
        FieldSAMConfig(coarse_from_previous=share)

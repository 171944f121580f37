# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The paper's modules: parameter counts of its tables, and properties."""

import pytest
import torch
from simulated_cuda import on_gpu

from ubcn_ros.network import (
    IDM,
    SAM,
    Discriminator,
    IDMConfig,
    SAMConfig,
    UBCNConfig,
    blocks,
    build_segmentation,
)
from ubcn_ros.network.blocks import RES, resample, shuffle, unshuffle
from ubcn_ros.network.segmentation import ddrnet, pspnet


def count(module):
    return sum(p.numel() for p in module.parameters())


def awake(module):
    """Give the last convolution, zero at the start, weights."""
    torch.nn.init.normal_(module.tail[1].weight, std=0.05)
    return module


@pytest.mark.parametrize(('module', 'parameters'), [
    (IDM, 223_779), (SAM, 187_651), (Discriminator, 9_056_449)])
def test_parameter_counts(module, parameters):
    assert count(module()) == parameters


def test_the_wide_preset_has_the_size_of_table_4():
    parameters = count(IDM(UBCNConfig.preset('wide').derain))
    assert parameters == 3_513_575
    assert f'{4 * parameters / 2**20:.2f}' == '13.40'  # MiB


def test_pspnet_parameter_count():
    assert count(build_segmentation('pspnet_resnet50', 19)) == 46_591_571


def test_light_segmentation_is_of_the_compact_class():
    assert 1e6 < count(build_segmentation('ddrnet23_slim', 19)) < 6e6


def test_per_path_weights_multiply_the_stacks():
    shared, own = count(SAM()), count(SAM(SAMConfig(share_paths=False), 10))
    assert own - shared == 9 * count(torch.nn.Sequential(*(RES(32) for _ in range(9))))


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (50, 34)])
@pytest.mark.parametrize('factor', [1, 2, 4])
def test_unshuffle_there_and_back(size, factor):
    image = torch.rand(2, 3, *size)
    assert torch.equal(shuffle(unshuffle(image, factor), factor, size), image)


def test_unshuffling_repeats_the_edge_where_the_size_does_not_fit():
    row = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 3)
    # of each square the upper pixels, then the lower ones
    assert unshuffle(row, 2).flatten(2).tolist() == [[[1, 3], [2, 3], [1, 3], [2, 3]]]


@pytest.mark.parametrize('seed', range(4))
def test_a_stack_of_cr_lets_no_signal_fade(seed):
    torch.manual_seed(seed)
    signal = torch.randn(1, 32, 64, 64)
    faded = torch.nn.Sequential(*(blocks.cr(32, 32) for _ in range(4)))(signal)
    assert 0.4 < faded.square().mean() / signal.square().mean() < 2.5


@torch.no_grad()
def test_a_stack_of_res_does_not_explode():
    torch.manual_seed(0)
    signal = torch.randn(1, 32, 32, 32)
    grown = blocks.residual_stack(32, 11)(signal)
    # with second convolutions at the whole He gain it would be 8,000 and more
    assert grown.square().mean() / signal.square().mean() < 500


@pytest.mark.parametrize('factor', [1, 2])
def test_idm_starts_as_the_identity(factor):
    image = torch.rand(1, 3, 33, 40)
    assert torch.equal(IDM(IDMConfig(unshuffle=factor)).eval()(image), image)


def convolutions(module):
    return [m for m in module.modules() if isinstance(m, torch.nn.Conv2d)]


def alive(module):
    """Let no part of an IDM or SAM be what it starts as: zero, or no change."""
    norm = awake(module).tail[0][1]
    for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        torch.nn.init.uniform_(values, 0.2, 1)
    for conv in convolutions(module):
        torch.nn.init.normal_(conv.bias, std=0.1)
    return module.eval()


def cr_cr(convs, x):
    return convs[1](convs[0](x).relu()).relu()


def res(convs, x):
    """Two CR and a skip, as often as there are pairs of convolutions."""
    for first, second in zip(convs[::2], convs[1::2], strict=True):
        x = x + second(first(x).relu()).relu()
    return x


def cbr_conv(module, x):
    cbr, last = convolutions(module.tail)
    return last(module.tail[0][1](cbr(x)).relu())


def test_idm_is_table_1():
    torch.manual_seed(0)
    idm = alive(IDM(IDMConfig(6, 3, dilations=(1, 2))))
    rainy = torch.rand(2, 3, 9, 11)
    head, body = convolutions(idm.head), convolutions(idm.body)
    residual = cbr_conv(idm, res(body, cr_cr(head, rainy)))
    torch.testing.assert_close(idm(rainy), rainy + residual)
    assert residual.std() > 0.01


@pytest.mark.parametrize('shared', [True, False])
def test_sam_is_table_3(shared):
    torch.manual_seed(0)
    sam = alive(SAM(SAMConfig(6, 2, share_paths=shared), 3))
    rainy, previous = torch.rand(2, 2, 3, 9, 11)
    paths = torch.rand(2, 3, 9, 11).softmax(1)
    x = cr_cr(convolutions(sam.head), torch.cat((rainy, previous), 1))
    stacks = [convolutions(stack) for stack in sam.path_mixer.stacks]
    assert len(stacks) == (1 if shared else 3)
    x = sum(res(stacks[0 if shared else k], x * paths[:, k, None]) for k in range(3))
    torch.testing.assert_close(sam(rainy, previous, paths), rainy + cbr_conv(sam, x))


def test_the_trunk_weighs_a_convolution_of_each_path_by_its_probability():
    torch.manual_seed(0)
    sam = alive(SAM(SAMConfig(6, 2, form='trunk'), 3))
    mixer = sam.path_mixer
    torch.nn.init.normal_(mixer.mix.weight, std=0.3)
    features, paths = torch.rand(2, 6, 9, 11), torch.rand(2, 3, 9, 11).softmax(1)
    trunk = res(convolutions(mixer.trunk), features)
    each = zip(mixer.mix.weight.chunk(3), mixer.mix.bias.chunk(3), strict=True)
    expected = sum(paths[:, k, None] * torch.nn.functional.conv2d(trunk, weight, bias)
                   for k, (weight, bias) in enumerate(each))
    torch.testing.assert_close(mixer(features, paths), expected)


def test_the_discriminator_is_table_2():
    network = Discriminator()
    assert [(c.in_channels, c.out_channels, c.kernel_size, c.stride, c.padding)
            for c in convolutions(network)] == [
        (2048, 64, (4, 4), (2, 2), (1, 1)), (64, 128, (4, 4), (1, 1), (1, 1)),
        (128, 256, (4, 4), (1, 1), (1, 1)), (256, 512, (4, 4), (1, 1), (1, 1)),
        (512, 512, (4, 4), (1, 1), (1, 1)), (512, 1, (4, 4), (1, 1), (1, 1))]
    leaks = [m.negative_slope for m in network.modules() if isinstance(m, torch.nn.LeakyReLU)]
    assert leaks == [0.2] * 5


@pytest.mark.parametrize('factor', [1, 2])
def test_half_of_idms_first_kernels_init_blind_to_even_areas(factor):
    torch.manual_seed(1)
    first = IDM(IDMConfig(unshuffle=factor)).head[0][0]
    even = torch.rand(1, 3, 1, 1).expand(1, 3, 12, 12)
    seen = (first(unshuffle(even, factor)) - first.bias[:, None, None])[0, :, 2:4, 2:4].abs()
    assert seen[:16].max() < 1e-4
    assert seen[16:].amax((1, 2)).min() > 1e-4
    # and see what is not even three times as well as the others
    blind, other = first.weight.detach().split(16)
    assert float(blind.std() / other.std()) == pytest.approx(3, rel=0.15)


@pytest.mark.parametrize('form', ['stacks', 'trunk'])
def test_sam_starts_from_the_rainy_image(form):
    sam = SAM(SAMConfig(8, 1, form=form), 3).eval()
    image, previous = torch.rand(2, 1, 3, 32, 32)
    paths = torch.full((1, 3, 4, 4), 1 / 3)
    assert torch.equal(sam(image, previous, paths), image)


@pytest.mark.parametrize('form', ['stacks', 'trunk'])
def test_sam_tells_the_paths_apart_and_uniform_masks_do_not(form):
    torch.manual_seed(1)
    image, previous = torch.rand(2, 1, 3, 32, 32)
    first = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 8, 8)
    for uniform in (False, True):
        config = SAMConfig(8, 1, form=form, share_paths=False, uniform_masks=uniform)
        sam = awake(SAM(config, 2)).eval()
        if form == 'trunk':
            torch.nn.init.normal_(sam.path_mixer.mix.weight, std=0.1)
        same = torch.allclose(sam(image, previous, first), sam(image, previous, first.flip(1)))
        assert same == uniform
        assert (sam.masks(first, (8, 8)) == (0.5 if uniform else first)).all()


def test_trunk_with_equal_weights_ignores_the_paths():
    sam = awake(SAM(SAMConfig(8, 2, form='trunk'), 4)).eval()
    image, previous = torch.rand(2, 1, 3, 32, 32)
    one, other = torch.rand(2, 1, 4, 32, 32).softmax(2)
    assert torch.allclose(sam(image, previous, one), sam(image, previous, other), atol=1e-5)


def test_unknown_form_names_the_choices():
    with pytest.raises(ValueError, match='stacks, trunk'):
        SAMConfig(form='tree')


def test_masks_under_the_threshold_are_zero_at_the_working_size_and_the_rest_is_kept():
    torch.manual_seed(2)
    paths = (3 * torch.randn(2, 5, 6, 7)).softmax(1)
    free = SAM(SAMConfig(4, 1), 5).masks(paths, (23, 31))
    masks = SAM(SAMConfig(4, 1, path_threshold=0.1), 5).masks(paths, (23, 31))
    low = free < 0.1
    assert low.any() and not low.all()
    assert not masks[low].any()
    assert torch.equal(masks[~low], free[~low])
    assert (masks.sum(1) > 0.6).all()  # at most (5 - 1) * 0.1 is lost


@pytest.mark.parametrize('form', ['stacks', 'trunk'])
def test_the_threshold_is_the_same_in_training_and_inference(form):
    torch.manual_seed(4)
    image, previous = torch.rand(2, 1, 3, 32, 32)
    paths = torch.tensor([0.95, 0.05]).view(1, 2, 1, 1).expand(1, 2, 8, 8)
    results = {}
    for threshold in (0.0, 0.1):
        torch.manual_seed(5)
        sam = awake(SAM(SAMConfig(8, 1, form=form, share_paths=False, path_threshold=threshold),
                        2))
        sam.tail[0][1] = torch.nn.Identity()  # batch statistics are a difference of their own
        if form == 'trunk':
            torch.nn.init.normal_(sam.path_mixer.mix.weight, std=0.1)
        results[threshold] = sam(image, previous, paths)
        assert torch.equal(results[threshold], sam.eval()(image, previous, paths))
    assert not torch.allclose(results[0.0], results[0.1], atol=1e-5)


def test_paths_under_the_threshold_get_no_gradient():
    paths = torch.tensor([0.95, 0.05]).view(1, 2, 1, 1).repeat(1, 1, 8, 8).requires_grad_()
    sam = awake(SAM(SAMConfig(8, 1, path_threshold=0.1), 2))
    sam(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), paths).square().sum().backward()
    assert paths.grad[:, 0].any()
    assert not paths.grad[:, 1].any()


@pytest.mark.parametrize('threshold', [-0.01, 1.0, float('nan')])
def test_a_threshold_that_is_no_probability_is_named(threshold):
    with pytest.raises(ValueError, match=f'path_threshold {threshold}'):
        SAMConfig(path_threshold=threshold)


def test_a_threshold_that_may_leave_a_pixel_without_a_path_is_refused():
    config = SAMConfig(4, 1, path_threshold=0.25)
    assert SAM(config, 3)
    with pytest.raises(ValueError, match='0.25 is too high for 4 paths'):
        SAM(config, 4)


def test_discriminator_refuses_small_features():
    with pytest.raises(ValueError, match='12x12'):
        Discriminator(16)(torch.rand(1, 16, 8, 30))
    assert Discriminator(16).eval()(torch.rand(2, 16, 12, 30)).shape[:2] == (2, 1)


@pytest.mark.parametrize('name', ['ddrnet23_slim', 'pspnet_resnet50'])
@pytest.mark.parametrize('size', [(32, 32), (33, 47)])
def test_segmentation_takes_any_size(name, size):
    network = build_segmentation(name, 5).eval()
    with torch.inference_mode():
        logits, auxiliary, features = network.with_features(torch.rand(1, 3, *size))
    assert logits.shape[:2] == (1, 5)
    assert all(a.shape[1] == 5 for a in auxiliary)
    assert features.shape[1] == network.feature_channels


def test_the_stride_2_head_starts_as_no_change_and_doubles_the_logits_size():
    torch.manual_seed(0)
    plain = build_segmentation('ddrnet23_slim', 5, width=8).eval()
    finer = build_segmentation('ddrnet23_slim', 5, width=8, stride2_head=True).eval()
    missing = finer.load_state_dict(plain.state_dict(), strict=False)
    assert missing.missing_keys and not missing.unexpected_keys
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        coarse, fine = plain(image), finer(image)
        assert coarse.shape[-2:] == (16, 24) and fine.shape[-2:] == (32, 48)
        torch.testing.assert_close(fine, torch.nn.functional.interpolate(
            coarse, (32, 48), mode='bilinear', align_corners=False))
        finer.stride2_head[1].weight.normal_()
        assert not torch.allclose(finer(image), fine)


@pytest.mark.parametrize('size', [(32, 47), (200, 131), (64, 64), (129, 20)])
def test_shrinking_is_the_same_by_matrix_products(size, monkeypatch):
    image = torch.rand(2, 3, *size)
    for target in ((64, 64), (7, 90)):
        expected = resample(image, target)
        with monkeypatch.context() as patch:
            patch.setattr(blocks, 'exporting', lambda: True)
            found = resample(image, target)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_what_is_exported_stays_on_its_device(simulated_gpu, monkeypatch):
    # before PyTorch 2.7 torch.compile takes these forms, too
    for module in (blocks, pspnet, ddrnet):
        monkeypatch.setattr(module, 'exporting', lambda: True)
    image = torch.rand(1, 3, 20, 33, device='cuda')
    for found in (resample(image, (8, 9)), unshuffle(image, 2), pspnet.grid_means(image, 6),
                  ddrnet.window_means(image, (4, 5))):
        assert on_gpu(found)
    assert simulated_gpu.waits == []

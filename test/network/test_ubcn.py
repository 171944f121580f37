# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loop: its shapes, and what must hold for any weights."""

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch.nn import functional as F

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.network import PRESETS, IDMConfig, SAMConfig, Step, UBCNConfig, VeilConfig, build
from ubcn_ros.network.blocks import resample
from ubcn_ros.network.step import attend_at, attention_size, derain_size
from ubcn_ros.network.veil_field import FieldSAMConfig
from ubcn_ros.runtime import load_model
from ubcn_ros.runtime.model_info import ModelInfo
from ubcn_ros.runtime.transfer import labels_of

MODEL = Path(__file__).parents[2] / 'models' / 'ubcn-light-camvid.safetensors'
FORMS = {'stacks': (SAMConfig(8, 1), None),
         'trunk': (SAMConfig(8, 1, 2, form='trunk'), None),
         'veil': (SAMConfig(8, 1, 2, form='trunk'), VeilConfig(4, 1, 4)),
         'stacks and veil': (SAMConfig(8, 1), VeilConfig(4, 0, 0)),
         'two veils': (FieldSAMConfig(8, 1, 2, form='trunk', veil_channels=4, veil_texture=2),
                       VeilConfig(4, 1, 4))}


@pytest.fixture(params=list(FORMS), scope='module')
def network(request):
    torch.manual_seed(3)
    attention, veil = FORMS[request.param]
    net = build(UBCNConfig(CAMVID, IDMConfig(8, 2), attention, 'ddrnet23_slim', {'width': 4},
                           veil))
    if veil:
        torch.nn.init.normal_(net.veil.field.weight, std=0.05)
    for module in (net.derain, net.attention):
        torch.nn.init.normal_(module.tail[1].weight, std=0.05)
    if attention.form == 'trunk':  # starts alike for all paths
        torch.nn.init.normal_(net.attention.path_mixer.mix.weight, std=0.3)
    return net.eval()


@pytest.mark.parametrize('size', [(32, 57), (45, 33)])
def test_shapes(network, size):
    with torch.inference_mode():
        steps = network(torch.rand(2, 3, *size), 3)
    assert len(steps) == 3
    for step in steps:
        assert step.image.shape == (2, 3, *size)
        assert step.full_logits.shape == (2, 11, *size)
        assert torch.isfinite(step.full_logits).all()


def test_labels_are_told_apart_in_half_precision_too():
    logits = 9 + torch.rand(1, 11, 6, 7)
    for dtype in (torch.bfloat16, torch.float16):
        step = Step(torch.zeros(1, 3, 48, 56), logits.to(dtype), torch.zeros(1, 3, 48, 56))
        labels, _ = labels_of(step.logits[0], (48, 56), False)
        assert torch.equal(step.full_logits[0].argmax(0), labels.long())


def test_batched_equals_single(network):
    images = torch.rand(3, 3, 40, 56)
    with torch.inference_mode():
        together = network(images, 2)[-1]
        for i in range(3):
            alone = network(images[i:i + 1], 2)[-1]
            assert torch.allclose(alone.image, together.image[i:i + 1], atol=1e-4)
            assert torch.allclose(alone.logits, together.logits[i:i + 1], atol=1e-3)


def test_a_longer_run_begins_like_a_shorter_one(network):
    image = torch.rand(1, 3, 48, 48)
    with torch.inference_mode():
        short, long = network(image, 2), network(image, 4)
    for a, b in zip(short, long, strict=False):
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.logits, b.logits)


def test_what_the_veil_says_is_the_same_at_every_step(network):
    image = torch.rand(2, 3, 48, 48)
    with torch.inference_mode():
        steps = network(image, 3)
    for step in steps:
        assert torch.equal(step.rainy, steps[0].rainy)
        assert torch.equal(step.rainy, image) == (not network.config.lifted)
        assert (step.rain is None if network.veil is None else
                step.rain.shape == (2, 2) and torch.equal(step.rain, steps[0].rain))


def test_the_loop_is_the_papers(network):
    image = torch.rand(1, 3, 48, 56)
    groups = network.label_set.paths
    with torch.inference_mode():
        steps = network(image, 3)
        lifted = image if network.veil is None else network.veil(image).lift(image)
        # B1 = IDM(O'), Bt = SAM(O', Bt-1, St-1), St = FAM(Bt)
        expected = [network.derain(lifted)]
        for step in steps[:-1]:
            classes = step.logits.softmax(1)
            paths = torch.stack([classes[:, list(group)].sum(1) for group in groups], 1)
            rainy = lifted if network.config.lifted else image
            expected.append(network.attention(rainy, step.image, paths))
        for step, restored in zip(steps, expected, strict=True):
            torch.testing.assert_close(step.image, restored, atol=1e-5, rtol=0)
            torch.testing.assert_close(step.logits, network.segmentation(restored), atol=1e-3,
                                       rtol=0)


def test_steps_differ(network):
    with torch.inference_mode():
        first, second = network(torch.rand(1, 3, 48, 48), 2)
    assert not torch.allclose(first.image, second.image)


def test_path_probabilities_sum_to_one(network):
    paths = network.path_probabilities(5 * torch.randn(2, 11, 6, 7))
    assert paths.shape == (2, len(network.label_set.paths), 6, 7)
    assert torch.allclose(paths.sum(1), torch.ones(2, 6, 7), atol=1e-5)


@pytest.mark.parametrize('network', ['trunk'], indirect=True)  # all forms alike
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_logits_may_be_of_another_precision_than_the_network(network, dtype):
    half = copy.deepcopy(network).to(dtype)
    logits = 5 * torch.randn(1, 11, 6, 7)
    paths, expected = (each.path_probabilities(logits) for each in (half, network))
    assert paths.dtype == dtype
    torch.testing.assert_close(paths.float(), expected, rtol=0, atol=0.03)


def test_gradients_reach_every_parameter(network):
    network.train()
    try:
        steps = network(torch.rand(2, 3, 64, 64), 2)
        loss = sum(s.image.square().mean() + s.logits.square().mean() for s in steps)
        if network.veil is not None:
            loss = loss + steps[-1].rain.square().mean()
        logits, auxiliary, _ = network.segmentation.with_features(torch.rand(2, 3, 64, 64))
        (loss + auxiliary[0].square().mean()).backward()
        missing = [n for n, p in network.named_parameters() if p.grad is None]
        assert not missing
        assert all(torch.isfinite(p.grad).all() for p in network.parameters())
    finally:
        network.eval()
        network.zero_grad()


def test_half_precision_keeps_the_images(network):
    image = torch.rand(1, 3, 48, 48)
    half = build(network.config).eval()
    half.load_state_dict(network.state_dict())
    half.to(torch.bfloat16)
    with torch.inference_mode():
        expected, got = network(image, 2)[-1].image, half(image, 2)[-1].image
    assert got.dtype == torch.float32
    assert (expected - got).abs().mean() < 1 / 255


def test_iterations_below_one_are_refused(network):
    with pytest.raises(ValueError, match='got 0'):
        network(torch.rand(1, 3, 32, 32), 0)


@pytest.mark.parametrize('preset', PRESETS)
def test_configuration_there_and_back(preset):
    config = UBCNConfig.preset(preset, CAMVID)
    assert UBCNConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_light_preset_is_the_network_that_ships():
    with safe_open(MODEL, 'pt') as file:
        shipped = json.loads(file.metadata()['config'])
    assert UBCNConfig.from_dict(shipped) == UBCNConfig.preset('light', CAMVID)


def rainy_street():
    """Sky, road, two houses and a car, all of them even, behind a veil and streaks."""
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing='ij')
    image = torch.where(y < 40, 0.8, 0.35).repeat(3, 1, 1)
    for place, color in (((y < 55) & ((x < 36) | (x > 100)), (0.5, 0.35, 0.25)),
                         ((y > 45) & (y < 66) & (x > 56) & (x < 80), (0.1, 0.1, 0.4))):
        image[:, place] = torch.tensor(color)[:, None]
    veil = 0.35 * torch.exp(-((y - 40) / 30).square())
    image = image * (1 - veil) + 0.85 * veil
    streaks = ((5 * x + y) % 37 < 3) & ((3 * x + 2 * y) % 41 < 18)
    return torch.where(streaks, 0.5 * image + 0.45, image)[None]


# of the two steps on that street, red and blue and the highest logit at twelve places
ANSWERS = [
    ([[0.5214, 0.7694, 0.7685, 0.4618, 0.5433, 0.2721, 0.3478, 0.473, 0.2968, 0.3094, 0.3022,
       0.2734],
      [0.2968, 0.7738, 0.7728, 0.2427, 0.3558, 0.2897, 0.3644, 0.291, 0.305, 0.3177, 0.3108,
       0.2832]],
     [3.08, 3.94, 3.95, 3.05, 2.55, 1.48, 1.82, 2.53, 3.21, 3.57, 2.38, 2.39]),
    ([[0.5271, 0.7691, 0.7719, 0.4864, 0.5534, 0.3281, 0.3826, 0.5059, 0.3228, 0.3306, 0.3236,
       0.304],
      [0.3042, 0.7767, 0.7765, 0.2665, 0.3663, 0.3407, 0.3961, 0.3216, 0.3283, 0.3351, 0.3299,
       0.3103]],
     [3.22, 4.85, 4.27, 3.06, 2.67, 1.49, 1.57, 2.44, 3.21, 3.53, 2.4, 2.38])]


def test_the_shipped_weights_give_what_they_gave():
    # what changes the network but no shape makes trained weights worthless, and nothing says so
    network, _ = load_model(MODEL)
    with torch.inference_mode():
        steps = network.eval()(rainy_street(), 2)
    for step, (colors, logits) in zip(steps, ANSWERS, strict=True):
        torch.testing.assert_close(step.image[0, ::2, 16::32, 16::32].flatten(1),
                                   torch.tensor(colors), atol=4e-4, rtol=0)
        torch.testing.assert_close(step.logits.amax(1)[0, 8::16, 8::16].flatten(),
                                   torch.tensor(logits), atol=0.02, rtol=0)


def test_unknown_preset_is_named():
    with pytest.raises(ValueError, match='heavy'):
        UBCNConfig.preset('heavy')


def test_a_size_of_its_own_changes_no_shape_but_that_of_the_logits(network):
    image, size = torch.rand(2, 3, 100, 131), (33, 43)
    with torch.no_grad():
        native, found = network(image, 2), network(image, 2, size)
        small = network.segmentation(torch.zeros(1, 3, 32, 40))  # multiples of 8
    for step, own in zip(native, found, strict=True):
        assert own.image.shape == step.image.shape
        assert own.logits.shape[-2:] == small.shape[-2:] != step.logits.shape[-2:]
    # IDM works on the whole image; SAM's correction is of the image before
    assert torch.equal(native[0].image, found[0].image)
    assert not torch.equal(found[0].image, found[1].image)
    torch.testing.assert_close(found[1].image, attend_at(size, network.attend, found[0]))
    assert not torch.allclose(found[1].image, native[1].image, atol=1e-4)


def test_sam_at_another_size_corrects_the_image_before():
    torch.manual_seed(0)
    rainy, before = torch.rand(2, 1, 3, 96, 128)
    step = Step(before, torch.zeros(1, 2, 12, 16), rainy)
    seen = []

    def attend(smaller):
        seen.append(smaller)
        return smaller.image + 0.1
    # what SAM adds is added to the image before, whose detail stays
    torch.testing.assert_close(attend_at((40, 56), attend, step), before + 0.1)
    torch.testing.assert_close(seen[0].image, resample(before, (40, 56)))
    torch.testing.assert_close(seen[0].rainy, resample(rainy, (40, 56)))
    assert seen[0].logits is step.logits
    attend_at((96, 128), attend, step)
    assert seen[1] is step, 'that is the size of the image'


def test_sam_sees_the_whole_image_where_it_is_labelled_as_large_as_it_goes():
    assert attention_size((1080, 1920), (720, 1280)) == (720, 1280)
    assert attention_size((1080, 1920), (1080, 1920)) is None
    assert attention_size((1085, 1927), (1080, 1920)) is None
    assert attention_size((1085, 1927), (1080, 1912)) == (1080, 1912)


@pytest.mark.parametrize('image, size', [
    ((1440, 1920), None), ((2159, 3840), None), ((2160, 3840), (1080, 1920)),
    ((3241, 5760), (1080, 1920)), ((2311, 3097), (1156, 1548))])
def test_idm_sees_a_whole_part_of_large_images(image, size):
    assert derain_size(*image, 1080) == size


@pytest.mark.parametrize('trained, sides', [
    (None, {2159: None, 2160: 1080}), (720, {1079: None, 1080: 540}), (1, {1: None, 2: 1})])
def test_idm_sees_images_of_up_to_half_more_lines_than_it_was_trained_on(trained, sides):
    info = ModelInfo('a', Path('a'), '', UBCNConfig(), {'trained_derain_side': trained})
    for lines, seen in sides.items():
        assert derain_size(lines, 2 * lines, info.derain_side) == (seen and (seen, 2 * seen))


def test_what_is_done_to_a_smaller_image_is_added_to_the_whole(network):
    network.derain_side = 32
    image = torch.rand(1, 3, 66, 100)
    with torch.no_grad():
        found = network.derain_first(image)
        small = resample(image, (33, 50))
        of_small = network.derain_natively(small)
        assert not torch.allclose(found[0], network.derain_natively(image)[0])
    for whole, part in zip(found[:2], of_small[:2], strict=True):
        torch.testing.assert_close(whole, image + F.interpolate(
            part - small, (66, 100), mode='bilinear'))
    assert (found[2] is None) == (network.veil is None)
    assert network.veil is None or torch.equal(found[2], of_small[2])


@pytest.mark.parametrize('labelled', [(480, 640), (368, 480), (352, 488)])
def test_sam_sees_no_enlarged_image(labelled):
    assert attention_size((360, 480), labelled) is None

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every baseline is as large as its paper says, takes any image, and learns in all its parts."""

import pytest
import torch

from ubcn_ros.network import UBCNConfig, build
from ubcn_ros.network.baselines import REGISTRY, BaselineConfig, build_baseline
from ubcn_ros.network.baselines.ddn import guided_low_pass
from ubcn_ros.network.baselines.rcdnet import KERNEL, MAPS, MapProximal, RCDNet
from ubcn_ros.runtime import load_model, save_model
from ubcn_ros.runtime.optimize import fold_batch_norm

PARAMETERS = {'ddn': 57_369, 'rescan': 149_823, 'prenet': 168_963, 'jorder-e': 4_169_024,
              'rcdnet': 2_975_187}
STAGES = {'ddn': 1, 'rescan': 4, 'prenet': 1, 'jorder-e': 2, 'rcdnet': 18}


def count(module):
    return sum(p.numel() for p in module.parameters())


def made(name):
    torch.manual_seed(0)
    network = build_baseline(BaselineConfig(name))
    for parameter in network.parameters():
        if not parameter.any() and parameter.ndim != 1 or name == 'ddn' and len(parameter) == 3:
            torch.nn.init.normal_(parameter, std=0.05)  # what starts at zero
    return network


@pytest.mark.parametrize('name', REGISTRY)
def test_it_has_the_published_parameters(name):
    assert count(made(name)) == PARAMETERS[name]


def test_the_published_file_of_rcdnet_holds_what_nothing_uses():
    kernels = 3 * MAPS * KERNEL ** 2
    assert (RCDNet.published_parameters == 3_166_355
            == PARAMETERS['rcdnet'] + count(MapProximal()) + 15 * kernels)


@pytest.mark.parametrize('name', REGISTRY)
@pytest.mark.parametrize('size', [(17, 23), (1, 40)])
def test_images_of_any_size_are_derained(name, size):
    network, image = made(name).eval(), torch.rand(2, 3, *size)
    with torch.inference_mode():
        stages = network.stages(image)
        assert len(stages) == STAGES[name]
        assert all(stage.shape == image.shape and stage.isfinite().all() for stage in stages)
        assert torch.equal(network(image), stages[-1])
        # a batch is its images one by one
        torch.testing.assert_close(network(image[1:]), stages[-1][1:], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize('name', sorted({*REGISTRY} - {'rcdnet'}))
def test_a_residual_starts_at_zero(name):
    image = torch.rand(1, 3, 20, 20)
    assert torch.equal(build_baseline(BaselineConfig(name)).eval()(image), image)


@pytest.mark.usefixtures('shallow')
@pytest.mark.parametrize('name', REGISTRY)
def test_a_gradient_reaches_every_parameter(name):
    network = made(name).train()
    sum(stage.square().mean() for stage in network.stages(torch.rand(2, 3, 12, 12))).backward()
    without = [key for key, p in network.named_parameters() if p.grad is None]
    assert not without


@pytest.mark.usefixtures('shallow')
@pytest.mark.parametrize('name', REGISTRY)
def test_later_estimates_come_of_the_ones_before(name):
    network, image = made(name).eval(), torch.rand(1, 3, 16, 16)
    stages = network.stages(image)
    assert all(not torch.allclose(a, b) for a, b in zip(stages, stages[1:], strict=False))
    assert not torch.allclose(stages[-1], image)


@pytest.mark.usefixtures('shallow')
@pytest.mark.parametrize('name', REGISTRY)
def test_folding_and_half_precision_keep_the_result(name):
    network, image = made(name).eval(), torch.rand(1, 3, 24, 24)
    with torch.inference_mode():
        before = network(image)
        assert (fold_batch_norm(network) > 0) == any(
            name == each for each in ('ddn', 'rcdnet'))
        torch.testing.assert_close(network(image), before, atol=1e-4, rtol=1e-3)
        half = network.to(torch.bfloat16)(image)
    assert half.shape == image.shape and (half - before).abs().mean() < 0.1


@pytest.mark.usefixtures('shallow')
@pytest.mark.parametrize('name', REGISTRY)
def test_a_model_file_holds_it_in_the_place_of_idm(name, tmp_path):
    config = UBCNConfig(derain=BaselineConfig(name), segmentation='ddrnet23_slim',
                        segmentation_options={'width': 4})
    assert UBCNConfig.from_dict(config.to_dict()) == config
    network = build(config).eval()
    save_model(tmp_path / 'baseline.safetensors', network, {})
    loaded, _ = load_model(tmp_path / 'baseline.safetensors')
    image = torch.rand(1, 3, 32, 40)
    with torch.inference_mode():
        step = loaded(image, 1)[0]
        assert torch.equal(step.image, network.derain(image))
        assert torch.equal(step.logits, network.segment(step.image))


def test_an_unknown_baseline_is_named():
    with pytest.raises(ValueError, match="unknown baseline 'dnn': choose one of ddn, rescan"):
        UBCNConfig.from_dict({'derain': {'network': 'dnn'}})


def test_the_low_pass_smooths_texture_and_keeps_flat_areas():
    flat = torch.full((1, 3, 40, 50), 0.3)
    torch.testing.assert_close(guided_low_pass(flat), flat)
    noise = torch.rand(1, 3, 40, 50)
    smooth = guided_low_pass(noise)
    assert smooth.std() < 0.3 * noise.std()


def test_squeeze_and_excitation_scales_channels_alone():
    from ubcn_ros.network.baselines.rescan import SqueezeExcitation
    x = torch.rand(2, 24, 5, 7) + 0.1
    ratio = SqueezeExcitation(24)(x) / x
    assert (0 < ratio).all() and (ratio < 1).all()
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio))

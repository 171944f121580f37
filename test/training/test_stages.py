# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Each stage learns, and trains its own modules alone."""

import math
from pathlib import Path

import pytest
import torch

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.network import UBCNConfig, build
from ubcn_ros.runtime.model_info import PARTS, ModelInfo
from ubcn_ros.training.architecture import model_config
from ubcn_ros.training.config import STAGES_WITH
from ubcn_ros.training.losses import derain_loss
from ubcn_ros.training.optimizers import make_optimizer
from ubcn_ros.training.sam_from_idm import start_from_derain
from ubcn_ros.training.samples import TrainingSamples, to_float
from ubcn_ros.training.stages import STAGE_CLASSES

pytestmark = pytest.mark.usefixtures('small_discriminator')

MODULES = {'derain': {'derain'}, 'adapt': {'segmentation'}, 'attend': {'attention'},
           'joint': {'derain', 'segmentation', 'attention'}}
CROP = {'adapt': [64, 64]}  # the discriminator needs features of 8x8 at stride 8
VEIL = {'channels': 4, 'depth': 0, 'texture': 2}


@pytest.fixture
def batch(scenes):
    def made(config):
        samples = [TrainingSamples(scenes, config.samples, 1)[n] for n in range(2)]
        return to_float({k: torch.stack([s[k] for s in samples]) for k in samples[0]})
    return made


@pytest.fixture
def make(recipe):
    def made(kind, changes=None, **overrides):
        torch.manual_seed(0)
        config = recipe(kind, {'samples': {'crop': CROP.get(kind, [32, 48])},
                               'segmentation_weight': 0.1, **(changes or {})})
        config.model.overrides.update(overrides)
        network = build(model_config(config, CAMVID))
        # the last convolutions start at zero, which leaves nothing before them a gradient
        for module in (network.derain, network.attention):
            torch.nn.init.normal_(module.tail[1].weight, std=0.02)
        stage = STAGE_CLASSES[kind](network, config.stages[kind], None)
        return stage, config.stages[kind]
    return made


def train(stage, config, batch, steps):
    """Train on one batch; the losses."""
    optimizers = [make_optimizer(p, c, fused=False) for p, c in stage.parameter_groups()]
    stage.train()
    losses = []
    for _ in range(steps):
        loss, logs = stage(batch)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        assert all(not v.requires_grad for v in logs.values())
        losses.append(float(logs.get('segmentation', loss.detach())))
    return losses


@pytest.mark.parametrize('kind', MODULES)
def test_a_stage_learns_and_leaves_the_other_modules_alone(make, batch, kind):
    # joint trains normalisation on a batch of two: from 1e-3 on, rounding decides if it learns
    rate = {'derain': 2e-3, 'attend': 2e-3, 'joint': 5e-4}.get(kind)
    stage, config = make(kind, rate and {'optimizer': {'lr': rate}})
    if kind == 'joint':
        start_from_derain(stage.network)
    before = {k: v.clone() for k, v in stage.network.state_dict().items()}
    losses = train(stage, config, batch(config), 4 if kind == 'adapt' else 15)
    assert min(losses[-3:]) < 0.97 * losses[0]
    changed = {name.split('.')[0] for name, value in stage.network.state_dict().items()
               if not torch.equal(value, before[name])}
    assert changed == MODULES[kind], 'weights and normalisation statistics'


@pytest.mark.parametrize('kind', MODULES)
def test_frozen_normalisation_keeps_its_statistics(make, batch, kind):
    rain = {'rain_weight': 0.1, 'veil_weight': 0.5} if kind in ('derain', 'joint') else {}
    stage, config = make(kind, {'freeze_norm': True, **rain}, veil=VEIL if rain else None)
    before = {k: v.clone() for k, v in stage.network.named_buffers()}
    train(stage, config, batch(config), 2)
    for name, value in stage.network.named_buffers():
        assert torch.equal(value, before[name]), name


def test_the_discriminator_learns_from_its_own_loss_alone(make, batch):
    """Whatever the weight of the adversarial loss, the discriminator's gradient is the same."""
    gradients = []
    for weight in (1e-3, 10.0):
        stage, config = make('adapt', {'adversarial_weight': weight, 'freeze_norm': True})
        stage.train()
        stage(batch(config))[0].backward()
        gradients.append([p.grad.clone() for p in stage.discriminator.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_the_features_learn_from_the_adversarial_loss(make, batch):
    gradients = []
    for weight in (1e-9, 10.0):
        stage, config = make('adapt', {'adversarial_weight': weight, 'freeze_norm': True})
        stage.train()
        stage(batch(config))[0].backward()
        gradients.append(next(stage.network.segmentation.parameters()).grad.clone())
    assert not torch.allclose(*gradients)


def test_adapt_without_a_discriminator_trains_on_the_clean_images(make, batch):
    stage, config = make('adapt', {'adversarial_weight': 0})
    assert stage.discriminator is None and len(stage.parameter_groups()) == 1
    data = batch(config)
    stage.eval()
    loss, _ = stage(data)
    other, _ = stage({**data, 'degraded': torch.rand_like(data['degraded'])})
    assert torch.equal(loss, other)


def test_derained_share_takes_the_labels_to_the_derained_images(make, batch):
    stage, config = make('adapt', {'adversarial_weight': 0, 'derained_share': 1.0})
    data = batch(config)
    stage.eval()
    loss, logs = stage(data)
    assert torch.equal(loss, logs['segmentation_derained'])
    other, _ = stage({**data, 'degraded': torch.rand_like(data['degraded'])})
    assert not torch.equal(loss, other)


@pytest.mark.parametrize('share', [0.3, 0.5, 0.9])
def test_a_share_of_the_samples_is_derained_where_views_are_not_compared(make, batch, share):
    stage, config = make('adapt', {'adversarial_weight': 0, 'derained_share': share})
    data, counts = batch(config), []
    n = len(data['labels'])
    stage.network.derain.register_forward_hook(lambda _, images, __: counts.append(len(images[0])))
    stage.eval()
    for _ in range(24):
        seen = len(counts)
        loss, logs = stage(data)
        k = counts[-1] if len(counts) > seen else 0
        assert set(logs) == ({'segmentation'} if k < n else set()) | (
            {'segmentation_derained'} if k else set())
        parts = {'segmentation': n - k, 'segmentation_derained': k}
        mean = sum(parts[name] * float(value) for name, value in logs.items()) / n
        assert float(loss.detach()) == pytest.approx(mean, rel=1e-5)
    assert set(counts) <= {math.floor(share * n), math.ceil(share * n)}
    assert sum(counts) / 24 == pytest.approx(share * n, abs=0.25)


@pytest.mark.parametrize('kind', ['attend', 'joint'])
def test_every_step_has_its_loss(make, batch, kind):
    stage, config = make(kind, {'iterations': 3})
    loss, logs = stage(batch(config))
    mean = sum(logs[f'derain_{t}'] + 0.1 * logs[f'segmentation_{t}'] for t in (1, 2, 3)) / 3
    assert float(loss.detach()) == pytest.approx(float(mean), rel=1e-5)


@pytest.mark.parametrize('setting', [{}, {'one_step': True}])
def test_decibels_count_beside_the_loss_of_images(make, batch, setting):
    setting = {'iterations': 2, 'segmentation_weight': 0, 'psnr_weight': 0.01, **setting}
    stage, config = make('attend', setting)
    loss, logs = stage(batch(config))
    steps = [''] if 'one_step' in setting else ['_1', '_2']
    wanted = [logs[f'derain{s}'] + 0.01 * logs[f'psnr_loss{s}'] for s in steps]
    assert float(loss.detach()) == pytest.approx(float(sum(wanted)) / len(steps), rel=1e-5)
    assert all(float(logs[f'psnr_loss{s}']) < -5 for s in steps)


def test_without_a_segmentation_loss_the_last_labels_are_not_worked_out(make, batch):
    stage, config = make('attend', {'iterations': 3, 'segmentation_weight': 0})
    calls = []
    stage.network.segmentation.register_forward_hook(lambda *_: calls.append(1))
    loss, logs = stage(batch(config))
    assert len(calls) == 2 and set(logs) == {'derain_1', 'derain_2', 'derain_3'}
    assert loss.item() == pytest.approx(float(sum(logs.values())) / 3, rel=1e-5)


def test_one_step_learns_from_a_batch_and_every_step_has_its_turn(make, batch):
    stage, config = make('attend', {'iterations': 3, 'segmentation_weight': 0, 'one_step': True})
    data = batch(config)
    stage.eval()
    with torch.no_grad():
        for weight in stage.network.attention.parameters():
            weight += 0.1 * torch.randn_like(weight)  # so that no two steps are alike
        steps = stage.network(data['degraded'], 3)
        wanted = [float(derain_loss(s.image, data['clean'])) for s in steps]
    assert min(abs(wanted[i] / wanted[j] - 1) for i, j in ((0, 1), (0, 2), (1, 2))) > 1e-3
    seen = set()
    for _ in range(8):
        loss, logs = stage(data)
        loss = float(loss.detach())
        t = min((1, 2), key=lambda t: abs(loss - wanted[t]))
        assert loss == pytest.approx(wanted[t], rel=1e-4)
        assert float(logs['derain_before']) == pytest.approx(wanted[t - 1], rel=1e-4)
        seen.add(t)
    assert seen == {1, 2}


def test_one_step_with_labels_learns_from_them_too(make, batch):
    stage, config = make('attend', {'iterations': 2, 'one_step': True})
    loss, logs = stage(batch(config))
    assert float(loss) == pytest.approx(
        float(logs['derain'] + 0.1 * logs['segmentation']), rel=1e-5)


@pytest.mark.parametrize('factor', [0.5, 2.0])
def test_later_steps_count_more_or_less(make, batch, factor):
    stage, config = make('attend', {'iterations': 3, 'step_factor': factor})
    loss, logs = stage(batch(config))
    own = [logs[f'derain_{t}'] + 0.1 * logs[f'segmentation_{t}'] for t in (1, 2, 3)]
    weights = [factor ** t for t in range(3)]
    wanted = sum(w * float(o) for w, o in zip(weights, own, strict=True)) / sum(weights)
    assert float(loss.detach()) == pytest.approx(wanted, rel=1e-5)


def test_one_step_counts_as_late_as_it_is(make, batch):
    changes = {'iterations': 3, 'one_step': True, 'segmentation_weight': 0, 'step_factor': 3.0}
    stage, config = make('attend', changes)
    data, seen = batch(config), set()
    for _ in range(8):
        loss, logs = stage(data)
        seen.add(round(float(loss.detach() / logs['derain']), 3))
    assert seen == {0.5, 1.5}


def test_attend_needs_two_steps(make):
    with pytest.raises(ValueError, match='iterations is 1'):
        make('attend', {'iterations': 1})


@pytest.mark.parametrize('veil', [None, VEIL])
def test_a_second_step_starts_as_derain(make, veil):
    stage, _ = make('joint', derain={'channels': 4, 'blocks': 1},
                    attention={'channels': 4, 'blocks': 1, 'veil_channels': 0}, veil=veil)
    network = stage.network.eval()
    image = torch.rand(1, 3, 32, 48)
    first, second = network(image, 2)
    assert not torch.allclose(first.image, second.image, atol=1e-4)
    start_from_derain(network)
    first, second = network(image, 2)
    torch.testing.assert_close(first.image, second.image, atol=1e-5, rtol=0)


def test_sams_own_veil_starts_as_that_before_idm(make):
    field = {'veil_channels': 4, 'veil_depth': 0, 'veil_texture': 2, 'veil_below': True}
    stage, _ = make('joint', derain={'channels': 4, 'blocks': 1},
                    attention={'channels': 4, 'blocks': 1, **field}, veil=VEIL)
    network = stage.network
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    hints = network.attention.veil.field.weight[6:].clone()
    start_from_derain(network)
    ours, theirs = network.attention.veil, network.veil
    assert torch.equal(ours.texture[0].weight, theirs.texture[0].weight)
    assert torch.equal(ours.down2[0][0].weight, theirs.down2[0][0].weight)
    assert torch.equal(ours.field.weight, torch.cat((theirs.field.weight, hints)))
    for layer, other, before in ((ours.down1[0][0], theirs.down1[0][0], 0),
                                 (ours.up0[0], theirs.up0[0], 4)):
        assert torch.equal(layer.weight[:, :before + 3], other.weight[:, :before + 3])
        assert not layer.weight[:, before + 3:-2].any(), 'the previous image and the paths'
        assert torch.equal(layer.weight[:, -2:], other.weight[:, -2:])


def test_sams_own_veil_of_another_size_starts_by_itself(make):
    stage, _ = make('joint', derain={'channels': 4, 'blocks': 1}, veil=VEIL,
                    attention={'channels': 4, 'blocks': 1, 'veil_channels': 8})
    before = stage.network.attention.veil.down2[0][0].weight.clone()
    start_from_derain(stage.network)
    assert torch.equal(stage.network.attention.veil.down2[0][0].weight, before)


def parts_that_change(stage, config, data, steps=15):
    before = {k: v.clone() for k, v in stage.network.state_dict().items()}
    losses = train(stage, config, data, steps)
    return losses, {name for name, value in stage.network.state_dict().items()
                    if not torch.equal(value, before[name])}


def test_a_sam_of_another_width_says_so(make):
    stage, _ = make('joint', attention={'channels': 8, 'blocks': 1})
    with pytest.raises(ValueError, match='channels 8 and 4: set warm_start'):
        start_from_derain(stage.network)


def test_derain_trains_the_veil_before_idm_and_what_it_tells(make, batch):
    stage, config = make('derain', {'rain_weight': 0.1, 'veil_weight': 1.0,
                                    'optimizer': {'lr': 3e-3}}, veil=VEIL)
    data = batch(config)
    data['rain_rate'][:], data['extinction'][:] = 30.0, 0.01
    _, logs = stage(data)
    losses, changed = parts_that_change(stage, config, data, 30)
    assert {name.split('.')[0] for name in changed} == {'veil', 'derain', 'rain_head'}
    after = stage(data)[1]
    assert after['rain'] < 0.8 * logs['rain'] and after['veil'] < logs['veil']
    assert losses[-1] < losses[0]


@pytest.mark.parametrize('kind', STAGES_WITH['psnr_weight'])
@pytest.mark.parametrize('veil', [None, VEIL])
def test_the_decibels_are_of_the_streaks(make, kind, veil):
    stage, _ = make(kind, {'psnr_weight': 0.5, 'psnr_cap': 60}, veil=veil)
    clean = torch.full((1, 3, 32, 48), 0.5)
    image = clean + 0.1 + 0.01 * torch.tensor([1.0, -1.0]).repeat(24)  # 20 dB, the streaks 40
    logs = {}
    loss = stage.image_loss(image, clean, logs)
    assert float(logs['psnr_loss']) == pytest.approx(-40, abs=0.1)
    assert float(loss - logs['derain']) == pytest.approx(-20, abs=0.05)


@pytest.mark.parametrize('kind', ['derain', 'joint'])
def test_the_image_learns_nothing_from_the_rain_that_is_told(make, batch, kind):
    stage, config = make(kind, {'rain_weight': 1.0}, veil=VEIL)
    with torch.no_grad():
        torch.nn.init.normal_(stage.network.rain_head.layers[-1].weight)
    image = batch(config)['degraded'].float() / 255
    lifted = stage.network.lift(image)
    derained = stage.network.derain(lifted)
    stage.veil_loss(lifted, derained, {'rain_rate': torch.full((len(image),), 30.0),
                                       'extinction': torch.full((len(image),), 0.01)}, {}
                    ).backward()
    learning = {name.split('.')[0] for name, p in stage.network.named_parameters()
                if p.grad is not None and p.grad.any()}
    assert learning == {'rain_head'}


def test_unknown_rates_train_nothing(make, batch):
    stage, config = make('derain', {'rain_weight': 10.0}, veil=VEIL)
    data = batch(config)
    data['rain_rate'][:], data['extinction'][:] = math.nan, math.nan
    loss, logs = stage(data)
    loss.backward()
    assert logs['rain'] == 0 and torch.isfinite(loss)
    assert not any(p.grad.any() for p in stage.network.rain_head.parameters())


@pytest.mark.parametrize('weight', [0, 0.1])
def test_the_head_learns_only_where_it_has_a_loss(make, weight):
    stage, _ = make('derain', {'rain_weight': weight}, veil=VEIL)
    trained = {id(p) for p in stage.parameter_groups()[0][0]}
    head = {id(p) for p in stage.network.rain_head.parameters()}
    assert head <= trained if weight else not head & trained
    assert stage.train().network.rain_head.training == bool(weight)
    assert {id(p) for p in stage.network.veil.field.parameters()} <= trained


@pytest.mark.parametrize('kind', ['adapt', 'attend'])
def test_other_stages_leave_the_veil_alone_and_see_what_it_lifts(make, batch, kind):
    stage, config = make(kind, {'rain_weight': 0.1, 'veil_weight': 1.0, 'derained_share': 1.0,
                                'adversarial_weight': 0, 'iterations': 2}, veil=VEIL)
    data = batch(config)
    stage.eval()
    before, logs = stage(data)
    assert not {'rain', 'veil'} & {*logs}
    torch.nn.init.normal_(stage.network.veil.field.weight, std=0.5)
    assert not torch.allclose(before, stage(data)[0])
    _, changed = parts_that_change(stage, config, data, 2)
    assert not any(name.startswith('veil.') for name in changed)


def test_joint_adds_the_losses_of_the_veil_once(make, batch):
    changes = {'iterations': 3, 'segmentation_weight': 0}
    plain, config = make('joint', changes, veil=VEIL)
    stage, _ = make('joint', {**changes, 'rain_weight': 0.2, 'veil_weight': 0.3}, veil=VEIL)
    data = batch(config)
    data['rain_rate'][:], data['extinction'][:] = 50.0, 0.004
    (loss, _), (more, logs) = plain(data), stage(data)
    added = 0.2 * logs['rain'] + 0.3 * logs['veil']
    assert float((more - loss).detach()) == pytest.approx(float(added), rel=1e-4)


@pytest.mark.parametrize('kind', ['adapt', 'attend', 'joint'])
def test_boundaries_count_more(make, batch, kind):
    logs = []
    for weight in (0, 3.0):
        stage, config = make(kind, {'boundary_weight': weight, 'adversarial_weight': 0})
        data = batch(config)
        # an odd one out in each row of pixels
        data['labels'] = torch.zeros_like(data['labels'])
        data['labels'][:, :, ::8] = 1
        logs.append({k: v for k, v in stage.eval()(data)[1].items() if 'segmentation' in k})
    assert logs[0].keys() == logs[1].keys() and logs[0]
    assert all(not torch.allclose(logs[0][name], logs[1][name]) for name in logs[0])


@pytest.mark.parametrize(('kind', 'scores', 'expected'), [
    ('derain', {'psnr_0_T1': 65, 'psnr_150_T1': 27}, 38.5),
    ('derain', {'psnr_0_T1': 40, 'psnr_150_T1': 27}, 33.5),
    ('adapt', {'miou_0_T1': 60, 'miou_150_T1': 40}, 50),
    ('attend', {'psnr_150_T1': 30, 'psnr_0_T2': 46, 'psnr_150_T2': 28, 'miou_150_T2': 9}, 37),
    ('joint', {'psnr_0_T2': 80, 'psnr_150_T2': 28, 'miou_0_T2': 9, 'miou_150_T2': 8}, 47.5)])
def test_the_best_is_that_of_the_last_step_dry_and_in_rain(make, kind, scores, expected):
    stage, _ = make(kind, {'iterations': 2})
    assert stage.quality(scores) == expected and stage.quality_text
    name = next(key for key in scores if key.endswith('T2') or kind in ('derain', 'adapt'))
    assert math.isnan(stage.quality({**scores, name: math.nan}))


@pytest.mark.parametrize('kind', ['adapt', 'attend', 'joint'])
def test_labels_of_a_group_cost_what_its_probabilities_lack(kind, make, batch):
    stage, config = make(kind)
    stage.groups = torch.ones(1, CAMVID.num_classes, dtype=torch.bool)
    given = batch(config)
    given['labels'].fill_(CAMVID.num_classes)  # any class will do
    loss, logs = stage(given)
    loss.backward()
    costs = [value for name, value in logs.items() if name.startswith('segmentation')]
    assert costs and max(costs) < 1e-5


def test_an_untrained_part_is_told_the_stage_that_trains_it():
    for part in PARTS:
        others = {'trained': [other for other in PARTS if other != part]}
        text = ModelInfo('a', Path('a'), '', UBCNConfig(), others).untrained_text()
        stage = text.partition(': train ')[2].partition(',')[0]
        assert set(STAGE_CLASSES[stage].trained) - {'veil', 'rain_head'} == {part}

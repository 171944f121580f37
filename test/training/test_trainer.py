# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs that are interrupted, resumed, refused and recorded."""

import errno

import pytest
import torch
from lightning.fabric import Fabric
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.data.formats.cityscapes import CITYSCAPES
from ubcn_ros.data.mixture import open_data
from ubcn_ros.data.scenes import Scene, SceneList
from ubcn_ros.network import build
from ubcn_ros.runtime import load_model
from ubcn_ros.training.trainer import Trainer, model_config, shortened

# the discriminator is not tiny: two steps of it
ADAPT = {'samples': {'crop': [96, 96]}, 'optimizer_steps': 2, 'save_every': 1}


@pytest.fixture
def run(recipe, scenes, tmp_path):
    """Function that makes a trainer of a tiny recipe in an output folder of that name."""
    def made(out, stage='derain', changes=None, workers=0, validation=None, training=scenes,
             precision='32-true', **more):
        fabric = Fabric(accelerator='cpu', devices=1, precision=precision)
        return Trainer(fabric, recipe(stage, changes, **more), stage, training, validation,
                       tmp_path / out, workers)
    return made


class Killed(BaseException):
    """What ends a run from outside."""


def stop_at(trainer, step):
    """Make the trainer end as if killed before this step."""
    def stopping(*_):
        if trainer.optimizer_step == step:
            raise Killed
    trainer.stage.register_forward_pre_hook(stopping)
    with pytest.raises(Killed):
        trainer.fit()


def weights(path):
    return load_model(path)[0].state_dict()


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


@pytest.mark.parametrize(('stage', 'changes'), [
    ('derain', {}), ('adapt', ADAPT), ('joint', {'optimizer': {'kind': 'sgd'}})])
def test_a_resumed_run_ends_with_the_same_bits(run, stage, changes):
    changes = {'optimizer_steps': 4, **changes}
    whole = run('whole', stage, changes, workers=1 if stage == 'derain' else 0)
    whole.fit()
    stop_at(run('parts', stage, changes), changes['optimizer_steps'] - 1)
    resumed = run('parts', stage, changes)
    assert resumed.resume() and resumed.optimizer_step == changes['optimizer_steps'] // 2
    resumed.fit()
    assert_equal(weights(whole.model_path), weights(resumed.model_path))
    ends = [torch.load(t.checkpoint_path, weights_only=True) for t in (whole, resumed)]
    assert_equal(ends[0]['stage'], ends[1]['stage'])
    assert ends[0]['optimizer_step'] == ends[1]['optimizer_step'] == changes['optimizer_steps']


def test_resume_without_a_checkpoint_starts_anew(run):
    assert not run('new').resume()


def test_a_kill_while_saving_leaves_the_checkpoint_before(run, monkeypatch):
    trainer = run('out')
    original, saves = torch.save, []

    def dying(obj, file, *args, **kwargs):
        saves.append(file)
        if len(saves) == 2:
            raise Killed
        return original(obj, file, *args, **kwargs)
    monkeypatch.setattr(torch, 'save', dying)
    with pytest.raises(Killed):
        trainer.fit()
    monkeypatch.undo()
    assert trainer.optimizer_step == 4
    again = run('out')
    assert again.resume() and again.optimizer_step == 2
    again.fit()
    whole = run('whole')
    whole.fit()
    assert_equal(weights(again.model_path), weights(whole.model_path))


def test_a_kill_after_the_last_checkpoint_loses_no_model(run, scenes):
    class Deadly(Scene):
        def image(self):
            raise Killed

    deadly = SceneList('deadly', scenes.label_set, (Deadly('a', None, None),))
    trainer = run('out', validation=deadly)
    with pytest.raises(Killed):
        trainer.fit()
    again = run('out', validation=scenes)
    assert again.resume() and again.optimizer_step == 6 and not again.model_path.exists()
    assert again.fit()
    assert load_model(again.model_path)[1].metadata['validation']


def test_a_damaged_checkpoint_is_named(run):
    trainer = run('out')
    trainer.fit()
    content = trainer.checkpoint_path.read_bytes()
    trainer.checkpoint_path.write_bytes(content[:len(content) // 2])
    with pytest.raises(ValueError, match='derain.ckpt is damaged'):
        run('out').resume()


class Exploding:
    """What a pickle can hold: a call."""

    ran = False

    def __reduce__(self):
        return (setattr, (Exploding, 'ran', True))


def test_a_checkpoint_runs_no_code(run):
    trainer = run('out')
    trainer.out.mkdir()
    state = {'stage': Exploding(), 'optimizer_step': 3, 'optimizer_0': {}}
    torch.save(state, trainer.checkpoint_path)
    with pytest.raises(ValueError, match='damaged'):
        trainer.resume()
    assert not Exploding.ran


def test_a_checkpoint_of_another_width_is_refused(run):
    run('out').fit()
    other = {'preset': 'light', 'overrides': {'derain': {'channels': 6, 'blocks': 1},
                                              'segmentation_options': {'width': 8}}}
    with pytest.raises(ValueError, match='another recipe'):
        run('out', model=other).resume()


def test_a_loss_that_is_not_finite_ends_the_run_before_it_is_saved(run):
    trainer = run('out', changes={'optimizer_steps': 4})
    stage = trainer.stage.module
    original = stage.forward

    def diverging(batch):
        loss, logs = original(batch)
        return (loss * float('nan') if trainer.optimizer_step == 3 else loss), logs
    stage.forward = diverging
    with pytest.raises(FloatingPointError, match='step 4'):
        trainer.fit()
    again = run('out', changes={'optimizer_steps': 4})
    assert again.resume() and again.optimizer_step == 2
    assert all(v.isfinite().all() for v in again.network.state_dict().values())


def test_a_model_says_how_it_came_about(run, scenes):
    trainer = run('out', validation=scenes)
    scores = trainer.fit()
    info = load_model(trainer.model_path)[1]
    assert info.metadata['validation'] == scores and info.metadata['optimizer_steps'] == 6
    assert info.metadata['recipe']['stages']['derain']['samples']['crop'] == [32, 48]
    assert info.metadata['data'] == 'camvid/train' and info.metadata['seed'] == 5
    assert set(scores) == {'psnr_0_T1', 'psnr_150_T1'}


def test_a_model_says_which_of_its_parts_were_trained(run):
    derain = run('out')
    derain.fit()
    assert load_model(derain.model_path)[1].trained == ('derain',)
    # of a file without it, the segmentation network is as untrained as it was there
    start = {name: 'derain.safetensors' for name in ('derain', 'segmentation')}
    attend = run('out', 'attend', {'start': start, 'optimizer_steps': 1, 'iterations': 2})
    assert attend.record({})['trained'] == ['derain', 'attention']
    joint = run('out', 'joint', {'start': start, 'optimizer_steps': 1})
    assert joint.record({})['trained'] == ['derain', 'segmentation', 'attention']


def test_tensorboard_has_scalars_and_pictures(run, camvid_root):
    trainer = run('out', 'joint', {'iterations': 2, 'optimizer_steps': 2}, precision='bf16-mixed',
                  validation=open_data([camvid_root]).split('val'))
    scores = trainer.fit()
    assert set(scores) == {f'{kind}_{rate}_T{t}' for kind in ('psnr', 'miou')
                           for rate in (0, 150) for t in (1, 2)}
    events = EventAccumulator(str(trainer.out / 'log' / 'joint'))
    events.Reload()
    assert {'loss', 'derain_1', 'segmentation_2', 'lr_0', *scores} <= set(
        events.Tags()['scalars'])
    assert events.Scalars('loss')[-1].step == 2
    assert set(events.Tags()['images']) == {'rain_0', 'rain_150'}
    picture = events.Images('rain_150')[0]
    # input, two steps and the clean image, over their labels
    assert (picture.width, picture.height) == (4 * 80, 2 * 64)


def test_modules_start_from_model_files(run):
    first = run('out')
    first.fit()
    second = run('out', 'joint', {'start': {'derain': 'derain.safetensors'}})
    trained = load_model(first.model_path)[0].derain.state_dict()
    assert_equal(trained, second.network.derain.state_dict())


def test_a_stage_may_vary_the_network(run):
    trainer = run('out', changes={'overrides': {'attention': {'uniform_masks': True}}})
    assert trainer.network.config.attention.uniform_masks
    assert trainer.network.config.attention.channels == 4  # the recipe's own stays
    assert not run('out').network.config.attention.uniform_masks


def test_a_wrong_start_is_named(run):
    with pytest.raises(ValueError, match='nothing.safetensors'):
        run('out', changes={'start': {'derain': 'nothing.safetensors'}})
    with pytest.raises(ValueError, match='unknown module'):
        run('out', changes={'start': {'idm': 'derain.safetensors'}})
    run('out').fit()
    other = {'preset': 'light', 'overrides': {'derain': {'channels': 6, 'blocks': 1},
                                              'segmentation_options': {'width': 8}}}
    with pytest.raises(ValueError, match='does not fit'):
        run('out', changes={'start': {'derain': 'derain.safetensors'}}, model=other)


def test_labels_must_be_those_of_the_validation(run, scenes):
    other = SceneList('cityscapes/train', CITYSCAPES, scenes.scenes)
    unlabeled = SceneList('pairs/a', None, scenes.scenes)
    with pytest.raises(ValueError, match='cityscapes'):
        run('out', 'joint', training=other, validation=scenes)
    with pytest.raises(ValueError, match='only the stage derain'):
        run('out', 'joint', training=unlabeled)
    run('out', 'derain', training=unlabeled)


def test_an_unknown_stage_names_the_known_ones(recipe):
    config = recipe('derain')
    with pytest.raises(ValueError, match="no stage 'joint': it has derain"):
        shortened(config, 'joint', 3)
    assert shortened(config, 'derain', 3).stages['derain'].optimizer_steps == 3


def test_the_path_threshold_is_set_by_a_recipe(recipe):
    overrides = {'attention': {'path_threshold': 0.02}}
    model = {'preset': 'light', 'overrides': overrides}
    config = model_config(recipe('derain', model=model), CAMVID)
    assert config.attention.path_threshold == 0.02
    assert build(config).attention.config == config.attention
    overrides['attention']['path_threshold'] = -1
    with pytest.raises(ValueError, match='path_threshold -1'):
        model_config(recipe('derain', model={'preset': 'light', 'overrides': overrides}), CAMVID)


@pytest.mark.parametrize('overrides', [{'derrain': {}}, {'derain': {'chanels': 3}}])
def test_an_unknown_override_is_named(recipe, overrides):
    config = recipe('derain', model={'preset': 'light', 'overrides': overrides})
    with pytest.raises(ValueError, match='derrain|chanels'):
        model_config(config, CAMVID)


def test_a_full_disk_is_named_and_leaves_the_checkpoint_before(run, monkeypatch):
    trainer = run('out', changes={'optimizer_steps': 4})
    original = trainer.fabric.save

    def save(path, state):
        if state['optimizer_step'] == 4:
            raise OSError(errno.ENOSPC, 'No space left on device')
        original(path, state)
    monkeypatch.setattr(trainer.fabric, 'save', save)
    with pytest.raises(OSError, match='No space left on device: .*derain.ckpt'):
        trainer.fit()
    again = run('out', changes={'optimizer_steps': 4})
    assert again.resume() and again.optimizer_step == 2

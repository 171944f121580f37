# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One stage that is interrupted, resumed, refused and recorded."""

import copy
import csv
import errno
import signal
import weakref
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import MixedPrecision
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ubcn_ros.data.mixture import open_data
from ubcn_ros.data.scenes import Scene, SceneList
from ubcn_ros.images.files import read_image
from ubcn_ros.runtime import load_model
from ubcn_ros.stopping import Stopped
from ubcn_ros.training.config import STAGES, find_stage, with_length
from ubcn_ros.training.optimizers import new_scaler

pytestmark = pytest.mark.usefixtures('small_discriminator')

ADAPT = {'samples': {'crop': [64, 64]}, 'optimizer_steps': 2, 'save_every': 1}


@pytest.fixture
def run(recipe, scenes, make_trainer):
    """Function that makes a trainer of a tiny recipe in a folder of that name."""
    def made(out, stage='derain', changes=None, workers=0, validation=None, training=scenes,
             precision='32-true', settings=None, **more):
        fabric = (Fabric(accelerator='cpu', plugins=MixedPrecision(precision, 'cpu'))
                  if precision == '16-mixed'  # Fabric takes bf16 on a CPU instead
                  else Fabric(accelerator='cpu', devices=1, precision=precision))
        return make_trainer(recipe(stage, changes, **more), stage, out, training, validation,
                            workers, fabric, settings)
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


def files(trainer):
    """Contents of what a stage leaves, but for the log and the optimizers."""
    return {path.name: path.read_bytes() for path in trainer.folder.iterdir()
            if path.suffix in ('.safetensors', '.csv')}


@pytest.mark.parametrize(('stage', 'changes'), [
    ('derain', {}), ('derain', {'ema_decay': 0.9}),
    ('derain', {'samples': {'on_device': True, 'drive_share': 0.3, 'drive_frames': 1}}),
    ('adapt', ADAPT),
    ('joint', {'optimizer': {'kind': 'sgd'}})])
def test_a_resumed_run_ends_with_the_same_bits(run, few_pictures, stage, changes):
    changes = {'optimizer_steps': 4, **changes}
    whole = run('whole', stage, changes, workers=1 if stage == 'derain' else 0)
    whole.fit()
    stop_at(run('parts', stage, changes), changes['optimizer_steps'] - 1)
    resumed = run('parts', stage, changes)
    assert resumed.resume() and resumed.optimizer_step == changes['optimizer_steps'] // 2
    resumed.fit()
    assert files(whole) == files(resumed)
    ends = [torch.load(t.folder / 'last.ckpt', weights_only=True) for t in (whole, resumed)]
    assert all(torch.equal(value, ends[1]['stage'][name])
               for name, value in ends[0]['stage'].items())
    assert ends[0]['optimizer_step'] == ends[1]['optimizer_step'] == changes['optimizer_steps']


def test_the_scale_of_gradients_is_one_a_step_kept_and_the_stages_own(run, monkeypatch):
    monkeypatch.setattr('torch.amp.GradScaler',
                        partial(torch.amp.GradScaler, init_scale=4.0, growth_interval=1))
    changes = {**ADAPT, 'optimizer_steps': 2}
    whole, parts = (run(out, 'adapt', changes, precision='16-mixed') for out in ('whole', 'parts'))
    assert len(whole.optimizers) == 2
    whole.fit()
    assert whole.scaler.get_scale() == 4 * 2 ** 2
    stop_at(parts, 1)
    resumed = run('parts', 'adapt', changes, precision='16-mixed')
    assert resumed.resume() and resumed.scaler.get_scale() == 4 * 2
    resumed.fit()
    assert resumed.scaler.get_scale() == 4 * 2 ** 2 and files(whole) == files(resumed)
    another = new_scaler(resumed.fabric)
    assert another is resumed.fabric._precision.scaler and another.get_scale() == 4


def test_no_two_steps_or_processes_draw_the_same(run, monkeypatch):
    trainer, drawn = run('out', changes={'optimizer_steps': 3}), {}
    monkeypatch.setattr(trainer.stage, 'forward', lambda _: stopped())
    for world in (1, 2):
        trainer.fabric = SimpleNamespace(world_size=world)
        for trainer.optimizer_step in range(3):
            for trainer.fabric.global_rank in range(world):
                with pytest.raises(Killed):
                    trainer.train_step({})
                drawn.setdefault(world, []).append(torch.initial_seed())
    assert drawn == {1: [5 * 1_000_003 + n for n in range(3)],
                     2: [5 * 1_000_003 + n for n in range(6)]}


def measured(monkeypatch, *qualities, kill_at=None):
    """Let the validations have these figures, and the one of this number end the run."""
    figures = iter(enumerate(qualities))

    def validate(*_):
        n, quality = next(figures)
        if n == kill_at:
            raise Killed
        return {'psnr_0_T1': 40.0, 'psnr_150_T1': quality}
    monkeypatch.setattr('ubcn_ros.training.trainer.validate', validate)
    monkeypatch.setattr('ubcn_ros.training.pictures.ValidationPictures.sheet',
                        lambda *_: torch.zeros(40, 40, 3, dtype=torch.uint8).numpy())


def test_the_moving_average_is_what_is_validated_and_saved(run, scenes, monkeypatch):
    seen = []

    def validate(_fabric, stage, *_):
        seen.append(copy.deepcopy(stage.network.state_dict()))
        return {'psnr_0_T1': 40.0, 'psnr_150_T1': float(len(seen))}
    monkeypatch.setattr('ubcn_ros.training.trainer.validate', validate)
    monkeypatch.setattr('ubcn_ros.training.pictures.ValidationPictures.sheet',
                        lambda *_: torch.zeros(40, 40, 3, dtype=torch.uint8).numpy())
    changes = {'optimizer_steps': 3, 'validate_every': 1}
    own = run('own', changes=changes, validation=scenes)
    start = copy.deepcopy(own.network.state_dict())
    own.fit()
    steps, seen = seen, []
    averaged = run('averaged', changes={**changes, 'ema_decay': 0.2}, validation=scenes)
    averaged.fit()
    name = next(key for key in start if key.endswith('weight')
                and not torch.equal(steps[0][key], start[key]))
    expected = start[name]
    for step, (weights, average) in enumerate(zip(steps, seen, strict=True), 1):
        decay = min(0.2, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weights[name]
        torch.testing.assert_close(average[name], expected)
        assert not torch.equal(average[name], weights[name])
    # the training itself goes on with the weights
    assert torch.equal(averaged.network.state_dict()[name], steps[-1][name])
    saved = load_model(averaged.folder / 'last.safetensors')[0].state_dict()
    assert all(torch.equal(saved[key], value) for key, value in seen[-1].items())


EVERY = {'optimizer_steps': 4, 'validate_every': 1, 'save_every': 3}


@pytest.mark.parametrize(('qualities', 'best'), [
    ((20, 22, 21, 21), 2), ((20, 22, 22, 21), 2), ((20, 21, 22, 23), 4),
    ((float('nan'), 21, 20, float('nan')), 2), ((20, float('nan'), 19, 18), 1),
    ((float('nan'), float('nan'), float('-inf'), float('nan')), 3),
    ((float('nan'),) * 4, 1), ((float('inf'), 21, 20, 22), 1)])
def test_the_best_is_kept_beside_the_last(run, scenes, monkeypatch, qualities, best):
    measured(monkeypatch, *qualities)
    trainer = run('out', changes=EVERY, validation=scenes)
    monkeypatch.setattr(trainer, 'train_step', lambda _: (torch.zeros(()), {}))
    trainer.fit()
    told = {name: load_model(trainer.folder / f'{name}.safetensors')[1].metadata
            for name in ('best', 'last')}
    assert told['best']['optimizer_steps'] == best and told['last']['optimizer_steps'] == 4
    assert told['best']['validation']['psnr_150_T1'] == pytest.approx(qualities[best - 1],
                                                                     nan_ok=True)


def test_killed_at_a_validation_the_best_is_the_same(run, scenes, monkeypatch):
    qualities = (20, 22, 21, 21)
    measured(monkeypatch, *qualities)
    whole = run('whole', changes=EVERY, validation=scenes)
    whole.fit()
    for kill_at in range(4):
        out = f'parts-{kill_at}'
        measured(monkeypatch, *qualities, kill_at=kill_at)
        with pytest.raises(Killed):
            run(out, changes=EVERY, validation=scenes).fit()
        again = run(out, changes=EVERY, validation=scenes)
        assert again.resume() == (kill_at > 0)
        measured(monkeypatch, *qualities[again.optimizer_step:])
        again.fit()
        assert files(whole) == files(again), kill_at


def test_killed_after_the_best_was_written_and_before_the_checkpoint(run, scenes, monkeypatch):
    """The best of steps that a resumed run makes again is made again."""
    measured(monkeypatch, 20, 22, 21, 21)
    whole = run('whole', changes=EVERY, validation=scenes)
    whole.fit()
    measured(monkeypatch, 20, 22)
    trainer = run('parts', changes=EVERY, validation=scenes)
    save = trainer.save
    trainer.save = lambda: save() if trainer.optimizer_step == 1 else stopped()
    with pytest.raises(Killed):
        trainer.fit()
    again = run('parts', changes=EVERY, validation=scenes)
    assert again.resume() and again.best['step'] == again.optimizer_step == 1
    measured(monkeypatch, 22, 21, 21)
    again.fit()
    assert files(whole) == files(again)


@pytest.mark.parametrize('step', [1, 2])
@pytest.mark.parametrize(('place', 'after', 'error'), [
    ('record', False, Stopped(signal.SIGTERM)),
    ('_save_model', False, OSError(errno.ENOSPC, 'No space left on device')),
    ('_save_model', True, Stopped(signal.SIGTERM)),
    ('results.add', True, Stopped(signal.SIGTERM))])
def test_stopped_in_a_validation_its_network_is_kept(run, scenes, monkeypatch, place, after, error,
                                                     step):
    """The checkpoint that is written then is of a validation to repeat."""
    qualities = [22 if n == step else 20 for n in range(1, 4)]
    trainers = [run('out', changes={**EVERY, 'optimizer_steps': 3}, validation=scenes)
                for _ in range(2)]
    for trainer in trainers:
        monkeypatch.setattr(trainer, 'train_step', lambda _: (torch.zeros(()), {}))
    parts, again = trainers
    *path, name = place.split('.')
    owner = getattr(parts, path[0]) if path else parts
    original = getattr(owner, name)

    def stopping(*arguments):
        done = original(*arguments) if parts.optimizer_step < step or after else None
        if parts.optimizer_step == step:
            raise error
        return done
    monkeypatch.setattr(owner, name, stopping)
    measured(monkeypatch, *qualities)
    with pytest.raises(type(error)):
        parts.fit()
    assert again.resume() and again.optimizer_step == step
    measured(monkeypatch, *qualities[step - 1:])
    again.fit()
    told = load_model(again.folder / 'best.safetensors')[1].metadata
    assert told['optimizer_steps'] == again.best['step'] == step
    with open(again.folder / 'results.csv', newline='') as file:
        assert [row['step'] for row in csv.DictReader(file)] == ['1', '2', '3']


def stopped(*_):
    raise Killed


def test_results_have_a_row_a_validation(run, scenes):
    trainer = run('out', changes={'validate_every': 2}, validation=scenes)
    trainer.fit()
    with open(trainer.folder / 'results.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(row['stage'], row['step']) for row in rows] == [
        ('derain', '2'), ('derain', '4'), ('derain', '6')]
    assert all(float(row[name]) > 0 for row in rows for name in ('loss', 'psnr_150_T1'))


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
    assert files(again) == files(whole)


def test_a_kill_before_the_last_validation_loses_no_model(run, scenes):
    class Deadly(Scene):
        image = stopped

    deadly = SceneList('deadly', scenes.label_set, (Deadly('a', None, None),))
    trainer = run('out', validation=deadly)
    with pytest.raises(Killed):
        trainer.fit()
    again = run('out', validation=scenes)
    assert again.resume() and again.optimizer_step == 4
    again.fit()
    assert again.scores
    assert load_model(again.folder / 'last.safetensors')[1].metadata['validation']


def test_a_kill_after_the_last_checkpoint_loses_no_model(run, monkeypatch):
    changes = {'optimizer_steps': 2}
    whole = run('whole', changes=changes)
    whole.fit()
    for name in ('best', 'last'):
        trainer = run(name, changes=changes)
        save_model = trainer._save_model
        monkeypatch.setattr(trainer, '_save_model', lambda file, name=name, save=save_model: (
            stopped() if file.startswith(name) else save(file)))
        with pytest.raises(Killed):
            trainer.fit()
        again = run(name, changes=changes)
        assert again.resume() and again.optimizer_step == 2
        again.fit()
        assert files(whole) == files(again), name


def test_a_damaged_checkpoint_is_named(run):
    trainer = run('out')
    trainer.fit()
    path = trainer.folder / 'last.ckpt'
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])
    with pytest.raises(ValueError, match='last.ckpt is damaged'):
        run('out').resume()


class Exploding:
    """What a pickle can hold: a call."""

    ran = False

    def __reduce__(self):
        return (setattr, (Exploding, 'ran', True))


def test_a_checkpoint_runs_no_code(run):
    trainer = run('out')
    trainer.folder.mkdir()
    state = {'stage': Exploding(), 'optimizer_step': 3, 'optimizer_0': {}}
    torch.save(state, trainer.folder / 'last.ckpt')
    with pytest.raises(ValueError, match='damaged'):
        trainer.resume()
    assert not Exploding.ran


def test_a_checkpoint_of_another_width_or_start_is_refused(run):
    run('out', settings={'start': 'a'}).fit()
    other = {'preset': 'light', 'overrides': {'derain': {'channels': 6, 'blocks': 1}}}
    with pytest.raises(ValueError, match='another recipe.*channels: 4 before, 6 now'):
        run('out', model=other, settings={'start': 'a'}).resume()
    with pytest.raises(ValueError, match='start: a before, b now'):
        run('out', settings={'start': 'b'}).resume()
    with pytest.raises(ValueError, match='labels: None before, .*Road'):
        run('out', settings={'start': 'a', 'labels': {'1 camvid': {'0': 'Road'}}}).resume()


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


def test_the_loss_of_another_process_ends_this_one_too(run, monkeypatch):
    trainer = run('out')
    monkeypatch.setattr(trainer.fabric, 'all_reduce', lambda loss: (loss + float('nan')) / 2)
    with pytest.raises(FloatingPointError, match='the loss of derain is nan at optimizer step 0'):
        trainer._check_finite(torch.tensor(0.5), weights=True)


@pytest.mark.parametrize(('norm', 'told'), [(5, 'below 5'), (0, 'such as 1')])
def test_what_is_not_finite_is_told_with_a_remedy_that_there_is(run, norm, told):
    trainer = run('out', changes={'grad_clip_norm': norm})
    with pytest.raises(FloatingPointError, match=f'a grad_clip_norm {told}'):
        trainer._check_finite(torch.tensor(float('nan')), weights=False)


def test_stopped_before_the_first_step_no_checkpoint_is_claimed(run, capsys):
    trainer = run('out')
    with pytest.raises(Stopped), trainer._saved_when_stopped():
        raise Stopped(signal.SIGTERM)
    assert not trainer.folder.exists() and not capsys.readouterr().out


@pytest.mark.parametrize('steps', [1, 3])
def test_weights_that_are_not_finite_are_never_saved(run, scenes, steps):
    # the loss is from before the step that made them so
    trainer = run('out', changes={'optimizer_steps': steps, 'save_every': 1}, validation=scenes)
    next(trainer.network.derain.parameters()).register_hook(lambda gradient: gradient / 0)
    with pytest.raises(FloatingPointError, match='not finite at optimizer step 1: .*lower lr'):
        trainer.fit()
    assert not list(trainer.folder.glob('*'))


def test_mixed_precision_rounds_no_image(run, monkeypatch):
    seen = []
    monkeypatch.setattr('ubcn_ros.training.stage.derain_loss',
                        lambda image, clean: seen.append(clean) or (image - clean).abs().mean())
    trainer = run('out', precision='bf16-mixed')
    samples = trainer.samples()
    batch = {name: torch.stack([samples[n][name] for n in range(2)]) for name in samples[0]}
    trainer.train_step(batch)
    assert torch.equal(seen[0], batch['clean'].float() / 255)


@pytest.mark.parametrize('stage', STAGES)
def test_every_stage_trains_with_all_losses_in_fp64(run, stage):
    changes = {'samples': {'crop': [64, 64]}, 'psnr_weight': 0.01, 'boundary_weight': 1,
               'lovasz_weight': 0.5, 'derained_share': 0.5,
               'segmentation_weight': 0.1}
    trainer = run('out', stage, changes, precision='64-true')
    samples = trainer.samples()
    batch = {name: torch.stack([samples[n][name] for n in range(2)]) for name in samples[0]}
    loss, _ = trainer.train_step(batch)
    assert loss.isfinite() and next(trainer.network.parameters()).dtype == torch.float64


def test_tensorboard_has_scalars_and_pictures(run, camvid_root):
    trainer = run('out', 'joint', {'iterations': 2, 'optimizer_steps': 2}, precision='bf16-mixed',
                  validation=open_data([camvid_root]).split('val'))
    trainer.fit()
    scores = trainer.scores
    assert set(scores) == {f'{kind}_{rate}_T{t}' for kind in ('psnr', 'miou')
                           for rate in (0, 150) for t in (1, 2)}
    events = EventAccumulator(str(trainer.folder / 'log'))
    events.Reload()
    assert {'loss', 'derain_1', 'segmentation_2', 'lr_0', *scores} <= set(
        events.Tags()['scalars'])
    assert events.Scalars('loss')[-1].step == 2
    assert set(events.Tags()['images']) == {'validation'}
    shown, written = events.Images('validation')[-1], trainer.folder / 'validation.jpg'
    assert shown.encoded_image_string == written.read_bytes()
    assert (shown.height, shown.width) == read_image(written).shape[:2]


def test_only_derain_trains_without_labels(run, scenes):
    unlabeled = SceneList('pairs/a', None, scenes.scenes)
    with pytest.raises(ValueError, match='only the stage derain'):
        run('out', 'joint', training=unlabeled)
    run('out', 'derain', training=unlabeled)


def test_an_unknown_stage_names_the_known_ones(recipe):
    config = recipe('derain')
    with pytest.raises(ValueError, match="no stage 'joint': it has derain"):
        find_stage(config, 'joint')
    assert with_length(config, 3).stages['derain'].optimizer_steps == 3


def test_a_full_disk_is_named_and_leaves_the_checkpoint_before(run, monkeypatch):
    trainer = run('out', changes={'optimizer_steps': 4})
    original = trainer.fabric.save

    def save(path, state):
        if state['optimizer_step'] == 4:
            raise OSError(errno.ENOSPC, 'No space left on device')
        original(path, state)
    monkeypatch.setattr(trainer.fabric, 'save', save)
    with pytest.raises(OSError, match='No space left on device: .*last.ckpt'):
        trainer.fit()
    again = run('out', changes={'optimizer_steps': 4})
    assert again.resume() and again.optimizer_step == 2


@pytest.mark.parametrize(('stage', 'changes'), [
    ('derain', {}), ('joint', {'iterations': 2})])
def test_a_compiled_stage_learns_the_same(run, stage, changes, monkeypatch):
    # what makes code of the graphs takes minutes on a CPU
    monkeypatch.setattr('ubcn_ros.training.stages.Stage.compile',
                        lambda self: torch.nn.Module.compile(self, backend='eager'))
    changes = {**changes, 'optimizer_steps': 2}
    plain, compiled = (run(f'{compiles}', stage, {**changes, 'compile': compiles})
                       for compiles in (False, True))
    for trainer in (plain, compiled):
        trainer.fit()
    for name, value in compiled.network.state_dict().items():
        torch.testing.assert_close(value, plain.network.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_a_stage_without_on_device_frees_the_memory_of_those_before(run):
    kept = weakref.ref(run('first', changes={'samples': {'on_device': True}}).samples().tensors)
    assert kept() is not None, 'for further stages'
    run('second').samples()
    assert kept() is None

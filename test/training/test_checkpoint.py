# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A stage that a signal or a file stops has a checkpoint of the last whole optimizer step."""

import os
import signal

import pytest
import torch

from ubcn_ros.data.scenes import DataSetError
from ubcn_ros.stopping import Stopped
from ubcn_ros.training.checkpoint import kept_while_unchanged
from ubcn_ros.training.samples import TrainingSamples

STEPS = 4


@pytest.fixture
def run(recipe, make_trainer):
    """Function that makes a trainer which saves and validates at its end alone."""
    def made(out, validation=None, **changes):
        config = recipe('derain', {'optimizer_steps': STEPS, 'save_every': 100,
                                   'validate_every': 100, **changes})
        return make_trainer(config, 'derain', out, validation=validation)
    return made


def stopped_in(trainer, step):
    """Send this process SIGTERM in the middle of an optimizer step."""
    def send(*_):
        if trainer.optimizer_step == step - 1:
            os.kill(os.getpid(), signal.SIGTERM)
    trainer.stage.register_forward_pre_hook(send)
    with pytest.raises(Stopped, match='SIGTERM'):
        trainer.fit()


def test_the_step_is_ended_and_the_run_goes_on_there(run, capsys):
    whole, before = run('whole'), signal.getsignal(signal.SIGTERM)
    whole.fit()
    stopped_in(run('parts'), 2)
    assert signal.getsignal(signal.SIGTERM) == before
    assert 'the checkpoint is of optimizer step 2 of derain' in capsys.readouterr().out
    resumed = run('parts')
    assert resumed.resume() and resumed.optimizer_step == 2
    resumed.fit()
    assert all(torch.equal(value, resumed.network.state_dict()[name])
               for name, value in whole.network.state_dict().items())


@pytest.mark.parametrize('step', [2, STEPS])
@pytest.mark.parametrize('while_it_runs', [False, True])
def test_a_validation_that_is_due_is_made_up_for(run, scenes, step, while_it_runs, monkeypatch):
    """It may be that of the best network."""
    whole, parts = (run(out, validation=scenes, validate_every=2) for out in ('whole', 'parts'))
    whole.fit()
    if while_it_runs:
        measure = parts.stage.module.quality
        monkeypatch.setattr(parts.stage.module, 'quality', lambda scores: (
            os.kill(os.getpid(), signal.SIGTERM) if parts.optimizer_step == step else None,
            measure(scores))[1])
        with pytest.raises(Stopped):
            parts.fit()
    else:
        stopped_in(parts, step)
    resumed = run('parts', validation=scenes, validate_every=2)
    assert resumed.resume() and resumed.optimizer_step == step
    resumed.fit()
    assert resumed.results.path.read_bytes() == whole.results.path.read_bytes()
    for name in ('best.safetensors', 'last.safetensors'):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


@pytest.mark.parametrize('error', [DataSetError('a mask is gone'), OSError('no more room')])
def test_a_file_that_fails_costs_no_step(run, error, capsys, monkeypatch):
    trainer = run('out')

    def failing(samples, number):
        if trainer.optimizer_step == 3:
            raise error
        return original(samples, number)
    original = TrainingSamples.__getitem__
    monkeypatch.setattr(TrainingSamples, '__getitem__', failing)
    with pytest.raises(type(error), match=str(error)):
        trainer.fit()
    assert 'the checkpoint is of optimizer step 3 of derain' in capsys.readouterr().out
    resumed = run('out')
    assert resumed.resume() and resumed.optimizer_step == 3


def test_of_weights_that_are_not_finite_there_is_none(run):
    trainer = run('parts')

    def spoil(*_):
        with torch.no_grad():
            next(iter(trainer.network.derain.parameters())).fill_(float('nan'))
        os.kill(os.getpid(), signal.SIGTERM)
    trainer.stage.register_forward_pre_hook(spoil)
    with pytest.raises(FloatingPointError, match='step 1'):
        trainer.fit()
    assert not (trainer.folder / 'last.ckpt').exists()


def test_what_was_read_is_kept_until_the_file_is_written_again(tmp_path):
    reads = []

    @kept_while_unchanged
    def text(path):
        reads.append(path)
        return path.read_text()

    path = tmp_path / 'a'
    path.write_text('one')
    assert [text(path), text(path)] == ['one', 'one'] and reads == [path]
    path.write_text('other')
    assert text(path) == 'other' and len(reads) == 2
    path.unlink()
    with pytest.raises(FileNotFoundError):
        text(path)

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A stage that a signal stops has a checkpoint of the last whole optimizer step."""

import os
import signal

import pytest
import torch

from ubcn_ros.stopping import Stopped
from ubcn_ros.training.checkpoint import kept_while_unchanged

STEPS = 4


@pytest.fixture
def run(recipe, make_trainer):
    """Function that makes a trainer which saves and validates at its end alone."""
    def made(out, **changes):
        config = recipe('derain', {'optimizer_steps': STEPS, 'save_every': 100,
                                   'validate_every': 100, **changes})
        return make_trainer(config, 'derain', out)
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
def test_where_a_validation_follows_the_checkpoint_before_stays(run, step, capsys):
    """A run that is resumed would leave out the validation, which may have been the best."""
    often = {'validate_every': 2, 'save_every': 1}
    stopped_in(run('parts', **often), step)
    said = f'at optimizer step {step} of derain: the last checkpoint stays'
    assert said in capsys.readouterr().out
    resumed = run('parts', **often)
    assert resumed.resume() and resumed.optimizer_step == step - 1


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

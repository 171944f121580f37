# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn train` as people start it: killed, on two processes, and with something wrong."""

import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from training_process import start_training

from ubcn_ros.cli.train import train
from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.network import build
from ubcn_ros.runtime import load_model, save_model
from ubcn_ros.training.architecture import model_config
from ubcn_ros.training.config import STAGES
from ubcn_ros.training.estimate import estimate

ROOT = Path(__file__).parents[2]

# each process normalises, and averages over labeled pixels, within its own share of a batch: only
# frozen statistics and the losses on images compare; in 64 bits, for rounding grows at such a rate
COMPARABLE = {'freeze_norm': True, 'segmentation_weight': 0, 'optimizer_steps': 6, 'batch': 4,
              'iterations': 2, 'optimizer': {'kind': 'sgd', 'lr': 8}}


def arguments(recipe, root, out, *more, precision='32-true'):
    return [str(recipe.path), '--data', str(root), '--out', str(out),
            '--accelerator', 'cpu', '--precision', precision, '--threads', '1', *more]


def wait_for(path, running, log):
    """Wait until a running training has written a file."""
    deadline = time.monotonic() + 120
    while not path.is_file():
        assert running() and time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def invoke(arguments):
    return CliRunner().invoke(train, arguments)


@pytest.mark.slow
@pytest.mark.integration
def test_a_run_of_all_stages_killed_and_resumed_is_an_uninterrupted_one(
        write_recipe, camvid_root, tmp_path, monkeypatch):
    write_recipe(tmp_path / 'tiny.yaml', {'stages': {'adapt': {
        'optimizer_steps': 6, 'validate_every': 6}}}, ('derain', 'adapt', 'attend'))
    options = ['../tiny.yaml', '--data', str(camvid_root), '--out', 'out', '--accelerator', 'cpu',
               '--precision', '32-true', '--threads', '1', '--workers', '0']
    folders = [tmp_path / name for name in ('parts', 'whole')]
    for folder in folders:
        folder.mkdir()
    log, checkpoint = tmp_path / 'log.txt', folders[0] / 'out/stages/adapt/last.ckpt'
    process = start_training(options, log, folders[0], killed_in='adapt')
    process.join(120)
    process.kill()
    assert process.exitcode == -signal.SIGKILL and checkpoint.is_file(), log.read_text()
    assert not (checkpoint.parent / 'last.safetensors').exists()
    for folder, more in zip(folders, (['--resume'], []), strict=True):
        monkeypatch.chdir(folder)
        monkeypatch.setattr('sys.argv', ['ubcn', 'train', *options, *more])
        done = invoke([*options, *more])
        assert done.exit_code == 0, done.output
        assert ('adapt goes on at optimizer step' in done.output) == bool(more)
    for name in ('tiny.safetensors', 'args.yaml', 'results.csv', 'stages/adapt/best.safetensors'):
        parts, whole = ((folder / 'out' / name).read_bytes() for folder in folders)
        assert parts == whole, name


@pytest.mark.slow
@pytest.mark.integration
def test_two_processes_train_as_one_does(recipe, camvid_root, tmp_path):
    config = recipe('joint', COMPARABLE)
    torch.manual_seed(0)
    network = build(model_config(config, CAMVID))
    for parameter in network.segmentation.parameters():
        if parameter.ndim == 1:  # of a ReLU's input of 0, rounding decides the gradient
            torch.nn.init.normal_(parameter, 0.5, 0.2)
    given = tmp_path / 'start.safetensors'
    save_model(given, network, {'trained': ['segmentation']})
    options, log = ['--workers', '0', '--init', str(given)], tmp_path / 'log.txt'
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = str(free.getsockname()[1])
    two = [start_training(arguments(recipe, camvid_root, tmp_path / 'two', '--devices', '2',
                                    *options, precision='64-true'), log, LOCAL_RANK=rank,
                          MASTER_PORT=port) for rank in '01']
    try:
        one = invoke(arguments(recipe, camvid_root, tmp_path / 'one', *options,
                               precision='64-true'))
        for process in two:
            process.join(150)
            assert process.exitcode == 0, log.read_text()
    finally:
        for process in two:
            process.kill()
    assert one.exit_code == 0, one.output
    first, second = (load_model(tmp_path / name / 'stages/joint/last.safetensors')[0].state_dict()
                     for name in ('one', 'two'))
    torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-8)
    for module in ('derain', 'attention'):
        # it started at zero
        assert first[f'{module}.tail.1.weight'].abs().max() > 1e-3, 'too little to compare'


@pytest.mark.slow
@pytest.mark.integration
def test_a_signal_to_one_of_two_processes_stops_both_with_a_checkpoint(recipe, camvid_root,
                                                                       tmp_path):
    recipe('derain', {'optimizer_steps': 10_000, 'save_every': 20, 'validate_every': 10_000})
    checkpoint = tmp_path / 'out/stages/derain/last.ckpt'
    command = arguments(recipe, camvid_root, tmp_path / 'out', '--devices', '2', '--workers', '0')
    path = os.pathsep.join((str(ROOT), str(ROOT / 'test')))  # the latter has the network
    with open(tmp_path / 'log.txt', 'w') as log:
        process = subprocess.Popen(
            [sys.executable, '-m', 'ubcn_ros.cli', 'train', *command], stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': path})
        try:
            wait_for(checkpoint, lambda: process.poll() is None, tmp_path / 'log.txt')
            process.terminate()
            assert process.wait(60) == 128 + signal.SIGTERM, (tmp_path / 'log.txt').read_text()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    told = re.search('the checkpoint is of optimizer step ([0-9]+) of derain',
                     (tmp_path / 'log.txt').read_text())
    assert int(told[1]) == torch.load(checkpoint, weights_only=True)['optimizer_step'] >= 20


@pytest.mark.parametrize(('computes', 'accelerator', 'chosen'), [
    (True, 'cpu', 'bf16-mixed'), (False, 'cpu', '32-true'), (True, 'cuda', 'bf16-mixed'),
    (False, 'cuda', '16-mixed')])
def test_bf16_is_not_emulated(recipe, camvid_root, tmp_path, monkeypatch, computes, accelerator,
                              chosen):
    """Emulated, a step takes some seven times as long as in fp32."""
    def fabric(**settings):
        raise ValueError(f'starts in {settings["precision"]}')

    monkeypatch.setattr('lightning.fabric.Fabric', fabric)
    monkeypatch.setattr('torch.cuda.is_available', lambda: accelerator == 'cuda')
    monkeypatch.setattr('torch.cuda.device_count', lambda: 1)
    monkeypatch.setattr('torch.cuda.is_bf16_supported',
                        lambda including_emulation=True: computes or including_emulation)
    monkeypatch.setattr('ubcn_ros.runtime.device.cpu_computes_bf16', lambda: computes)
    recipe('derain')
    result = invoke(arguments(recipe, camvid_root, tmp_path / 'out', '--accelerator', accelerator,
                              precision='auto'))
    assert f'starts in {chosen}' in result.output


def test_a_wrong_folder_is_one_clear_error(recipe, tmp_path):
    recipe('derain')
    result = invoke(arguments(recipe, tmp_path, tmp_path / 'out'))
    assert result.exit_code == 1 and 'no layout that is known' in result.output
    assert 'Traceback' not in result.output


def test_an_unknown_stage_names_the_known_ones(recipe, camvid_root, tmp_path):
    recipe('derain')
    result = invoke(arguments(recipe, camvid_root, tmp_path / 'out', '--stage', 'joint'))
    assert result.exit_code == 1 and 'it has derain' in result.output
    assert not (tmp_path / 'out').exists()


def test_derain_trains_on_pairs(recipe, camvid_root, tmp_path):
    for name in ('input', 'target'):
        (tmp_path / 'pairs' / name).parent.mkdir(exist_ok=True)
        (tmp_path / 'pairs' / name).symlink_to(camvid_root / 'train' / 'images')
    recipe('derain', {'optimizer_steps': 1})
    result = invoke(arguments(recipe, tmp_path / 'pairs', tmp_path / 'out', '--workers', '0'))
    assert result.exit_code == 0, result.output


def test_errors_of_the_data_are_all_told_before_anything_is_trained(recipe, camvid_root,
                                                                    tmp_path):
    root = tmp_path / 'data'
    shutil.copytree(camvid_root, root)
    cv2.imwrite(str(root / 'train/labels/0001TP_2.png'), np.full((64, 80), 12, np.uint8))
    image = root / 'train/images/0001TP_1.png'
    image.write_bytes(image.read_bytes()[:100])
    recipe('derain')
    result = invoke(arguments(recipe, root, tmp_path / 'out', '--workers', '1'))
    assert result.exit_code == 1 and 'Traceback' not in result.output
    assert all(text in result.output for text in ('0001TP_1', '0001TP_2', 'ubcn data check'))
    assert 'Error: the data have errors' in result.output and not (tmp_path / 'out').exists()


@pytest.fixture(scope='module')
def kept(tmp_path_factory):
    """Folder of a run that is trained once and then copied."""
    return tmp_path_factory.mktemp('finished') / 'out'


@pytest.fixture
def finished(recipe, camvid_root, tmp_path, kept):
    """A run of one step; a function that trains again with more options."""
    recipe('derain', {'optimizer_steps': 1, 'validate_every': 1})

    def again(*more, out=tmp_path / 'out'):
        return invoke(arguments(recipe, camvid_root, out, '--workers', '0', *more))
    if not kept.exists():
        assert again(out=kept).exit_code == 0
    shutil.copytree(kept, tmp_path / 'out')
    return again


def contents(out):
    return {path: path.read_bytes() for path in out.rglob('*') if path.is_file()}


def test_a_run_is_not_overwritten_unasked(finished, tmp_path):
    before = contents(tmp_path / 'out')
    refused = finished()
    assert refused.exit_code == 1 and refused.output.count('Error') == 1
    assert all(text in refused.output for text in ('tiny.safetensors', '--resume', '--overwrite'))
    assert finished('--resume', '--overwrite').exit_code == 2
    assert contents(tmp_path / 'out') == before


def test_overwriting_starts_again(finished, tmp_path, monkeypatch):
    out = tmp_path / 'out'
    logs = set((out / 'log' / 'derain').iterdir())
    assert logs
    done = finished('--overwrite', '--steps', '2')
    assert done.exit_code == 0 and 'goes on' not in done.output, done.output
    last = load_model(out / 'stages/derain/last.safetensors')[1]
    assert last.metadata['optimizer_steps'] == 2
    assert torch.load(out / 'stages/derain/last.ckpt', weights_only=True)['optimizer_step'] == 2
    assert not logs & set((out / 'log' / 'derain').iterdir())
    # killed before its first checkpoint it leaves nothing that looks like its own
    monkeypatch.setattr('ubcn_ros.training.trainer.Trainer.fit', lambda *_: 1 / 0)
    assert isinstance(finished('--overwrite').exception, ZeroDivisionError)
    assert not list((out / 'stages/derain').iterdir())
    assert not (out / 'tiny.safetensors').exists()


def test_resuming_with_another_recipe_says_what_differs(finished, recipe, tmp_path):
    recipe('derain', {'optimizer_steps': 1, 'optimizer': {'lr': 2e-3},
                      'samples': {'crop': [48, 48]}, 'save_every': 7, 'validate_every': 1},
           seed=6)
    before = contents(tmp_path / 'out')
    result = finished('--resume', '--steps', '3')
    assert result.exit_code == 1 and result.output.count('Error: ') == 1
    differences = re.findall(r'([a-z._]+): (\S+(?: \d+\])?) before, (\S.*?) now',
                             result.output)
    assert {name: values for name, *values in differences} == {
        'seed': ['5', '6'], 'stages.derain.optimizer.lr': ['0.01', '0.002'],
        'stages.derain.optimizer_steps': ['1', '3'],
        'stages.derain.samples.crop': ['[32, 48]', '[48, 48]']}
    assert 'the recipe, data, --precision and --steps that it was begun with' in result.output
    assert contents(tmp_path / 'out') == before


def test_half_halves_the_result_alone(recipe, camvid_root, tmp_path):
    recipe('derain', {'optimizer_steps': 1})
    result = invoke(arguments(recipe, camvid_root, tmp_path / 'out', '--workers', '0', '--half'))
    assert result.exit_code == 0, result.output
    half, best = (tmp_path / 'out' / name for name in ('tiny.safetensors',
                                                       'stages/derain/best.safetensors'))
    assert half.stat().st_size < 0.7 * best.stat().st_size
    assert load_model(half)[1].metadata == load_model(best)[1].metadata


@pytest.fixture
def dry_run(write_recipe, camvid_root, tmp_path, monkeypatch):
    """Function that dry-runs a tiny recipe of some stages."""
    monkeypatch.setattr('ubcn_ros.training.train_run.estimate',
                        lambda trainer, _, first: estimate(trainer, 0.01, first))

    def run(stages, *more):
        path = write_recipe(tmp_path / 'tiny.yaml', stages=stages)
        result = invoke([str(path), '--data', str(camvid_root), '--out', str(tmp_path / 'out'),
                         '--accelerator', 'cpu', '--precision', '32-true', '--workers', '0',
                         '--dry-run', *more])
        assert result.exit_code == 0, result.output
        return result
    return run


def test_a_dry_run_warns_of_what_nothing_will_have_trained(dry_run):
    assert 'warning: attend needs derain,' in dry_run(('adapt', 'attend')).output


def test_a_dry_run_leaves_nothing(dry_run, tmp_path):
    result = dry_run(STAGES)
    assert 'warning: attend' not in result.output
    for text in ('random weights', 'best of derain', 'best of attend', 'GiB',
                 'out would get tiny.safetensors; nothing was'):
        assert text in result.output
    assert [line for line in result.output.splitlines() if line.startswith('timing')] == [
        f'timing a few steps of {stage}' for stage in STAGES]
    assert [path.name for path in tmp_path.iterdir()] == ['tiny.yaml']


def test_a_dry_run_of_a_stage_names_its_file(dry_run):
    done = dry_run(STAGES, '--stage', 'derain')
    assert 'out would get stages/derain/best.safetensors; nothing was' in done.output


def test_a_dry_run_beside_a_finished_run_shows_one_from_the_beginning(
        finished, tmp_path, monkeypatch):
    monkeypatch.setattr('ubcn_ros.training.train_run.estimate',
                        lambda trainer, _, first: estimate(trainer, 0.01, first))
    before = contents(tmp_path / 'out')
    for more in ((), ('--stage', 'derain'), ('--overwrite',), ('--resume',)):
        done = finished('--dry-run', *more)
        assert done.exit_code == 0, done.output
        assert bool(re.search('derain +random weights +1 +2 ', done.output)) == (
            more != ('--resume',))
        assert ('is there from an earlier run: give --resume' in done.output) == (
            more in ((), ('--stage', 'derain')))
    assert contents(tmp_path / 'out') == before


def test_what_is_left_of_a_stage_is_told(recipe, camvid_root, tmp_path, monkeypatch):
    monkeypatch.setattr('ubcn_ros.training.train_run.estimate',
                        lambda trainer, _, first: estimate(trainer, 0.01, first))
    recipe('derain', {'optimizer_steps': 4})

    def run(*more):
        done = invoke(arguments(recipe, camvid_root, tmp_path / 'out', '--workers', '0', *more))
        assert done.exit_code == 0, done.output
        return done.output
    assert 'timing' not in run(), 'a run starts at once'
    folder = tmp_path / 'out/stages/derain'
    (folder / 'last.safetensors').unlink()
    state = torch.load(folder / 'last.ckpt', weights_only=True)
    torch.save({**state, 'optimizer_step': 2}, folder / 'last.ckpt')
    assert re.search('derain +goes on at step 2 +2 +2 ', run('--resume', '--dry-run'))
    assert re.search('derain +random weights +4 +2 ', run('--overwrite', '--dry-run'))
    assert 'timing' not in run('--resume')


VARIANTS = {'optimizer_steps': 6}, {'variants': {
    'whole': {}, 'without-rain': {'stages': {'derain': {'samples': {'rain_probability': 0}}}},
    'without-jitter': {'stages': {'derain': {'samples': {'color_jitter': 0}}}}}}


def test_variants_train_into_folders_of_their_own(recipe, camvid_root, tmp_path):
    recipe('derain', VARIANTS[0], **VARIANTS[1])
    options = arguments(recipe, camvid_root, tmp_path / 'out', '--workers', '0', '--variant',
                        'whole', '--variant', 'without-r*', '--steps', '34%')
    done = invoke(options)
    assert done.exit_code == 0, done.output
    names = ['tiny-whole', 'tiny-without-rain']
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == names
    for name, rain in zip(names, (1, 0), strict=True):
        metadata = load_model(tmp_path / 'out' / name / f'{name}.safetensors')[1].metadata
        assert metadata['optimizer_steps'] == 2
        assert metadata['recipe']['stages']['derain']['samples']['rain_probability'] == rain
    header, _, *rows = done.stdout[done.stdout.index('recipe  '):].splitlines()
    assert header.split() == ['recipe', 'psnr_0_T1', 'psnr_150_T1']
    assert [row.split()[0] for row in rows] == names
    again = invoke([*options, '--resume'])
    assert again.exit_code == 0 and again.output.count('nothing is left to train') == 2


def test_a_variant_that_fails_does_not_end_the_others(recipe, camvid_root, tmp_path):
    recipe('derain', {'optimizer_steps': 8, 'grad_clip_norm': 0}, variants={
        'far': {'stages': {'derain': {'optimizer': {'kind': 'sgd', 'lr': 1e6}}}},
        'near': {'stages': {'derain': {'optimizer': {'lr': 1e-4}}}}})
    done = invoke(arguments(recipe, camvid_root, tmp_path / 'out', '--workers', '0', '--variant',
                            '*'))
    assert done.exit_code == 1, done.output
    rows = done.stdout[done.stdout.index('recipe  '):].splitlines()[2:]
    assert [row.split()[0] for row in rows] == ['tiny-near']
    assert re.fullmatch('Error: tiny-far: .*derain.* at optimizer step .*: start again with .*',
                        done.stderr.splitlines()[-1])


@pytest.mark.parametrize(('options', 'told'), [
    (('--variant', 'with-*'),
     "no variant 'with-*': choose from whole, without-jitter, without-rain"),
    (('--variant', 'whole', '--variant', 'x'), "no variant 'x'"),
    (('--variant', '*', '--devices', '2'), 'several variants train on one device')])
def test_wrong_variants_are_told(recipe, camvid_root, tmp_path, options, told):
    recipe('derain', VARIANTS[0], **VARIANTS[1])
    result = invoke(arguments(recipe, camvid_root, tmp_path / 'out', *options))
    assert result.exit_code == 2 and told in result.output, result.output
    assert not (tmp_path / 'out').exists()


def test_recipes_go_by_name(camvid_root, tmp_path):
    result = invoke(['lights', '--data', str(camvid_root)])
    known = sorted(file.stem for file in (ROOT / 'config' / 'train').glob('*.yaml'))
    assert {'fine-tune', 'light', 'paper'} < {*known}
    assert result.exit_code == 2 and f'one of {", ".join(known)}\n' in result.output
    # found: only then is the stage missing in it
    result = invoke(['light', '--stage', 'attend-x', '--data', str(camvid_root), '--out',
                     str(tmp_path / 'out')])
    assert result.exit_code == 1 and "'light' has no stage 'attend-x'" in result.output
    result = invoke(['fine-tune', '--data', str(camvid_root), '--out', str(tmp_path / 'out')])
    assert result.exit_code == 1 and 'give --init MODEL' in result.output


@pytest.mark.parametrize(('options', 'told'), [
    (('--accelerator', 'cuda'), "'cuda' is not there"),
    (('--accelerator', 'cuda', '--devices', '3'), "'cuda' is not there"),
    *((('--accelerator', other), f"'{other}' is not one of 'auto', 'cpu', 'cuda'")
      for other in ('gpu', 'mps', 'tpu'))])
def test_accelerators_that_are_not_there(recipe, camvid_root, tmp_path, monkeypatch, options,
                                         told):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    recipe('derain')
    result = invoke([*arguments(recipe, camvid_root, tmp_path / 'out'), *options])
    assert result.exit_code == 2 and told in result.output and '--accelerator' in result.output


def test_more_devices_than_there_are(recipe, camvid_root, tmp_path, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
    recipe('derain')
    result = invoke([*arguments(recipe, camvid_root, tmp_path / 'out'), '--accelerator', 'cuda',
                     '--devices', '3'])
    assert result.exit_code == 2 and '3 are asked for, PyTorch sees 2' in result.output


def test_a_batch_that_cannot_be_shared_is_told_before_any_stage(write_recipe, camvid_root,
                                                                tmp_path):
    path = write_recipe(tmp_path / 'tiny.yaml', {'stages': {'joint': {'batch': 3}}})
    result = invoke([str(path), '--data', str(camvid_root), '--out', str(tmp_path / 'out'),
                     '--accelerator', 'cpu', '--devices', '2'])
    assert result.exit_code == 2 and 'stages.joint.batch is 3' in result.output
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('batch, devices', [(1, 1), (2, 2)])
def test_a_sample_alone_is_told_before_any_stage(write_recipe, camvid_root, tmp_path, batch,
                                                 devices):
    path = write_recipe(tmp_path / 'tiny.yaml', {
        'model': {'preset': 'light', 'overrides': {'veil': {'channels': 4}}},
        'stages': {'joint': {'batch': batch, 'rain_weight': 1.0}}})
    options = ['--data', str(camvid_root), '--out', str(tmp_path / 'out'), '--accelerator', 'cpu',
               '--devices', str(devices)]
    result = invoke([str(path), *options])
    assert result.exit_code == 1 and 'freeze_norm' in result.output
    told = ' '.join(result.output.split())
    assert f'stages.joint: batch is {batch}, one sample a process' in told
    assert not (tmp_path / 'out').exists()


def test_a_sample_alone_is_taken_where_no_head_tells_the_rain(write_recipe, camvid_root, tmp_path):
    path = write_recipe(tmp_path / 'tiny.yaml', {'stages': {'derain': {
        'batch': 1, 'optimizer_steps': 1}}})
    result = invoke([str(path), '--data', str(camvid_root), '--out', str(tmp_path / 'out'),
                     '--accelerator', 'cpu', '--workers', '0', '--stage', 'derain'])
    assert result.exit_code == 0, result.output


def test_the_home_folder_goes_by_its_sign(recipe, camvid_root, tmp_path, monkeypatch):
    """As after the = of an option, where the shell leaves it."""
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'data').symlink_to(camvid_root)
    recipe('derain', {'optimizer_steps': 1})
    result = invoke(['~/derain.yaml', '--data=~/data', '--out=~/new/out', '--accelerator', 'cpu',
                     '--precision', '32-true', '--workers', '0'])
    assert result.exit_code == 0, result.output
    assert (tmp_path / 'new/out/tiny.safetensors').is_file() and not (tmp_path / '~').exists()


@pytest.mark.filterwarnings('error::pytest.PytestUnhandledThreadExceptionWarning')
def test_a_log_that_cannot_be_written_shows_no_traceback(recipe, camvid_root, tmp_path, capfd,
                                                         monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr('tensorboard.summary.writer.record_writer.RecordWriter.write', full)
    recipe('derain', {'optimizer_steps': 3, 'validate_every': 1})
    result = invoke(arguments(recipe, camvid_root, tmp_path / 'out', '--workers', '0'))
    told = capfd.readouterr()
    assert result.exit_code == 1 and 'No space left on device' in result.output
    assert 'Traceback' not in result.output + told.out + told.err


@pytest.mark.parametrize('accelerator', ['cpu', 'auto'])
def test_fp16_is_refused_where_bf16_would_be_trained(recipe, camvid_root, tmp_path, monkeypatch,
                                                     accelerator):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    recipe('derain')
    result = invoke(arguments(recipe, camvid_root, tmp_path / 'out', '--accelerator', accelerator,
                              precision='16-mixed'))
    assert result.exit_code == 2 and not (tmp_path / 'out').exists()
    assert "'--precision': '16-mixed' needs a GPU: on a CPU choose" in result.output

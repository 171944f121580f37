# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All stages of a recipe in one folder: killed anywhere, resumed, refused, overwritten."""

import os
import shutil
from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch
import yaml
from lightning.fabric import Fabric
from small_segmentation import SmallSegmentation

from ubcn_ros.data.mixture import open_data
from ubcn_ros.labels import numbered_labels
from ubcn_ros.network import build
from ubcn_ros.runtime import load_model, save_model
from ubcn_ros.runtime.model_info import PARTS
from ubcn_ros.runtime.weights import is_half
from ubcn_ros.training import run_data, train_run
from ubcn_ros.training.architecture import model_config
from ubcn_ros.training.config import STAGES, TrainConfig, with_length
from ubcn_ros.training.run import Run
from ubcn_ros.training.sample_config import SampleConfig
from ubcn_ros.training.starting_network import unestimated_rain, untrained_warning
from ubcn_ros.training.train_run import estimates, make_trainer


@pytest.fixture
def make(data, tmp_path, write_recipe):
    """Function that makes the run of a tiny recipe in a folder of that name."""
    def made(out='out', changes=None, stages=STAGES, brief=False, **more):
        config = TrainConfig.load(write_recipe(tmp_path / 'recipe.yaml', changes, stages))
        if brief:
            config = replace(with_length(config, 1), data=replace(config.data,
                                                                  validation_images=0))
        return Run(config, out=tmp_path / out, **{'data': data, **more})
    return made


def train(run, stage=None, resume=False):
    train_run.train(run, Fabric(accelerator='cpu', devices=1, precision='32-true'),
                    run.plan(stage, resume), workers=0)


def files(run):
    """Contents of all that a run leaves, but for the log, the optimizers and the command."""
    return {str(path.relative_to(run.out)): path.read_bytes() for path in run.out.rglob('*')
            if path.suffix in ('.safetensors', '.csv', '.jpg')}


@pytest.fixture(scope='module')
def whole(tmp_path_factory, data, write_recipe):
    """An uninterrupted run of all stages."""
    folder = tmp_path_factory.mktemp('whole')
    run = Run(TrainConfig.load(write_recipe(folder / 'recipe.yaml')), data, folder / 'out')
    train(run)
    return run


@pytest.fixture
def copied(whole, make):
    """Function that makes a run in whose folder the whole one has been done."""
    def made(changes=None, out='copy', **more):
        run = make(out, changes, **more)
        shutil.copytree(whole.out, run.out)
        return run
    return made


class Killed(BaseException):
    """What ends a run from outside."""


@pytest.fixture
def kill_after(monkeypatch):
    """Function that lets a run end before, or after, the n-th file from now is put in place."""
    original = os.replace

    def armed(writes, after):
        left = [writes]

        def replace(*paths):
            left[0] -= 1
            if left[0] == 0 and not after:
                raise Killed
            original(*paths)
            if left[0] == 0:
                raise Killed
        monkeypatch.setattr(os, 'replace', replace)
    return armed


def test_killed_in_every_stage_the_result_is_the_same(make, whole, kill_after):
    run, killed, between = make(), set(), False
    for number in range(60):
        kill_after(7, after=number % 2 == 0)
        try:
            train(run, resume=True)
            break
        except Killed:
            begun = {name for name in STAGES if run.files.begun(name)}
            unfinished = {name for name in begun if not run.files.finished(name)}
            killed |= unfinished
            between |= not unfinished and len(begun) < len(STAGES)
    assert killed == set(STAGES) and between, 'in each, and between two'
    assert files(run) == files(whole)


def test_stage_by_stage_is_as_all_at_once(make, whole):
    run = make()
    for stage in STAGES:
        assert not run.files.result.exists()
        train(run, stage)
    assert files(run).keys() == files(whole).keys()
    assert files(run) == files(whole)


def test_the_picture_of_the_samples_is_that_of_the_last_training(copied, whole):
    run = copied({'stages': {'joint': {'samples': {'rain_probability': 0.0}}}})
    run.files.discard('joint')
    train(run, 'joint')
    assert files(run)['samples.jpg'] != files(whole)['samples.jpg']


def test_a_finished_result_stays_as_it_is_and_says_so_of_half(copied, capsys):
    run = copied()
    network, info = load_model(run.files.result)
    save_model(run.files.result, network, {**info.metadata, 'temperature': 1.5})
    before = run.files.result.read_bytes()
    run.files.discard('derain')
    for stage in ('derain', None):  # another is trained, with the same weights; none is
        train(run, stage, resume=True)
        assert ' --half' not in capsys.readouterr().out
        train(replace(run, half=True), stage, resume=True)
        assert f'{run.files.result} was written without --half and stays so: remove it, and ' \
            'this command with --resume writes' in capsys.readouterr().out
        assert run.files.result.read_bytes() == before
    run.files.result.unlink()
    train(replace(run, half=True), resume=True)
    assert is_half(run.files.result) and ' --half' not in capsys.readouterr().out
    train(run, resume=True)
    assert 'was written with --half' in capsys.readouterr().out


def test_a_result_is_gone_before_the_stage_that_makes_it(copied, monkeypatch):
    """One that a kill would leave beside an end of other weights would stay."""
    for stage in (None, 'joint'):
        run = copied(out=f'copy-{stage}')
        monkeypatch.setattr('ubcn_ros.training.run_folder.discard_stage', lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.files.discard(stage)
        assert not run.files.result.exists()


def test_images_that_are_left_out_are_not_counted(make, data):
    run = make(changes={'data': {'exclude': ['0001TP_1', '0001TP_2']}}, stages=['derain'],
               brief=True)
    train(run)
    counts = load_model(run.files.result)[1].metadata['data'][0]['counts']
    assert counts['train'] == len(data.split('train')) - 2


def test_a_set_of_which_nothing_is_trained_on_is_refused(make, data, tmp_path):
    other = shutil.copytree(data.sets[0].root, tmp_path / 'other')
    twice = open_data([data.sets[0].root, other])
    run = make(changes={'data': {'unique_names': True}}, data=twice)
    with pytest.raises(ValueError, match='no image of other would be trained on'):
        run.plan()
    make(data=twice).plan()


def test_what_is_overwritten_is_not_started_from_to_estimate(copied):
    run = copied({'model': {'overrides': {name: {'channels': 8}
                                           for name in ('derain', 'attention')}}})
    stages = run.plan(overwrite=True)
    fabric = Fabric(accelerator='cpu', devices=1, precision='32-true')
    assert [estimate.stage for estimate in estimates(run, fabric, stages, 0, 0.0)] == list(STAGES)


def test_what_a_run_leaves(whole):
    left = {str(path.relative_to(whole.out)) for path in whole.out.rglob('*') if path.is_file()
            and 'events.out' not in path.name}
    assert left == {'tiny.safetensors', 'args.yaml', 'results.csv', 'samples.jpg',
                    *(f'stages/{stage}/{name}' for stage in STAGES for name in (
                        'last.ckpt', 'best.safetensors', 'last.safetensors', 'validation.jpg'))}
    assert {path.name for path in (whole.out / 'log').iterdir()} == set(STAGES)
    said = yaml.safe_load((whole.out / 'args.yaml').read_text())
    assert said['recipe']['stages']['adapt']['optimizer_steps'] == 2
    assert said['data'][0]['counts'] == {'train': 5, 'val': 2}


def test_each_stage_starts_from_the_best_before(whole):
    trained = [load_model(whole.files.folder(stage) / 'best.safetensors')[1].trained
               for stage in STAGES]
    assert trained == [('derain',), ('derain', 'segmentation'), PARTS, PARTS]
    derain, attend = (load_model(whole.files.folder(stage) / name)[0].state_dict()
                      for stage, name in (('derain', 'best.safetensors'),
                                          ('attend', 'last.safetensors')))
    assert all(torch.equal(value, attend[name]) for name, value in derain.items()
               if name.startswith('derain.'))
    result, best = (load_model(path)[1].metadata for path in
                    (whole.files.result, whole.files.folder('joint') / 'best.safetensors'))
    assert result == best and result['stage'] == 'joint'


def test_a_finished_run_has_nothing_to_resume(copied, whole):
    run = copied()
    assert run.plan(resume=True) == []
    run.files.result.unlink()
    train(run, resume=True)
    assert files(run) == files(whole)


def test_nothing_is_overwritten_unasked(copied):
    run = copied()
    before = files(run)
    for stage in (None, *STAGES):
        with pytest.raises(ValueError, match='is there from an earlier run: give --resume'):
            run.plan(stage)
    assert files(run) == before
    for stage in STAGES:
        shutil.rmtree(run.files.folder(stage))
    for resume in (False, True):
        with pytest.raises(ValueError, match='tiny.safetensors is there .*--overwrite'):
            run.plan(resume=resume)


def test_overwriting_a_stage_leaves_the_others(copied):
    run = copied()
    before = files(run)
    assert run.plan('adapt', overwrite=True) == ['adapt']
    run.files.discard('adapt')
    after = files(run)
    assert {path for path in before if path not in after} == {
        f'stages/adapt/{name}' for name in ('best.safetensors', 'last.safetensors',
                                            'validation.jpg')}
    assert {path for path in after if after[path] != before[path]} == {'results.csv'}
    assert b'adapt' not in after['results.csv'] and b'joint' in after['results.csv']
    run.files.discard('joint')
    assert not run.files.result.exists()


def test_overwriting_all_leaves_what_is_not_of_a_run(copied):
    run = copied()
    (run.out / 'notes.txt').write_text('mine')
    assert run.plan(overwrite=True) == list(STAGES)
    run.files.discard(None)
    assert [path.name for path in run.out.rglob('*') if path.is_file()] == ['notes.txt']


@pytest.mark.parametrize(('changes', 'told'), [
    ({'seed': 6}, 'seed: 5 before, 6 now'),
    ({'stages': {'derain': {'optimizer': {'lr': 0.5}}}}, 'stages.derain.optimizer.lr: 0.001'),
    ({'stages': {'attend': {'psnr_weight': 0.5}}}, 'stages.attend.psnr_weight: 0.0'),
    ({'stages': {'joint': {'batch': 4}}}, 'stages.joint.batch: 2'),
    ({'data': {'exclude': ['0001TP_1']}}, 'scenes.train: camvid')])
def test_another_recipe_is_not_resumed(copied, changes, told):
    with pytest.raises(ValueError) as error:
        copied(changes).plan(resume=True)
    assert told.replace('camvid', '') in str(error.value) or told in str(error.value)


def test_another_network_under_the_same_recipe_is_not_resumed(copied):
    """Of a preset that changed since, whose weights may fit."""
    run = copied()
    config = run.network.config
    changed = replace(run)
    changed.network = build(replace(config, attention=replace(config.attention,
                                                              coarse_from_previous=0.5)))
    with pytest.raises(ValueError, match='network.attention.coarse_from_previous: 0.7 before'):
        changed.plan(resume=True)


def test_how_often_is_saved_does_not_matter(copied):
    assert copied({'stages': {'derain': {'save_every': 2}}}).plan(resume=True) == []


def test_other_data_are_not_resumed(copied, camvid_root, tmp_path):
    root = tmp_path / camvid_root.name
    shutil.copytree(camvid_root, root)
    for path in (root / 'val').rglob('0001TP_1.png'):
        path.rename(path.with_name('0001TP_7.png'))
    run = copied(data=open_data([root]))
    with pytest.raises(ValueError, match='scenes.val: .* before'):
        run.plan(resume=True)
    changed = replace(run, data=open_data([camvid_root]), fingerprints={'a': 'b'})
    with pytest.raises(ValueError, match=f'the files of {camvid_root} are not those of before: '
                       '.* start again with --overwrite, or with --overwrite --stage derain'):
        changed.plan(resume=True)


@pytest.fixture
def described(camvid_root, tmp_path):
    """Function that opens the data with what a YAML of this name says of them."""
    def opened(name, text):
        colors = [[i, i, i] for i in range(11)]
        (tmp_path / f'{name}.yaml').write_text(
            f'path: {camvid_root}\ncolors: {colors}\n{text}\n')
        return open_data([tmp_path / f'{name}.yaml'])
    return opened


def test_what_decides_no_weight_may_change_and_the_result_says_it(copied, described):
    """Names, colours, licence and focal length are those of now, the calibration stays."""
    run = copied(data=described('renamed', 'license: terms of now\nfocal_length: 1.25'))
    network, info = load_model(run.files.result)
    save_model(run.files.result, network, {**info.metadata, 'temperature': 1.5}, half=True)
    size = run.files.result.stat().st_size
    train(run, resume=True)
    again, info = load_model(run.files.result)
    assert info.metadata['license'] == 'terms of now' and info.trained_focal_length == 1.25
    assert [record['name'] for record in info.metadata['data']] == ['renamed']
    assert again.label_set == run.label_set and again.label_set.colors[3] == (3, 3, 3)
    assert info.temperature == 1.5 and abs(run.files.result.stat().st_size - size) < 2000
    before = run.files.result.read_bytes()
    train(run, resume=True)
    assert run.files.result.read_bytes() == before, 'once is enough'


def test_what_is_trained_after_the_data_changed_says_it_too(copied, described, capsys):
    run = copied(data=described('renamed', 'license: terms of now'))
    for name in ('attend', 'joint'):
        run.files.discard(name)
    train(run, resume=True)
    assert 'licence of the result: terms of now\n' in capsys.readouterr().out
    for path in (run.files.result, run.files.folder('joint') / 'last.safetensors'):
        network, info = load_model(path)
        assert info.metadata['license'] == 'terms of now' and network.label_set == run.label_set
        assert [record['name'] for record in info.metadata['data']] == ['renamed']


def test_of_a_stage_that_was_trained_on_other_data_its_file_says_them(make, described):
    given = {'stages': ('derain', 'adapt'), 'brief': True}
    train(make(data=described('first', 'license: terms of the first'), **given), 'derain')
    run = make(data=described('second', 'license: terms of the second'),
               fingerprints={'second': 'ab'}, **given)
    train(run, 'adapt')
    said = load_model(run.files.result)[1].metadata
    assert said['license'] == 'terms of the first; terms of the second'
    assert [record['name'] for record in said['data']] == ['first', 'second']


def test_labels_that_mean_something_else_are_not_resumed(copied):
    run = copied()
    (key, before), = run.data.meanings.items()
    number = next(iter(before))
    changed = replace(run, data=replace(run.data))
    vars(changed.data)['meanings'] = {key: {**before, number: 'moon'}}
    with pytest.raises(ValueError, match=f'labels.1.{number}: .*, moon now'):
        changed.plan(resume=True)


def test_a_stage_trained_anew_is_not_what_the_next_was_begun_from(copied):
    run = copied()
    run.files.discard('derain')
    changed = replace(run, config=replace(run.config, seed=6))
    train(changed, 'derain')
    with pytest.raises(ValueError, match='adapt/last.ckpt.*start: .*--overwrite'):
        changed.plan(resume=True)


def test_a_stage_without_its_start_names_what_to_train_first(make):
    with pytest.raises(ValueError, match='train derain first'):
        make().plan('adapt')
    with pytest.raises(ValueError, match="no stage 'joint': it has derain, adapt"):
        make(stages=('derain', 'adapt')).plan('joint')
    with pytest.raises(ValueError, match='has no stages'):
        make(stages=()).plan()


@pytest.fixture
def model(tmp_path, make):
    """Path of a model of four other classes."""
    torch.manual_seed(7)
    network = build(model_config(make().config, numbered_labels(4)))
    path = tmp_path / 'given.safetensors'
    save_model(path, network, {'trained': list(PARTS), 'license': 'for nobody'})
    return path


@pytest.mark.parametrize('stage, name', [
    (None, 'tiny.safetensors'), ('joint', 'tiny.safetensors'),
    ('adapt', 'stages/adapt/best.safetensors'), (None, 'stages/attend/last.safetensors')])
def test_a_model_to_start_from_is_not_overwritten(copied, stage, name):
    run = copied()
    (run.out / 'link').symlink_to(run.out)
    run.init = run.out / 'link' / name
    with pytest.raises(ValueError, match=f'{name} .*--overwrite would remove.*copy it'):
        run.plan(stage, overwrite=True)
    other = replace(run, init=run.files.folder('derain') / 'best.safetensors')
    assert other.plan('attend', overwrite=True) == ['attend']


def test_a_stage_of_other_classes_is_told_before_anything_is_overwritten(copied):
    run = copied()
    run.label_set = numbered_labels(4)
    with pytest.raises(ValueError, match='adapt/best.safetensors is of another network'):
        run.plan('attend', overwrite=True)


def test_a_model_is_taken_up(make, model, capsys):
    run = make(init=model, stages=('adapt', 'attend'), changes={'model': {'preset': ''}},
               brief=True)
    train(run)
    info = load_model(run.files.result)[1]
    assert info.trained == PARTS, 'derain is the one of the model'
    source = load_model(model)
    assert info.metadata['init'] == {'name': 'given', 'sha256': source[1].sha256}
    assert info.metadata['license'] == '; '.join(('for nobody', run.data.sets[0].license))
    result = load_model(run.files.result)[0].derain.state_dict()
    assert all(torch.equal(value, result[name])
               for name, value in source[0].derain.state_dict().items())
    told = capsys.readouterr().out
    assert 'other classes' in told and '(by path: path_mixer.mix' in told
    assert 'are not used' not in told, 'adapt started from them, and attend from adapt'
    assert "SAM starts from IDM's weights" not in told, 'it starts from the SAM of the model'
    assert f'licence of the result: {info.metadata["license"]}\n' in told
    source[0].derain.tail[1].weight.data += 1.0
    save_model(model, source[0], source[1].metadata)
    with pytest.raises(ValueError, match=f'it did not start from the model {model}, as that is '):
        replace(run).plan(resume=True)


def test_a_trained_sam_keeps_its_weights(make, data, whole):
    run = make(init=whole.files.result, stages=('attend',))
    start = run.start('attend')
    sam = load_model(whole.files.result)[0].attention.state_dict()
    assert start.trained == PARTS and all(
        torch.equal(value, sam[name]) for name, value in start.network.attention.state_dict()
        .items())
    run = make(init=whole.files.folder('adapt') / 'best.safetensors', stages=('attend',))
    start = run.start('attend')
    assert start.trained == ('derain', 'segmentation')
    assert torch.equal(start.network.attention.tail[0][0].weight,
                       start.network.derain.tail[0][0].weight)
    run = make(init=run.init, stages=('attend',), changes={
        'stages': {'attend': {'warm_start': False}}})
    assert not torch.equal(run.start('attend').network.attention.tail[0][0].weight,
                           start.network.derain.tail[0][0].weight)


def test_only_data_that_a_stage_used_are_recorded(make, camvid_root, tmp_path, capsys):
    """Without labels only derain trains on a set; on a split test nothing does."""
    for name, split in (('bare', 'train'), ('spare', 'test')):
        (tmp_path / f'{name}.yaml').write_text(
            f'path: {camvid_root}\n{split}: val/images\nlicense: terms of {name}\n')
    sets = open_data([camvid_root, tmp_path / 'bare.yaml', tmp_path / 'spare.yaml'])
    own = sets.sets[0].license
    for stages, names, terms in (
            (('derain', 'adapt'), [camvid_root.name, 'bare'], f'{own}; terms of bare'),
            (('adapt',), [camvid_root.name], own)):
        run = make(''.join(stages), stages=stages, data=sets, brief=True)
        train(run)
        said = load_model(run.files.result)[1].metadata
        assert [record['name'] for record in said['data']] == names and said['license'] == terms
        assert f'licence of the result: {terms}\n' in capsys.readouterr().out


def test_a_lost_stage_that_is_trained_again_is_what_the_next_ones_started_from(copied, capsys):
    run = copied(command='ubcn train again')
    (run.files.folder('derain') / 'best.safetensors').unlink()
    with pytest.raises(ValueError, match='--overwrite --stage derain'):
        run.plan(resume=True)
    run.files.discard('derain')
    train(run, 'derain', resume=True)
    assert run.plan(resume=True) == [], 'the weights are the same'
    assert 'other weights' not in capsys.readouterr().out


def test_a_result_is_not_said_to_be_of_a_stage_that_is_not_in_it(copied, capsys):
    run = copied({'stages': {'adapt': {'grad_clip_norm': 0.001}}})
    before = run.files.result.read_bytes()
    run.files.discard('adapt')
    train(run, 'adapt', resume=True)
    told = capsys.readouterr().out
    assert 'attend was trained from other weights' in told and 'wrote' not in told
    assert '--overwrite --stage attend' in told and run.files.result.read_bytes() == before


def test_a_run_leaves_its_result_where_no_later_stage_goes_out_of_date(make, copied):
    first, done = make('first'), copied()
    assert first.leaves(first.plan()) == first.files.result
    for run in (first, done):
        assert run.leaves(['derain']) == run.files.folder('derain') / 'best.safetensors'
    assert done.leaves(STAGES[-1:]) == done.files.result
    done.files.discard(STAGES[-2])
    assert done.leaves(STAGES[-2:]) == done.files.result
    assert done.leaves(STAGES[-2:-1]) != done.files.result


@pytest.mark.parametrize('name', ['last.ckpt', 'best.safetensors'])
def test_a_damaged_file_of_another_stage_is_told_before_anything_is_trained(copied, name):
    run = copied()
    path = run.files.folder('attend') / name
    path.write_bytes(path.read_bytes()[:999])
    with pytest.raises(ValueError, match=f'attend/{name}'):
        run.plan('derain', overwrite=True)
    for stage in (None, 'attend'):
        assert 'attend' in run.plan(stage, overwrite=True), 'which mends it'


def test_the_model_of_the_first_stage_need_not_be_named_again(make, model, capsys):
    train(make(init=model, stages=('derain', 'adapt'), brief=True), 'derain')
    run = make(stages=('derain', 'adapt'), brief=True)
    train(run, 'adapt')
    assert f'wrote {run.files.result}' in capsys.readouterr().out


def test_a_model_that_was_calibrated_since_is_the_same_start(make, model):
    run = make(init=model, stages=('derain', 'adapt'), brief=True)
    train(run, 'derain')
    network, info = load_model(model)
    save_model(model, network, {**info.metadata, 'temperature': 1.5})
    run = make(init=model, stages=('derain', 'adapt'), brief=True)
    assert run.plan(resume=True) == ['adapt']
    network.derain.tail[1].weight.data += 1.0
    save_model(model, network, info.metadata)
    with pytest.raises(ValueError, match=f'it did not start from the model {model}, as that is '):
        make(init=model, stages=('derain', 'adapt'), brief=True).plan(resume=True)


@pytest.mark.parametrize('preset', ['', 'light'])
def test_a_run_that_was_begun_with_a_model_says_so_when_it_is_resumed_without(make, model, preset):
    changes = {'model': {'preset': preset}}
    more = {'stages': ('derain', 'adapt'), 'brief': True, 'changes': changes}
    train(make(init=model, options={'init': str(model)}, **more), 'derain')
    run = make(**more)
    with pytest.raises(ValueError, match=f'was begun with --init {model}'):
        run.plan(resume=True)
    (run.out / 'args.yaml').write_text('- not ours')
    with pytest.raises(ValueError, match='--init MODEL'):
        run.plan(resume=True)


def test_what_a_stage_started_from_is_named_where_it_is_another_now(copied, make):
    run = copied()
    other = make('other', changes={'seed': 6}, brief=True)
    train(other, 'derain')
    best = 'stages/derain/best.safetensors'
    shutil.copy(other.out / best, run.out / best)
    with pytest.raises(ValueError, match=f'it did not start from {run.out / best}, as that is'):
        run.plan('adapt', resume=True)
    (run.files.folder('derain') / 'last.safetensors').unlink()
    with pytest.raises(ValueError, match='derain, which it started from, is not finished'):
        run.plan(resume=True)


def test_a_model_that_is_not_started_from_is_not_in_the_record(copied, model, capsys):
    run = copied(init=model)
    run.files.discard('adapt')
    train(run, 'adapt', resume=True)
    told, info = capsys.readouterr().out, load_model(
        run.files.folder('adapt') / 'best.safetensors')[1]
    assert info.metadata['init'] is None and 'for nobody' not in info.metadata['license']
    assert 'the weights of given are not used: derain is trained' in told
    assert 'for nobody' not in told


def test_another_precision_does_not_go_on(copied):
    with pytest.raises(ValueError, match='precision: 32-true before, bf16-mixed now'):
        copied(precision='bf16-mixed').plan(resume=True)


@pytest.mark.parametrize('stages', [('derain', 'attend'), ('derain', 'joint')])
def test_a_sam_that_cannot_start_is_told_before_anything_is_trained(make, stages):
    run = make(stages=stages)
    run.config = replace(run.config, model=replace(
        run.config.model, overrides={'derain': {'network': 'ddn'}}))
    with pytest.raises(ValueError, match='SAM cannot start from ddn.* --stage derain'):
        run.plan()
    assert run.plan('derain') == ['derain']


def test_without_validation_the_best_is_the_last(make, capsys):
    run = make(changes={'data': {'validation_images': 0}}, stages=('derain',))
    assert run.used.validation is None
    train(run)
    folder = run.files.folder('derain')
    assert (folder / 'best.safetensors').read_bytes() == (
        folder / 'last.safetensors').read_bytes()
    assert 'the last of derain, without validation' in capsys.readouterr().out


def test_progress_says_which_stage_of_all_is_trained(make, capsys):
    train(make(stages=('derain', 'attend'), brief=True))
    told = capsys.readouterr().err
    assert 'derain (1 of 2)' in told and 'attend (2 of 2)' in told


@pytest.mark.parametrize('damage', [lambda path: path.unlink(),
                                    lambda path: path.write_bytes(path.read_bytes()[:999])])
@pytest.mark.parametrize('stage', ['derain', 'joint'])
def test_a_lost_best_is_told_before_anything_is_trained(copied, damage, stage):
    run = copied()
    damage(run.files.folder(stage) / 'best.safetensors')
    following = ['adapt'] if stage == 'derain' else []
    for name in following:
        run.files.discard(name)
    for asked in (None, *following):
        with pytest.raises(ValueError, match=f'{stage}/best.* --overwrite --stage {stage}'):
            run.plan(asked, resume=True)
    (run.files.folder(stage) / 'last.safetensors').unlink()  # begun alone
    with pytest.raises(ValueError, match=f'{stage}/best.* --overwrite --stage {stage}'):
        run.plan(stage, resume=True)


def test_parts_that_nothing_will_have_trained_are_told_before_the_first_stage(make, whole, capsys):
    def told(name, stages):
        run = make(init=name and whole.files.folder(name) / 'best.safetensors', stages=stages)
        return untrained_warning(run.start(stages[0]), stages)
    assert 'needs derain and segmentation,' in told(None, ('attend',))
    assert 'needs segmentation,' in told('derain', ('attend',))
    assert 'needs derain,' in told(None, ('adapt', 'attend'))
    assert 'before joint no model' in told(None, ('adapt', 'attend', 'joint'))
    assert not told('adapt', ('attend',)) and not told(None, STAGES)
    train(make(stages=('adapt', 'attend'), brief=True))
    text = capsys.readouterr().out
    assert text.index('warning: attend needs derain') < text.index('adapt starts from')
    assert text.count('warning') == 1


@pytest.mark.parametrize('weight, share_painted', [(0, 0), (0.1, 0), (0.1, 1)])
def test_rain_is_estimated_once_a_stage_has_trained_it(make, capsys, weight, share_painted):
    veil = {'model': {'overrides': {'veil': {'channels': 4, 'depth': 0, 'texture': 0}}}}
    run = make(stages=('derain',), brief=True, changes={
        **veil, 'stages': {'derain': {'rain_weight': weight, 'samples': {
            'painted_rain_probability': share_painted}}}})
    train(run)
    known = weight > 0 and not share_painted  # of rain that is painted no rate is known
    assert ('rain will not be estimated' in capsys.readouterr().out) == (not known)
    network, info = load_model(run.files.result)
    assert info.trained == ('derain',)
    assert info.metadata['estimates_rain'] == network.estimates_rain == known
    later = make(init=run.files.result, stages=('derain', 'adapt'), changes=veil)
    assert later.start('derain').network.estimates_rain == known, 'what it starts with'
    assert bool(unestimated_rain(later.start('derain'), later.config, ('adapt',))) == (not known)


def test_without_a_trained_sam_that_of_idm_is_started_from(make, whole):
    start = make(init=whole.files.folder('adapt') / 'best.safetensors',
                 stages=('attend',)).start('attend')
    assert "SAM starts from IDM's weights" in start.details


def test_a_sam_that_was_taken_in_part_is_told_to_start_from_idm(make, whole):
    start = make(init=whole.files.result, stages=('attend',),
                 changes={'model': {'overrides': {'attention': {'blocks': 2}}}}).start('attend')
    assert start.trained == ('derain', 'segmentation')
    row, = (line for line in start.details.splitlines() if line.startswith('attention'))
    assert int(row.split()[1]) > 0
    assert "SAM starts from IDM's weights, in the place of any that it took" in start.details
    ours, theirs = start.network.attention, start.network.derain
    assert torch.equal(ours.head[0][0].weight[:, :theirs.head[0][0].in_channels],
                       theirs.head[0][0].weight)


def test_a_sam_that_no_longer_fits_idm_is_told_before_anything_is_trained(make, whole):
    run = make(init=whole.files.result, stages=('adapt', 'attend'),
               changes={'model': {'overrides': {'attention': {'channels': 8}}}})
    with pytest.raises(ValueError, match='SAM cannot start from IDM, they differ in channels'):
        run.plan()
    assert run.plan('adapt') == ['adapt']


def test_a_file_states_the_short_side_that_its_labels_were_learnt_at(whole, make):
    def stated(run, stage):
        return load_model(run.files.folder(stage) / 'best.safetensors')[1].trained_short_side
    assert [stated(whole, stage) for stage in STAGES] == [None, 64, 64, 64]
    small = make('small', stages=('derain', 'adapt'), brief=True)
    small.config = replace(small.config, data=replace(small.config.data, short_side=48))
    train(small)
    assert [stated(small, stage) for stage in ('derain', 'adapt')] == [None, 48]
    assert small.used.training.scenes[0].read().image.shape == (48, 60, 3)


def test_a_range_of_sizes_is_stated_by_its_middle_for_labels_its_largest_for_idm(make, tmp_path):
    run = make('range', stages=('derain', 'adapt'), brief=True)
    stages = {name: replace(stage, samples=replace(stage.samples, short_sides=(36, 100)))
              for name, stage in run.config.stages.items()}
    run.config = replace(run.config, stages=stages)
    train(run)
    network, info = load_model(run.files.result)
    assert info.trained_short_side == 60 and info.metadata['trained_derain_side'] == 100
    trainers = [make_trainer(run, Fabric(accelerator='cpu'), stage, run.start(stage), 0)
                for stage in ('derain', 'adapt')]
    assert {each.network.derain_side for each in trainers} | {network.derain_side} == {75}
    # what a model was trained on before is not lost; the shipped one's file does not say
    for size, side in ((None, 1440), (200, 200)):
        save_model(tmp_path / 'a.safetensors', network, {**info.metadata,
                                                         'trained_derain_side': size})
        later = make('later', init=tmp_path / 'a.safetensors', stages=('derain',), brief=True)
        assert later.origin('derain', ['derain'])['trained_derain_side'] == side


def test_the_sizes_of_images_are_read_once_for_all_stages(make, monkeypatch):
    read = Mock(wraps=run_data.short_sides)
    monkeypatch.setattr(run_data, 'short_sides', read)
    train(make('sizes', brief=True))
    assert read.call_count == 2  # of all images, and of those with labels


def test_of_images_that_cannot_be_as_large_the_middle_is_smaller():
    config = SampleConfig(short_sides=(360, 1440))
    assert [config.typical_side(side) for side in (720, 360, 1440)] == [720, 509, 720]
    assert [config.largest_side(side) for side in (720, 360, 2160)] == [1440, 720, 1440]


def test_a_file_states_the_focal_length_that_its_labels_were_learnt_at(make):
    def stated(run, stage):
        return load_model(run.files.folder(stage) / 'best.safetensors')[1].trained_focal_length
    run = make('focal', stages=('derain', 'adapt', 'attend'), brief=True)
    run.data = replace(run.data, sets=tuple(replace(s, focal_length=1.5) for s in run.data.sets))
    train(run)
    assert [stated(run, stage) for stage in run.config.stages] == [None, 1.5, 1.5]


@pytest.mark.parametrize('name', ['args.yaml', 'results.csv', 'samples.jpg'])
def test_a_file_of_somebody_else_is_not_overwritten_unasked(make, name):
    run = make()
    run.out.mkdir()
    (run.out / name).write_text('mine')
    with pytest.raises(ValueError, match=f'{name} is there.*--overwrite'):
        run.plan()
    assert (run.out / name).read_text() == 'mine'


def test_a_damaged_result_is_written_again_once_it_is_removed(copied, whole):
    run = copied()
    run.files.result.write_bytes(b'half a file')
    with pytest.raises(ValueError, match='tiny.safetensors is damaged.*: or remove it, and'):
        run.plan(resume=True)
    run.files.result.unlink()
    train(run, resume=True)
    assert run.files.result.read_bytes() == whole.files.result.read_bytes()


def test_unique_names_train_the_first_of_each(make, data, camvid_root):
    twice = open_data([camvid_root] * 2)
    names = [scene.name for scene in data.split('train').scenes]
    for unique, expected in ((False, 2 * names), (True, names)):
        run = make(changes={'data': {'unique_names': unique}}, data=twice)
        assert [scene.name for scene in run.used.training.scenes] == expected


def test_images_that_unique_names_leaves_out_are_told(make, data, camvid_root, tmp_path, capsys):
    other = shutil.copytree(camvid_root, tmp_path / 'other')
    path = next((other / 'train' / 'images').iterdir())
    for folder in ('images', 'labels'):
        old = next((other / 'train' / folder).glob(path.stem + '.*'))
        old.rename(old.with_stem('of_its_own'))
    both = open_data([camvid_root, other])
    count = len(data.split('train').scenes)
    run = make('both', stages=('derain',), brief=True, data=both,
               changes={'data': {'unique_names': True}})
    train(run)
    assert (f'other: {count - 1} of {count} images are left out, as unique_names '
            'is set') in capsys.readouterr().out


def test_a_run_says_how_long_its_stages_are(make, capsys):
    train(make(stages=('derain',), brief=True))
    assert 'derain starts from random weights; 1 optimizer steps, 0.4 epochs of 5 images' in (
        capsys.readouterr().out)


def test_epochs_count_the_images_that_a_stage_trains_on(data, camvid_root, tmp_path):
    (tmp_path / 'bare' / 'train' / 'images').mkdir(parents=True)
    for path in (camvid_root / 'train' / 'images').iterdir():
        shutil.copy(path, tmp_path / 'bare' / 'train' / 'images')
    (tmp_path / 'bare.yaml').write_text('path: bare\ntrain: train/images\n')
    both = open_data([camvid_root, tmp_path / 'bare.yaml'])
    stage = {'epochs': 4, 'batch': 2}
    (tmp_path / 'recipe.yaml').write_text(yaml.safe_dump({
        'name': 'a', 'model': {'preset': 'light'}, 'stages': {'derain': stage, 'adapt': stage}}))
    config = TrainConfig.load(tmp_path / 'recipe.yaml')
    for used, expected in ((data, [10, 10]), (both, [20, 10])):
        run = Run(config, used, tmp_path / 'out')
        assert [s.optimizer_steps for s in run.config.stages.values()] == expected


@pytest.mark.parametrize(('stage', 'change', 'told'), [
    ('adapt', {'adversarial_weight': 1e-3},
     r'stages\.adapt: features of \(4, 4\) are too small for the discriminator'),
    ('attend', {'iterations': 1}, r'stages\.attend: iterations is 1')])
def test_what_a_stage_cannot_train_is_told_before_anything_is_written(make, stage, change, told):
    run = make(changes={'stages': {stage: change}})
    with pytest.raises(ValueError, match=told):
        run.plan()
    assert not run.out.exists()


@pytest.mark.parametrize('where', ['__init__', 'encode'])
def test_a_network_that_asks_for_numbers_is_not_refused(make, monkeypatch, where):
    original = getattr(SmallSegmentation, where)

    def asking(self, *values, **more):
        float(torch.ones(1))  # as a network's own initialization may
        return original(self, *values, **more)
    monkeypatch.setattr(SmallSegmentation, where, asking)
    run = make(stages=('adapt',), changes={'stages': {'adapt': {
        'adversarial_weight': 1e-3, 'samples': {'crop': [96, 96]}}}})
    assert run.plan() == ['adapt']


POOLED = {'segmentation': 'ddrnet23_slim', 'segmentation_options': {
    'width': 8, 'context_window': None}}


@pytest.mark.parametrize(('stage', 'settings', 'overrides', 'alone'), [
    ('joint', {}, {}, False),  # nothing in it normalises a single value
    ('joint', {'rain_weight': 1.0}, {'veil': {'channels': 4}}, True),
    ('derain', {'rain_weight': 1.0}, {'veil': {'channels': 4}}, True),
    ('adapt', {}, POOLED, True),
    ('adapt', {'adversarial_weight': 1e-3, 'samples': {'crop': [96, 96]}}, POOLED, False)])
def test_a_sample_alone_is_refused_where_nothing_can_be_normalised(make, stage, settings,
                                                                   overrides, alone):
    run = make(stages=(stage,), processes=2, changes={
        'model': {'overrides': overrides},
        'stages': {stage: {'batch': 2, 'samples': {'crop': [64, 64]}, **settings}}})
    if alone:
        with pytest.raises(ValueError, match=f'stages.{stage}: batch is 2, one sample a process'):
            run.plan()
        run.processes = 1
    assert run.plan() == [stage]


@pytest.mark.parametrize('key', ['rain_weight', 'veil_weight'])
@pytest.mark.parametrize('stage', ['derain', 'joint'])
def test_a_weight_for_a_veil_that_the_network_lacks_is_refused(make, stage, key):
    run = make(stages=(stage,), changes={'stages': {stage: {key: 0.1}}})
    with pytest.raises(ValueError, match=rf'stages\.{stage}\.{key} is 0.1, but the network has no '
                                         'veil module: .*overrides.veil'):
        run.plan()


def test_crops_that_the_loop_would_show_at_another_size_are_refused(make):
    changes = {'stages': {'adapt': {'samples': {'crop': [100, 96]}}}}
    with pytest.raises(ValueError, match=r'crop is \[100, 96\]: .* of 8: choose \[96, 96\]'):
        make(stages=('adapt',), changes=changes).plan()


@pytest.mark.parametrize('freeze_norm', [False, True])
def test_one_image_is_a_batch_for_the_discriminator_as_it_comes_clean_and_rainy(make, freeze_norm):
    run = make(stages=('adapt',), changes={'model': {'overrides': {
        'segmentation': 'ddrnet23_slim', 'segmentation_options': {'width': 8}}}, 'stages': {
        'adapt': {'adversarial_weight': 1e-3, 'batch': 1, 'freeze_norm': freeze_norm,
                  'samples': {'crop': [96, 112]}}}}, brief=True)
    train(run)
    assert run.files.result.is_file()


def test_what_cannot_be_started_leaves_nothing(make, monkeypatch):
    def failing(*_):
        raise ValueError('the network cannot be built')
    monkeypatch.setattr('ubcn_ros.training.run.starting_network', failing)
    run = make()
    with pytest.raises(ValueError, match='cannot be built'):
        train(run)
    assert not run.out.exists()


@pytest.mark.parametrize('key', ['balanced_crop_probability', 'class_mix_probability'])
def test_samples_by_labels_that_are_not_there_are_told_before_anything_is_written(
        make, tmp_path, camvid_root, key):
    for name in ('input', 'target'):
        (tmp_path / 'pairs').mkdir(exist_ok=True)
        (tmp_path / 'pairs' / name).symlink_to(camvid_root / 'train' / 'images')
    run = make(stages=('derain',), data=open_data([tmp_path / 'pairs']), changes={'stages': {
        'derain': {'samples': {'on_device': True, key: 0.5}}}})
    with pytest.raises(ValueError, match=rf'derain\.samples\.{key}: .* has no labels'):
        run.plan()

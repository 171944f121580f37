# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn study baselines` from its data to its table, stopped, resumed and refused, in small."""

import json
import sys
from dataclasses import replace
from shutil import copytree

import numpy as np
import pytest
import torch
import yaml
from camvid_folder import stripes, write_scenes
from click.testing import CliRunner

from ubcn_ros.cli.study_baselines import baselines
from ubcn_ros.data.check.check import check_data
from ubcn_ros.data.mixture import open_data
from ubcn_ros.runtime import load_model, save_model
from ubcn_ros.study.baselines import BaselineStudy, with_steps
from ubcn_ros.study.times import device_title
from ubcn_ros.training import train_run
from ubcn_ros.training.config import TrainConfig

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Folder in CamVid's layout, and a recipe beside it."""
    root = tmp_path_factory.mktemp('study')
    write_scenes(root / 'camvid', 'train', 'A_0', 'A_1', seed=9)
    write_scenes(root / 'camvid', 'val', 'A_0')
    (root / 'tiny.yaml').write_text(yaml.safe_dump({
        'name': 'tiny', 'seed': 7, 'data': {'validation_images': 0},
        'stages': {'derain': {'optimizer_steps': 2, 'batch': 2, 'samples': {
            'crop': [32, 32], 'renders': 1}}, 'attend': {'optimizer_steps': 1, 'batch': 2,
            'samples': {'crop': [32, 32], 'renders': 1}}},
        'variants': {name: {'model': {'overrides': {'derain': {'network': name}}}}
                     for name in ('ddn', 'prenet')}}))
    return root


def run(root, out, *arguments):
    return CliRunner().invoke(baselines, [
        '--recipe', str(root / 'tiny.yaml'), '--data', str(root / 'camvid'), '--out', str(out),
        '--baseline', 'ddn', '--accelerator', 'cpu', '--precision',
        '32-true', '--workers', '0', '--rates', '50,250', *map(str, arguments)])


@pytest.fixture
def study(root, tmp_path, tiny_model, fabric):
    """Function that makes a study of the tiny recipe."""
    def made(**changes):
        values = {'model': str(tiny_model), 'baselines': ['ddn'],
                  'budgets': ['samples'], 'rates': [150.0], 'workers': 0,
                  'iterations': 2, 'stride': 1, 'limit': None, 'command': '',
                  'out': tmp_path / 'out', 'say': lambda _text: None,
                  'config': TrainConfig.load(root / 'tiny.yaml'),
                  'data': open_data([root / 'camvid']), 'fabric': fabric, **changes}
        return BaselineStudy(fingerprints=check_data(values['data']).fingerprints, **values)
    return made


def test_from_data_to_the_table_and_nothing_is_done_twice(root, tmp_path, tiny_model,
                                                          monkeypatch, reported):
    monkeypatch.setattr('ubcn_ros.study.baselines._TIMED_SECONDS', 0.1)
    arguments = ('--model', tiny_model, '--iterations', 2, '--size', '64x48', '--frames', 1,
                 '--preset', 'light')
    first = run(root, tmp_path / 'out', *arguments)
    assert first.exit_code == 0, first.output
    path = tmp_path / 'out' / 'baselines.json'
    results = json.loads(path.read_text())
    assert [*results['trained']] == ['samples', 'time']
    for rows in results['trained'].values():
        assert [*rows] == ['idm', 'ddn', 'ubcn']
        for name, row in rows.items():
            assert len(row['steps']) == (2 if name == 'ubcn' else 1)
            for rates in row['steps']:
                assert rates.keys() == {'50', '250'} == results['input'].keys()
                assert all(np.isfinite([*each.values()]).all() for each in rates.values())
    same = results['trained']['samples']
    assert {row['samples'] for row in same.values()} == {4}
    assert same['idm'] == results['trained']['time']['idm']
    (seconds,) = results['optimizer_seconds'].values()
    for name in ('idm', 'ddn'):
        assert results['trained']['time'][name]['optimizer_steps'] == {
            'derain': max(1, round(2 * seconds['idm'] / seconds[name]))}
    assert same['ubcn']['optimizer_steps'] == {'derain': 1, 'attend': 1}
    assert results['trained']['time']['ubcn']['optimizer_steps'] == {
        'derain': 1, 'attend': max(1, round(seconds['idm'] / seconds['sam']))}
    assert same['ddn']['parameters'] == {'derain': 57_369}
    model = results['model']
    assert model['name'] == 'tiny' and len(model['steps']) == 2
    assert [*model['parameters']] == ['derain', 'attention', 'segmentation']
    assert model['parameters'] == same['ubcn']['parameters']
    assert model['steps'] != same['ubcn']['steps']
    (where,) = results['times']
    (timed,) = results['times'][where].values()
    assert timed.keys() == {'ddn', 'light, T = 2'}
    assert all(row['ms'] > 0 and row['peak_mib'] >= 0 for row in timed.values())
    for expected in ('as many samples as IDM', 'as much time as IDM', 'UBCN, T = 2',
                     'tiny as it is', 'rainy image',
                     'T = 2 is better than every baseline in PSNR, and in mIoU',
                     '50 mm/hr: PSNR dB', '0.23', 'timed ddn on cpu',
                     f'{where} 64x48, fp32: s', 'light, T = 2', "MB: paper's"):
        assert expected in first.output
    again = run(root, tmp_path / 'out', *arguments)
    assert again.exit_code == 0 and 'as many samples as IDM' in again.output
    assert '\ntimed ' not in f'\n{again.output}' and 'measuring' not in again.output
    assert json.loads(path.read_text()) == results
    page, (section,) = reported(tmp_path / 'out')
    assert all(text in page for text in ('Size and time', 'as much time', '0.23', 'light, T = 2'))
    missing = [text.partition(':')[0] for text, _ in section.missing]
    assert missing[0] == 'Trained for as many samples, prenet'
    assert 'rescan, jorder-e and rcdnet, which the recipe of this study lacks' in missing


def test_steps_are_of_the_stage_that_derains_also_where_it_has_epochs(root, tmp_path, tiny_model,
                                                                      monkeypatch):
    recipe = yaml.safe_load((root / 'tiny.yaml').read_text())
    recipe['stages']['derain'] = {**recipe['stages']['derain'], 'epochs': 100}
    del recipe['stages']['derain']['optimizer_steps']
    (root / 'epochs.yaml').write_text(yaml.safe_dump(recipe))
    seen = []
    monkeypatch.setattr(BaselineStudy, 'train', lambda self: seen.append(
        self.config.stages['derain'].optimizer_steps) or sys.exit(3))
    for steps in ('20', '20%'):
        done = run(root, tmp_path / steps, '--model', tiny_model, '--steps', steps, '--recipe',
                   root / 'epochs.yaml')
        assert done.exit_code == 3, done.output
    assert seen == [20, 20]  # of 100


@pytest.mark.parametrize('steps', ['1', '25%'])
def test_steps_too_few_to_share_are_refused_with_the_least_that_work(root, tmp_path, tiny_model,
                                                                     steps):
    recipe = yaml.safe_load((root / 'tiny.yaml').read_text())
    recipe['stages']['derain']['optimizer_steps'] = 4
    (root / 'four.yaml').write_text(yaml.safe_dump(recipe))
    done = run(root, tmp_path / 'out', '--model', tiny_model, '--steps', steps, '--recipe',
               root / 'four.yaml')
    assert done.exit_code == 1 and 'Error: --steps leaves 1 of 4 optimizer steps' in done.output
    assert '2 are the least that work' in done.output and not (tmp_path / 'out').exists()
    config = TrainConfig.load(root / 'four.yaml')
    with pytest.raises(ValueError, match='2 are the least'):
        with_steps(config, 1)
    assert [stage.optimizer_steps for stage in with_steps(config, 2).stages.values()] == [2, 1]
    alone = replace(config, stages={'derain': config.stages['derain']})
    assert with_steps(alone, 1).stages['derain'].optimizer_steps == 1


@pytest.mark.parametrize('budget, length, steps', [
    ('samples', {'epochs': 20}, 2), ('time', {'epochs': 20}, 4),
    ('samples', {'optimizer_steps': 9}, 2)])
def test_a_variant_with_a_length_of_its_own_gets_the_budget_of_idm(study, budget, length, steps,
                                                                   monkeypatch):
    trained = {}

    def train(run, *_):
        trained[run.out.name] = run.config.stages['derain'].optimizer_steps
        raise FloatingPointError('no more is asked for')
    monkeypatch.setattr('ubcn_ros.study.baselines.train', train)
    changes = {**study().config.variants['ddn'], 'stages': {'derain': length}}
    one = study(config=replace(study().config, variants={'ddn': changes}), budgets=[budget])
    one.results['optimizer_seconds'] = {
        device_title(torch.device('cpu')): {'idm': 0.2, 'ddn': 0.1, 'sam': 0.2},
        'cuda (another machine)': {'idm': 0.9, 'ddn': 0.1}}
    row = one._trained('ddn', budget)
    assert (trained['ddn'], row['samples']) == (steps, 2 * steps)


def test_a_study_goes_on_where_it_was_stopped_and_may_be_added_to(study, monkeypatch):
    original = BaselineStudy._trained

    def stopped(self, name, budget):
        if name == 'ddn':
            raise KeyboardInterrupt
        return original(self, name, budget)
    monkeypatch.setattr(BaselineStudy, '_trained', stopped)
    with pytest.raises(KeyboardInterrupt):
        study().train()
    monkeypatch.undo()
    without = study(baselines=[])
    begun = without.results['trained']['samples']
    assert begun.keys() == {'idm'}
    without.train()
    assert begun.keys() == {'idm', 'ubcn'}
    resumed = study()
    resumed.train()
    rows = resumed.results['trained']['samples']
    assert rows == {**begun, 'ddn': rows['ddn']}
    # all that it measures has the same segmentation network
    networks = [load_model(path)[0].segmentation.state_dict()
                for path in (study().out / 'samples').glob('*/*.safetensors')]
    assert len(networks) == 3
    for other in networks[1:]:
        assert all((networks[0][key] == other[key]).all() for key in other)


@pytest.mark.parametrize('damage', [
    {'trained': []}, {'times': 'x'}, {'input': 3}, {'trained': {'samples': {'ddn': []}}},
    {'trained': {'samples': {'ddn': {'steps': 'x', 'optimizer_steps': {}, 'samples': 1}}}},
    {'times': {'cpu': {'64x48, fp32': {'ddn': {'ms': 'x'}}}}}])
def test_a_damaged_file_is_said(study, damage):
    one = study()
    one.save()
    one.results |= {'trained': {'samples': {}}, **damage}
    one.save()
    with pytest.raises(ValueError, match=r'baselines\.json is not as .* writes it'):
        study()


def test_nothing_that_derains_is_taken_from_the_model(study):
    one = study(baselines=[])
    run = one._run('idm', one.config, 'samples')
    assert run.start('derain').trained == ('segmentation',)
    ours, model = run.start('derain').network, load_model(one.model)[0]
    weights = [network.derain.body[0].conv1.weight for network in (ours, model)]
    assert (weights[0] != weights[1]).all()


def test_a_segmentation_network_of_another_model_is_refused(study, tiny_model, tmp_path):
    start = study().start
    network, info = load_model(tiny_model)
    network.segmentation.classifier.bias.data += 1
    other = tmp_path / 'other.safetensors'
    save_model(other, network, info.metadata)
    with pytest.raises(ValueError, match='of another model than .*other.*choose another --out'):
        study(model=str(other))
    assert study().start == start


def test_a_segmentation_network_that_does_not_fit_is_refused_before_the_work(study):
    config, wide = study().config, {'segmentation_options': {'width': 8}}
    for changes in (
            {'model': replace(config.model, overrides=wide)},
            {'variants': {**config.variants, 'ddn': {'model': {'overrides': {
                'derain': {'network': 'ddn'}, **wide}}}}}):
        with pytest.raises(ValueError, match='not take the weights of .*choose another --model'):
            study(config=replace(config, **changes))


def test_a_model_with_a_segmentation_network_alone_is_no_row(study, partial_model):
    said = []
    for _ in range(2):
        one = study(model=str(partial_model), budgets=[], say=said.append)
        one.train()
    assert said.count('measuring partial') == 1
    assert one.results['model'] == {} and one.results['input']['150']['miou'] is not None


def test_a_network_that_diverges_is_said_and_the_others_go_on(study, monkeypatch):
    original = train_run.train

    def diverging(run, *arguments):
        if run.config.name.endswith('ddn'):
            raise FloatingPointError('the loss of derain is nan')
        original(run, *arguments)
    monkeypatch.setattr('ubcn_ros.study.baselines.train', diverging)
    one = study()
    one.train()
    rows = one.results['trained']['samples']
    assert rows['ddn']['error'] == 'the loss of derain is nan' and 'steps' in rows['idm']
    assert 'Diverged: ddn' in one.text_of(one.results)


def test_other_settings_and_what_cannot_be_are_refused(study, root, tmp_path):
    one = study()
    one.save()
    with pytest.raises(ValueError, match='other settings: .*rates.*choose another --out'):
        study(rates=[50.0])
    with pytest.raises(ValueError, match="has no variant 'rescan'"):
        study(baselines=['rescan'], out=tmp_path / 'other')
    copytree(root / 'camvid' / 'train', tmp_path / 'camvid' / 'train')
    with pytest.raises(ValueError, match='camvid has no split val: .*tested on what they are'):
        study(data=open_data([tmp_path / 'camvid']), out=tmp_path / 'other')
    copytree(root / 'camvid' / 'train', tmp_path / 'camvid' / 'val')
    with pytest.raises(ValueError, match=r'scenes: 1 scenes \w+ before, 2 scenes'):
        study(data=open_data([tmp_path / 'camvid']))
    write_scenes(tmp_path / 'new' / 'camvid', 'train', 'A_0', 'A_1', labels=stripes(0, 3),
                 seed=9)
    write_scenes(tmp_path / 'new' / 'camvid', 'val', 'A_0')
    with pytest.raises(ValueError, match=r'settings: files\.1: \w+ before, \w+ now: choose'):
        study(data=open_data([tmp_path / 'new' / 'camvid']))
    derain = one.config.stages['derain']
    for stages, said in (({'adapt': derain}, 'has the stages adapt: .*takes one with derain'),
                         ({'derain': derain, 'attend': derain},
                          'gives 4 samples to attend, .*the 4 of derain: give it fewer')):
        with pytest.raises(ValueError, match=said):
            study(config=replace(one.config, stages=stages), out=tmp_path / 'other')
    for config in (replace(one.config, data=replace(one.config.data, validation_images=3)),
                   replace(one.config, variants={'ddn': {'data': {'validation_images': 3}}})):
        with pytest.raises(ValueError, match='has data.validation_images 3, .*: set it to 0'):
            study(config=config, out=tmp_path / 'other')
    refused = run(root, tmp_path / 'none' / 'out', '--model', one.model, '--baseline', 'rescan')
    assert refused.exit_code == 1 and "no variant 'rescan'" in refused.output
    assert not (tmp_path / 'none').exists()


@pytest.mark.parametrize('attend', [1, 3])
def test_ubcn_shares_a_budget_as_the_recipe_says(study, attend, monkeypatch):
    config = study().config
    stages = {'derain': replace(config.stages['derain'], optimizer_steps=8, batch=2),
              'attend': replace(config.stages['attend'], optimizer_steps=attend, batch=4)}
    one = study(config=replace(config, stages=stages))
    assert one._steps('ubcn', 'samples') == {'derain': 8 - 2 * attend, 'attend': attend}
    assert one._steps('ddn', 'samples') == {'derain': 8}
    one.results['optimizer_seconds'] = {
        device_title(torch.device('cpu')): {'idm': 0.5, 'ddn': 0.25, 'sam': 0.1}}
    # 4 s for all; each sample of attend is a sixteenth of the budget
    assert one._steps('ddn', 'time') == {'derain': 16}
    assert one._steps('ubcn', 'time') == {'derain': 8 - 2 * attend,
                                                  'attend': 10 * attend}


def test_without_attend_there_is_no_ubcn(study):
    stages = {'derain': study().config.stages['derain']}
    one = study(config=replace(study().config, stages=stages), baselines=[])
    assert one.names == ['idm']


def test_they_are_measured_in_the_rain_that_the_recipe_validates_in(study, tmp_path):
    inputs = []
    for rain in ('rendered', 'painted'):
        config = study().config
        config = replace(config, data=replace(config.data, validation_rain=rain))
        one = study(config=config, baselines=[], budgets=[], out=tmp_path / rain)
        one.train()
        inputs.append(one.results['input']['150']['psnr'])
    assert inputs[0] != inputs[1]


def test_images_are_as_small_as_those_of_training(study):
    config = study().config
    sides = [study(config=replace(config, data=replace(config.data, short_side=side))
                   ).scenes.scenes[0].image().shape[0] for side in (0, 32)]
    assert sides[1] == 32 < sides[0]

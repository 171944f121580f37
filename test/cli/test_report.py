# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn report` from the files that other commands write."""

import json

import pytest
import torch
from camvid_folder import write_scenes
from command_line import ubcn
from processed_bags import processed

from ubcn_ros.cli.options import load_engine
from ubcn_ros.report import steps
from ubcn_ros.runtime.device import resolve_precision


@pytest.fixture(scope='module')
def streets(tmp_path_factory):
    """Folder in CamVid's layout: two frames."""
    return write_scenes(tmp_path_factory.mktemp('streets'), 'val', '0', '1')


def test_a_bag_with_its_steps(tmp_path, tiny_model):
    bag, out = processed(tmp_path / 'bag'), tmp_path / 'new' / 'page.html'
    done = ubcn('report', bag, '--out', out, '--model', tiny_model, '--iterations', 2,
               '--step-frames', 1, '--device', 'cpu', '--precision', 'fp32')
    assert done.exit_code == 0, done.output
    assert f'wrote {out}: 4 frames' in done.output
    assert 'Steps of the loop' in out.read_text('utf-8')


def test_steps_are_computed_as_the_bag_was_processed(tmp_path, tiny_model, monkeypatch):
    bag, made, run = processed(tmp_path / 'bag'), [], []

    class Steps(steps.Steps):
        def __call__(self, image, truth=None, focal_length=None):
            run.append(focal_length)
            return super().__call__(image, truth, focal_length)

    def load(**options):
        made.append(load_engine(**options))
        return made[-1]

    monkeypatch.setattr('ubcn_ros.cli.report.load_engine', load)
    monkeypatch.setattr(steps, 'Steps', Steps)
    document = json.loads((bag / 'process.json').read_text())
    document['cameras'][0]['focal_length'] = 0.75
    document |= {'iterations': 1, 'processing_size': 32, 'precision': 'bf16', 'device': 'cpu',
                 'settings': {'min_confidence': 0.5, 'convergence': 0.25, 'every': 2}}

    def report(*options):
        (bag / 'process.json').write_text(json.dumps(document))
        done = ubcn('report', bag, '--out', tmp_path / 'page.html', '--model', tiny_model,
                   '--step-frames', 1, '--device', 'cpu', *options)
        assert done.exit_code == 0, done.output
        data = (tmp_path / 'page.html').read_text('utf-8').split(
            '<script id="data" type="application/json">')[1].split('</script>')[0]
        engine, count = made[-1], max(len(f['steps']) for f in json.loads(data)['frames'])
        return (count, engine.precision, engine.processing_size, engine.min_confidence,
                engine.convergence)

    assert report() == (1, 'bf16', 32, 0.5, 0.25) and run == [0.75]
    typed = report('--iterations', 2, '--precision', 'fp32', '--processing-size', 0)
    assert typed == (2, 'fp32', 0, 0.5, 0.25)
    document['device'] = 'cuda:0'  # whose precision another device need not compute in
    assert report()[1] == resolve_precision('auto', torch.device('cpu'))


def test_an_evaluation_with_its_pictures(tmp_path, tiny_model, streets):
    found, out = tmp_path / 'quality.json', tmp_path / 'page.html'
    done = ubcn('evaluate', '--model', tiny_model, '--data', streets, '--iterations', 2,
               '--rates', '0,150', '--json', found, '--device', 'cpu')
    assert done.exit_code == 0, done.output
    done = ubcn('report', found, '--out', out)
    assert done.exit_code == 0 and 'wrote' in done.output
    done = ubcn('report', found, '--out', out, '--model', tiny_model, '--step-frames', 1,
               '--device', 'cpu')
    assert done.exit_code == 0, done.output
    assert f'wrote {out}: 2 frames' in done.output  # one image, dry and in rain
    text = out.read_text('utf-8')
    data = json.loads(text.split('<script id="data" type="application/json">')[1]
                      .split('</script>')[0])
    assert [len(f['steps']) for f in data['frames']] == [2, 2]
    for kind in ('images', 'labels'):
        (streets / 'val' / kind / '0.png').rename(streets / 'val' / kind / '2.png')
    done = ubcn('report', found, '--out', out, '--model', tiny_model, '--device', 'cpu')
    assert done.exit_code == 1 and 'evaluate again' in done.output


def test_pictures_converge_as_the_evaluation_did(tmp_path, tiny_model, streets, monkeypatch):
    found, made = tmp_path / 'quality.json', []
    monkeypatch.setattr('ubcn_ros.cli.report.load_engine',
                        lambda **options: made.append(load_engine(**options)) or made[0])
    done = ubcn('evaluate', '--model', tiny_model, '--data', streets, '--iterations', 2,
                '--rates', '150', '--limit', 1, '--convergence', 255, '--json', found,
                '--device', 'cpu')
    assert done.exit_code == 0, done.output
    done = ubcn('report', found, '--out', tmp_path / 'page.html', '--model', tiny_model,
                '--device', 'cpu')
    assert done.exit_code == 0, done.output
    assert [engine.convergence for engine in made] == [255]


def test_pictures_on_another_device_are_computed_in_its_own_precision(tmp_path, tiny_model,
                                                                      streets, monkeypatch):
    found, made = tmp_path / 'quality.json', []
    monkeypatch.setattr('ubcn_ros.cli.report.load_engine',
                        lambda **options: made.append(load_engine(**options)) or made[-1])
    done = ubcn('evaluate', '--model', tiny_model, '--data', streets, '--iterations', 1,
                '--rates', '150', '--limit', 1, '--json', found, '--device', 'cpu')
    assert done.exit_code == 0, done.output
    said = json.loads(found.read_text())
    for device, precision, options in (('cuda:0', 'fp16', ()), ('cpu', 'bf16', ()),
                                       ('cpu', 'bf16', ('--precision', 'fp32'))):
        found.write_text(json.dumps({**said, 'device': device, 'precision': precision}))
        done = ubcn('report', found, '--out', tmp_path / 'page.html', '--model', tiny_model,
                    '--device', 'cpu', *options)
        assert done.exit_code == 0, done.output
    assert [engine.precision for engine in made] == [
        resolve_precision('auto', torch.device('cpu')), 'bf16', 'fp32']


@pytest.mark.parametrize('option', ['--step-frames', '--iterations', '--device', '--precision',
                                    '--processing-size'])
def test_options_of_steps_are_refused_without_a_model(tmp_path, option):
    value = {'--device': 'cpu', '--precision': 'fp32', '--processing-size': 0}.get(option, 3)
    done = ubcn('report', tmp_path / 'bag', option, value)
    assert done.exit_code == 2 and f'a --model: leave out {option}' in done.output, done.output


def test_options_of_bags_are_refused_for_an_evaluation(tmp_path):
    (tmp_path / 'e.json').write_text('{}')
    for more in (('--truth', tmp_path), ('--frames', 9), (tmp_path,)):
        done = ubcn('report', tmp_path / 'e.json', *more)
        assert done.exit_code == 2 and 'is an evaluation: leave out' in done.output
    done = ubcn('report', tmp_path / 'e.json', '--iterations', 3, '--processing-size', 0)
    assert done.exit_code == 2 and \
        'run again as they were measured: leave out --iterations, --processing-size' in done.output


def test_mistakes_end_in_a_line(tmp_path):
    for arguments, complaint in (((tmp_path / 'absent',), 'no bag at'),
                                 ((tmp_path / 'absent.JSON',), 'No such file')):
        done = ubcn('report', *arguments, '--out', tmp_path / 'page.html')
        assert done.exit_code == 1 and complaint in done.output, done.output
        assert len(done.output.strip().splitlines()) == 1

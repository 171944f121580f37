# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What equals or beats UBCN, in which figure, where and by how much."""

import math

import pytest

from ubcn_ros.study.comparison import baselines_statements, margins, pairs_of


def figures(*values):
    """PSNR and mIoU at 50 and 250 mm/hr."""
    return {rate: {'psnr': psnr, 'ssim': 0.9, 'miou': miou}
            for rate, (psnr, miou) in zip(('50', '250'), values, strict=True)}


@pytest.fixture
def results():
    rows = {'idm': [figures((27, 60), (24, 50))], 'ddn': [figures((25, 55), (21, 40))],
            'rescan': [figures((26, 59), (23, 49))],
            **dict.fromkeys(('prenet', 'jorder-e', 'rcdnet'), [figures((20, 30), (20, 30))]),
            'ubcn': [figures((20, 30), (20, 30)), figures((28, 61), (25, 52))]}
    seconds = {'ddn': 10, 'rescan': 300, 'prenet': 300, 'jorder-e': 300, 'rcdnet': 300,
               'light, T = 2': 40, 'paper, T = 2': 1, 'wide, T = 2': 1}
    return {
        'settings': {'iterations': 2, 'recipes': {'idm': {'derain': {'model': {
            'preset': 'light'}}}}},
        'trained': {'samples': {name: {'steps': steps} for name, steps in rows.items()}},
        'times': {'cpu': {'2048x1024, fp32': {n: {'ms': ms} for n, ms in seconds.items()}}}}


def targets(results):
    """Statements on the targets: for each budget better, and faster."""
    return [each for each in baselines_statements(results) if each.target]


def test_nothing_beats_it_at_its_last_step(results):
    better, faster = targets(results)
    assert better.holds is True and faster.holds is True
    assert better.text == ('UBCN at T = 2 is better than every baseline in PSNR, and in mIoU '
                           'after it (trained for as many samples)')
    assert better.found == 'it beats ddn, rescan, prenet, jorder-e and rcdnet'
    assert faster.text == ('UBCN at T = 2, by the engine, is faster than all baselines but ddn, '
                           'module by module')
    assert faster.found == 'it beats rescan, prenet, jorder-e and rcdnet'
    assert better.details == faster.details == ()
    (residue,) = (each for each in baselines_statements(results) if 'residue' in each.text)
    assert residue.holds is False, 'no more in heavy rain'
    assert residue.found == ('ahead of the best of them by +2.00 dB and +2.0 points of mIoU at 50 '
                             'mm/hr and +2.00 dB and +3.0 points of mIoU at 250 mm/hr')


def test_it_is_said_of_which_baselines_a_claim_is_not_known(results):
    rows, times = results['trained']['samples'], results['times']['cpu']['2048x1024, fp32']
    del rows['prenet'], times['ddn'], times['rcdnet']
    rows['jorder-e'] = {'error': 'the loss is nan'}
    better, faster = targets(results)
    assert better.holds is None and faster.holds is None
    assert better.found == ('it beats ddn, rescan and rcdnet; not compared in both: prenet and '
                            'jorder-e')
    assert faster.found == ('it beats rescan, prenet and jorder-e; not timed on every device: '
                            'rcdnet')
    for name in ('ddn', 'rescan', 'rcdnet'):
        del rows[name]
    better, _ = targets(results)
    assert better.holds is None
    assert better.found == 'not compared in both: ddn, rescan, prenet, jorder-e and rcdnet'


def test_a_target_of_two_measures_needs_a_figure_of_both(results):
    rows = results['trained']['samples']
    for row in rows.values():  # `--rates 0`: PSNR is compared in rain alone
        row['steps'] = [{'0': step['250']} for step in row['steps']]
    better, _ = targets(results)
    assert better.holds is None
    assert better.found == 'not compared in both: ddn, rescan, prenet, jorder-e and rcdnet'
    rows['rescan']['steps'][-1]['0']['miou'] = 60
    assert targets(results)[0].holds is False, 'one that is ahead decides'


def test_of_a_device_that_it_was_not_timed_on_nothing_is_known(results):
    (rows,) = results['times']['cpu'].values()
    rows = {name: row for name, row in rows.items() if not name.startswith('light')}
    results['times']['cuda (X)'] = {'2048x1024, fp32': rows}
    for times in (results['times'], {}):
        faster = targets({**results, 'times': times})[-1]
        assert faster.holds is None
        assert faster.found == 'not timed on every device: rescan, prenet, jorder-e and rcdnet'


def test_each_lead_is_told(results):
    rows = results['trained']['samples']
    rows['rescan']['steps'] = [figures((28.5, 60.5), (24, 55))]
    rows['idm']['steps'] = [figures((27, 60), (25.25, 50))]
    results['times']['cpu']['2048x1024, fp32']['rescan'] = {'ms': 15}
    assert margins(pairs_of(rows)) == {'psnr': {'50': -0.5, '250': 1},
                                       'miou': {'50': 0.5, '250': -3}}
    better, faster = targets(results)
    assert better.holds is False and faster.holds is False
    assert better.found == 'beaten by rescan; idm alone, in the whole budget, beats it'
    assert better.details == ('rescan in PSNR at 50 mm/hr: 28.50 against 28.00, by 0.50 dB',
                              'rescan in mIoU at 250 mm/hr: 55.0 against 52.0, by 3.0 points',
                              'idm in PSNR at 250 mm/hr: 25.25 against 25.00, by 0.25 dB')
    assert faster.found == 'beaten by rescan'
    assert faster.details == (
        'rescan in time on cpu 2048x1024, fp32: 0.015 against 0.040, by 0.025 s',)


def test_a_small_lead_is_told_with_its_size(results):
    results['trained']['samples']['rescan']['steps'] = [figures((27, 61.02), (24, 50))]
    assert targets(results)[0].details == (
        'rescan in mIoU at 50 mm/hr: 61.0 against 61.0, by 0.02 points',)


def test_what_is_as_good_or_as_fast_is_not_beaten(results):
    rows = results['trained']['samples']
    rows['rescan']['steps'] = [figures((27, 61), (24, 50))]
    rows['idm']['steps'] = [figures((28, 60), (24, 50))]
    results['times']['cpu']['2048x1024, fp32']['rescan'] = {'ms': 40}
    better, faster = targets(results)
    assert better.holds is False and better.found == 'equalled by rescan', 'idm is not better'
    assert better.details == ('rescan in mIoU at 50 mm/hr: 61.0 points, the same',)
    assert faster.holds is False and faster.found == 'equalled by rescan'
    assert faster.details == ('rescan in time on cpu 2048x1024, fp32: 0.040 s, the same',)


def test_who_leaves_a_dry_image_as_it_is_leads(results):
    rows = results['trained']['samples']
    for name in ('ddn', 'rescan'):
        rows[name]['steps'][0]['50']['psnr'] = math.inf
    assert targets(results)[0].found == 'beaten by ddn and rescan'
    assert margins(pairs_of(rows))['psnr']['50'] == -math.inf
    rows['ubcn']['steps'][-1]['50']['psnr'] = math.inf
    assert targets(results)[0].holds is True
    assert '50' not in margins(pairs_of(rows))['psnr']


def test_of_what_is_not_there_nothing_is_claimed(results):
    rows = results['trained']['samples']
    rows['ddn'] = {'error': 'the loss is nan'}
    rows['rescan']['steps'][0]['50']['miou'] = None
    better, _ = targets(results)
    assert better.holds is None and better.details == ()
    rows['ubcn'] = {'error': 'the loss is nan'}
    better, _ = targets(results)
    assert better.holds is None and better.found == 'UBCN diverged'
    assert margins(pairs_of(rows)) == {'psnr': {}, 'miou': {}}
    del rows['ubcn']
    better, _ = targets(results)
    assert better.holds is None and better.found == 'UBCN is not trained yet'

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What equals or beats UBCN, in which figure, where and by how much."""

import math

import pytest

from ubcn_ros.study.comparison import (
    Lead,
    as_fast_as_ubcn,
    as_good_as_ubcn,
    margins,
    not_timed_beside,
    target_text,
)


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


def test_nothing_beats_it_at_its_last_step(results):
    assert as_good_as_ubcn(results, 'samples') == []
    text = target_text(results)
    assert text.splitlines() == [
        'for the same samples, UBCN at T = 2 is better than every baseline in PSNR and mIoU: yes',
        '  PSNR over the best of them at 50 / 250 mm/hr: +2.00 / +2.00 dB',
        '  mIoU over the best of them at 50 / 250 mm/hr: +2.0 / +3.0 points',
        'UBCN at T = 2, by the engine, is faster than all baselines but ddn, module by module: '
        'yes']


def test_it_is_said_of_which_baselines_a_claim_is_not_known(results):
    rows, times = results['trained']['samples'], results['times']['cpu']['2048x1024, fp32']
    del rows['prenet'], times['ddn'], times['rcdnet']
    rows['jorder-e'] = {'error': 'the loss is nan'}
    better, *_, faster = target_text(results).splitlines()
    assert better.endswith('mIoU: not known of prenet, jorder-e, yes of the others')
    assert faster.endswith('but ddn, module by module: not known of rcdnet, yes of the others')
    for name in ('ddn', 'rescan', 'rcdnet'):
        del rows[name]
    better, faster = target_text(results).splitlines()
    assert better.endswith('mIoU: not known of ddn, rescan, prenet, jorder-e, rcdnet')


def test_of_a_device_that_it_was_not_timed_on_nothing_is_known(results):
    (rows,) = results['times']['cpu'].values()
    rows = {name: row for name, row in rows.items() if not name.startswith('light')}
    results['times']['cuda (X)'] = {'2048x1024, fp32': rows}
    assert not_timed_beside(results) == ['rescan', 'prenet', 'jorder-e', 'rcdnet']
    assert target_text(results).splitlines()[-1].endswith(
        'not known of rescan, prenet, jorder-e, rcdnet')


def test_each_lead_is_told(results):
    rows = results['trained']['samples']
    rows['rescan']['steps'] = [figures((28.5, 60.5), (24, 55))]
    rows['idm']['steps'] = [figures((27, 60), (25.25, 50))]
    results['times']['cpu']['2048x1024, fp32']['rescan'] = {'ms': 15}
    leads = as_good_as_ubcn(results, 'samples')
    assert leads == [Lead('rescan', 'psnr', '50', 28, 28.5), Lead('idm', 'psnr', '250', 25, 25.25),
                     Lead('rescan', 'miou', '250', 52, 55)]
    assert [lead.by for lead in leads] == [0.5, 0.25, 3]
    found = margins(results, 'samples')
    assert found == {'psnr': {'50': -0.5, '250': 1}, 'miou': {'50': 0.5, '250': -3}}
    text = target_text(results)
    for line in ('in PSNR and mIoU: no, it is beaten by',
                 '  rescan in PSNR at 50 mm/hr: 28.50 against 28.00, by 0.50 dB',
                 '  rescan in mIoU at 250 mm/hr: 55.0 against 52.0, by 3.0 points',
                 '  IDM alone, in the whole budget, is better: idm in PSNR at 250 mm/hr: 25.25',
                 'faster than all baselines but ddn, module by module: no',
                 '  rescan in time on cpu 2048x1024, fp32: 0.015 against 0.040, by 0.025 s'):
        assert line in text
    assert '  ddn' not in text


def test_what_is_as_good_or_as_fast_is_not_beaten(results):
    rows = results['trained']['samples']
    rows['rescan']['steps'] = [figures((27, 61), (24, 50))]
    rows['idm']['steps'] = [figures((28, 60), (24, 50))]
    results['times']['cpu']['2048x1024, fp32']['rescan'] = {'ms': 40}
    lines = target_text(results).splitlines()
    assert lines[0].endswith('PSNR and mIoU: no, it is equalled or beaten by')
    assert lines[1] == '  rescan in mIoU at 50 mm/hr: 61.0 points, the same'
    assert not any(line.startswith('  IDM alone') for line in lines), 'it is not better'
    assert lines[-2].endswith('no, it is equalled or beaten by')
    assert lines[-1] == '  rescan in time on cpu 2048x1024, fp32: 0.040 s, the same'


def test_who_leaves_a_dry_image_as_it_is_leads(results):
    rows = results['trained']['samples']
    for name in ('ddn', 'rescan'):
        rows[name]['steps'][0]['50']['psnr'] = math.inf
    leads = as_good_as_ubcn(results, 'samples')
    assert {lead.network for lead in leads} == {'ddn', 'rescan'}
    assert margins(results, 'samples')['psnr']['50'] == -math.inf
    rows['ubcn']['steps'][-1]['50']['psnr'] = math.inf
    assert as_good_as_ubcn(results, 'samples') == []
    assert '50' not in margins(results, 'samples')['psnr']


def test_of_what_is_not_there_nothing_is_claimed(results):
    rows = results['trained']['samples']
    rows['ddn'] = {'error': 'the loss is nan'}
    rows['rescan']['steps'][0]['50']['miou'] = None
    assert as_good_as_ubcn(results, 'samples') == []
    assert as_good_as_ubcn(results, 'time') is None
    rows['ubcn'] = {'error': 'the loss is nan'}
    results['times'] = {}
    assert as_good_as_ubcn(results, 'samples') is None and as_fast_as_ubcn(results) is None
    assert target_text(results) == 'for the same samples, UBCN diverged'
    assert margins(results, 'samples') == {'psnr': {}, 'miou': {}}
    del rows['ubcn']
    assert target_text(results) == ''

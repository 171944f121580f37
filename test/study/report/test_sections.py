# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the sections say of made-up figures: computed, and turned round when the figures are."""

import re

import pytest
from made_up import (
    baselines,
    degradations,
    methods,
    networks,
    picture_study,
    quality,
    steps,
    written,
)

from ubcn_ros.study.report.assemble import KINDS, study_report
from ubcn_ros.study.report.content import NO_GPU_TIMES


@pytest.fixture
def section(tmp_path):
    """Function that returns the first section of a study with these results."""
    def made(name, results):
        report = study_report([written(tmp_path, name, results)], '')
        return next(each for each in report.sections if each.anchor == name)
    return made


def said(section, text):
    """The one statement with this text."""
    (found,) = (each for each in section.statements if text in each.text)
    return found


def test_figure_1_like_the_papers_agrees(section):
    found = section('degradations', degradations(scale=1.0))
    assert [each.holds for each in found.statements] == [True] * 5
    assert 'in 48 of 48 comparisons' in found.statements[0].found
    assert "the paper's figure: by 0.1 points" in found.statements[0].found
    assert not found.missing and not found.opinions, 'nothing has to be explained'
    rain = found.blocks[0]
    assert rain.rows[0] == ('0', '77.0', '51.7', '36.6', '22.5', '77.2', '51.9', '36.8', '22.7'), \
        "the paper's, and the mean of three seeds"
    assert rain.strong == {(r, c) for r in range(4) for c in (r + 1, r + 5)}
    table = found.blocks[-1]
    assert table.rows[0][1:3] == ('77.0', '77.2') and table.rows[0][-1] == '1.00'
    assert dict(found.facts)['seeds'].startswith('rain 1, 2, 3; pepper 1;')
    assert dict(found.facts)['time'] == '1 h 23 min, all runs together'


def test_heat_maps_that_the_study_has_drawn_are_shown(tmp_path):
    folder = written(tmp_path, 'degradations')
    (folder / 'heat-maps-camvid.png').touch()
    first = study_report([folder], '').sections[0].blocks[0]
    assert first.kind == 'figure' and first.path == folder / 'heat-maps-camvid.png'


def test_a_claim_that_fails_is_said_by_how_much_and_explained(section):
    results = degradations(scale=0.5)
    for cells in results['data']['camvid']['miou']['haze']['0.03'].values():
        cells['0.03'] = 10.0
    found = section('degradations', results)
    best = said(found, 'Training at the level')
    # the best of that column is what training at 0.01 leaves
    assert best.holds is False and 'by up to 24.8 points' in best.found
    assert len(best.details) == 3 and 'trained at 0.03 is 24.8 below' in best.details[0]
    assert said(found, 'Clean training').holds is True
    assert said(found, 'three claims hold').holds is False
    assert any('larger than what we take for noise' in each for each in found.opinions)
    assert any('points below the paper' in each for each in found.opinions)


def test_of_networks_that_have_learned_nothing_nothing_is_concluded(section):
    (opinion,) = section('degradations', degradations(scale=0.05)).opinions
    assert '4.0 % for clean training' in opinion and 'nothing follows' in opinion


def test_of_many_exceptions_the_largest_are_shown(section):
    found = section('degradations', degradations(scale=0.0, seeds=('1',)))
    details = said(found, 'Training at the level').details
    assert len(details) == 7 and details[-1] == 'and 42 more, smaller'


def test_a_share_of_nothing_is_not_known(section, recwarn):
    results = degradations()
    rows = results['data']['camvid']['miou']['haze']
    rows['0']['1']['0'] = 0.0
    found = section('degradations', results)
    table = found.blocks[-1]
    (haze,) = (row for row in table.rows if row[0] == 'haze')
    assert haze[1:7] == ('77.3', '0.0', '55.4', '–', '91.1', '–')
    assert not recwarn


def test_what_is_not_tested_yet_is_not_known(section):
    results = degradations(seeds=('1',))
    del results['data']['camvid']['miou']['haze'], \
        results['data']['camvid']['miou']['rain']['250']
    found = section('degradations', results)
    assert said(found, 'Training at the level').holds is None
    assert said(found, 'peak at their own').holds is None
    assert said(found, 'three claims hold').holds is None
    assert found.missing == [(
        'Tests on camvid, 4 of rain with seed 1 and 16 of haze with seed 1: this command, with a '
        '--kind and --seed of each', results['data']['camvid']['command'])]
    assert found.blocks[0].rows[3][5:] == ('–',) * 4


def test_what_a_seed_lacks_is_asked_for_with_that_seed(section):
    results = degradations(seeds=('1', '2'))
    found = results['data']['camvid']
    rain = found['miou']['rain']
    del rain['150']['2'], rain['250']['2']

    def left():
        return [text.partition(': ')[0] for text, _ in section('degradations', results).missing]

    assert left() == ['Tests on camvid, 8 of rain with seed 2']
    found['errors'] = {'rain 150, seed 2': 'the loss is nan'}
    assert left() == ['Tests on camvid, 4 of rain with seed 2']
    found['errors']['rain 250, seed 2'] = 'the loss is nan'
    assert left() == [], 'what diverged is not tried again'
    found['errors'] = {'clean, seed 1': 'the loss is nan'}
    found['miou'] = {'haze': {'0.01': {'1': {}}}}
    assert left() == ['Tests on camvid, 12 of rain with seed 1, 12 of pepper with seed 1, 12 of '
                      'haze with seed 1 and 12 of gaussian with seed 1']
    found['miou'] = {'rain': {'0': {}}}
    assert '12 of gaussian with seed 1' in left()[0], 'of all kinds'


def test_what_a_second_data_set_lacks_is_asked_for_of_that(tmp_path):
    results, own = degradations(seeds=('1',)), 'ubcn study degradations --data VOC'
    results['data']['voc2012'] = {**results['data']['camvid'], 'miou': {}, 'command': own}
    first, second = study_report([written(tmp_path, 'degradations', results)], '').sections[:2]
    assert second.missing[0][1] == own and not first.missing
    assert dict(second.facts)['command'] == own
    assert dict(first.facts)['command'] == results['command']


def test_data_sets_have_sections_of_their_own(tmp_path):
    results = degradations()
    results['data']['voc2012'] = results['data']['camvid']
    report = study_report([written(tmp_path, 'degradations', results)], '')
    titles = [each.title for each in report.sections if each.paper == 'Figure 1']
    assert [title.rpartition(': ')[2] for title in titles] == ['camvid', 'voc2012']
    assert [each.text.split(' (')[0] for part in report.sections for each in part.statements
            if each.target] == [f'The first three claims hold on {name}'
                                for name in ('camvid', 'voc2012')]


def test_links_lead_to_their_own_section_of_several_studies_of_several_data_sets(tmp_path):
    results = degradations()
    results['data']['voc2012'] = results['data']['camvid']
    folders = [written(tmp_path / name, 'degradations', results) for name in 'ab']
    sections = study_report(folders, '').sections
    assert len({each.anchor for each in sections}) == len(sections)


def test_table_4_where_ubcn_leads(section):
    found = section('baselines', baselines())
    assert all(each.holds for each in found.statements)
    assert said(found, 'sizes of table 4').found == (
        '5 of 5 within 0.01 MB: ddn, rescan and prenet by 4 bytes a parameter; jorder-e and '
        'rcdnet by a checkpoint')
    assert said(found, 'slower in table 4').found == '15 of 15 pairs are in the same order'
    assert '+1.80 dB and +4.0 points of mIoU at 50 mm/hr' in said(
        found, 'residue in heavy rain, where UBCN is ahead of them by more (trained for as many'
    ).found
    table = found.blocks[0]
    assert ('ddn', '0.23', '0.23', '0.23', '0.17', '1.0', '0.068', '1.0', '900') in table.rows
    assert [line.name for line in found.blocks[2].charts[0].lines] == [
        'ubcn', 'ddn', 'rescan', 'prenet', 'jorder-e', 'rcdnet', 'idm']
    assert found.missing == [(NO_GPU_TIMES, baselines()['command'])]
    assert not found.opinions


def test_a_baseline_that_is_ahead_or_faster_is_named_with_its_lead(section):
    results = baselines()
    results['trained']['samples']['rescan']['steps'] = [quality(33.0, 60.0)]
    results['trained']['time']['idm']['steps'] = [quality(31.5, 60.0)]
    times = results['times']['cpu']['2048x1024, fp32']
    times['rescan']['ms'], times['prenet']['ms'] = 20.0, 9999.0
    results['trained']['time']['ddn']['parameters']['derain'] = 10 ** 6
    results['trained']['time']['ddn']['checkpoint_mb'] = 5.0
    found = section('baselines', results)
    size = said(found, 'sizes of table 4')
    assert size.holds is False and size.details == (
        'ddn has 4.00 MB by 4 bytes a parameter and 5.00 MB by a checkpoint, not 0.23',)
    in_time = said(found, 'in mIoU after it (trained for as much time')
    assert in_time.holds is True and 'idm alone' in in_time.found
    order = said(found, 'slower in table 4')
    assert order.holds is False and 'jorder-e (3.648 s) before prenet (9.999 s)' in order.found
    assert len(found.opinions) == 4


def test_a_baseline_that_is_as_good_is_not_said_to_be_ahead(section):
    results = baselines()
    results['trained']['samples']['rescan']['steps'] = [quality(30.0, 68.0)]
    found = section('baselines', results)
    assert said(found, 'in mIoU after it (trained for as many').found == 'equalled by rescan'
    assert not any('that is ahead' in each for each in found.opinions)


def test_the_papers_time_stands_beside_as_many_steps(section):
    results = baselines()
    rows = results['times']['cpu']['2048x1024, fp32']
    rows['paper, T = 1'] = rows.pop('paper, T = 3')
    found = section('baselines', results)
    (row,) = (row for row in found.blocks[0].rows if row[0] == 'UBCN paper, T = 1')
    assert row[1:6] == ('13.40 + 0.40 + 177.60', '–', '–', '–', '–')
    order = said(found, 'slower in table 4')
    assert order.holds is None and '10 of 10 pairs' in order.found


def test_table_4_half_done(section):
    results = baselines()
    del results['trained']['time'], results['trained']['samples']['ubcn']
    results['trained']['samples']['ddn'] = {'optimizer_steps': {'derain': 1}, 'samples': 8,
                                            'error': 'the loss is nan'}
    results['trained']['samples']['rescan'] = {}  # as of a file that was edited
    results |= {'times': {}, 'model': {}}
    found = section('baselines', results)
    assert {each.holds for each in found.statements} == {None}
    assert [text.partition(':')[0] for text, _ in found.missing] == [
        'Trained for as many samples, ubcn', 'Trained for as much time, ddn, rescan, prenet, '
        'jorder-e, rcdnet and ubcn', 'Times and memory on a GPU']
    assert {command for _, command in found.missing} == {results['command']}
    assert 'Diverged: ddn.' in found.blocks[1].note
    del results['settings']['recipes']['rcdnet'], results['settings']['recipes']['rescan']
    missing = [text for text, _ in section('baselines', results).missing]
    assert 'rescan and rcdnet, which the recipe of this study lacks: this command with another ' \
        '--recipe and --out' in missing
    assert not any('rcdnet' in text for text in missing if text.startswith('Trained'))
    assert [row[0] for row in found.blocks[1].rows][:3] == ['rainy image', 'idm', 'prenet']


@pytest.mark.parametrize('row', [None, {'optimizer_steps': {'derain': 1}, 'samples': 8,
                                        'error': 'the loss is nan'}])
def test_until_all_baselines_have_figures_ubcn_agrees_with_no_claim(section, row):
    results = baselines()
    rows = results['trained']['samples']
    del rows['rcdnet']
    if row:
        rows['rcdnet'] = row
    residue = said(section('baselines', results), 'by more (trained for as many')
    assert residue.holds is None and residue.found.endswith(' at 250 mm/hr; without rcdnet')
    rows['ddn']['steps'] = [quality(33.0, 60.0)]
    residue = said(section('baselines', results), 'by more (trained for as many')
    assert residue.holds is False, 'whatever the other one does'


def test_networks_of_the_papers_setting_and_lighter_ones(section):
    found = section('networks', networks())
    assert said(found, 'step 1, in rain (paper)').holds is True
    assert '+1.00 dB and +2.0 points of mIoU at 250 mm/hr' in said(found, '(light)').found
    size = said(found, 'sizes of table 4 (paper)')
    assert size.holds is False, 'table 1 and table 4 have other IDMs'
    assert size.found == ('derain 0.90 MB (0.85 MiB) against 13.40, attention 0.40 MiB against '
                          '0.40 and segmentation 177.73 MiB against 177.60')
    assert any('12.2 % of the parameters' in each and '+2.0 points' in each
               for each in found.opinions)
    psnr, miou = (chart.lines for chart in found.blocks[2].charts)
    assert psnr[0].points[0] == (50, 8.0) and len(psnr[0].points) == 3, 'no PSNR is finite at 0'
    assert [point for line in miou for point in line.points if point[0] == 250] == [
        (250, 28.0), (250, 28.0)]
    assert found.blocks[1].rows[0][:4] == ('rainy image', '22.00', '0.900', '45.0')
    results = networks()
    del results['networks']['paper']
    results['networks']['light']['steps'][2]['150']['miou'] = 50.0
    found = section('networks', results)
    assert said(found, 'sizes of table 4').holds is None
    assert said(found, '(light)').holds is False and '−' in said(found, '(light)').found
    assert 'ubcn train paper' in found.missing[0][1] and len(found.missing) == 3


def test_a_loop_whose_labels_are_not_known_is_an_open_claim(section):
    results = networks()
    for step in results['networks']['light']['steps']:
        for figures in step.values():
            figures['miou'] = None
    loop = said(section('networks', results), 'step 1, in rain (light)')
    assert loop.holds is None
    assert loop.found == ('+1.00 dB at 50 mm/hr, +1.00 dB at 150 mm/hr, +1.00 dB at 250 mm/hr; '
                          'needs a rain rate, and PSNR and mIoU at each')


def test_of_one_step_nothing_is_claimed_of_a_loop(section):
    results = networks()
    for row in results['networks'].values():
        del row['steps'][1:]
    assert not any('step 1' in each.text for each in section('networks', results).statements)


def test_figures_say_what_their_numbers_do(section):
    found = section('methods', methods())
    assert found.statements[0].holds is None, 'of two of the five nothing is known'
    assert found.statements[0].found.endswith('; without JORDER-E and RCDNet')
    assert section('methods', {**methods(), 'missing': []}).statements[0].holds is True
    assert '+1.00 dB at 50 mm/hr and +3.00 dB at 250 mm/hr' in found.statements[0].found
    assert found.blocks[0].path.name == 'methods.png'
    assert [line[0].partition(' in the')[0] for line in found.missing] == ['JORDER-E and RCDNet']
    assert found.missing[0][1] == 'ubcn study baselines --data FOLDER'
    elsewhere = methods()
    elsewhere['settings'] |= {'baselines': 'my runs/base', 'budget': 'time'}
    assert section('methods', elsewhere).missing[0][1] == (
        "ubcn study baselines --data FOLDER --out 'my runs/base' --budget time")
    ended = section('methods', {**methods(), 'diverged': ['RCDNet']})
    assert [line[0].partition(' in the')[0] for line in ended.missing] == ['JORDER-E']
    assert dict(ended.facts)['diverged'] == 'RCDNet'
    results = methods()
    for image in results['images']:
        image['rates']['250']['UBCN']['psnr'] = 20.0
    assert section('methods', results).statements[0].holds is False


def test_steps_gain_or_lose(section):
    found = section('steps', steps())
    assert [each.holds for each in found.statements] == [True, True]
    assert found.statements[0].found == \
        'mean change +1.00 from step 1 to 2, +1.00 from step 2 to 3 (dB, 1 image)'
    results = steps()
    results['images'][0]['steps'][2]['psnr'] = 20.0
    derained, labelled = section('steps', results).statements
    assert derained.holds is False and '−7.00 from step 2 to 3' in derained.found
    assert labelled.holds is True
    results['images'][0]['steps'] = results['images'][0]['steps'][:1]
    assert {each.holds for each in section('steps', results).statements} == {None}


def test_a_step_that_spoils_an_equal_image_is_named(section):
    results = steps()
    for step, psnr in zip(results['images'][0]['steps'], (None, 40.0, 39.0), strict=True):
        step['psnr'] = psnr
    derained = section('steps', results).statements[0]
    assert derained.holds is False
    assert '−∞ from step 1 to 2, −1.00 from step 2 to 3' in derained.found
    results['images'][0]['steps'][1]['psnr'] = None
    assert section('steps', results).statements[0].found == \
        'mean change −∞ from step 2 to 3 (dB, 1 image)'


def test_a_dry_image_is_no_light_rain(section):
    results = methods()
    for image in results['images']:
        image['rates'] |= {'0': image['rates']['50']}
        image['rates']['0']['UBCN']['psnr'] = None
    assert '50 mm/hr' in section('methods', results).statements[0].found


def test_opinions_tell_of_no_training_that_no_file_tells_of(section):
    # of a loop that gains with each step, beside baselines of which nothing is known
    said = [*section('methods', methods()).opinions, *section('steps', steps()).opinions]
    assert len(said) == 2 and 'may have been trained otherwise' in said[0]
    results = steps()
    for step in results['images'][0]['steps']:
        step['psnr'] = 20.0
    said += section('steps', results).opinions
    found = section('baselines', baselines())
    said += [block.note for block in found.blocks if hasattr(block, 'note')]
    assert not re.search('(was|were|baselines are|network) trained (for|on|unrolled)',
                         ' '.join(said))


def test_a_larger_segmentation_network_is_not_the_lighter_one(section):
    results = networks()
    results['networks']['light']['parameters']['segmentation'] = 50_000_000
    assert not any('as future work' in each for each in section('networks', results).opinions)


@pytest.mark.parametrize('kind', KINDS, ids=lambda kind: kind.name)
def test_another_layout_is_an_error_with_the_file_and_the_remedy(tmp_path, kind):
    results = {'settings': {'iterations': 3}, 'images': [{'rates': 3}], 'data': {'a': {'miou': 3}},
               'trained': {'samples': 3}}
    folder = written(tmp_path, kind.name, {**picture_study(kind.name), **results})
    with pytest.raises(ValueError, match=rf'{kind.name}\.json is not as .* make it again'):
        study_report([folder], '')


def test_text_in_place_of_a_figure_is_an_error_with_the_file(tmp_path):
    results = degradations()
    results['data']['camvid']['miou']['rain']['50']['1']['50'] = 'x'
    with pytest.raises(ValueError, match=r"degradations\.json is not as .* float: 'x'"):
        study_report([written(tmp_path, 'degradations', results)], '')

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Made-up results of every study, in the layouts of their files."""

import copy
import json

import cv2
import numpy as np
import typst

from ubcn_ros.study.paper import FIGURE_1, FIGURE_1_LEVELS, TABLE_4

SHA = 'ab' * 32
PARAMETERS = {'ddn': 57_369, 'rescan': 149_823, 'prenet': 168_963, 'jorder-e': 4_169_024,
              'rcdnet': 3_166_355}
RATES = {'50': 0.0, '150': -4.0, '250': -7.0}
TITLES = ('DDN', 'RESCAN', 'PReNet')


def degradations(scale=0.8, seeds=('1', '2', '3')):
    """The paper's figure 1 on the scale of another network; seeds differ by 0.1 points."""
    miou = {kind: {f'{train:g}': {seed: {
        f'{test:g}': scale * FIGURE_1[kind][r][c] + 0.1 * int(seed)
        for c, test in enumerate(levels)} for seed in (seeds if kind == 'rain' else seeds[:1])}
        for r, train in enumerate(levels)} for kind, levels in FIGURE_1_LEVELS.items()}
    command = 'ubcn study degradations --data camvid --seeds 3'
    return {'command': command,
            'settings': {'recipe': {'name': 'degradations'}, 'stride': 1, 'limit': None},
            'seconds': 4980.0,
            'data': {'camvid': {'command': command,
                                'training': f'camvid/train, 367 scenes {SHA[:12]}',
                                'scenes': f'camvid/val, 101 scenes {SHA[:12]}',
                                'miou': miou}}}


def quality(psnr, miou):
    return {rate: {'psnr': psnr + less, 'ssim': 0.9 + 0.01 * less, 'miou': miou + 2 * less}
            for rate, less in RATES.items()}


def baselines():
    """UBCN leads everywhere, by more the harder it rains."""
    rows = {'idm': {'optimizer_steps': {'derain': 4000}, 'samples': 32_000, 'sha256': SHA,
                    'parameters': {'derain': 223_779}, 'steps': [quality(30.0, 66.0)]}}
    for n, (name, count) in enumerate(PARAMETERS.items()):
        figures = quality(28.0 + 0.3 * n, 60.0 + n)
        figures['250']['psnr'] -= 1.0
        rows[name] = {'optimizer_steps': {'derain': 4000}, 'samples': 32_000, 'sha256': SHA,
                      'parameters': {'derain': count}, 'checkpoint_mb': TABLE_4[name][0] + 0.001,
                      'steps': [figures]}
    rows['ubcn'] = {'optimizer_steps': {'derain': 3000, 'attend': 1000}, 'samples': 32_000,
                    'sha256': SHA, 'parameters': {'derain': 97_000, 'attention': 80_000,
                                                  'segmentation': 5_700_000},
                    'steps': [quality(29.5, 65.0), quality(30.5, 67.0), quality(31.0, 68.0)]}
    timed = {name: {'ms': 400 * seconds, 'peak_mib': 900.0 + n, 'frames': 3}
             for n, (name, (_, seconds)) in enumerate(TABLE_4.items())}
    timed |= {'light, T = 3': {'ms': 90.0, 'peak_mib': 700.0, 'frames': 3},
              'paper, T = 3': {'ms': 4712.0, 'peak_mib': 4000.0, 'frames': 3}}
    decisive = {'model': {'preset': 'light'}, 'seed': 0}
    return {'command': 'ubcn study baselines --data camvid',
            'settings': {'recipes': {name: {'derain': decisive} for name in rows},
                         'data': ['camvid'], 'model': SHA,
                         'scenes': f'camvid/val, 101 scenes {SHA[:12]}',
                         'rates': [50.0, 150.0, 250.0], 'stride': 1, 'limit': None,
                         'iterations': 3},
            'seconds': 600.0, 'optimizer_seconds': {}, 'input': quality(22.0, 45.0),
            'trained': {'samples': rows, 'time': copy.deepcopy(rows)},
            'model': {'name': 'ubcn-light-camvid', 'parameters': rows['ubcn']['parameters'],
                      'steps': [quality(31.0, 68.0), quality(32.0, 70.0), quality(32.5, 71.0)]},
            'times': {'cpu': {'2048x1024, fp32': timed}}}


def networks():
    """A model of the paper's setting and a lighter one; each step gains 0.5 dB and a point."""
    def row(network, psnr, miou, **parameters):
        steps = [quality(psnr + 0.5 * t, miou + t) for t in range(3)]
        for step in steps:
            step['0'] = {'psnr': None, 'ssim': 1.0, 'miou': miou + 6.0}
        return {'sha256': SHA, 'segmentation': network, 'parameters': parameters,
                'alone': {'0': miou + 6.0, '50': miou - 10, '150': miou - 30, '250': miou - 40},
                'steps': steps}
    rows = {'paper': row('pspnet_resnet50', 29.0, 60.0, derain=223_779, attention=104_300,
                         segmentation=46_590_000),
            'light': row('ddrnet23_slim', 30.0, 62.0, derain=97_000, attention=80_000,
                         segmentation=5_700_000)}
    times = {name: {'ms': ms, 'peak_mib': 900.0, 'frames': 3}
             for name, ms in (('paper, T = 3', 4712.0), ('light, T = 3', 90.0))}
    dry = {'psnr': None, 'ssim': 1.0}
    return {'command': 'ubcn study networks --data camvid', 'settings': {'data': ['camvid']},
            'seconds': 600.0, 'input': {**quality(22.0, 45.0), '0': dry}, 'networks': rows,
            'times': {'cpu': {'2048x1024, fp32': times}}}


def figures(psnr, miou):
    return {'psnr': psnr, 'ssim': 0.9, 'miou': miou}


def picture_study(name, **more):
    models = {title: {'name': title.lower(), 'file': f'{title.lower()}.safetensors', 'sha256': SHA}
              for title in ('UBCN', *TITLES)}
    return {'command': f'ubcn study {name} --data camvid',
            'settings': {'data': 'camvid/val', 'iterations': 3, 'device': 'cpu'}, 'seconds': 9.0,
            'pictures': [f'{name}.png', f'{name}.pdf'], 'models': models, **more}


def methods():
    """UBCN leads by 1 dB in light and by 3 dB in heavy rain."""
    images = [{'name': f'image_{n}', 'rain_seed': n, 'clean': {'miou': 75.0}, 'rates': {
        rate: {'input': figures(psnr - 5, 50.0), **{title: figures(psnr + 0.1 * i, 60.0 + i)
                                                    for i, title in enumerate(TITLES)},
               'UBCN': figures(psnr + 0.2 + lead, 70.0)}
        for rate, psnr, lead in (('50', 28.0, 1.0), ('250', 22.0, 3.0))}} for n in range(2)]
    return picture_study('methods', missing=['JORDER-E', 'RCDNet'],
                         images=images)


def steps():
    """Each step gains 1 dB and 2 points."""
    images = [{'name': 'image_0', 'rain_seed': 0,
               'input': {**figures(20.0, 40.0), 'error': 20.0, 'wrong': 30.0},
               'steps': [{'t': t, **figures(25.0 + t, 60.0 + 2 * t), 'error': 10.0 - t,
                          'wrong': 20.0 - t} for t in (1, 2, 3)]}]
    return picture_study('steps', error_scale=60.0, images=images)


def real_rain():
    images = [{'name': 'street.jpg', 'sha256': SHA, 'size': [640, 360],
               'change': dict.fromkeys((*TITLES, 'UBCN'), 4.2)}]
    return picture_study('real-rain', missing=[], images=images)


STUDIES = {'degradations': degradations, 'baselines': baselines,
           'networks': networks, 'methods': methods,
           'steps': steps, 'real-rain': real_rain}


def written(root, name, results=None):
    """Write a study's file, and its figure where it has one; returns the folder."""
    folder = root / f'study-{name}'
    folder.mkdir(parents=True, exist_ok=True)
    results = STUDIES[name]() if results is None else results
    (folder / f'{name}.json').write_text(json.dumps(results))
    if 'pictures' in results:
        coarse = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
        assert cv2.imwrite(str(folder / f'{name}.png'), cv2.resize(coarse, (210, 120)))
        (folder / f'{name}.pdf').write_bytes(typst.compile(b'for print'))
    return folder

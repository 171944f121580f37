# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of an evaluation: some of its images in its rain, with every step of the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ubcn_ros.data.mixture import open_data
from ubcn_ros.data.resizing import resized
from ubcn_ros.data.scenes import SceneList
from ubcn_ros.data.validation_rain import rainy_view
from ubcn_ros.evenly import evenly
from ubcn_ros.labels import UNLABELED
from ubcn_ros.report.evaluation import Evaluation
from ubcn_ros.report.measures import MEASURES, psnr
from ubcn_ros.report.page import CONFIDENCE, LABELS, Measure, PaneView, Report, ReportFrame
from ubcn_ros.report.pictures import Album
from ubcn_ros.report.steps import Steps

_RIGHT = Measure('right', 'Right labels', '%', 'Pixels with the label of the ground truth, of '
                 'those that have one.', low_is_bad=True)


class _Shown(NamedTuple):
    name: str
    place: str
    rainy: np.ndarray
    clean: np.ndarray
    truth: np.ndarray | None


def add_pictures(report: Report, evaluation: Evaluation, steps: Steps, count: int,
                 progress: Callable[[int, int], Any] = lambda done, total: None) -> None:
    """
    Add frames to the report of an evaluation, and what their steps say.

    :param evaluation: whose data must be where they were.
    :param count: of images; each is shown in every rain.
    :raises ValueError: the data are not there, or not what they were.
    """
    scenes = _scenes(evaluation, steps)
    numbers = evenly(range(len(evaluation.said['data']['images'])), count, middle=True)
    total = len(numbers) * len(evaluation.rates(next(iter(evaluation.sizes))))
    masks = evaluation.labelled
    album = Album(total * (2 + 2 * steps.iterations), total * (masks + steps.iterations))
    for shown in _shown(evaluation, scenes, numbers):
        report.frames.append(_frame(shown, steps, album, scenes.name))
        progress(len(report.frames), total)
    report.label_set = steps.label_set
    report.columns, report.recorded = ('Data', 'Rain'), False
    report.views = [PaneView('input', 'Input'), PaneView('derained', 'Derained'),
                    PaneView('truth', 'Without rain'),
                    PaneView('labels', 'Labels', LABELS, 'derained'),
                    *([PaneView('truth_labels', 'True labels', LABELS, 'truth')] * masks),
                    PaneView('confidence', 'Confidence', CONFIDENCE, 'derained')]
    report.sides = ('input', 'derained')
    known = {m.key: m for m in MEASURES}
    report.measures = [known['psnr'], known['psnr_input'], *([_RIGHT] * masks),
                       known['confidence']]
    report.worst = known['psnr']
    report.worst_text = (f'Worst is the lowest PSNR against the image without rain, at '
                         f'T = {steps.iterations}. Shown are {len(numbers)} of '
                         f'{len(evaluation.said["data"]["images"])} images, spread evenly, each '
                         'in every rain.')
    made, used = evaluation.said['model']['sha256'], steps.engine.info.sha256
    if made != used:
        report.not_measured.append(f'Pictures of the model that was evaluated: those shown are '
                                   f'of {steps.engine.info.name}, another one')
    report.facts.append(('pictures by', f'{steps.engine.info.name}, sha256 {used}, '
                         f'{steps.engine.precision} on {steps.engine.device}'))


def _scenes(evaluation: Evaluation, steps: Steps) -> SceneList:
    said, path = evaluation.said['data'], Path(evaluation.said['data']['path'])
    if not path.exists():
        where = 'there' if path.is_absolute() else f'below {Path.cwd()}'
        raise ValueError(f'{path}, the data that {evaluation.path} names, is not {where}: call '
                         'ubcn report where ubcn evaluate was called, or leave out --model')
    scenes = open_data([path], steps.label_set).split(said['split'], only=tuple(said['only']))
    names = [scenes.scenes[i].name for i in range(0, len(scenes), said['stride'])]
    if names[:said['count']] != said['images']:
        raise ValueError(f'{said["path"]} has other images than when {evaluation.path} was '
                         'written: evaluate again')
    return scenes


def _shown(evaluation: Evaluation, scenes: SceneList, numbers: list[int]) -> Iterator[_Shown]:
    """Yield the images in their rain, at the last of the sizes that were measured."""
    said = evaluation.said['data']
    size = [*evaluation.sizes][-1]
    for number in numbers:
        index = number * said['stride']
        scene = scenes.scenes[index]
        frame = scene.read()
        if size:
            frame = resized(frame, *map(int, size.split('x')))
        if not evaluation.labelled:
            yield _Shown(scene.name, 'of its own', frame.rainy, frame.image, None)
            continue
        classes = len(scenes.label_set.classes)
        truth = np.where(frame.labels < classes, frame.labels, UNLABELED).astype(np.uint8)
        for rate in said['rain_rates_mm_h']:
            rainy = rainy_view(frame.image, frame.labels, scenes, rate, index, frame.depth,
                               said['rain'])
            yield _Shown(f'{scene.name}, {rate:g} mm/hr', f'{rate:g} mm/hr, seed {index}', rainy,
                         frame.image, truth)


def _frame(shown: _Shown, steps: Steps, album: Album, data: str) -> ReportFrame:
    found = steps(shown.rainy, shown.clean)
    height, width = shown.rainy.shape[:2]
    frame = ReportFrame(shown.name, data, shown.place, (width, height))
    frame.pictures = {'input': album.image(shown.rainy), 'truth': album.image(shown.clean)}
    frame.steps = [{'derained': album.image(step.derained), 'labels': album.mask(step.labels),
                    'confidence': album.image(step.confidence)} for step in found]
    last = found[-1]
    frame.values = {'psnr': psnr(last.derained, shown.clean),
                    'psnr_input': psnr(shown.rainy, shown.clean),
                    'confidence': 100 * float(last.confidence.mean()) / 255}
    if shown.truth is not None:
        frame.pictures['truth_labels'] = album.mask(shown.truth)
        known = shown.truth != UNLABELED
        if known.any():
            frame.values['right'] = 100 * float((last.labels == shown.truth)[known].mean())
    return frame

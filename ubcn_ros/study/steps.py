# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The steps of the loop on single images: derained, labelled, and where both are wrong.

``steps.json`` has, beside what ``results_file`` says:

- 'pictures': names of the files beside it; 'models': {'UBCN': {'name', 'file', 'sha256'}};
- 'error_scale': the absolute error, of 255, that the last colour of the error maps stands for,
  and all above it;
- 'images': a list of {'name', 'rain_seed', 'input': figures, 'steps': [{'t', figures}]}, figures
  being of that image alone: 'psnr' in dB, 'ssim', 'miou' in %, 'error': the mean absolute error,
  of 255, and 'wrong': the share of the pixels with a true label that have another one, in %; null
  where one is not finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from ubcn_ros.data.scenes import SceneList
from ubcn_ros.evaluation.measure import LoadedModel, check_classes
from ubcn_ros.labels import LabelSet
from ubcn_ros.report.charts import figure
from ubcn_ros.study.measured import difference, mean
from ubcn_ros.study.methods import miou_text, psnr_text
from ubcn_ros.study.print_cells import (
    WITHOUT_LABEL,
    WRONG,
    ErrorMap,
    LabelMap,
    Panel,
    Picture,
    WrongLabels,
    Zoom,
)
from ubcn_ros.study.print_grid import ColorKey, Grid, Row, Scale
from ubcn_ros.study.shown_image import (
    LONGEST,
    FigureView,
    Shown,
    ShownScene,
    legend,
    read_scenes,
    step_labels,
)
from ubcn_ros.study.statements import Statement, all_gain
from ubcn_ros.text_table import counted

_COLUMNS = ('image', 'segmentation', 'absolute error', 'wrong labels')
_QUANTILE, _ROUND = 0.98, 10  # of the scale's end: above it are few pixels; a round number


class _Compared(NamedTuple):
    """The input or a step, compared with the truth: where it is wrong."""

    shown: Shown
    error: np.ndarray
    wrong: WrongLabels


def show_steps(model: LoadedModel, scenes: SceneList, indices: Sequence[int], rate: float,
               view: FigureView, progress: Callable[[], object]) -> tuple[Grid, dict[str, Any]]:
    """
    Show every step of the loop on some scenes in rain.

    :param indices: of labelled scenes.
    :param rate: mm/hr.
    :param progress: called after every image.
    :return: the figure, and 'error_scale' and 'images' of the results.
    :raises ValueError: as of ``compare_methods``.
    """
    check_classes('the model', model.network.label_set, scenes)
    shown, results, columns = [], [], _COLUMNS * len(indices)
    shown_scenes = read_scenes(scenes, indices, model, view)
    Grid([Row([Picture(LONGEST[name], image=scene.frame.image) for scene in shown_scenes
               for name in ('psnr', 'miou', 'error', 'wrong')], 'step')],
         columns, width=view.width).letters()  # before the work
    for scene in shown_scenes:
        compared = _compared(scene, rate)
        shown.append((scene, compared))
        figures = [{**each.shown.figures, 'error': float(each.error.mean()),
                    'wrong': _share(each.wrong)} for each in compared]
        results.append({'name': scene.name, 'rain_seed': scene.index, 'input': figures[0],
                        'steps': [{'t': t, **each} for t, each in enumerate(figures[1:], 1)]})
        progress()
    highest = _highest([each.error for _, compared in shown for each in compared])
    label_set = scenes.label_set
    rows = [[], [], *([] for _ in range(view.iterations))]
    for scene, compared in shown:
        zoom = scene.zoom
        first, *steps = (_cells(each, highest, label_set, zoom) for each in compared)
        truth = [Picture(zoom=zoom, image=scene.frame.image),
                 LabelMap(zoom=zoom, labels=scene.true_labels, label_set=label_set),
                 Scale('of 255', highest),
                 ColorKey((('wrong', WRONG), ('no label', WITHOUT_LABEL)))]
        for row, cells in zip(rows, (first, truth, *steps), strict=True):
            row += cells
    masks = [each for scene, compared in shown
             for each in (scene.true_labels, *(each.shown.labels for each in compared))]
    labels = ['input', 'ground truth', *(f'step {t}' for t in range(1, view.iterations + 1))]
    groups = [(scene.name, len(_COLUMNS)) for scene, _ in shown] if len(shown) > 1 else ()
    return Grid([Row(cells, label) for cells, label in zip(rows, labels, strict=True)],
                columns, groups, legend(label_set, masks), view.width), \
        {'error_scale': highest, 'images': results}


@torch.inference_mode()
def _compared(scene: ShownScene, rate: float) -> list[_Compared]:
    """Return the input and every step."""
    rainy = scene.rainy(rate)
    shown = [scene.shown(rainy, scene.model.segment(rainy)),
             *(scene.shown(step.image, step_labels(step))
               for step in scene.model.loop(rainy, scene.view.iterations))]
    clean, truth = scene.frame.image, scene.true_labels
    return [_Compared(each, np.abs(each.image.astype(np.float32) - clean).mean(2),
                      WrongLabels(image=clean, labels=each.labels, truth=truth))
            for each in shown]


def _cells(compared: _Compared, highest: float, label_set: LabelSet, zoom: Zoom | None
           ) -> list[Panel]:
    figures, wrong = compared.shown.figures, _share(compared.wrong)
    cells = [Picture(psnr_text(figures['psnr']), image=compared.shown.image),
             LabelMap(miou_text(figures['miou']), labels=compared.shown.labels,
                      label_set=label_set),
             ErrorMap(f'mean {compared.error.mean():.1f}', error=compared.error, highest=highest),
             replace(compared.wrong, caption='' if wrong is None else f'{wrong:.1f} % wrong')]
    return [replace(cell, zoom=zoom) for cell in cells]


def _share(labels: WrongLabels) -> float | None:
    known = np.count_nonzero(~labels.unknown)
    return 100 * np.count_nonzero(labels.wrong) / known if known else None


def _highest(errors: Sequence[np.ndarray]) -> float:
    """Return a round error that hardly any pixel is above, for one scale of all maps."""
    most = max(float(np.quantile(each, _QUANTILE)) for each in errors)
    return float(max(_ROUND, _ROUND * math.ceil(most / _ROUND)))


def steps_statements(results: Mapping[str, Any]) -> list[Statement]:
    """
    State whether each step gains on the one before, on the images that are shown.

    :param results: as of ``steps.json``.
    """
    images = [image['steps'] for image in results['images']]
    return [_gains(images, 'psnr', 'dB', 'Each step derains the shown images further'),
            _gains(images, 'miou', 'points of mIoU', 'Each step labels the shown images better')]


def _gains(images: Sequence[Sequence[Mapping[str, Any]]], name: str, unit: str, text: str
           ) -> Statement:
    changes = {t: mean([difference(steps[t][name], steps[t - 1][name]) for steps in images
                        if len(steps) > t]) for t in range(1, max(map(len, images), default=0))}
    known = {t: change for t, change in changes.items() if change is not None}
    if not known:
        return Statement(text, None, 'needs two steps and a ground truth')
    holds = all_gain(changes.values())
    return Statement(text, holds, 'mean change ' + ', '.join(
        f'{figure(change, 2, True)} from step {t} to {t + 1}' for t, change in known.items())
        + f' ({unit}, {counted(len(images), "image")})'
        + ('; not known of every step' if holds is None else ''))

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Every baseline and UBCN side by side, image and mask, in light and in heavy rain.

``methods.json`` has, beside what ``results_file`` says:

- 'pictures': names of the files beside it;
- 'models': {title: {'name', 'file', 'sha256'}}, 'UBCN' the first: its segmentation network labels
  everything; 'missing': titles of the baselines that are left out, 'diverged': of those whose
  training did;
- 'images': a list of {'name', 'rain_seed', 'clean': {'miou'}: of the segmentation network on the
  clean image, 'rates': {mm/hr: {title: {'psnr', 'ssim', 'miou'}}}}, the title of the rainy image
  being 'input'. They are of that image alone: dB, 1 and %; null where one is not finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ubcn_ros.data.scenes import SceneList
from ubcn_ros.data.validation_rain import RENDERED
from ubcn_ros.evaluation.measure import LoadedModel, check_classes, rate_key
from ubcn_ros.study.measured import difference, mean
from ubcn_ros.study.print_cells import LabelMap, Picture
from ubcn_ros.study.print_grid import Grid, Row
from ubcn_ros.study.shown_image import (
    LONGEST,
    FigureView,
    Shown,
    ShownScene,
    legend,
    read_scenes,
)
from ubcn_ros.study.statements import Statement, residue_statement
from ubcn_ros.study.trained_baselines import INPUT, OURS, by_method

TRUTH = 'ground truth'


def compare_methods(model: LoadedModel, baselines: Mapping[str, LoadedModel], scenes: SceneList,
                    indices: Sequence[int], rates: Sequence[float], view: FigureView,
                    progress: Callable[[], object]) -> tuple[Grid, dict[str, Any]]:
    """
    Show what each method makes of some scenes in rain.

    :param baselines: by title; each derains, and the model labels what it derained.
    :param indices: of labelled scenes.
    :param rates: mm/hr.
    :param progress: called after every image and rate.
    :return: the figure, and 'images' of the results.
    :raises ValueError: the model has other classes than the scenes, an image is too small for its
        zoom, or the columns have no room.
    """
    check_classes('the model', model.network.label_set, scenes)
    columns = [INPUT, *baselines, OURS, TRUTH]
    rows, results, masks = [], [], []
    shown_scenes = read_scenes(scenes, indices, model, view)
    Grid([Row([Picture(LONGEST['miou'], image=scene.frame.image)] * len(columns), 'rain')
          for scene in shown_scenes], columns, width=view.width).letters()  # before the work
    for scene in shown_scenes:
        masks.append(scene.true_labels)
        result = {'name': scene.name, 'rain_seed': scene.index, 'clean': _clean(scene),
                  'rates': {}}
        for rate in rates:
            shown = {title: scene.shown(*found) for title, found in by_method(
                model, baselines, scene.rainy(rate), view.iterations).items()}
            masks += [each.labels for each in shown.values()]
            result['rates'][rate_key(rate)] = {title: each.figures
                                               for title, each in shown.items()}
            rows += _rows(shown, scene, rate_text(rate, view.rain))
            progress()
        results.append(result)
    return Grid(rows, columns, legend=legend(scenes.label_set, masks), width=view.width), \
        {'images': results}


@torch.inference_mode()
def _clean(scene: ShownScene) -> dict[str, float | None]:
    return {'miou': scene.shown(scene.clean, scene.model.segment(scene.clean)).figures['miou']}


def _rows(shown: dict[str, Shown], scene: ShownScene, label: str) -> list[Row]:
    """Lay out the images, and the masks below them."""
    label_set, zoom = scene.scenes.label_set, scene.zoom
    best = {key: _best(shown, key) for key in ('psnr', 'miou')}
    images, masks = [], []
    for title, each in shown.items():
        psnr, miou = each.figures['psnr'], each.figures['miou']
        images.append(Picture(psnr_text(psnr), title in best['psnr'], zoom, image=each.image))
        masks.append(LabelMap(miou_text(miou), title in best['miou'], zoom,
                              labels=each.labels, label_set=label_set))
    images.append(Picture(zoom=zoom, image=scene.frame.image))
    masks.append(LabelMap(zoom=zoom, labels=scene.true_labels, label_set=label_set))
    return [Row(images, label, apart=True), Row(masks)]


def _best(shown: dict[str, Shown], key: str) -> set[str]:
    """Return the titles of the methods with the highest figure; none where there is one method."""
    figures = {title: each.figures[key] for title, each in shown.items()
               if title != INPUT and each.figures[key] is not None}
    return {title for title, value in figures.items()
            if len(figures) > 1 and value == max(figures.values())}


def rate_text(rate: float, rain: str) -> str:
    """Caption of a rate, which painted rain does not have itself."""
    return f'{rate:g} mm/hr' if rain == RENDERED else f'as {rate:g} mm/hr'


def psnr_text(psnr: float | None) -> str:
    """Caption of an image; None stands for one that is not finite."""
    if psnr is None:
        return '–'
    return 'equal' if math.isinf(psnr) else f'{psnr:.2f} dB'


def miou_text(miou: float | None) -> str:
    """Caption of a mask."""
    return '' if miou is None else f'mIoU {miou:.1f} %'


def methods_statements(results: Mapping[str, Any]) -> list[Statement]:
    """
    State whether others leave residue in heavy rain, on the images that are shown.

    :param results: as of ``methods.json``.
    """
    leads: dict[str, list[float | None]] = {}
    for image in results['images']:
        for rate, found in image['rates'].items():
            others = [figures['psnr'] for title, figures in found.items()
                      if title not in (INPUT, OURS) and figures['psnr'] is not None]
            leads.setdefault(rate, []).append(difference(
                found.get(OURS, {}).get('psnr'), max(others, default=None)))
    return [residue_statement(
        'the mean of the shown images', {rate: mean(each) for rate, each in leads.items()
                                         if float(rate)}, {}, results['missing'])]

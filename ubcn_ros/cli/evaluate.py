# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ubcn_ros.cli.checked_data import check_readable, open_kept
from ubcn_ros.cli.commands import Command, refuse_options, typed_command
from ubcn_ros.cli.options import (
    convergence_option,
    data_option,
    device_option,
    iterations_option,
    json_option,
    limit_option,
    model_option,
    only_option,
    partial_option,
    picture_option,
    precision_option,
    processing_option,
    rain_option,
    rain_workers_option,
    rates_option,
    size_option,
    split_option,
    stride_option,
)
from ubcn_ros.cli.output import progress_bar, save_json, saving, warn
from ubcn_ros.text_table import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ubcn_ros.data.scenes import Scene, SceneList
    from ubcn_ros.evaluation.measure import LoadedModel


@click.command(cls=Command)
@model_option()
@data_option()
@split_option()
@only_option()
@rates_option()
@rain_option()
@size_option('sizes', multiple=True, default=(),
             help='WIDTHxHEIGHT to resize images to before rain is rendered; may be repeated.')
@iterations_option(default=4, help='T, steps of the loop: all of them are measured.')
@convergence_option()
@stride_option()
@limit_option()
@device_option()
@precision_option(default='fp32', help="auto: the engine's default on this device.")
@processing_option()
@click.option('--clean-segmentation', metavar='FILE',
              help='Model whose segmentation network was trained on clean images, as the '
                   'upper bound.')
@click.option('--rain-segmentation', metavar='FILE',
              help='Model whose segmentation network was trained on rain, to be used without '
                   'deraining.')
@click.option('--baseline', 'baseline_paths', multiple=True, metavar='FILE',
              help='Another model to measure in the same way; may be repeated.')
@partial_option(help='Accept models with parts that were never trained.')
@rain_workers_option()
@json_option(help='Write all figures to this file.')
@picture_option(help='Draw quality against T and accuracy against coverage to this file (PNG, '
                     'PDF or SVG).')
def evaluate(model: str, data: Path, split: str | None, only: tuple[str, ...],
             rates: tuple[float, ...], rain: str, sizes: tuple[tuple[int, int], ...],
             iterations: int, convergence: float, stride: int, limit: int | None, device: str,
             precision: str, processing_size: int, clean_segmentation: str | None,
             rain_segmentation: str | None, baseline_paths: tuple[str, ...],
             allow_partial: bool, workers: int, json_path: Path | None,
             picture: Path | None) -> None:
    """
    Measure the quality of a model by rain rate and step.

    PSNR and SSIM compare the derained RGB image, rounded to 8 bits, with the clean one; they are
    means over the images, PSNRs over those without an infinite one where only some have it. IoU is
    taken over all pixels of the data set, and mIoU is the mean over the classes that occur in the
    ground truth. ECE is the expected calibration error of the confidence, in 15 bins; --json also
    has the share of pixels that each --min-confidence leaves, and how many of their labels are
    right. The rain on an image depends on its place in the split, or among the images that --only
    leaves, so that figures of the same images can be compared. With several --size everything is
    measured at each; with --convergence the table has the mean number of steps run. If the model
    estimates the rain, its estimates are compared with the rate and the visibility that were
    rendered.

    The data set's classes are matched with the model's by name, or by class_mapping in its YAML
    file. Of image pairs (input in rain, target clean) only PSNR and SSIM are measured.
    """
    if picture and len(sizes) > 1:
        raise click.UsageError('a picture is of one size: give one --size')
    from ubcn_ros.evaluation.measure import LoadedModel
    from ubcn_ros.evaluation.report import draw
    from ubcn_ros.runtime.model_info import PARTS

    def load(path: str, *needs: str) -> LoadedModel:
        loaded = LoadedModel.load(path, device, precision, () if allow_partial else needs,
                                  processing_size, convergence)
        warn(loaded.info.untrained_text(needs))
        return loaded

    loaded = load(model, *PARTS)
    chosen = open_kept([data], loaded.network.label_set, model)
    split = split or chosen.measured_split
    scenes = chosen.split(split, only=only)
    labelled = bool(scenes.labelled())
    _check_truth(f'{split} of {data}', scenes, labelled, clean_segmentation or rain_segmentation,
                 sizes)
    segmentations = {name: load(path, 'segmentation') for name, path in
                     (('clean', clean_segmentation), ('rain', rain_segmentation))
                     if path is not None}
    baselines = _named([load(path, *PARTS) for path in baseline_paths])
    indices = range(0, len(scenes), stride)[:limit]
    check_readable([scenes.scenes[i] for i in indices])
    about = {'name': scenes.name, 'format': chosen.sets[0].format, 'path': str(data),
             'split': split, 'only': list(only), 'stride': stride, 'count': len(indices),
             'images': [scenes.scenes[i].name for i in indices],
             **({'rain': rain, 'rain_seeds': list(indices), 'rain_rates_mm_h': list(rates)}
                if labelled else {})}
    measured, texts = {}, []

    def save() -> None:
        save_json(json_path, {
            **_configuration(loaded, segmentations, baselines), 'data': about,
            'iterations': iterations, **({'sizes': measured} if sizes else measured[''])},
            '\n'.join(texts), (picture, lambda path: draw(path, title, results)))

    with saving(measured, save):
        for size in sizes or (None,):
            results, metrics, text = (
                _scenes(loaded, segmentations, baselines, scenes, indices, rates, iterations,
                        size, rain, workers)
                if labelled else
                _pairs(loaded, baselines, [scenes.scenes[i] for i in indices], iterations))
            shown = f'{size[0]}x{size[1]}' if size else ''
            title = f'{loaded.info.name} on {scenes.name}' + (f' at {shown}' if shown else '')
            measured[shown] = {**results, 'figures': {metric.key: metric.to_dict()
                                                      for metric in metrics}}
            texts.append(f'{title}, {counted(len(indices), "image")}, {loaded.precision} on '
                         f'{loaded.device}\n\n{text}')


def _check_truth(said: str, scenes: SceneList, labelled: bool, segmentation: str | None,
                 sizes: Sequence[tuple[int, int]]) -> None:
    """
    Raise an error where there is nothing to measure against.

    :param said: the scenes are, as the user knows them.
    """
    if not labelled and not all(scene.rainy_path for scene in scenes.scenes):
        raise click.UsageError(f'{said} has neither labels nor rain of its own: give a data set '
                               'with labels, or pairs')
    if not labelled and segmentation:
        raise click.UsageError(f'{said} has no labels: leave out --clean-segmentation and '
                               '--rain-segmentation')
    if not labelled and sizes:
        raise click.UsageError(f'{said} has rain of its own, which cannot be resized: leave out '
                               '--size')
    if not labelled:
        refuse_options(('rates', 'rain'), f'{said} has rain of its own')


def _scenes(loaded: LoadedModel, segmentations: dict[str, LoadedModel],
            baselines: dict[str, LoadedModel], scenes: SceneList, indices: Sequence[int],
            rates: tuple[float, ...], iterations: int, size: tuple[int, int] | None,
            rain: str, workers: int) -> tuple[dict, list, str]:
    """Measure scenes with labels; returns results, metrics and their text."""
    from ubcn_ros.evaluation.measure import measure_scenes
    from ubcn_ros.evaluation.metrics import scene_metrics
    from ubcn_ros.evaluation.report import scene_text
    with progress_bar(total=len(indices) * len(rates)) as bar:
        results = measure_scenes(loaded, scenes, indices, rates, iterations, segmentations,
                                 baselines, bar.update, size, rain, workers)
    metrics = scene_metrics(results)
    return results, metrics, scene_text(results, metrics)


def _pairs(loaded: LoadedModel, baselines: dict[str, LoadedModel], pairs: Sequence[Scene],
           iterations: int) -> tuple[dict, list, str]:
    """Measure pairs as ``_scenes`` does scenes."""
    from ubcn_ros.evaluation.measure import measure_pairs
    from ubcn_ros.evaluation.metrics import pair_metrics
    from ubcn_ros.evaluation.report import pair_text
    with progress_bar(total=len(pairs)) as bar:
        results = measure_pairs(loaded, pairs, iterations, baselines, bar.update)
    metrics = pair_metrics(results)
    return results, metrics, pair_text(results, metrics)


def _named(loaded_models: list[LoadedModel]) -> dict[str, LoadedModel]:
    """Name models by their files' names, or by their paths where those are the same."""
    names = [loaded.info.name for loaded in loaded_models]
    return {name if names.count(name) == 1 else str(loaded.info.path): loaded
            for name, loaded in zip(names, loaded_models, strict=True)}


def _configuration(loaded: LoadedModel, segmentations: dict[str, LoadedModel],
                   baselines: dict[str, LoadedModel]) -> dict[str, Any]:
    from ubcn_ros.runtime.cache import versions

    def model(loaded: LoadedModel) -> dict[str, Any]:
        return {'name': loaded.info.name, 'path': str(loaded.info.path),
                'sha256': loaded.info.sha256}

    return {'command': typed_command(), 'model': model(loaded),
            'segmentation_models': {name: model(s) for name, s in segmentations.items()},
            'baseline_models': {name: model(s) for name, s in baselines.items()},
            'device': str(loaded.device), 'precision': loaded.precision,
            'processing_size': loaded.processing_size, 'convergence': loaded.convergence,
            'versions': versions('torch', 'numpy'),
            'units': {'psnr': 'dB', 'ssim': '1', 'miou': '%', 'iou': '%', 'ece': '%',
                      'coverage': '%', 'accuracy': '%', 'rate': 'mm/hr', 'visibility': 'm',
                      'rate_error': '%', 'visibility_error': '%', 'dry': '%',
                      'latency_ms': 'ms'}}

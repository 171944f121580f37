# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn model calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.checked_data import check_readable, open_kept
from ubcn_ros.cli.commands import Command, typed_command
from ubcn_ros.cli.options import (
    data_option,
    device_option,
    iterations_option,
    json_option,
    limit_option,
    only_option,
    precision_option,
    processing_option,
    rain_option,
    rain_workers_option,
    rates_option,
    split_option,
    stride_option,
)
from ubcn_ros.cli.output import progress_bar, save_json, warn
from ubcn_ros.cli.param_types import OutputType


@click.command(cls=Command)
@click.argument('model')
@data_option()
@split_option()
@only_option()
@rates_option(default='0,150')
@rain_option()
@iterations_option(help='T, steps of the loop: the confidence of the last one is calibrated.')
@stride_option()
@limit_option()
@device_option()
@precision_option(default='fp32', help="auto: the engine's default on this device.")
@processing_option()
@rain_workers_option()
@click.option('--dry-run', is_flag=True, help='Print the figures and leave MODEL unchanged.')
@json_option()
def calibrate(model: str, data: Path, split: str | None, only: tuple[str, ...],
              rates: tuple[float, ...], rain: str, iterations: int, stride: int,
              limit: int | None, device: str, precision: str, processing_size: int, workers: int,
              dry_run: bool, json_path: Path | None) -> None:
    """
    Calibrate the confidence of MODEL by a temperature stored in its file.

    MODEL is the path of a .safetensors file, or a name in models/. Its confidence is the largest
    of softmax(logits / temperature). The temperature is fitted by negative log-likelihood on the
    first half of the images, at all rain rates together; the expected calibration error (ECE, 15
    bins) before and after is measured on the other half. Choose 20 images or more that the model
    was not trained on. Labels and tensors stay the same, byte for byte, but the file changes, so
    exports and compiled code have to be made again.
    """
    from ubcn_ros.evaluation.measure import LoadedModel
    from ubcn_ros.evaluation.temperature import ENOUGH
    from ubcn_ros.evaluation.temperature import calibrate as fit_and_test
    from ubcn_ros.runtime.cache import versions
    from ubcn_ros.runtime.weights import find_model, update_metadata
    from ubcn_ros.text_table import counted, table
    path = find_model(model)
    if not dry_run:  # before the minutes that this takes
        real = path.resolve()
        OutputType(suffixes=(real.suffix.lower(),)).convert(real, None,
                                                            click.get_current_context())
    loaded = LoadedModel.load(path, device, precision, processing_size=processing_size)
    chosen = open_kept([data], loaded.network.label_set, model)
    split = split or chosen.measured_split
    scenes = chosen.split(split, only=only)
    indices = [index for index in range(0, len(scenes), stride)
               if scenes.scenes[index].labelled][:limit]
    if len(indices) < 2:
        raise click.UsageError(f'{split} of {data} gives {len(indices)} images with labels: two '
                               'are needed at least, one to fit and one to test')
    check_readable([scenes.scenes[index] for index in indices])
    half = len(indices) // 2
    if half < ENOUGH:
        warn(f'the temperature is fitted on {counted(half, "image")}: on fewer than {ENOUGH} it '
             f'may make the confidence worse; give {2 * ENOUGH} images with labels or more, half '
             'to fit and half to test')
    with progress_bar(total=len(indices) * len(rates)) as bar:
        found = fit_and_test(loaded, scenes, indices[:half], indices[half:], rates, iterations,
                             bar.update, rain, workers)
    names = [scenes.scenes[index].name for index in indices]
    record: dict[str, Any] = {
        'command': typed_command(),
        'data': {'name': scenes.name, 'rain': rain, 'only': list(only), 'stride': stride,
                 'fitted on': f'{half} images, {names[0]} to {names[half - 1]}',
                 'tested on': f'{len(names) - half} images, {names[half]} to {names[-1]}'},
        'iterations': iterations, 'precision': loaded.precision,
        'processing_size': loaded.processing_size, 'temperature_before': loaded.info.temperature,
        'rates': found['rates'], 'versions': versions('torch', 'numpy')}
    text = (f'{loaded.info.name}: temperature {loaded.info.temperature:g} before, '
            f'{found["temperature"]:g} fitted on the first {half} of {len(names)} images of '
            f'{scenes.name}; T = {iterations}, the other {len(names) - half} images:\n\n')
    text += table(('rain mm/hr', 'right labels %', 'ECE % before', 'ECE % after'), [
        (rate, *(f'{entry[key]:.2f}' for key in ('accuracy', 'ece_before', 'ece_after')))
        for rate, entry in found['rates'].items()], left=())
    changes = {'temperature': found['temperature'], 'calibration': record}
    save_json(json_path, {'model': {'name': loaded.info.name, 'sha256': loaded.info.sha256},
                          **changes}, text,
              (None if dry_run else path, lambda _: update_metadata(loaded.info, changes)))

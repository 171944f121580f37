# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark train`: samples per second of a recipe's stages."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.checked_data import open_kept
from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import json_option
from ubcn_ros.cli.output import progress_bar, save_json, saving
from ubcn_ros.cli.training import (
    check_devices,
    init_option,
    launch,
    recipe_argument,
    training_data_option,
    training_options,
)

_WARM_UP_STEPS = 5


@click.command(cls=Command)
@recipe_argument
@training_data_option
@click.option('--stage', help='Time only this stage  [default: all stages of the recipe].')
@init_option
@click.option('--steps', default=20, show_default=True, type=click.IntRange(1, 1 << 20),
              help=f'Optimizer steps per stage, after {_WARM_UP_STEPS} that do not count; as many '
              'more are timed part by part.')
@training_options
@json_option()
def train(recipe: Path, data: tuple[Path, ...], stage: str | None, init: str | None, steps: int,
          accelerator: str, precision: str, workers: int, threads: int | None,
          json_path: Path | None) -> None:
    """
    Time a training by a recipe; nothing is trained or kept.

    For every stage: samples per second, and milliseconds per optimizer step in total and by part:
    sampling (including the wait for rendering processes), forward, backward, optimizer. With
    rendering processes, --steps should exceed the batches that they have ready: four each.
    """
    check_devices(accelerator)
    from ubcn_ros.training.config import TrainConfig
    config = TrainConfig.load(recipe)
    stages = [*config.stages] if stage is None else [stage]

    import torch

    from ubcn_ros.benchmark.training import measure, report
    from ubcn_ros.runtime.device import use_threads
    from ubcn_ros.text_table import counted
    from ubcn_ros.training.run import Run
    from ubcn_ros.training.train_run import make_trainer
    use_threads(threads)
    rows: list[dict[str, Any]] = []

    def save() -> None:
        where = rows[0]['gpu'] or counted(torch.get_num_threads(), 'CPU thread')
        save_json(json_path, rows, f'{where}, {rows[0]["precision"]}, '
                                   f'{counted(steps, "step")} a stage, torch '
                                   f'{torch.__version__}\n\n{report(rows)}')

    with saving(rows, save), tempfile.TemporaryDirectory() as folder, progress_bar(
            total=len(stages) * (_WARM_UP_STEPS + 2 * steps), unit='steps') as bar:
        run = Run(config, open_kept(data), Path(folder), init)
        run.check_free(stage)
        run.check_stages(stages)
        fabric = launch(accelerator, precision)
        for name in stages:
            rows.append(measure(make_trainer(run, fabric, name, run.start(name), workers), steps,
                                _WARM_UP_STEPS, bar.update))

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark bag`: bag to bag, beside the bare engine."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import engine_options, json_option, size_option, threads_option
from ubcn_ros.cli.output import save_json, say_error
from ubcn_ros.cli.param_types import OUTPUT_FOLDER


@click.command(cls=Command)
@click.option('--frames', default=1000, show_default=True, type=click.IntRange(2),
              help='Images of the front camera; the rear camera has a tenth of that.')
@size_option(default='640x360')
@threads_option()
@click.option('--work', type=OUTPUT_FOLDER,
              help='Folder for the bags, which are removed afterwards  [default: a temporary '
                   'folder].')
@json_option()
@engine_options
def bag(frames: int, size: tuple[int, int], threads: int | None, work: Path | None,
        json_path: Path | None, iterations: int, **chosen: Any) -> None:
    """
    Measure `ubcn bag process` on a rendered drive.

    The drive has two cameras, their CameraInfo, tf and an IMU. Checked are that every output has
    its input's stamp, and that everything else is unchanged; the exit code is 1 if not. Measured
    is the rate as a share of the bare engine's on the same frames.
    """
    import torch

    from ubcn_ros.benchmark import bag as benchmark
    from ubcn_ros.runtime.device import use_threads
    from ubcn_ros.text_table import counted
    use_threads(threads)
    load = benchmark.BagLoad(frames, size, iterations, chosen)
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as name:
        figures = benchmark.measure(load, Path(name), _say)
    save_json(json_path, figures, f'{counted(torch.get_num_threads(), "CPU thread")}, torch '
                                  f'{torch.__version__}\n{_report(figures)}')
    if (figures['stamps_equal'], figures['copied_identical']) != (
            figures['stamps_compared'], figures['copied']):
        say_error('outputs are not what they should be')
        sys.exit(1)


def _say(text: str) -> None:
    click.echo(f'{text} ...', err=True)


def _report(figures: dict[str, Any]) -> str:
    lines = [
        f'stamps: {figures["stamps_equal"]} of {figures["stamps_compared"]} outputs have their '
        "input's",
        f'copied: {figures["copied_identical"]} of {figures["copied"]} messages are as they were',
        f'rate: {figures["frames_per_s"]:.2f} images per second, the bare engine '
        f'{figures["engine_frames_per_s"]:.2f}: {figures["share"]:.1%}',
        'busy, of ' + f'{figures["took_s"]:.1f} s: ' + ', '.join(
            f'{stage} {seconds:.1f} s' for stage, seconds in figures['busy_s'].items())]
    return '\n'.join(lines)

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark bag`: bag to bag, beside the bare engine."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import (
    OUTPUT_FOLDER,
    Numbers,
    engine_options,
    json_option,
    once,
    size_option,
    threads_option,
)
from ubcn_ros.cli.output import save_json

_SMALL = (64, 48)  # pixels, of the frames whose number memory must not depend on


@click.command(cls=Command)
@click.option('--frames', default=1000, show_default=True, type=click.IntRange(2),
              help='Images of the front camera; the rear camera has a tenth of that.')
@size_option(default='640x360')
@click.option('--kills', default='10,50,90', show_default=True, type=Numbers(99),
              help='Percentages of the frames at which a run is killed and resumed.')
@click.option('--memory-frames', default='1000,10000', show_default=True,
              type=Numbers(1_000_000), callback=once,
              help='Compare the memory of runs with these numbers of small frames, by a small '
                   'model.')
@threads_option()
@click.option('--work', type=OUTPUT_FOLDER,
              help='Folder for the bags, which are removed afterwards  [default: a temporary '
                   'folder].')
@json_option()
@engine_options
def bag(frames: int, size: tuple[int, int], kills: tuple[int, ...],
        memory_frames: tuple[int, ...], threads: int | None, work: Path | None,
        json_path: Path | None, iterations: int, **chosen: Any) -> None:
    """
    Measure `ubcn bag process` on a rendered drive.

    The drive has two cameras, their CameraInfo, tf and an IMU. Checked are that every output has
    its input's stamp, that everything else is unchanged, and that a killed and resumed run ends
    with the same messages as an uninterrupted one. Measured are memory, and the rate as a share of
    the bare engine's on the same frames.
    """
    import torch

    from ubcn_ros.benchmark import bag as benchmark
    if threads:
        torch.set_num_threads(threads)
        os.environ['OMP_NUM_THREADS'] = str(threads)  # of the processes that are killed
    load = benchmark.BagLoad(frames, size, iterations, chosen,
                             (sys.executable, '-m', 'ubcn_ros.cli'))
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        figures, source, straight = benchmark.measure(load, folder, _say)
        figures |= {'kills': [], 'memory_mib': {}}
        try:
            for percent in kills:
                _say(f'killing a run at {percent} %, and going on')
                figures['kills'].append({'percent': percent, **benchmark.kill_and_resume(
                    load, source, straight, folder / 'killed', percent / 100)})
                shutil.rmtree(folder / 'killed')
            small = replace(load, size=_SMALL, iterations=1, engine={
                'model': str(benchmark.small_model(folder)), 'device': 'cpu',
                'precision': 'fp32'})
            for count in memory_frames:
                _say(f'measuring the memory of {count} small frames')
                figures['memory_mib'][str(count)] = benchmark.peak_memory_mib(
                    replace(small, frames=count), folder)
        finally:  # what was measured is kept, whatever came of the rest
            click.echo(f'{torch.get_num_threads()} CPU threads, torch {torch.__version__}\n'
                       f'{_report(figures)}')
            save_json(json_path, figures)


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
    lines += [f'{"killed" if kill["killed"] else "ended before it was killed"} at '
              f'{kill["percent"]} % ({kill["frames_before"]} images in process.json) '
              f'and gone on: {kill["identical"]} of {kill["messages"]} messages are those of one '
              'run' for kill in figures['kills']]
    lines += [f'memory, {count} small frames: {mib:.1f} MiB'
              for count, mib in figures['memory_mib'].items()]
    return '\n'.join(lines)

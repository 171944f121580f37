# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn rain`: rain rendered on images and videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.image_jobs import Job, Results, VideoJobs, plan_jobs, recursive_option, run_jobs
from ubcn_ros.cli.options import OUTPUT_FILE_OR_FOLDER, Number, RainRateType, fps_option


@click.command(cls=Command)
@click.argument('source', metavar='INPUT', type=click.Path(exists=True, path_type=Path))
@click.argument('output', type=OUTPUT_FILE_OR_FOLDER)
@click.option('--rate', default='100', show_default=True, type=RainRateType(),
              help='Rain rate, 0..300 mm/hr; 0:150 for a ramp from the first frame to the last.')
@click.option('--seed', default=0, show_default=True, type=click.IntRange(0),
              help='Of the first image; each further one that is not of a sequence has the next.')
@click.option('--sequence', is_flag=True,
              help='The images of a folder follow each other: rain is continuous over time.')
@fps_option('rate_hz')
@click.option('--speed', type=Number(0, 100),
              help='Forward speed of the camera, m/s  [default: 0 to 12, by the seed].')
@click.option('--wind', type=Number(-40, 40),
              help='Wind to the right, m/s  [default: -4 to 4, by the seed].')
@click.option('--variation', default=0.2, show_default=True, type=Number(0, 1),
              help='How far a passing cell changes the rate of a sequence, log scale.')
@recursive_option
def rain(source: Path, output: Path, rate: tuple[float, float], seed: int, sequence: bool,
         rate_hz: float, speed: float | None, wind: float | None, variation: float,
         recursive: bool) -> None:
    """
    Render rain on an image, a folder of images or a video.

    INPUT and OUTPUT are as in `derain`. The same seed gives the same rain. On a video, and on a
    folder with --sequence or to an .mp4, rain is continuous over time: drops fall, and veil and
    rate change slowly. Each sub-folder is then a camera of its own.
    """
    from ubcn_ros.data.rain import add_rain, drive_parameters
    from ubcn_ros.data.rain_parameters import RainParameters
    from ubcn_ros.data.rain_sequence import RainSequence
    jobs, results = plan_jobs(source, output, recursive, rate_hz), Results(output)
    continuous = sequence or isinstance(jobs, VideoJobs) or results.video is not None
    if rate[0] != rate[1] and not (continuous and jobs.duration_s):
        raise click.ClickException(f'a ramp (--rate {rate[0]:g}:{rate[1]:g}) needs time: give '
                                   'a video, or a folder of several images and --sequence')

    def parameters(own_seed: int) -> RainParameters:
        drawn = drive_parameters(own_seed, max(rate))
        sideways, forward = drawn.wind_m_s
        return replace(drawn, speed_m_s=drawn.speed_m_s if speed is None else speed,
                       wind_m_s=(sideways if wind is None else wind, forward))

    sequences: dict[str, RainSequence] = {}

    def work(image: Any, job: Job) -> None:
        if not continuous:
            own = seed + job.number
            results.write(job, add_rain(image, rate[0], own, parameters=parameters(own)))
            return
        if job.sequence not in sequences:
            sequences[job.sequence] = RainSequence(rate, seed, jobs.duration_s, parameters(seed),
                                                   variation, job.sequence)
        results.write(job, sequences[job.sequence](image, job.time_s))

    run_jobs(jobs, work, output, [results])

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn rain`: rain rendered on images, videos and bags."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ubcn_ros.bag_names import has_bag_name
from ubcn_ros.cli.commands import Command, refuse_options
from ubcn_ros.cli.image_jobs import (
    ImageJob,
    VideoJobs,
    is_media_name,
    plan_jobs,
    recursive_option,
    result_video,
    run_jobs,
    write_result,
)
from ubcn_ros.cli.options import fps_option
from ubcn_ros.cli.output import bar_updater, exit_stopped, progress_bar, say_error, warn
from ubcn_ros.cli.param_types import OUTPUT_FILE_OR_FOLDER, InputType, Number, RainRateType


@click.command(cls=Command)
@click.argument('source', metavar='INPUT', type=InputType(exists=True, path_type=Path))
@click.argument('output', type=OUTPUT_FILE_OR_FOLDER)
@click.option('--rate', default='100', show_default=True, type=RainRateType(),
              help='Rain rate, 0..300 mm/hr; 0:150 is a ramp from the first frame to the last '
                   'of a bag, a video or a --sequence.')
@click.option('--seed', default=0, show_default=True, type=click.IntRange(0),
              help='Seed of the first image; without a sequence, each further image has the '
                   'next seed.')
@click.option('--sequence', is_flag=True,
              help='The images of a folder are consecutive frames: make rain continuous over '
                   'time.')
@fps_option()
@click.option('--speed', type=Number(0, 100),
              help='Forward speed of the camera in m/s  [default: 0 to 12, drawn from the seed].')
@click.option('--wind', type=Number(-40, 40),
              help='Wind to the right in m/s  [default: -4 to 4, drawn from the seed].')
@click.option('--variation', default=0.2, show_default=True, type=Number(0, 1),
              help='How much the rate of a sequence varies over time, on a log scale.')
@click.option('--topic', 'topics', multiple=True,
              help='Image topic of a bag; may be repeated  [default: all cameras].')
@recursive_option
def rain(source: Path, output: Path, rate: tuple[float, float], seed: int, sequence: bool,
         rate_hz: float, speed: float | None, wind: float | None, variation: float,
         topics: tuple[str, ...], recursive: bool) -> None:
    """
    Render rain on an image, a folder of images, a video or a bag.

    INPUT and OUTPUT are as in `derain`. The same seed gives the same rain. On a video or a bag, on
    a folder with --sequence, or with an .mp4 as OUTPUT, rain is continuous over time: drops fall,
    and veil and rate change slowly. Each sub-folder, like each camera of a bag, is then a sequence
    of its own.

    In a bag (a rosbag2 folder, or one of its files) all cameras get rain and keep their encoding
    and stamps; everything else is copied byte for byte to the bag OUTPUT, in mcap. Malformed
    images are copied and reported; the exit code is then 1.
    """
    from ubcn_ros.data.rain import add_rain, drive_parameters
    from ubcn_ros.data.rain_parameters import RainParameters
    from ubcn_ros.data.rain_sequence import RainSequence

    def parameters(own_seed: int) -> RainParameters:
        drawn = drive_parameters(own_seed, max(rate))
        sideways, forward = drawn.wind_m_s
        return replace(drawn, speed_m_s=drawn.speed_m_s if speed is None else speed,
                       wind_m_s=(sideways if wind is None else wind, forward))

    ramp = rate[0] != rate[1]

    def rain_of(camera: str, duration_s: float) -> RainSequence:
        if ramp and not duration_s:
            raise click.ClickException(f'a ramp (--rate {rate[0]:g}:{rate[1]:g}) needs time: give '
                                       'several frames, of a bag or a video, or several images '
                                       'with --sequence')
        return RainSequence(rate, seed, duration_s, parameters(seed), variation, camera)

    def alone(image: Any, number: int) -> Any:
        return add_rain(image, rate[0], seed + number, parameters=parameters(seed + number))

    if _is_bag(source):
        refuse_options(('sequence', 'rate_hz', 'recursive'), f'{source} is a bag, whose rain '
                                                             'follows its stamps')
        if is_media_name(output):
            raise click.UsageError(f'{source} is a bag, and is written to a bag: {output} ends '
                                   f'in {output.suffix}; give the name of a folder')
        _rain_bag(source, output, topics, rain_of)
    else:
        refuse_options(('topics',), f'{source} is not a bag')
        _rain_images(source, output, recursive, rate_hz, sequence, ramp, rain_of, alone)


def _is_bag(path: Path) -> bool:
    """Whether a file is named as one of a bag, or a folder holds one or rosbag2's metadata."""
    names = {file.name for file in path.iterdir()} if path.is_dir() else {path.name}
    if any(map(has_bag_name, names)):
        return True
    if 'metadata.yaml' not in names:
        return False
    from ubcn_ros.bags.storage.metadata import read_metadata
    return read_metadata(path)[0] is not None  # other programs write files of that name, too


def _rain_images(source: Path, output: Path, recursive: bool, rate_hz: float, sequence: bool,
                 ramp: bool, rain_of: Callable[[str, float], Any],
                 alone: Callable[[Any, int], Any]) -> None:
    """
    Render rain on images or a video.

    :param ramp: whether the duration counts, for which a video is read once more.
    :param rain_of: makes the rain of a sequence, by its name and duration in seconds.
    :param alone: renders rain on an image by itself, by its number.
    """
    jobs = plan_jobs(source, output, recursive, rate_hz)
    video = result_video(output, jobs.pixel_aspect)
    continuous = sequence or isinstance(jobs, VideoJobs) or video is not None
    if not continuous:
        refuse_options(('rate_hz', 'variation'), 'each image has rain of its own without '
                                                 '--sequence')
        if ramp:
            rain_of('', 0)  # which raises: it needs time
    elif isinstance(jobs, VideoJobs):
        refuse_options(('sequence',), f'{source} is a video, whose rain is always continuous')
    sequences: dict[str, Any] = {}
    durations = jobs.durations_s if ramp else {}

    def work(image: Any, job: ImageJob) -> None:
        if not continuous:
            write_result(job, alone(image, job.number), video)
            return
        if job.sequence not in sequences:
            sequences.clear()  # made again where a sub-folder comes between, it is the same
            # a lone image is the beginning of a ramp
            duration_s = durations.get(job.sequence) or max(durations.values(), default=0.0)
            sequences[job.sequence] = rain_of(job.sequence, duration_s)
        write_result(job, sequences[job.sequence](image, job.time_s), video)

    run_jobs(jobs, work, output, video)


def _rain_bag(source: Path, output: Path, topics: tuple[str, ...],
              rain_of: Callable[[str, float], Any]) -> None:
    from ubcn_ros.bags.rain import rain_bag
    from ubcn_ros.stopping import Stopped
    count = 0
    try:
        with progress_bar(unit='messages') as bar:
            update = bar_updater(bar)

            def show(done: int, total: int) -> None:
                nonlocal count
                count = done
                update(done, total)

            done = rain_bag(source, output, rain_of, topics, show)
    except Stopped as stop:
        exit_stopped(stop, f'{count} messages', output)
    for note in done.notes:
        warn(note)
    for topic, encoding in done.converted.items():
        warn(f'images of {topic} are rgb8 now: there is no way back to {encoding}')
    for other in done.skipped:
        if not other.broken:  # which is an error
            click.echo(f'{other.topic} was copied: {other.reason}')
    for line in done.errors:
        say_error(line)
    told = ', '.join(f'{number} of {topic}' for topic, number in done.images.items())
    click.echo(f'rain rendered on images: {told}; written to {output}')
    if done.errors:
        sys.exit(1)

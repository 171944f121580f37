# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn bag process`: bags through the engine."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ubcn_ros.cli.bag_fleet import Sharing, process_fleet, sharing_options
from ubcn_ros.cli.bag_progress import Progress
from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import (
    collected,
    duration_option,
    engine_options,
    exclude_option,
    load_engine,
    start_option,
    topics_option,
    video_option,
)
from ubcn_ros.cli.output import exit_stopped, say_error, warn
from ubcn_ros.cli.param_types import LONGEST_S, OUTPUT_FOLDER, RERUN, InputType, Number
from ubcn_ros.text_table import counted

if TYPE_CHECKING:
    from ubcn_ros.bags.process import Job, Options, Tally


def _options(**given: Any) -> Options:
    from ubcn_ros.bags.process import Options
    own = {field.name: given.pop(field.name) for field in fields(Options)
           if field.name != 'engine'}
    return Options(engine=tuple(given.items()), **own)


def _times(factor: float) -> Callable[..., int | None]:
    """Make a callback of an option that is given in another unit."""
    return lambda context, parameter, value: value and round(value * factor)


_process_options = collected(
    'options', _options,
    click.option('--topic', 'cameras', multiple=True,
                 help='Image topic to process; may be repeated  [default: all cameras of the '
                      'bag].'),
    topics_option(),
    exclude_option(),
    start_option('start_s'),
    duration_option('duration_s'),
    click.option('--every', default=1, show_default=True, type=click.IntRange(1),
                 help='Process every n-th image of each camera.'),
    click.option('--drop-inputs', is_flag=True, help='Do not copy the images that are processed.'),
    click.option('--outputs-only', is_flag=True, help='Copy nothing: write only the outputs.'),
    click.option('--compress', type=click.Choice(['jpeg', 'png']),
                 help='Write derained images in this format to TOPIC/compressed, and masks as '
                      'PNG.'),
    click.option('--pictures', is_flag=True,
                 help='Also write labels/color and overlay/image_raw.'),
    click.option('--confidence', is_flag=True, help='Also write labels/confidence.'),
    click.option('--split-size', 'split_bytes', type=Number(0.001, 1e9), metavar='MB',
                 callback=_times(1e6),
                 help='Start a new file before one exceeds this many megabytes, not counting '
                      'definitions and summary.'),
    click.option('--split-duration', 'split_ns', type=Number(0.001, LONGEST_S),
                 metavar='SECONDS', callback=_times(1e9),
                 help='Start a new file after this much recorded time.'),
    engine_options)


@click.command(cls=Command)
@click.argument('sources', metavar='IN...', nargs=-1, required=True,
                type=InputType(path_type=Path))
@click.argument('out', metavar='OUT', type=OUTPUT_FOLDER)
@_process_options
@click.option('--rrd', type=RERUN,
              help='Also write derained images and labels to this Rerun recording (pip '
                   'install ubcn_ros[rerun]).')
@video_option(help='Write input, derained image and labels side by side to this MP4; with '
                   'several cameras, one MP4 each, with the camera name before .mp4.')
@click.option('--resume', is_flag=True,
              help='Continue an interrupted run that had the same options.')
@sharing_options
def bag_process(sources: tuple[Path, ...], out: Path, options: Options, sharing: Sharing,
                resume: bool, rrd: Path | None, video: Path | None) -> None:
    """
    Derain and label every image of the bag IN into the bag OUT.

    All cameras are processed, and everything else is copied unchanged. The outputs of
    /front/image_raw are /front/derained/image_raw, /front/labels/image_raw and so on; each carries
    the header and the recorded times of its image, however long processing takes. OUT/process.json
    says what was done.

    If IN is a folder of bags, OUT gets the same sub-folders; of several IN, each goes into a
    folder of its own name in OUT. Bags are split into time ranges (not with --every), which
    --workers processes or the machines of --ray share; the parts are joined in order and equal
    what one process writes with the same --threads. If a worker dies, another takes over its part
    and nothing is lost; if a bag fails, the others go on. OUT/summary.json lists all bags. All
    machines must see IN, OUT and the model at the same paths.

    Malformed messages are reported and not processed, and the intact part of a damaged bag is
    processed; the exit code is then 1. However a run ends, --resume continues it.
    """
    from ubcn_ros.bags.fleet import pair_outputs
    from ubcn_ros.bags.fleet.tasks import check_new
    from ubcn_ros.bags.process.jobs import pieces_there
    from ubcn_ros.stopping import Stopped
    unreadable: list[str] = []
    pairs = pair_outputs(sources, out, unreadable.append)
    for line in unreadable:
        say_error(line)
    if not pairs:
        sys.exit(1)
    shared = bool(sharing.workers or sharing.pieces or sharing.address or pieces_there(out))
    _check_layers(rrd, video, len(pairs), shared, resume)
    if not resume and (shared or len(pairs) > 1):  # before any of them, or a record is written
        for _, target in pairs:
            check_new(target)
    frames: Counter[Path] = Counter()
    try:
        if shared or len(pairs) > 1:
            failed = process_fleet(pairs, out, options, sharing, resume)
        else:
            failed = _process_here(*pairs[0], options, sharing.threads, resume, video, frames)
        if rrd is not None:
            _write_layer(*pairs[0], rrd)
    except Stopped as stop:
        exit_stopped(stop, f'the outputs of {counted(frames.total(), "image")}', out,
                     f'--resume {"without --video " if video is not None else ""}goes on')
    if failed or unreadable:
        sys.exit(1)


def _check_layers(rrd: Path | None, video: Path | None, bags: int, shared: bool, resume: bool
                  ) -> None:
    """Refuse what cannot be written beside the bags, before the work."""
    for option, path in (('--rrd', rrd), ('--video', video)):
        if path is not None and bags > 1:
            raise click.UsageError(f'{option} {path} is of one bag, not of {bags}: process them '
                                   'one by one')
    if rrd is not None:
        import rerun  # noqa: F401 (missed before the work)
    if video is not None:
        if resume:
            raise click.UsageError(f'--video {video}: it would hold only the frames that are '
                                   'left; leave it out with --resume')
        if shared:
            raise click.UsageError(f'--video {video}: several workers would write it; leave it '
                                   'out with --workers, --pieces and --ray')
        import av  # noqa: F401 (as above)


def _process_here(source: Path, out: Path, options: Options, threads: int | None, resume: bool,
                  video: Path | None, frames: Counter[Path]) -> bool:
    """
    Process a bag in this process, and report.

    :param frames: is kept at how many went out, by output.
    :return: whether something of the bag could not be processed.
    """
    from ubcn_ros.bags.process import plan
    from ubcn_ros.bags.process.video import video_paths
    (job,) = plan(source, out, options)  # errors of the bag before the seconds of loading
    for skipped in job.skipped:
        click.echo(skipped.text, err=True)
    videos = {} if video is None else video_paths(video, job)
    from ubcn_ros.runtime.device import use_threads
    use_threads(threads)
    return _run(job, resume, load_engine(**dict(options.engine)), frames, videos)


def _write_layer(source: Path, out: Path, rrd: Path) -> None:
    from ubcn_ros.bags.process import read_sidecar
    from ubcn_ros.bags.rerun_layer import APPLICATION, recording_id, write_layer
    document = read_sidecar(out)
    if document is None or not document['finished']:  # the bag failed, as was told
        return
    write_layer(out, rrd)
    click.echo(f'wrote {rrd}; one recording with the original after `rerun mcap convert FILE.mcap '
               f'--application-id {APPLICATION} --recording-id {recording_id(source)} -o '
               'FILE.rrd`')


def _run(job: Job, resume: bool, engine: Any, frames: Counter[Path], videos: dict[str, Path]
         ) -> bool:
    """
    Run a job and report.

    :param frames: is kept at how many went out, by output.
    :param videos: to write, by topics of cameras.
    :return: whether something of the bag could not be processed.
    """
    from ubcn_ros.bags.process import run_job
    from ubcn_ros.bags.process.video import CameraVideos

    def show(tally: Tally) -> None:
        frames[job.out] = tally.frames
        progress(tally)

    sink = CameraVideos(videos, engine.label_set)
    try:
        with Progress(job) as progress, sink:
            result = run_job(job, resume, engine, show, sink if videos else None)
    finally:
        for note in sink.notes:
            warn(note)
    for note in result.notes:
        warn(note)
    for line in result.errors:
        say_error(line)
    cameras = ', '.join(camera.topic for camera in job.cameras)
    click.echo(f'{counted(result.tally.frames, "image")} of {cameras} written to {job.out}')
    return bool(result.errors)

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn derain`: images or a video to derained ones, labels and overlays."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command, refuse_options
from ubcn_ros.cli.image_jobs import (
    ImageJob,
    is_media_name,
    plan_jobs,
    recursive_option,
    result_video,
    run_jobs,
    write_result,
)
from ubcn_ros.cli.options import engine_options, fps_option, json_option, load_engine, video_option
from ubcn_ros.cli.output import save_json, saving
from ubcn_ros.cli.param_types import OUTPUT_FILE_OR_FOLDER, OUTPUT_FOLDER, InputType


@click.command(cls=Command)
@click.argument('source', metavar='INPUT', type=InputType(exists=True, path_type=Path))
@click.argument('output', type=OUTPUT_FILE_OR_FOLDER)
@click.option('--labels', type=OUTPUT_FOLDER,
              help='Folder for the label masks: single-channel PNGs of class ids; 255 is '
                   'unlabeled.')
@click.option('--overlay', 'overlays', type=OUTPUT_FOLDER,
              help='Folder for derained images overlaid with class colours.')
@video_option()
@fps_option()
@recursive_option
@json_option(help='Write details of each image to this file: steps run, size at which it was '
                  'labelled, share of unlabeled pixels, and rain rate and visibility if the '
                  'model estimates them.')
@engine_options
def derain(source: Path, output: Path, labels: Path | None, overlays: Path | None,
           video: Path | None, rate_hz: float, recursive: bool, json_path: Path | None,
           iterations: int, **chosen: Any) -> None:
    """
    Derain an image, a folder of images or a video, and label them.

    INPUT is a PNG, JPEG, BMP, WebP or TIFF file, a folder of them, or a video. OUTPUT is a folder,
    where each image is written as PNG under its own name, and each frame of a video under its
    number; or an image file, if INPUT is one; or a video, if it ends in .mp4. Frames of a video
    keep their times; sound is left out. Pixels are taken as they are stored: an orientation that
    an image notes (EXIF) is not applied; of several pages or frames the first is read. Files whose
    names begin with a dot are ignored. A broken image is reported and the others are processed;
    the exit code is then 1.
    """
    from ubcn_ros.images.files import write_image
    from ubcn_ros.images.overlay import overlay
    from ubcn_ros.images.panes import PaneVideo
    from ubcn_ros.runtime.out_of_memory import infer_freeing_memory
    folders = [folder for folder in (labels, overlays) if folder]
    for folder in folders:
        if is_media_name(folder) and not folder.is_dir():
            raise click.UsageError(f'{folder} ends like a file, but labels and overlays are '
                                   'written to folders: give the name of one')
    jobs = plan_jobs(source, output, recursive, rate_hz, folders,
                     [file for file in (video, json_path) if file], json_path is not None)
    out_video = result_video(output, jobs.pixel_aspect)
    if not (out_video or video):
        refuse_options(('rate_hz',), 'no video is made')
    engine = load_engine(**chosen)
    panes = None if video is None else PaneVideo(video, engine.label_set, math.inf,
                                                 jobs.pixel_aspect)
    facts: dict[str, Any] = {}

    def work(image: Any, job: ImageJob) -> None:
        frame, _ = infer_freeing_memory(engine, image, {'iterations': iterations})
        write_result(job, frame.derained, out_video)
        if labels is not None:
            write_image(labels / job.name, frame.labels)
        if overlays is not None:
            write_image(overlays / job.name,
                        overlay(frame.derained, frame.labels, engine.label_set))
        if panes is not None:
            panes.write_panes(image, frame.derained, frame.labels, job.shown_s)
        name = job.name.as_posix().encode(errors='backslashreplace').decode()
        facts[name] = _facts(frame)  # once all is written

    with saving(facts, lambda: save_json(json_path, {'model': engine.info.name,
                                                     'images': facts})):
        run_jobs(jobs, work, output, out_video, panes)


def _facts(frame: Any) -> dict[str, Any]:
    height, width = frame.working_size
    return {'iterations': frame.iterations, 'processing_size': f'{width}x{height}',
            'unlabeled': frame.unlabeled,
            'rain_rate_mm_h': frame.rain and frame.rain.rate,
            'visibility_m': frame.rain and frame.rain.visibility}

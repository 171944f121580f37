# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn derain`: images to derained images, labels and overlays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.image_jobs import pair_files, recursive_option, run_jobs
from ubcn_ros.cli.options import (
    OUTPUT_FILE_OR_FOLDER,
    OUTPUT_FOLDER,
    engine_options,
    load_engine,
)


@click.command(cls=Command)
@click.argument('source', metavar='INPUT', type=click.Path(exists=True, path_type=Path))
@click.argument('output', type=OUTPUT_FILE_OR_FOLDER)
@click.option('--labels', type=OUTPUT_FOLDER,
              help='Folder for the label ids, single-channel PNG; 255 is unlabeled.')
@click.option('--overlay', 'overlays', type=OUTPUT_FOLDER,
              help='Folder for the derained images with class colours over them.')
@recursive_option
@engine_options
def derain(source: Path, output: Path, labels: Path | None, overlays: Path | None,
           recursive: bool, iterations: int, **chosen: Any) -> None:
    """
    Derain an image or a folder of images, and label them.

    INPUT is a PNG, JPEG, BMP, WebP or TIFF file, or a folder of them. OUTPUT is a folder, where
    each image is written as PNG under its own name; or a file, if INPUT is one and OUTPUT ends
    like an image. Names that begin with a dot are not images. A broken image is reported and the
    others are done; the exit code is then 1.
    """
    from ubcn_ros.images.files import write_image
    from ubcn_ros.images.overlay import overlay
    jobs, listing = pair_files(source, output, recursive, (labels, overlays))
    root = output if source.is_dir() else jobs[0][1].parent
    names = {target: target.relative_to(root).with_suffix('.png') for _, target in jobs}
    outputs = [os.path.realpath(folder / name) for folder in (root, labels, overlays) if folder
               for name in names.values()]
    if len({*outputs}) < len(outputs) or {os.path.realpath(path) for path, _ in jobs} & {*outputs}:
        raise click.ClickException('INPUT, OUTPUT, --labels and --overlay would hold files of the '
                                   'same names: give each a folder of its own')
    engine = load_engine(**chosen)

    def work(image: Any, target: Path) -> None:
        frame = engine(image, iterations=iterations)
        write_image(target, frame.derained)
        if labels is not None:
            write_image(labels / names[target], frame.labels)
        if overlays is not None:
            write_image(overlays / names[target],
                        overlay(frame.derained, frame.labels, engine.label_set))

    run_jobs(jobs, listing, work)

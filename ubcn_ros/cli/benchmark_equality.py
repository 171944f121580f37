# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark equality`: backends and precisions beside eager fp32."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import (
    backend_option,
    device_option,
    iterations_option,
    json_option,
    model_option,
    precision_option,
    processing_option,
    threads_option,
)
from ubcn_ros.cli.output import progress_bar, save_json, saving
from ubcn_ros.cli.param_types import InputType


@click.command(cls=Command)
@click.argument('images', nargs=-1, required=True,
                type=InputType(exists=True, path_type=Path))
@model_option()
@device_option()
@backend_option('backends', multiple=True, default=('eager',),
                help='Backend to compare; may be repeated.')
@precision_option('precisions', multiple=True, default=('auto',),
                  help='Precision to compare; may be repeated. A precision that a backend '
                       'does not support is left out.')
@iterations_option(multiple=True, default=(1, 3), help='Steps of the loop; may be repeated.')
@processing_option()
@click.option('--every', default=1, show_default=True, type=click.IntRange(1),
              help='Take every n-th image.')
@threads_option()
@json_option(help='Also write the rows to this file.')
def equality(images: tuple[Path, ...], model: str, device: str, backends: tuple[str, ...],
             precisions: tuple[str, ...], iterations: tuple[int, ...],
             processing_size: int, every: int, threads: int | None, json_path: Path | None
             ) -> None:
    """
    Compare backends and precisions with eager fp32.

    IMAGES are files, or folders of them. Two results are equal if on every image the mean absolute
    difference is at most 1 of 255, and at least 99.5 % of the pixels have the same label. The exit
    code is 1 if any result is not.
    """

    from ubcn_ros.benchmark.equality import measure_equality, report
    from ubcn_ros.images.files import list_images, read_image
    from ubcn_ros.runtime import Engine
    from ubcn_ros.runtime.device import use_threads
    from ubcn_ros.runtime.export.folder import is_exported
    from ubcn_ros.text_table import counted
    use_threads(threads)
    files = [file for path in images
             for file in (list_images(path) if path.is_dir() else [path])][::every]
    if is_exported(model):
        raise click.BadParameter(f'{model} is an export: give the .safetensors file that it was '
                                 'made of, whose weights are the reference', param_hint='--model')
    reference = Engine.load(model, device, 'fp32', 'eager', fused=False, allow_partial=True,
                            processing_size=processing_size)
    engines = _load_engines(model, device, backends, precisions, processing_size)
    rows: list[dict[str, Any]] = []

    def save() -> None:
        compared = ' or '.join(counted(count, 'image')
                               for count in sorted({row['images'] for row in rows}))
        save_json(json_path, rows, f'{compared}, {model}, against eager fp32\n\n{report(rows)}')

    with saving(rows, save), progress_bar(total=len(files) * len(iterations)) as bar:
        for t in iterations:
            measure_equality(engines, reference, map(read_image, files), t, rows, bar.update)
    if not all(row['equal'] for row in rows):
        sys.exit(1)


def _load_engines(model: str, device: str, backends: Sequence[str], precisions: Sequence[str],
                  processing_size: int) -> list[Any]:
    """Load an Engine of each backend and precision that is to be had; name the others."""
    from ubcn_ros.runtime import Engine
    engines = []
    for backend in backends:
        for precision in precisions:
            try:
                engines.append(Engine.load(model, device, precision, backend,
                                           allow_partial=True, processing_size=processing_size))
            except ValueError as error:
                click.echo(f'left out: {backend}, {precision}: {error}', err=True)
    if not engines:
        raise click.ClickException('no backend and precision is left to compare')
    return engines

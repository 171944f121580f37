# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn benchmark equality`: what every backend and precision changes in the results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ubcn_ros.cli.commands import Command
from ubcn_ros.cli.options import BACKEND, COUNT, DEVICE, OUTPUT_FILE, PRECISION

if TYPE_CHECKING:
    from ubcn_ros.runtime.engine import Engine, Frame

MAX_DIFFERENCE = 1.0
"""Largest mean absolute difference of a derained image, of 255, that counts as equal."""
MIN_LABELS = 99.5
"""Smallest share of equal labels, percent, that counts as equal."""


def compare(frame: Frame, reference: Frame) -> dict[str, float]:
    """
    Compare two results of one image.

    :return: 'difference', the mean absolute difference of the derained images, 0..255; 'largest',
        the largest; 'labels', percent of the pixels with the same label.
    :raises ValueError: the two are of different sizes.
    """
    for name in ('derained', 'labels'):
        ours, theirs = getattr(frame, name), getattr(reference, name)
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            raise ValueError(f'{name} is {ours.dtype} {ours.shape}, the reference has '
                             f'{theirs.dtype} {theirs.shape}')
    difference = np.abs(frame.derained.astype(np.int16) - reference.derained)
    return {'difference': float(difference.mean()), 'largest': float(difference.max()),
            'labels': 100 * float((frame.labels == reference.labels).mean())}


def measure_equality(engines: Sequence[Engine], reference: Engine, images: Iterable[np.ndarray],
                     iterations: int, progress: Callable[[], None] = lambda: None
                     ) -> list[dict[str, Any]]:
    """
    Compare engines with a reference, image by image.

    :param images: (H, W, 3) uint8 RGB each.
    :param iterations: T of all of them.
    :param progress: called after every image.
    :return: a row per engine: what it is, the means of ``compare`` over the images, its worst
        image's figures ('worst_difference', 'worst_labels'), and 'equal': within MAX_DIFFERENCE
        and MIN_LABELS on every image.
    """
    import torch

    found: list[list[dict[str, float]]] = [[] for _ in engines]
    warm: set[tuple[int, ...]] = set()
    for image in images:
        if image.shape not in warm:  # the first frames of a size are computed eagerly
            for engine in engines:
                engine.warm_up(*image.shape[:2])
            warm.add(image.shape)
        # a GPU's fp32 as such, not with the ten bits of TF32
        with torch.backends.cudnn.flags(allow_tf32=False):
            expected = reference(image, iterations)
        for engine, results in zip(engines, found, strict=True):
            results.append(compare(engine(image, iterations), expected))
        progress()
    rows = []
    for engine, results in zip(engines, found, strict=True):
        worst = max(r['difference'] for r in results)
        least = min(r['labels'] for r in results)
        rows.append({
            'backend': engine.backend, 'precision': engine.precision,
            'device': str(engine.device), 'iterations': iterations, 'images': len(results),
            'difference': float(np.mean([r['difference'] for r in results])),
            'largest': max(r['largest'] for r in results),
            'labels': float(np.mean([r['labels'] for r in results])),
            'worst_difference': worst, 'worst_labels': least,
            'equal': worst <= MAX_DIFFERENCE and least >= MIN_LABELS})
    return rows


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Show rows as a table."""
    from ubcn_ros.evaluation.report import table
    return table(
        ('backend', 'precision', 'device', 'T', 'difference of 255', 'worst image', 'worst pixel',
         'labels %', 'worst image', 'equal'),
        [(row['backend'], row['precision'], row['device'], str(row['iterations']),
          f'{row["difference"]:.3f}', f'{row["worst_difference"]:.3f}', f'{row["largest"]:.0f}',
          f'{row["labels"]:.2f}', f'{row["worst_labels"]:.2f}', 'yes' if row['equal'] else 'no')
         for row in rows], left=(0, 1, 2))


def _images(paths: Sequence[Path]) -> list[Path]:
    files = []
    for path in paths:
        files += (sorted(p for p in path.iterdir() if p.suffix.lower() in ('.png', '.jpg'))
                  if path.is_dir() else [path])
    if not files:
        raise click.ClickException(f'{", ".join(map(str, paths))} holds no .png or .jpg: give '
                                   'images, or folders that hold them')
    return files


@click.command(cls=Command)
@click.argument('images', nargs=-1, required=True,
                type=click.Path(exists=True, path_type=Path))
@click.option('--model', default='ubcn-light-camvid', show_default=True,
              help='Name of a shipped model, or a model file.')
@click.option('--device', default='auto', show_default=True, type=DEVICE,
              help='auto, cpu, cuda or cuda:N.')
@click.option('--backend', 'backends', multiple=True, default=('eager',), show_default=True,
              type=BACKEND, help='Backend to compare; may be repeated.')
@click.option('--precision', 'precisions', multiple=True, default=('auto',), show_default=True,
              type=PRECISION,
              help='Precision to compare; may be repeated. What a backend lacks is left out.')
@click.option('--iterations', multiple=True, default=(1, 3), show_default=True,
              type=click.IntRange(1, 10), help='Steps of the loop; may be repeated.')
@click.option('--every', default=1, show_default=True, type=click.IntRange(1),
              help='Take every so many of the images.')
@click.option('--threads', type=COUNT, help='CPU threads [default: all cores].')
@click.option('--json', 'json_path', type=OUTPUT_FILE,
              help='Write the rows to this file, too.')
def equality(images: tuple[Path, ...], model: str, device: str, backends: tuple[str, ...],
             precisions: tuple[str, ...], iterations: tuple[int, ...], every: int,
             threads: int | None, json_path: Path | None) -> None:
    """
    Compare backends and precisions with eager fp32, on IMAGES (files, or folders of them).

    Equal means: on every image a mean absolute difference of at most 1 of 255, and the same label
    on at least 99.5 % of the pixels. The exit code is 1 if something is not.
    """
    import torch
    from tqdm import tqdm

    from ubcn_ros.data.scenes import read_image
    from ubcn_ros.evaluation.report import write_json
    from ubcn_ros.runtime import Engine
    from ubcn_ros.runtime.export.folder import is_exported
    if threads:
        torch.set_num_threads(threads)
    files = _images(images)[::every]
    if is_exported(model):
        raise click.BadParameter(f'{model} is an export: give the .safetensors file that it was '
                                 'made of, whose weights are the reference', param_hint='--model')
    reference = Engine.load(model, device, 'fp32', 'eager', allow_partial=True)
    engines = []
    for backend in backends:
        for precision in precisions:
            try:
                engines.append(Engine.load(model, device, precision, backend,
                                           allow_partial=True))
            except ValueError as error:
                click.echo(f'left out: {backend}, {precision}: {error}', err=True)
    if not engines:
        raise click.ClickException('no backend and precision is left to compare')
    rows = []
    with tqdm(total=len(files) * len(iterations), unit=' images', disable=None) as bar:
        for t in iterations:
            rows += measure_equality(engines, reference, map(read_image, files), t, bar.update)
    click.echo(f'{len(files)} images, {model}, against eager fp32\n\n{report(rows)}')
    if json_path:
        write_json(json_path, rows)
        click.echo(f'wrote {json_path}')
    if not all(row['equal'] for row in rows):
        raise click.exceptions.Exit(1)

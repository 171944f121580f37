# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every backend and precision changes in the results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ubcn_ros.text_table import table

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
                     iterations: int, found: list[dict[str, Any]],
                     progress: Callable[[], Any] = lambda: None) -> None:
    """
    Compare engines with a reference, image by image.

    :param images: (H, W, 3) uint8 RGB each.
    :param iterations: T of all of them.
    :param found: gets a row per engine, where an error ends it, too: what it is, the means of
        ``compare`` over the 'images' until then, its worst image's figures ('worst_difference',
        'worst_labels'), and 'equal': within MAX_DIFFERENCE and MIN_LABELS on every image.
    :param progress: called after every image.
    """
    import torch

    compared: list[list[dict[str, float]]] = [[] for _ in engines]
    warm: set[tuple[int, ...]] = set()
    try:
        for image in images:
            if image.shape not in warm:  # the first frames of a size are computed eagerly
                for engine in engines:
                    engine.warm_up(*image.shape[:2])
                warm.add(image.shape)
            # a GPU's fp32 as such, not with the ten bits of TF32; cuDNN is off unless asked for
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                expected = reference(image, iterations)
            for engine, results in zip(engines, compared, strict=True):
                results.append(compare(engine(image, iterations), expected))
            progress()
    finally:
        found += [_row(engine, iterations, results)
                  for engine, results in zip(engines, compared, strict=True) if results]


def _row(engine: Engine, iterations: int, results: Sequence[dict[str, float]]) -> dict[str, Any]:
    worst = max(r['difference'] for r in results)
    least = min(r['labels'] for r in results)
    return {'backend': engine.backend, 'precision': engine.precision,
            'device': str(engine.device), 'iterations': iterations, 'images': len(results),
            'difference': float(np.mean([r['difference'] for r in results])),
            'largest': max(r['largest'] for r in results),
            'labels': float(np.mean([r['labels'] for r in results])),
            'worst_difference': worst, 'worst_labels': least,
            'equal': worst <= MAX_DIFFERENCE and least >= MIN_LABELS}


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Show rows as a table."""
    return table(
        ('backend', 'precision', 'device', 'T', 'difference of 255', 'worst image', 'worst pixel',
         'labels %', 'worst image', 'equal'),
        [(row['backend'], row['precision'], row['device'], str(row['iterations']),
          f'{row["difference"]:.3f}', f'{row["worst_difference"]:.3f}', f'{row["largest"]:.0f}',
          f'{row["labels"]:.2f}', f'{row["worst_labels"]:.2f}', 'yes' if row['equal'] else 'no')
         for row in rows], left=(0, 1, 2))

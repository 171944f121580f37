# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Real photographs in rain with every baseline beside UBCN: image and mask, without a ground truth.

``real-rain.json`` has, beside what ``results_file`` says:

- 'pictures', 'models', 'missing' and 'diverged' as ``methods.json``;
- 'images': a list of {'name', 'sha256': of the photograph's file, 'size': [width, height] as
  shown, 'change': {title: mean absolute difference to the photograph, of 255}}. Nothing is
  measured against a truth: there is none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ubcn_ros.evaluation.measure import LoadedModel
from ubcn_ros.images.files import list_images, read_image
from ubcn_ros.images.malformed import MIN_SIDE
from ubcn_ros.study.print_cells import LabelMap, Picture, Zoom
from ubcn_ros.study.print_grid import Grid, Row
from ubcn_ros.study.shown_image import FigureView, as_arrays, check_zoom, legend
from ubcn_ros.study.trained_baselines import INPUT, OURS, by_method


def find_photographs(sources: Sequence[Path], stride: int, limit: int | None) -> list[Path]:
    """
    Find the images of files and folders, those of a folder in order.

    :param stride, limit: of each folder take every n-th, and so many at most; what is named
        itself is meant.
    :raises ImageFileError: a folder cannot be read or holds none.
    """
    return [path for source in sources
            for path in (list_images(source)[::stride][:limit] if source.is_dir() else [source])]


def show_real_rain(model: LoadedModel, baselines: Mapping[str, LoadedModel],
                   paths: Sequence[Path], view: FigureView,
                   progress: Callable[[], object]) -> tuple[Grid, dict[str, Any]]:
    """
    Show what each method makes of photographs.

    :param baselines: as of ``compare_methods``.
    :param progress: called after every photograph.
    :return: the figure, and 'images' of the results.
    :raises ImageFileError: a photograph cannot be read.
    :raises ValueError: one is too small for its zoom or once it is shrunk, or the columns have
        no room.
    """
    label_set, columns = model.network.label_set, [INPUT, *baselines, OURS]
    rows, results, masks = [], [], []
    zooms = view.checked_zooms(len(paths))
    photographs = [_photograph(path, zoom, view) for path, zoom in zip(paths, zooms, strict=True)]
    Grid([Row([Picture(image=photograph)] * len(columns), path.stem)
          for path, photograph in zip(paths, photographs, strict=True)],
         columns, width=view.width).letters()  # before the work
    for path, zoom, photograph in zip(paths, zooms, photographs, strict=True):
        shown = {title: as_arrays(*found) for title, found in by_method(
            model, baselines, model.upload(photograph), view.iterations).items()}
        masks += [labels for _, labels in shown.values()]
        height, across = photograph.shape[:2]
        results.append({
            'name': path.name, 'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
            'size': [across, height],
            'change': {title: float(np.abs(image.astype(np.float32) - photograph).mean())
                       for title, (image, _) in shown.items() if title != INPUT}})
        rows += [Row([Picture(zoom=zoom, image=image) for image, _ in shown.values()], path.stem,
                     apart=True),
                 Row([LabelMap(zoom=zoom, labels=labels, label_set=label_set)
                      for _, labels in shown.values()])]
        progress()
    return Grid(rows, columns, legend=legend(label_set, masks), width=view.width), \
        {'images': results}


def _photograph(path: Path, zoom: Zoom | None, view: FigureView) -> np.ndarray:
    """Read a photograph as it is shown."""
    stored = read_image(path)
    photograph = _fitted(path, stored, view.size)
    check_zoom(zoom, path.name, photograph, stored.shape[:2])
    return photograph


def _fitted(path: Path, image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Shrink a photograph into a size, keeping its aspect."""
    if size is None:
        return image
    height, width = image.shape[:2]
    scale = min(1.0, size[0] / width, size[1] / height)
    shrunk = max(1, round(width * scale)), max(1, round(height * scale))
    if min(shrunk) < MIN_SIDE:
        raise ValueError(f'{path} has {width}x{height} pixels, of which --size '
                         f'{size[0]}x{size[1]} leaves {shrunk[0]}x{shrunk[1]}: '
                         f'{MIN_SIDE}x{MIN_SIDE} are needed: give a larger --size')
    return image if scale == 1 else cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA)

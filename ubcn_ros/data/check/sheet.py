# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The sheet of a check: one HTML file with findings, shares, masks over images and rain."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ubcn_ros.data.check.report import CheckReport, SplitFacts
from ubcn_ros.data.scenes import SceneList
from ubcn_ros.data.validation_rain import rainy_view
from ubcn_ros.evenly import evenly
from ubcn_ros.images.contact_sheet import scaled_to
from ubcn_ros.images.files import data_uri
from ubcn_ros.images.overlay import overlay
from ubcn_ros.whole_files import write_whole

RATES_MM_H = (50.0, 150.0)
"""Of the rain that is shown."""

_FRAMES = 4  # of a split
_RAINY_FRAMES = 2
_WIDTH, _RAIN_WIDTH = 480, 640  # pixels of pictures in the file


def write_sheet(path: Path, report: CheckReport) -> None:
    """
    Write a report for people as one HTML file that needs no other.

    :raises OSError: the file cannot be written.
    """
    import jinja2
    text = resources.files(__package__).joinpath('sheet.html').read_text('utf-8')
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined,
                                  trim_blocks=True).from_string(text)
    names = list(report.counts)
    page = template.render(
        title=f'Check of {", ".join(names)}', summary=report.summary(), findings=report.findings,
        splits=[{'set_name': s.set_name, 'split': s.split, 'images': len(s.scenes),
                 'labelled': s.labelled,
                 'sizes': ', '.join(f'{size} ({count})' for size, count in s.sizes.most_common(4))}
                for s in report.splits],
        shares=[*_shares(report)], pictures=[*_pictures(report)], rain=[*_rain(report)])
    # names of files may hold bytes that are not UTF-8
    write_whole(path, page.encode('utf-8', 'backslashreplace'))


def _shares(report: CheckReport) -> Iterator[dict[str, Any]]:
    """Yield for each set with labels a row a class, with its share in each split."""
    for name, by_split in report.shares.items():
        by_split = {split: shares for split, shares in by_split.items() if shares}
        if not by_split:
            continue
        label_set = next(s for s in report.splits if s.set_name == name).dataset.label_set
        rows = [{'name': c, 'color': _css(color), 'shares': [by_split[s][c] for s in by_split]}
                for c, color in zip(label_set.classes, label_set.colors, strict=True)]
        rows.append({'name': 'unlabeled', 'color': _css((0, 0, 0)),
                     'shares': [report.unlabeled[name][s] for s in by_split]})
        yield {'set_name': name, 'splits': list(by_split), 'rows': rows,
               'most': max(share for row in rows for share in row['shares'])}


def _pictures(report: CheckReport) -> Iterator[dict[str, Any]]:
    """Yield for each split some images, each with its mask over it."""
    for split in report.splits:
        label_set = split.dataset.label_set
        pictures = []
        for i in _chosen(split, _FRAMES):
            frame = split.scenes[i].read()
            shown = [(split.file(i), frame.image)]
            if split.scenes[i].labelled and label_set is not None:
                shown.append(('with its mask', overlay(frame.image, frame.labels, label_set)))
            pictures += [_picture(name, image, _WIDTH) for name, image in shown]
        if pictures:
            yield {'title': f'Frames of {split.where}', 'pictures': pictures,
                   'classes': [(name, _css(color)) for name, color in zip(
                       label_set.classes, label_set.colors, strict=True)] if label_set else []}


def _rain(report: CheckReport) -> Iterator[dict[str, str]]:
    """Yield some frames of the first split that has any, dry and at each rate."""
    split = next((s for s in report.splits if _chosen(s, 1)), None)
    if split is None:
        return
    scenes = SceneList(split.where, split.dataset.label_set, split.scenes)
    for i in _chosen(split, _RAINY_FRAMES):
        frame = split.scenes[i].read()
        yield _picture(split.file(i), frame.image, _RAIN_WIDTH)
        for rate in RATES_MM_H:
            rainy = rainy_view(frame.image, frame.labels, scenes, rate, i, frame.depth)
            yield _picture(f'{rate:g} mm/hr', rainy, _RAIN_WIDTH)


def _chosen(split: SplitFacts, count: int) -> list[int]:
    """Indices of scenes that can be read, spread evenly."""
    return evenly([i for i, found in enumerate(split.facts) if not found.problems], count,
                  middle=True)


def _picture(name: str, image: np.ndarray, width: int) -> dict[str, str]:
    """Encode an image, scaled down where it is wider, as a data URL."""
    if image.shape[1] > width:
        image = scaled_to(width, image)
    _, data = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
                           [cv2.IMWRITE_JPEG_QUALITY, 85])
    return {'name': name, 'source': data_uri(data.tobytes(), 'jpeg')}


def _css(color: tuple[int, int, int]) -> str:
    return ', '.join(map(str, color))

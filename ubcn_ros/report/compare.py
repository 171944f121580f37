# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Compare two processed bags of one drive frame by frame, or one with the drive without rain.

Of each frame, by its stamp:

- PSNR (dB) of the derained images: of B against A, and of both and the input against the same
  frame without rain, where that is given; infinite for equal images, and so left out of means,
  together with what is compared with it.
- Labels: the share of pixels (%) that B labels as A does, those that both leave unlabeled left
  out; and the mIoU (%) of B against A, over the classes that A has, pixels that A leaves unlabeled
  left out. Against a processed drive without rain, the share that is labelled as there.
- Latency (ms) of the node, where debug/frame was recorded.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ubcn_ros.evaluation.metrics import common_means
from ubcn_ros.labels import LabelSet, numbered_labels
from ubcn_ros.report.measures import MEASURES, iou_of, measured, pair_counts, psnr
from ubcn_ros.report.page import Measure
from ubcn_ros.report.tracks import BagPaths, Track, open_tracks, stamp_text
from ubcn_ros.whole_files import write_whole

_OF_BOTH = {
    'psnr_between': Measure('psnr_between', 'PSNR of B against A', 'dB', '', low_is_bad=True),
    'miou': Measure('miou', 'mIoU of B against A', '%', '', low_is_bad=True)}
FIGURES = {key: _OF_BOTH.get(key) or next(m for m in MEASURES if m.key == key) for key in (
    'psnr_gain', 'psnr_between', 'psnr', 'psnr_b', 'psnr_input', 'labels_equal', 'miou',
    'labels_dry', 'labels_dry_b', 'latency_ms', 'latency_ms_b')}
"""Measures of a frame by key, in their order; the first that is there says which are worst."""
_SIDE_BY_SIDE = (('psnr_gain', 'psnr', 'psnr_b', 'psnr_input'), ('psnr_between',),
                 ('labels_equal',), ('miou',), ('labels_dry', 'labels_dry_b'),
                 ('latency_ms', 'latency_ms_b'))


@dataclass(frozen=True)
class FrameRow:
    """A frame: its camera, stamp (ns; ``text`` as it is shown), when it was recorded, figures."""

    camera: str
    stamp_ns: int
    text: str
    seconds: float
    values: dict[str, float]


@dataclass
class CameraComparison:
    """
    The frames of one camera.

    `only_a`, `only_b` and `incomplete` are the numbers of frames that are not compared, as of
    ``Track``; `miou` and `iou`, by class, are in % over the pixels of all frames, None and {}
    without labels of two bags.
    """

    camera: str
    frames: list[FrameRow]
    only_a: int
    only_b: int
    incomplete: int
    miou: float | None
    iou: dict[str, float]
    malformed: list[str]

    def summary(self) -> dict[str, dict[str, Any]]:
        """
        Return the mean, the worst value and its frame's stamp, by figure.

        `frames` have the figure, and `equal` of them have equal images; the mean is over `mean_of`
        frames, of figures that are compared over the same ones, as of `common_means`.
        """
        result, means = {}, {}
        for names in _SIDE_BY_SIDE:
            found, mean_of = common_means([
                {name: row.values[name] for name in names if name in row.values}
                for row in self.frames])
            means |= {name: (mean, mean_of) for name, mean in found.items()}
        for name in FIGURES:
            rows = [row for row in self.frames if name in row.values]
            if rows:
                worst = worst_first(rows, name)[0]
                mean, mean_of = means[name]
                equal = sum(row.values[name] == math.inf for row in rows)
                result[name] = {'frames': len(rows), 'equal': equal * (name != 'psnr_gain'),
                                'mean': mean, 'mean_of': mean_of, 'worst': worst.values[name],
                                'worst_stamp': worst.text}
        return result


@dataclass
class BagComparison:
    """
    What `compare` found; ``engine_ms`` are mean times per frame that process.json tells.

    ``lacking`` is what could not be compared, as it is not whole in one of the bags.
    """

    cameras: list[CameraComparison]
    engine_ms: dict[str, float] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)

    @property
    def frames(self) -> list[FrameRow]:
        """Of all cameras, in the order of recording."""
        return sorted((row for camera in self.cameras for row in camera.frames),
                      key=lambda row: row.seconds)

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is written to JSON, where infinite figures become null."""
        return {'cameras': [{
            'camera': camera.camera, 'frames': len(camera.frames), 'only_a': camera.only_a,
            'only_b': camera.only_b, 'incomplete': camera.incomplete, 'miou': camera.miou,
            'iou': camera.iou,
            'summary': camera.summary(), 'malformed': camera.malformed,
            'rows': [{'stamp_ns': row.stamp_ns, 'stamp': row.text, 'seconds': row.seconds,
                      **row.values} for row in camera.frames]} for camera in self.cameras],
            'engine_ms': self.engine_ms, 'said': self.said, 'lacking': self.lacking}


def compare(inputs: BagPaths, progress: Callable[[int, int], Any] = lambda done, total: None
            ) -> BagComparison:
    """
    Compare processed bags.

    :param inputs: the first bag, with a second one or the drive without rain, or both.
    :param progress: called with the number of frames done and of all.
    :raises BagError: a bag cannot be read, or they do not belong together.
    """
    with ExitStack() as stack:
        tracks = open_tracks(inputs, stack)
        total, done = sum(len(track.keys) for track in tracks.tracks), count(1)
        labels = next((found for bag in (tracks.first, tracks.second) if bag
                       for found in [bag.label_set()] if found), None)
        tracks.use_classes(labels)
        result = BagComparison([], said=tracks.said, lacking=tracks.lacking)
        for end, bag in (('a', tracks.first), ('b', tracks.second)):
            timings = bag.sidecar.get('timings', {}) if bag else {}
            if 'total' in timings.get('engine_ms', {}):
                result.engine_ms[end] = timings['engine_ms']['total']
        for track in tracks.tracks:
            result.cameras.append(_compared(track, labels, lambda: progress(next(done), total)))
        return result


def _compared(track: Track, labels: LabelSet | None, after_frame: Callable[[], Any]
              ) -> CameraComparison:
    """Compare the frames of a camera; ``labels`` are for their names."""
    counts, rows = np.zeros((256, 256), np.int64), []
    for key, pictures, latencies in track.read(track.keys):
        values = {**measured(pictures), **latencies}
        if {'derained', 'derained_b'} <= pictures.keys():
            values['psnr_between'] = psnr(pictures['derained_b'], pictures['derained'])
        if {'labels', 'labels_b'} <= pictures.keys():
            pairs = pair_counts(pictures['labels'], pictures['labels_b'])
            values['miou'] = 100 * _mean(iou_of(pairs))
            counts += pairs
        rows.append(FrameRow(track.name, key.stamp_ns, stamp_text(key), track.seconds(key),
                             {name: values[name] for name in FIGURES if name in values
                              and not math.isnan(values[name])}))
        after_frame()
    return CameraComparison(track.name, rows, track.only_a, track.only_b, track.incomplete,
                            *_over_all(counts, labels), track.malformed)


def _over_all(counts: np.ndarray, labels: LabelSet | None
              ) -> tuple[float | None, dict[str, float]]:
    """Return the mIoU (%) of counts as of `iou_of`, None for none, and the IoU by class."""
    ious = 100 * iou_of(counts)
    present = np.flatnonzero(~np.isnan(ious))
    if not len(present):
        return None, {}
    names = labels or numbered_labels(int(present[-1]) + 1)
    return float(np.mean(ious[present])), {
        names.classes[number]: float(ious[number]) for number in present}


def _mean(ious: np.ndarray) -> float:
    """Return the mean over the classes that there are; NaN where there is none."""
    return float(np.mean(found)) if len(found := ious[~np.isnan(ious)]) else math.nan


def worst_first(rows: Sequence[FrameRow], figure: str) -> list[FrameRow]:
    """Sort frames by a figure, the worst first."""
    return sorted((row for row in rows if figure in row.values),
                  key=lambda row: FIGURES[figure].badness(row.values[figure]))


def write_csv(path: Path, rows: Sequence[FrameRow]) -> None:
    """Write a line for each frame: camera, stamp, second, and the figures that any has."""
    names = [name for name in FIGURES if any(name in row.values for row in rows)]
    text = io.StringIO(newline='')
    writer = csv.writer(text)
    writer.writerow(['camera', 'stamp_ns', 'seconds', *names])
    writer.writerows([row.camera, row.stamp_ns, f'{row.seconds:.6f}',
                      *(row.values.get(name, '') for name in names)] for row in rows)
    write_whole(path, text.getvalue().encode())

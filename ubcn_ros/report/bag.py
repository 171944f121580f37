# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report of a processed bag, or of a pair of them."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ubcn_ros.bags import BagError
from ubcn_ros.evenly import evenly
from ubcn_ros.images.files import write_image
from ubcn_ros.images.video_writer import LONGEST_GAP_S
from ubcn_ros.labels import LabelSet, numbered_labels
from ubcn_ros.report import summary
from ubcn_ros.report.drive_time import DriveTime
from ubcn_ros.report.measures import MASKS, WORST, Classes, available, measured
from ubcn_ros.report.page import CONFIDENCE, LABELS, PaneView, Report, ReportFrame
from ubcn_ros.report.pictures import BUDGET, Album
from ubcn_ros.report.steps import Steps
from ubcn_ros.report.tracks import (
    BagPaths,
    FrameKey,
    Track,
    Tracks,
    open_tracks,
    stamp_text,
)
from ubcn_ros.text_table import counted

_PLAY_SECONDS = 0.5
_ROW = 1500  # bytes of a page that a frame takes beside its pictures


@dataclass(frozen=True)
class BagReportOptions:
    """
    How a report of bags is made.

    :param page: where it will be.
    :param frames: how many are shown at most, of all cameras.
    :param full_size: folder for pictures at full size; None for none.
    :param step_frames: on how many of the worst frames the steps are computed again.
    """

    page: Path
    frames: int
    full_size: Path | None
    step_frames: int


def bag_report(inputs: BagPaths, options: BagReportOptions, steps: Steps | None = None,
               progress: Callable[[int, int], Any] = lambda done, total: None) -> Report:
    """
    Make the report of a processed bag, or of two of the same drive.

    :param steps: computes the steps of some frames again; None leaves them out.
    :param progress: called with the number of frames done and of all.
    :raises BagError: a bag cannot be read, or they do not belong together, or no frame of theirs
        can be read.
    """
    with ExitStack() as stack:
        return _Builder(inputs, options, open_tracks(inputs, stack), steps).report(progress)


def play_command(bag: Path, seconds: float) -> str:
    """
    Write the command that plays half a second of a bag.

    :param seconds: from where on, after the beginning of the bag.
    """
    start = math.floor(1000 * seconds) / 1000  # never after the frame that it is for
    return shlex.join(['ubcn', 'bag', 'play', str(bag), '--start', f'{start:.3f}',
                       '--duration', f'{_PLAY_SECONDS:g}'])


def _choose(tracks: Sequence[Track], count: int) -> list[list[FrameKey]]:
    """
    Choose at most so many frames of all, a list for each camera.

    Each camera gets one while there are enough, and of the rest by how many it has: cameras of
    one rate as many each, which are of the same moments.
    """
    shown = evenly([track for track in tracks if track.keys], count, middle=True)
    more = sum(len(track.keys) - 1 for track in shown)
    rest = min(count - len(shown), more)
    return [evenly(track.keys, 1 + rest * (len(track.keys) - 1) // max(more, 1), middle=True)
            if any(track is one for one in shown) else [] for track in tracks]


class _Builder:
    """Goes through the frames once for their figures and pictures, and again for the steps."""

    def __init__(self, inputs: BagPaths, options: BagReportOptions, tracks: Tracks,
                 steps: Steps | None) -> None:
        self.inputs, self.options, self.tracks, self.steps = inputs, options, tracks, steps
        self.pair = tracks.second is not None
        self.label_set = self._label_set()
        self.keys = _choose(tracks.tracks, options.frames)
        self.count = sum(map(len, self.keys))
        total = sum(len(track.keys) for track in tracks.tracks)
        if hidden := [track.name for track, keys in zip(tracks.tracks, self.keys, strict=True)
                      if track.keys and not keys]:
            tracks.said.append(f'Cameras that are not shown: {", ".join(hidden)}; there are more '
                               f'of them than frames to show (--frames {options.frames})')
        if self.count < total:
            tracks.said.append(f'{total - self.count} of {total} frames are not shown and not '
                               'measured: those that are, are spread evenly over the drive '
                               '(--frames)')
        self.time = DriveTime(track.seconds(key) for track in tracks.tracks for key in track.keys)
        if self.time.gaps:
            tracks.said.append(f'{counted(self.time.gaps, "gap")} of more than '
                               f'{LONGEST_GAP_S:.0f} s between frames, as where a clock is set: '
                               '"Over the drive" and its seconds are without them; names of '
                               'frames and commands have the seconds of the bag')
        self.classes = Classes()
        self.places: list[tuple[Track, FrameKey]] = []

    def report(self, progress: Callable[[int, int], Any]) -> Report:
        masks = len(self.tracks.names & {*MASKS})
        images = len(self.tracks.names - {'debug', 'debug_b'}) - masks
        again = min(self.options.step_frames, self.count) if self.steps else 0
        extra = again * self.steps.iterations if self.steps else 0
        album = Album(images * self.count + 2 * extra, masks * self.count + extra,
                      max(BUDGET // 10, BUDGET - _ROW * max(0, self.count - 1000)))
        report = Report(self._title(), '', views=self._views(self.tracks.names))
        report.sides = self._sides(report.views)
        for track, keys in zip(self.tracks.tracks, self.keys, strict=True):
            for key, pictures, latencies in track.read(keys):
                frame = self._frame(track, key, pictures, len(report.frames))
                frame.values = {**measured(pictures), **latencies}
                frame.pictures = {
                    name: album.mask(picture) if 'labels' in name else album.image(picture)
                    for name, picture in pictures.items()
                    if name in {view.key for view in report.views}}
                self.classes.add(pictures)
                report.frames.append(frame)
                self.places.append((track, key))
                progress(len(report.frames), self.count)
        if not report.frames:
            raise BagError('; '.join(['no frame can be read', *(
                line for track in self.tracks.tracks for line in track.malformed[:1])]))
        report.measures = available([frame.values for frame in report.frames])
        report.worst = next((m for m in report.measures if m.key in WORST), None)
        report.worst_text = WORST[report.worst.key] if report.worst else ''
        if self.steps is not None:
            self._add_steps(report, album, again)
        self._sum_up(report)
        return report

    def _frame(self, track: Track, key: FrameKey, pictures: dict[str, np.ndarray], number: int
               ) -> ReportFrame:
        height, width = next(iter(pictures.values())).shape[:2]
        seconds = track.seconds(key)
        return ReportFrame(f'{seconds:.2f} s', track.name, stamp_text(key), (width, height),
                           self.time(seconds), play_command(self.inputs.bag, seconds),
                           files=self._full_size(track.name, number, pictures))

    def _full_size(self, camera: str, number: int, pictures: dict[str, np.ndarray]
                   ) -> dict[str, str]:
        """Write the pictures beside the page; return their paths from there."""
        folder = self.options.full_size
        if folder is None:
            return {}
        files = {}
        name = re.sub(r'\W+', '_', camera).strip('_')
        for key, picture in pictures.items():
            path = folder / f'{number:05d}_{name}_{key}.png'
            write_image(path, picture)
            files[key] = quote(os.fsencode(os.path.relpath(path, self.options.page.parent)))
        return files

    def _add_steps(self, report: Report, album: Album, count: int) -> None:
        """Compute the steps of the worst frames again, from their inputs."""
        if 'input' not in self.tracks.names:
            self.tracks.said.append('Steps: they are computed from the input images, which are in '
                                    'none of the bags (--input)')
            return
        chosen = report.ranked()[:count]
        same = self.label_set.classes == self.steps.label_set.classes
        if not same:
            self.tracks.said.append(f'Labels of the steps: {self.steps.engine.info.name} has '
                                    f'other classes than {self.inputs.bag}')
        for track in self.tracks.tracks:
            numbers = {self.places[i][1]: i for i in sorted(chosen) if self.places[i][0] is track}
            for key, pictures, _ in track.read(list(numbers)):
                if 'input' in pictures:
                    report.frames[numbers[key]].steps = [
                        {'derained': album.image(step.derained),
                         'confidence': album.image(step.confidence),
                         **({'labels': album.mask(step.labels)} if same else {})}
                        for step in self.steps(pictures['input'], pictures.get('truth'),
                                               track.focal_length)]
        report.views = self._views(self.tracks.names.union(
            *(step for frame in report.frames for step in frame.steps)))
        if charts := self.steps.charts():
            count = self.steps.frames  # of some there is no input
            of = 'worst frame' if count == 1 else f'{count} worst frames'
            report.charts.append((f'Steps of the loop, on the {of}', charts))

    def _views(self, names: Collection[str]) -> list[PaneView]:
        a = ' A' if self.pair else ''
        known = [PaneView('input', 'Input'), PaneView('derained', 'Derained' + a),
                 PaneView('derained_b', 'Derained B'), PaneView('truth', 'Without rain'),
                 PaneView('labels', 'Labels' + a, LABELS, 'derained'),
                 PaneView('labels_b', 'Labels B', LABELS, 'derained_b'),
                 PaneView('truth_labels', 'Labels without rain', LABELS, 'truth'),
                 PaneView('confidence', 'Confidence' + a, CONFIDENCE, 'derained'),
                 PaneView('confidence_b', 'Confidence B', CONFIDENCE, 'derained_b')]
        return [view for view in known if view.key in names]

    def _sides(self, views: Sequence[PaneView]) -> tuple[str, str]:
        """Choose what is before and after the slider at first."""
        keys = [view.key for view in views]
        wanted = [('derained', 'derained_b')] if self.pair else []
        for left, right in (*wanted, ('input', 'derained'), ('labels', 'labels_b'),
                            ('derained', 'labels')):
            if left in keys and right in keys:
                return left, right
        return keys[0], keys[-1]

    def _label_set(self) -> LabelSet | None:
        """Return the classes of the labels; None where nothing says."""
        tracks = self.tracks
        known = tracks.first.label_set()
        if known is None and 'labels' not in tracks.names:
            bags = filter(None, map(tracks.bag_of, MASKS))
            known = next(filter(None, (bag.label_set() for bag in bags)), None)
        if known is None and self.steps is not None:
            known = self.steps.label_set
            tracks.said.append(f'Names of classes: none are recorded in {self.inputs.bag}; shown '
                               f'are those of {self.steps.engine.info.name}')
        elif known is None and (mask := next(filter(None, map(tracks.bag_of, MASKS)), None)):
            tracks.said.append(f'Names of classes: {mask.path} has neither process.json nor '
                               'labels/label_info; --model takes those of a model')
        tracks.use_classes(known)
        return known

    def _title(self) -> str:
        if self.pair:
            return f'{self.inputs.bag.name} and {self.inputs.other.name}'
        return '/'.join(self.inputs.bag.resolve().parts[-2:])

    def _sum_up(self, report: Report) -> None:
        tracks = self.tracks
        if any(view.kind == LABELS for view in report.views):
            report.label_set = self.label_set or numbered_labels(self.classes.seen)
            report.tables = list(filter(None, [self.classes.table(report.label_set)]))
        report.tiles = summary.tiles(report, tracks)
        report.subtitle = summary.subtitle(report, tracks)
        report.facts = summary.facts(self.inputs, tracks, self.steps)
        report.not_measured = [*summary.missing(tracks, self.steps), *summary.left_out(tracks),
                               *tracks.said]
        report.errors = [*dict.fromkeys([
            *tracks.lacking,
            *(f'{line}; left out' for track in tracks.tracks for line in track.malformed)])]

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a report holds, and the one HTML file that it becomes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ubcn_ros.labels import LabelSet
from ubcn_ros.report.charts import Chart, figure, number, trace
from ubcn_ros.whole_files import write_whole

if TYPE_CHECKING:
    import jinja2

IMAGE, LABELS, CONFIDENCE = 'image', 'labels', 'confidence'
"""Kinds of what a pane shows."""


@dataclass(frozen=True)
class PaneView:
    """
    What a pane can show of every frame.

    :param key: of the frames' pictures.
    :param title: its caption.
    :param kind: IMAGE, LABELS (ids of classes) or CONFIDENCE (times 255).
    :param under: key of the image below labels or a confidence.
    """

    key: str
    title: str
    kind: str = IMAGE
    under: str = ''


@dataclass(frozen=True)
class Measure:
    """
    What is measured of every frame.

    :param key: of the frames' values.
    :param title: of its column, short.
    :param unit: 'dB', '%', ...; '' for none.
    :param text: what it is, a sentence.
    :param low_is_bad: whether low values are the bad ones.
    """

    key: str
    title: str
    unit: str
    text: str
    low_is_bad: bool = False

    def badness(self, value: float | None) -> float:
        """Return a key to sort by, worst first; a value that is not there comes last."""
        if value is None or math.isnan(value):
            return math.inf
        return value if self.low_is_bad else -value


@dataclass
class ReportFrame:
    """
    A frame of the report.

    :param title: what it is called, like its time.
    :param topic: of a bag, or the data set.
    :param stamp: of its header, or what else names it.
    :param size: (width, height), pixels, of what was processed.
    :param seconds: on the axis of the drive; None where frames have no time.
    :param command: that shows it again; '' for none.
    :param values: by key of measure; no entry where it could not be measured.
    :param pictures: data URIs by key of view.
    :param steps: of T = 1, 2, ...: pictures that take the place of those of the frame.
    :param files: paths, relative to the page, of pictures at full size, by key of view.
    """

    title: str
    topic: str
    stamp: str
    size: tuple[int, int]
    seconds: float | None = None
    command: str = ''
    values: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    steps: list[dict[str, str]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tile:
    """A figure at the top of the page; ``value`` None says that it was not measured."""

    title: str
    value: str | None
    text: str


@dataclass(frozen=True)
class Table:
    """A table: what it shows, its columns, and rows of numbers below a name (and its colour)."""

    title: str
    text: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, int, int] | None, tuple[float | str | None, ...]], ...]
    bars: tuple[int, ...] = ()
    """Columns, of percents, that are drawn as bars, too."""
    digits: int = 1


@dataclass
class Report:
    """
    All that a page says.

    :param title: above everything; ``subtitle`` below it.
    :param tiles: the figures that sum it up.
    :param label_set: what the ids of labels are; None without labels.
    :param views: what panes show.
    :param sides: keys of the views on the left and on the right of the slider at first.
    :param recorded: whether frames have pictures of their own beside those of their steps.
    :param measures: what is measured of every frame: columns of the table of frames.
    :param frames: in the order of the drive; ``worst`` is what the table is sorted by at first.
    :param worst_text: what worst means here.
    :param columns: what the frames' topics and stamps are called.
    :param tables: further tables, as of classes.
    :param charts: groups of charts, each with a title.
    :param not_measured: a line for everything that the page cannot say, and why.
    :param facts: how it came about: names and values.
    :param errors: a line for everything that could not be read, for those who make the page.
    """

    title: str
    subtitle: str
    tiles: list[Tile] = field(default_factory=list)
    label_set: LabelSet | None = None
    views: list[PaneView] = field(default_factory=list)
    sides: tuple[str, str] = ('', '')
    recorded: bool = True
    measures: list[Measure] = field(default_factory=list)
    frames: list[ReportFrame] = field(default_factory=list)
    worst: Measure | None = None
    worst_text: str = ''
    columns: tuple[str, str] = ('Topic', 'Stamp')
    tables: list[Table] = field(default_factory=list)
    charts: list[tuple[str, list[Chart]]] = field(default_factory=list)
    not_measured: list[str] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def step_choices(self) -> range:
        """The numbers of steps to choose among, 0 being what was recorded; none without steps."""
        most = max((len(frame.steps) for frame in self.frames), default=0)
        return range(0 if self.recorded and most else 1, most + 1)

    def ranked(self) -> list[int]:
        """Return the numbers of the frames, the worst first."""
        if self.worst is None:
            return [*range(len(self.frames))]
        key, measure = self.worst.key, self.worst
        return sorted(range(len(self.frames)),
                      key=lambda i: measure.badness(self.frames[i].values.get(key)))


def html(report: Report) -> str:
    """Write a report as one page that asks for nothing outside of it."""
    traces = _traces(report)
    return environment(__package__).get_template('page.html').render(
        report=report, style=resource(__package__, 'page.css'),
        script=resource(__package__, 'page.js'),
        data=_data(report), ranked=report.ranked(), isinf=math.isinf, traces=traces,
        lines=max(([name for name, _ in t['lines']] for t in traces), key=len, default=[]))


def write(path: Path, report: Report) -> None:
    """
    Write a report as an HTML file, whole or not at all, and its folder.

    :raises OSError: the file cannot be written.
    """
    # names of files may hold bytes that are not UTF-8
    write_whole(path, html(report).encode('utf-8', 'backslashreplace'))


def environment(*packages: str) -> jinja2.Environment:
    """Return what renders the templates of packages, of one name those of the first."""
    import jinja2
    found = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name, '') for name in packages]),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    found.filters.update(figure=figure, number=number)
    return found


def resource(package: str, name: str) -> str:
    """Read a file of text that comes with a package."""
    return resources.files(package).joinpath(name).read_text('utf-8')


def _data(report: Report) -> dict[str, Any]:
    """What the script needs."""
    label_set = report.label_set
    return {
        'columns': report.columns,
        'views': [{'key': v.key, 'title': v.title, 'kind': v.kind, 'under': v.under}
                  for v in report.views],
        'classes': [] if label_set is None else [
            {'name': name, 'color': color} for name, color in
            zip(label_set.classes, label_set.colors, strict=True)],
        'frames': [{'title': f.title, 'topic': f.topic, 'stamp': f.stamp, 'size': f.size,
                    'seconds': f.seconds, 'command': f.command, 'pictures': f.pictures,
                    'steps': f.steps, 'files': f.files} for f in report.frames]}


def _traces(report: Report) -> list[dict[str, Any]]:
    """Draw every measure over the drive, a line a topic; those of A and B together."""
    times = [f.seconds for f in report.frames if f.seconds is not None]
    if len(times) < 2 or max(times) <= 0:
        return []
    topics = list(dict.fromkeys(f.topic for f in report.frames))
    known = {m.key: m for m in report.measures}
    drawn = []
    for measure in report.measures:
        both = [measure, *filter(None, [known.get(measure.key + '_b')])]
        values = [f.values[m.key] for m in both for f in report.frames
                  if math.isfinite(f.values.get(m.key, math.nan))]
        if len(values) < 2 or known.get(measure.key.removesuffix('_b'), measure) != measure:
            continue
        low, high = min(values), max(values)
        low, high = (low, high) if high > low else (low - 1, high + 1)
        lines = [(' '.join([topic] * (len(topics) > 1) + [letter] * (len(both) > 1)),
                  trace([(f.seconds, f.values[m.key]) for f in report.frames
                         if f.topic == topic and m.key in f.values],
                        max(times), low, high))
                 for topic in topics for m, letter in zip(both, 'AB', strict=False)]
        drawn.append({'measure': measure, 'low': low, 'high': high, 'lines': lines,
                      'columns': [report.measures.index(m) + 1 for m in both],
                      'seconds': max(times)})
    return drawn

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a processed bag holds: its cameras, the stamps of their frames, and how it came about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ubcn_ros.bags import COMPRESSED, IMAGE, BagReader, Connection, Record, open_bag
from ubcn_ros.bags.headers import header_stamp_ns
from ubcn_ros.bags.messages import LABEL_INFO, deserialize
from ubcn_ros.bags.process.sidecar import read_sidecar
from ubcn_ros.labels import LabelSet, distinct_colors, paths_of
from ubcn_ros.node import topics as names

DEBUG = 'diagnostic_msgs/msg/DiagnosticArray'


class FrameKey(NamedTuple):
    """
    A frame: the stamp of its header (ns), and which of those with this stamp it is.

    ``recorded_ns`` tells those apart, as of ``by_recording``; ``number`` counts from 0 those that
    are alike in both.
    """

    stamp_ns: int
    number: int
    recorded_ns: int | None = None


@dataclass(frozen=True)
class CameraTopics:
    """
    Topics of a camera in a bag; None for what is not there.

    ``input`` is also that which process.json says of images that are in another bag.
    """

    input: str | None
    derained: str | None = None
    labels: str | None = None
    confidence: str | None = None
    debug: str | None = None

    @property
    def name(self) -> str:
        """What the camera is called: its input, else what its outputs have in common."""
        return self.input or self.prefix.rstrip('/') or 'camera'

    @property
    def prefix(self) -> str:
        """What the names of its outputs begin with."""
        topic, name = (self.derained, names.DERAINED) if self.derained else (self.labels,
                                                                             names.LABELS)
        return names.base_topic(topic or '').removesuffix(name)

    @property
    def outputs(self) -> dict[str, str]:
        """Topics of what was processed, by name: derained, labels, confidence, debug."""
        found = {'derained': self.derained, 'labels': self.labels,
                 'confidence': self.confidence, 'debug': self.debug}
        return {key: topic for key, topic in found.items() if topic}

    def is_like(self, other: CameraTopics) -> bool:
        """Say whether another is this camera, by the name of its input, else of its outputs."""
        if self.input and other.input and (
                names.base_topic(self.input) == names.base_topic(other.input)):
            return True
        if other.outputs:
            return self.prefix == other.prefix
        if self.input:
            return False
        topic = names.base_topic(other.input or '')
        return self.prefix in (f'{topic}/', f'{topic.rpartition("/")[0]}/')


@dataclass
class OpenBag:
    """
    An open bag with the stamps of its images.

    ``frames`` are the times of recording (ns) of each topic's messages, by key; ``sidecar`` is
    what its process.json says, empty without one; ``unread`` are lines on what could not be read.
    """

    path: Path
    reader: BagReader
    sidecar: dict[str, Any]
    frames: dict[str, dict[FrameKey, int]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, stack: ExitStack) -> OpenBag:
        """
        Open a bag and read the stamps of all its images and of what the node says of them.

        :raises BagError: no bag, nothing in it can be read, or its process.json is damaged.
        """
        said = _read_sidecar(path)
        bag = cls(path, stack.enter_context(open_bag(path)), said)
        bad: Counter[str] = Counter()
        found: Counter[tuple[str, str, str]] = Counter()
        for record, key in bag.records(bag.connections):
            found[record.channel.kind] += 1
            if key is None:
                bad[record.channel.topic] += 1
            else:
                bag.frames.setdefault(record.channel.topic, {})[key] = record.time_ns
        lines = [f'{number} messages of {topic} have no header' for topic, number in bad.items()]
        lines += [line for connection in bag.connections
                  for line in bag.reader.count_problems(connection, found[connection.kind])]
        bag.unread = [*bag.reader.damage, *(f'{path}: {line}' for line in lines)]
        return bag

    @property
    def lacking(self) -> list[str]:
        """What of it is missing, a line each: what was not processed, or could not be read."""
        rest = [f'{self.path} was not processed to its end: go on with it by the same `ubcn bag '
                'process` and --resume']
        return rest * (not self.sidecar.get('finished', True)) + self.unread

    def records(self, connections: Iterable[Connection]
                ) -> Iterator[tuple[Record, FrameKey | None]]:
        """Yield the records of topics, and their keys; None for one without a header."""
        counts: Counter[tuple[str, int]] = Counter()
        for record in self.reader.records(self.reader.channels_of(*connections)):
            try:
                stamp = header_stamp_ns(record.data)
            except ValueError:
                yield record, None
                continue
            place = record.channel.topic, stamp
            yield record, FrameKey(stamp, counts[place])
            counts[place] += 1

    @property
    def connections(self) -> list[Connection]:
        """Topics of images, and of numbers of each frame; of two types, Image alone."""
        found: dict[str, Connection] = {}
        for c in sorted(self.reader.connections, key=lambda c: c.msgtype != IMAGE):
            if c.serialization == 'cdr' and (c.msgtype in (IMAGE, COMPRESSED) or (
                    c.msgtype == DEBUG and c.topic.endswith('/' + names.DEBUG_FRAME))):
                found.setdefault(c.topic, c)
        return [*found.values()]

    def images(self) -> list[str]:
        """Return topics of images that have any."""
        return [c.topic for c in self.connections
                if c.msgtype in (IMAGE, COMPRESSED) and self.frames.get(c.topic)]

    def keys(self, camera: CameraTopics) -> set[FrameKey]:
        """Return the frames of a camera, by its outputs, or those of an input alone."""
        return set(self.frames.get(camera.derained or camera.labels or camera.input or '', ()))

    def sources(self) -> list[CameraTopics]:
        """Return the images that are not outputs, each as a camera that was not processed."""
        return [CameraTopics(topic) for topic in self.images() if not names.is_output(topic)]

    def counterpart(self, camera: CameraTopics, bag: OpenBag, others: Sequence[CameraTopics]
                    ) -> CameraTopics | None:
        """
        Find a camera of this bag among those of another: by its names, else where both are alone.

        They are alone where they share stamps with each other, and neither does with a third: so
        that the pictures of one camera are not taken for those of another.
        """
        keys = self.keys(camera)
        near = [other for other in others if keys & bag.keys(other)]
        found = [other for other in near if camera.is_like(other)]
        if not found and len({names.base_topic(other.name) for other in near}) == 1:
            there = set().union(*map(bag.keys, near))
            if sum(bool(there & self.keys(own)) for own in self.cameras()) == 1:
                found = near
        return max(found, key=lambda other: (len(keys & bag.keys(other)),
                                             other.input == camera.input), default=None)

    def cameras(self) -> list[CameraTopics]:
        """Find what was processed: as process.json says, else by the names of the outputs."""
        said = [CameraTopics(entry.get('topic'), entry.get('derained'), entry.get('labels'),
                             entry.get('confidence')) for entry in self.sidecar.get('cameras', [])]
        found = [self._there(camera) for camera in said or self._named_cameras()]
        return [camera for camera in found if camera.derained or camera.labels]

    def focal_length(self, camera: CameraTopics) -> float | None:
        """Return the focal length that a camera was processed by; None where nothing says."""
        outputs = set(camera.outputs.values())
        return next((entry.get('focal_length') for entry in self.sidecar.get('cameras', [])
                     if outputs & {entry.get('derained'), entry.get('labels')}), None)

    def label_set(self) -> LabelSet | None:
        """Return the classes that the bag says its labels have; None where it says nothing."""
        said = self.sidecar.get('model', {}).get('label_set')
        if said:
            return LabelSet.from_dict(said)
        for connection in self.reader.connections:
            if connection.msgtype == LABEL_INFO and connection.serialization == 'cdr':
                for record in self.reader.records(self.reader.channels_of(connection)):
                    try:
                        message = deserialize(record.data, LABEL_INFO)
                        classes = tuple(c.class_name for c in message.class_map)
                        return LabelSet('recorded', classes, distinct_colors(len(classes)),
                                        paths_of(len(classes), ()))
                    except ValueError as error:  # the next may be whole
                        self._note_unread(f'{connection.topic}: {error}')
        return None

    def _note_unread(self, text: str) -> None:
        if (line := f'{self.path}: {text}') not in self.unread:
            self.unread.append(line)

    def _there(self, camera: CameraTopics) -> CameraTopics:
        """Leave out the outputs of a camera that have no messages."""
        return replace(camera, **{name: None for name, topic in camera.outputs.items()
                                  if not self.frames.get(topic)})

    def _named_cameras(self) -> list[CameraTopics]:
        def either(topic: str) -> str | None:
            return next((name for name in (topic, topic + names.COMPRESSED)
                         if self.frames.get(name)), None)

        prefixes = list(dict.fromkeys(
            base.removesuffix(name) for topic in self.images()
            for base in [names.base_topic(topic)]
            for name in (names.DERAINED, names.LABELS) if base.endswith('/' + name)))
        return [CameraTopics(None, *(either(prefix + name) for name in (
            names.DERAINED, names.LABELS, names.CONFIDENCE)), either(prefix + names.DEBUG_FRAME))
            for prefix in prefixes]


def processed_with(path: Path) -> dict[str, Any]:
    """
    Return the options that a bag was processed with, and the kind of 'device', as far as it says.

    :raises BagError: its process.json is damaged.
    """
    said = _read_sidecar(path)
    known = {**said.get('settings', {}), **said}
    found = {name: known[name] for name in ('iterations', 'processing_size', 'precision',
                                            'min_confidence', 'convergence') if name in known}
    return {**found, 'device': str(said.get('device')).partition(':')[0]}


def _read_sidecar(path: Path) -> dict[str, Any]:
    return read_sidecar(path if path.is_dir() else path.parent) or {}


def by_recording(bags: Sequence[OpenBag]) -> bool:
    """
    Tell frames of equal stamps apart by when they were recorded, where all bags tell it alike.

    Outputs of ``ubcn bag process`` have the time of their input, so that one that is left out
    moves no other. Those that a node published were recorded later: there they are counted.

    :return: whether there are such frames that are counted.
    """
    repeated = {key.stamp_ns for bag in bags for frames in bag.frames.values()
                for key in frames if key.number}
    times = [{(key.stamp_ns, time) for frames in bag.frames.values()
              for key, time in frames.items() if key.stamp_ns in repeated} for bag in bags]
    published = any(not bag.sidecar and any(map(names.is_output, bag.images())) for bag in bags)
    if not repeated or published or not all(times[0] & other for other in times[1:]):
        return bool(repeated)
    for bag in bags:
        bag.frames = {topic: _by_recording(frames, repeated)
                      for topic, frames in bag.frames.items()}
    return any(key.number for bag in bags for frames in bag.frames.values() for key in frames)


def _by_recording(frames: dict[FrameKey, int], repeated: Collection[int]) -> dict[FrameKey, int]:
    counts: Counter[tuple[int, int]] = Counter()
    found = {}
    for key, time in frames.items():
        if key.stamp_ns in repeated:
            key = FrameKey(key.stamp_ns, counts[key.stamp_ns, time], time)
            counts[key.stamp_ns, time] += 1
        found[key] = time
    return found

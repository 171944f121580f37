# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of processed bags, put together by their stamps: input, outputs of one or two, truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ubcn_ros.bags import BagError, MalformedMessage
from ubcn_ros.bags.errors import in_seconds
from ubcn_ros.labels import MAX_CLASSES, UNLABELED, LabelSet
from ubcn_ros.report.measures import MASKS
from ubcn_ros.report.reading import Reading
from ubcn_ros.report.recording import (
    CameraTopics,
    FrameKey,
    OpenBag,
    by_recording,
)

_LATENCY = 'pipeline latency (ms)'
_JPEG = b'\xff\xd8'  # that it begins with


@dataclass(frozen=True)
class BagPaths:
    """What a report is made of: a processed bag, and what is given beside it."""

    bag: Path
    other: Path | None = None
    input: Path | None = None
    truth: Path | None = None
    # of cameras, their input's or any output's; () for all
    topics: tuple[str, ...] = ()


@dataclass(frozen=True)
class BagTopic:
    """A topic of an open bag."""

    bag: OpenBag
    topic: str


@dataclass
class Track:
    """
    The frames of one camera.

    ``sources`` are where its pictures come from, by the names of ``measures.Pictures``, and
    'debug', 'debug_b'; ``keys`` those of which every processed bag has all outputs, in the order
    of recording. Of others there are numbers: ``only_a`` and ``only_b``, of which the other bag
    has no output; ``incomplete``, of which an output is missing; ``dropped``, images that came in
    without a result. ``focal_length`` is the camera's, as the first bag says; ``classes`` is how
    many there are.
    """

    name: str
    sources: dict[str, BagTopic]
    keys: list[FrameKey]
    only_a: int = 0
    only_b: int = 0
    incomplete: int = 0
    dropped: int = 0
    focal_length: float | None = None
    classes: int = MAX_CLASSES
    malformed: list[str] = field(default_factory=list)

    def seconds(self, key: FrameKey) -> float:
        """Return when a frame was recorded, seconds after the beginning of the first bag."""
        source = self.sources.get('derained') or self.sources['labels']
        return (source.bag.frames[source.topic][key] - source.bag.reader.start_ns) / 1e9

    def read(self, keys: Sequence[FrameKey]
             ) -> Iterator[tuple[FrameKey, dict[str, np.ndarray], dict[str, float]]]:
        """
        Yield frames: their pictures, as of ``measures.Pictures``, and their latencies.

        A frame of which a message is malformed, or not of the size of the others, is left out,
        and noted; so is one whose mask is a JPEG, or has ids that are no class.
        """
        bags = {id(s.bag): s.bag for s in self.sources.values()}
        readings = {i: Reading(bag, [s.topic for s in self.sources.values() if s.bag is bag],
                               keys) for i, bag in bags.items()}
        for key in keys:
            try:
                found = {name: readings[id(s.bag)].message(s.topic, key)
                         for name, s in self.sources.items()}
                yield key, *_decoded(found, self.classes)
            except MalformedMessage as error:
                self.malformed.append(f'{self.name}, stamp {stamp_text(key)}: {error}')


@dataclass
class Tracks:
    """
    All cameras of a report, the bags they are in, and what must be said of them.

    ``apart`` are lines on cameras of which there is no frame with all outputs.
    """

    first: OpenBag
    second: OpenBag | None
    tracks: list[Track]
    bags: list[OpenBag] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)

    @property
    def lacking(self) -> list[str]:
        """What is not whole, a line each: of the bags, and cameras without a frame."""
        return [*(line for bag in self.bags for line in bag.lacking), *self.apart]

    @property
    def names(self) -> set[str]:
        """What any camera has, as of ``Track.sources``."""
        return {name for track in self.tracks for name in track.sources}

    def say_lacking(self, inputs: BagPaths) -> None:
        """
        Name the cameras that lack an input, or images or labels without rain, if others have them.

        Also those that have them of some frames alone.

        :raises BagError: a bag was given for them that has those of no camera.
        """
        cameras = {track.name: track.sources.keys() for track in self.tracks}
        for path, kinds, remedy in (
                (inputs.input, {'input'}, 'the bag that was processed'),
                (inputs.truth, {'truth', 'truth_labels'}, 'the same drive without rain')):
            if path and not kinds & self.names:
                raise BagError(f'{path} has no image with a stamp of {", ".join(cameras)} in '
                               f'{inputs.bag}, of its name or alone: give {remedy}')
        for kind, what in (('input', 'Input'), ('truth', 'Images without rain'),
                           ('truth_labels', 'Labels without rain')):
            lacking = [name for name, kinds in cameras.items() if kind not in kinds]
            if 0 < len(lacking) < len(cameras):
                self.said.append(f'{what} of {", ".join(lacking)}: in none of the bags')
            for track in self.tracks:
                source = track.sources.get(kind)
                if source and (frames := {*track.keys} - source.bag.frames[source.topic].keys()):
                    self.said.append(f'{what} of {len(frames)} of {len(track.keys)} frames of '
                                     f'{track.name}: not in {source.bag.path}')

    def bag_of(self, name: str) -> OpenBag | None:
        """Return the bag of what any camera has, as of ``Track.sources``; None where none has."""
        return next((track.sources[name].bag for track in self.tracks if name in track.sources),
                    None)

    def use_classes(self, known: LabelSet | None) -> None:
        """
        Take masks to be of these classes; None where nothing says them.

        Masks of B and of the dry drive that have others are left out, and named.
        """
        for track in self.tracks:
            track.classes = known.num_classes if known else MAX_CLASSES
        for name, bag in (('labels_b', 'B'), ('truth_labels', 'the drive without rain')):
            of_mask = self.bag_of(name)
            other = of_mask and of_mask.label_set()
            if known and other and known.classes != other.classes:
                for track in self.tracks:
                    track.sources.pop(name, None)
                self.said.append(f'Agreement of labels: A and {bag} have different classes, '
                                 f'{", ".join(known.classes)} and {", ".join(other.classes)}')


def open_tracks(inputs: BagPaths, stack: ExitStack) -> Tracks:
    """
    Open the bags and put their frames together.

    :raises BagError: a bag cannot be read, or what is given beside it has no frame of it.
    """
    first = OpenBag.open(inputs.bag, stack)
    second = None if inputs.other is None else OpenBag.open(inputs.other, stack)
    source = None if inputs.input is None else OpenBag.open(inputs.input, stack)
    truth = None if inputs.truth is None else OpenBag.open(inputs.truth, stack)
    result = Tracks(first, second, [])
    result.bags = list(filter(None, (first, second, source, truth)))
    if by_recording(result.bags):
        result.said.append('Stamps repeat, and times of recording do not tell their frames apart: '
                           'these are put together in their order, wrongly behind one that is '
                           'missing')
    for bag in filter(None, (first, second)):
        if not bag.cameras():
            raise BagError(f'{bag.path} has no derained image and no labels; its images are '
                           f'{", ".join(bag.images()) or "(none)"}: give a bag that `ubcn bag '
                           'process` wrote, or a recording of the node')
    cameras = first.cameras()
    chosen = [c for c in cameras if not inputs.topics or _is_one_of(c, inputs.topics)]
    if not chosen:
        raise BagError(f'{inputs.bag} has no camera {", ".join(map(repr, inputs.topics))} '
                       f'(--topic): its cameras are {", ".join(c.name for c in cameras)}')
    partners = [second and first.counterpart(c, second, second.cameras()) for c in cameras]
    for camera, partner in zip(cameras, partners, strict=True):
        if camera not in chosen:
            continue
        if second is not None and partner is None:
            result.said.append(f'{camera.name}: {second.path} has no frame of it')
            continue
        track = _track(camera, partner, first, second, source, truth)
        if track.keys:
            result.tracks.append(track)
        else:
            result.apart.append(f'{camera.name}: no frame of it has all outputs: no stamp is in '
                                f'all of {_outputs_text(track)}; record those of one run')
    for camera in second.cameras() if second else ():
        if camera not in partners and (not inputs.topics or _is_one_of(camera, inputs.topics)):
            result.said.append(f'{camera.name}: {first.path} has no frame of it')
    if not result.tracks:
        raise BagError(
            f'{inputs.bag} has no frame of which all outputs are there: its derained images and '
            'labels share no stamp; record those of one run' if inputs.other is None else
            f'{inputs.bag} and {inputs.other} have no frame in common: give two that were made '
            'of the same drive')
    result.say_lacking(inputs)
    return result


def stamp_text(key: FrameKey) -> str:
    """Write a stamp as seconds, and which of several it is."""
    which = [] if key.recorded_ns is None else [f'recorded at {in_seconds(key.recorded_ns)}']
    which += [f'{key.number + 1}'] * bool(key.number)
    return in_seconds(key.stamp_ns).removesuffix(' s') + (
        f' ({", ".join(which)})' if which else '')


def _track(camera: CameraTopics, partner: CameraTopics | None, first: OpenBag,
           second: OpenBag | None, source: OpenBag | None, truth: OpenBag | None) -> Track:
    sources = {name: BagTopic(first, topic) for name, topic in camera.outputs.items()}
    if partner is not None:
        sources |= {name + '_b': BagTopic(second, topic)
                    for name, topic in partner.outputs.items()}
    ours, theirs = ([{*s.bag.frames[s.topic]} for name in ('derained', 'labels')
                     if (s := sources.get(name + end))] for end in ('', '_b'))
    keys = set.intersection(*ours, *theirs)
    in_a, dropped = set().union(*ours), 0
    in_b = set().union(*theirs) if theirs else in_a
    for bag in filter(None, (source, first, second)):
        # its name, where it is known, is that of the bag which was processed
        of_name = [c for c in bag.sources() if camera.input is None or camera.is_like(c)]
        if found := first.counterpart(camera, bag, of_name):
            camera = replace(camera, input=found.input)
            sources['input'] = BagTopic(bag, found.input)
            dropped = len(bag.frames[found.input].keys() - in_a - in_b)
            break
    if truth is not None:
        if dry := first.counterpart(camera, truth, truth.sources()):
            sources['truth'] = BagTopic(truth, dry.input)
        labelled = [replace(c, derained=None) for c in truth.cameras() if c.labels]
        if dry := first.counterpart(camera, truth, labelled):
            sources['truth_labels'] = BagTopic(truth, dry.labels)
    times = first.frames[camera.derained or camera.labels]
    return Track(camera.name, sources, sorted(keys, key=lambda key: (times[key], key)),
                 len(in_a - in_b), len(in_b - in_a), len((in_a & in_b) - keys), dropped,
                 first.focal_length(camera))


def _outputs_text(track: Track) -> str:
    """Name the topics whose stamps must be alike, and the bags they are in."""
    return ', '.join(f'{s.topic} of {s.bag.path}' for name in (
        'derained', 'labels', 'derained_b', 'labels_b') if (s := track.sources.get(name)))


def _is_one_of(camera: CameraTopics, topics: Sequence[str]) -> bool:
    known = {t.strip('/') for t in vars(camera).values() if t} | {camera.name.strip('/')}
    return any(topic.strip('/') in known for topic in topics)


def _decoded(messages: dict[str, Any], classes: int
             ) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Decode what a frame has; sizes must agree."""
    from ubcn_ros.bags import decode
    pictures, latencies = {}, {}
    for name, message in messages.items():
        if message is None:
            continue
        if name.startswith('debug'):
            said = {v.key: v.value for status in message.status for v in status.values}
            if _LATENCY in said:
                latencies['latency_ms' + name.removeprefix('debug')] = _number(said[_LATENCY])
            continue
        if name in MASKS and hasattr(message, 'format') and bytes(message.data[:2]) == _JPEG:
            raise MalformedMessage(f'{name} is a JPEG, which changes ids of classes: record '
                                   'labels as Image, or as PNG')
        image = decode(message)
        pictures[name] = image if name.removesuffix('_b') in ('input', 'derained', 'truth') \
            else np.ascontiguousarray(image[..., 0])
        if name in MASKS:
            _check_ids(name, pictures[name], classes)
    sizes = {name: f'{image.shape[1]}x{image.shape[0]}' for name, image in pictures.items()}
    if len(set(sizes.values())) > 1:
        raise MalformedMessage('its pictures differ in size: ' + ', '.join(
            f'{name} {size}' for name, size in sizes.items()))
    return pictures, latencies


def _check_ids(name: str, mask: np.ndarray, classes: int) -> None:
    other = mask[(mask >= classes) & (mask != UNLABELED)]
    if other.size:
        raise MalformedMessage(f'{name} has the id {other[0]}, but ids are 0 to {classes - 1} for '
                               f'{classes} classes, and {UNLABELED}: record labels with the '
                               'process.json or labels/label_info that names their classes')


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise MalformedMessage(f'its {_LATENCY} is {text!r}, not a number') from error

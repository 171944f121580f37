# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""process.json beside the outputs: what was done with which model, and how far it has come."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ubcn_ros import __version__
from ubcn_ros.bag_names import PROCESSED
from ubcn_ros.bags.errors import BagError, reason, write_error
from ubcn_ros.bags.process.job_reader import Position
from ubcn_ros.bags.process.options import Job
from ubcn_ros.bags.storage.reach import check_in_reach
from ubcn_ros.runtime.processing import TRAINED
from ubcn_ros.whole_files import write_whole

MAX_REPORTED = 100
"""Malformed messages that are told one by one."""


@dataclass
class CameraTally:
    """
    What came of one camera.

    `frames` and `camera_infos` that went out, `malformed` images; `iterations` is the number of
    steps in all frames together; `sizes` and `processing_sizes` of the images are texts like
    '640x360', width first.
    """

    frames: int = 0
    malformed: int = 0
    camera_infos: int = 0
    iterations: int = 0
    sizes: list[str] = field(default_factory=list)
    processing_sizes: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """
    How far a range has come; written to the sidecar, and read from it to go on.

    `read` are messages by topic, type and encoding, `written` by topic, `malformed` a line for
    each malformed message (the first hundred), `malformed_infos` how many of all are CameraInfos,
    `engine_ms` the sums of the engine's stages, `busy_s` seconds that each stage of the pipeline
    worked, `wall_s` seconds in all.
    """

    position: Position | None = None
    read: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    cameras: dict[str, CameraTally] = field(default_factory=dict)
    malformed: list[str] = field(default_factory=list)
    malformed_infos: int = 0
    problems: list[str] = field(default_factory=list)
    engine_ms: Counter[str] = field(default_factory=Counter)
    busy_s: Counter[str] = field(default_factory=Counter)
    wall_s: float = 0.0

    @property
    def frames(self) -> int:
        """Frames that went out, of all cameras."""
        return sum(camera.frames for camera in self.cameras.values())

    @property
    def malformed_count(self) -> int:
        """Images and CameraInfos that were none, of all cameras."""
        return self.malformed_infos + sum(camera.malformed for camera in self.cameras.values())

    def note_malformed(self, line: str) -> None:
        """Keep a line, if it is one of the first."""
        if len(self.malformed) < MAX_REPORTED:
            self.malformed.append(line)

    def timings(self) -> dict[str, Any]:
        """Return what took how long: seconds of the pipeline, mean milliseconds of the engine."""
        frames = max(1, self.frames)
        return {'wall_s': round(self.wall_s, 3),
                'frames_per_s': round(self.frames / self.wall_s, 3) if self.wall_s else 0.0,
                'busy_s': {stage: round(seconds, 3) for stage, seconds in self.busy_s.items()},
                'engine_ms': {stage: round(ms / frames, 3)
                              for stage, ms in self.engine_ms.items()}}

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as `from_json` takes them."""
        values = {name: dict(value) if isinstance(value, Counter) else value
                  for name, value in vars(self).items()}
        position = self.position and [*self.position[:2], dict(self.position.images)]
        cameras = {topic: asdict(camera) for topic, camera in self.cameras.items()}
        return {**values, 'position': position, 'cameras': cameras}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Tally:
        """
        Rebuild a tally.

        :raises AttributeError, KeyError, TypeError, ValueError: the values are something else.
        """
        values = dict(values)
        for name in ('read', 'written', 'engine_ms', 'busy_s'):
            values[name] = Counter(values[name])
        values['cameras'] = {topic: CameraTally(**camera)
                             for topic, camera in values['cameras'].items()}
        values['position'] = values['position'] and Position(*values['position'])
        return cls(**values)


def describe(job: Job, tally: Tally, topics: dict[str, dict[str, str | None]], engine: Any,
             settings: dict[str, Any], notes: list[str], finished: bool) -> dict[str, Any]:
    """
    Return the content of process.json.

    :param topics: of the outputs, by name, by the topic of the camera.
    :param engine: for what its model says of itself.
    :param settings: that another run has to have to go on with this one.
    """
    cameras = [{'topic': camera.topic, 'type': camera.type, 'focal_length': camera.focal_length,
                **topics[camera.topic]} for camera in job.cameras]
    return {
        'finished': finished, 'version': __version__,
        'input': {'path': str(job.source), 'begin_ns': job.begin_ns, 'start_ns': job.start_ns,
                  'end_ns': job.end_ns},
        'model': {'name': engine.info.name, 'sha256': engine.info.sha256,
                  'label_set': engine.label_set.to_dict()},
        'iterations': job.options.iterations,
        'processing_size': dict(job.options.engine).get('processing_size', TRAINED),
        'device': str(engine.device), 'precision': engine.precision, 'backend': engine.backend,
        'skipped': [asdict(skipped) for skipped in job.skipped], 'notes': notes,
        'settings': settings, **outcome(tally, cameras)}


def outcome(tally: Tally, cameras: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what process.json says of a tally; `cameras` lack their figures in it."""
    images = tally.position.images if tally.position else {}
    return {'cameras': [{**camera, 'images': images.get(camera['topic'], 0),
                         **asdict(tally.cameras[camera['topic']])} for camera in cameras],
            'topics': dict(tally.written), 'malformed': tally.malformed,
            'problems': tally.problems, 'timings': tally.timings(), 'tally': tally.to_json()}


def write_sidecar(folder: Path, document: dict[str, Any]) -> None:
    """
    Write process.json, whole or not at all, also where the power fails.

    :raises BagError: it cannot be written.
    """
    text = json.dumps(document, indent=1) + '\n'
    try:
        write_whole(folder / PROCESSED, text.encode(), durable=True)
    except OSError as error:
        raise write_error(folder, error) from error


def read_sidecar(folder: Path) -> dict[str, Any] | None:
    """
    Read process.json of a bag; None where there is none, or it is of another program.

    :raises BagError: it is damaged, or cannot be read.
    :raises BagOutOfReach: its disk or server is gone.
    """
    path = Path(folder) / PROCESSED
    try:
        document = json.loads(path.read_text())
        return document if isinstance(document, dict) and 'finished' in document else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        check_in_reach(path, str(path), error)
        raise BagError(f'{path} cannot be read ({reason(error)}): let this user read it, or give '
                       'another path for the outputs') from error
    except (ValueError, RecursionError) as error:
        raise BagError(f'{path} cannot be read ({reason(error)}): if ubcn bag process wrote that '
                       'bag, process it again to another path; else move this file elsewhere'
                       ) from error


def read_tally(folder: Path, document: dict[str, Any]) -> Tally:
    """
    Return the tally that process.json of a bag holds.

    :param document: as of `read_sidecar`.
    :raises BagError: it holds none, or one of another version.
    """
    try:
        return Tally.from_json(document['tally'])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BagError(f'{Path(folder) / PROCESSED} does not say how far it has come as version '
                       f'{__version__} does ({reason(error)}): go on with the version that wrote '
                       f'it, or remove {folder} and process the bag again') from error

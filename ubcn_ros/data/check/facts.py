# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Facts of scenes' files, found in several processes and kept between runs."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ubcn_ros import __version__
from ubcn_ros.data.check.similarity import difference_hash
from ubcn_ros.data.files import DataSetError, check_size
from ubcn_ros.data.scenes import DataSet, Scene
from ubcn_ros.images.formats import orientation
from ubcn_ros.runtime.cache import cache_folder, digest
from ubcn_ros.stopping import in_whole_steps, leave_signals_to_parent, signals_held
from ubcn_ros.whole_files import write_whole

UPRIGHT = 1
"""EXIF's orientation of an image that is shown as it is stored."""

_AT_ONCE = 16  # scenes that a process is given at a time
_WORTH_PROCESSES = 200  # scenes; fewer are read in less time than processes take to start


@dataclass(frozen=True)
class SceneFacts:
    """
    What a look at a scene's files found.

    :param problems: part ('image', 'mask', 'depth', 'rainy'), kind (of DataSetError) and text of
        everything that reading the scene fails with.
    :param size: width and height of the image; None if it cannot be read.
    :param orientation: EXIF's, 1 to 8; UPRIGHT if it cannot be read.
    :param pixels: hash of the decoded image; empty if it cannot be read.
    :param difference_hash: as of ``similarity.difference_hash``; empty if it cannot be read.
    :param counts: class id and number of pixels of each id in the labels, 255 unlabeled; None
        without labels that can be read.
    :param content: hash of all files' bytes.
    """

    problems: tuple[tuple[str, str, str], ...]
    size: tuple[int, int] | None
    orientation: int
    pixels: str
    difference_hash: str
    counts: tuple[tuple[int, int], ...] | None
    content: str

    @property
    def lasting(self) -> bool:
        """Whether they hold while the files stay: a file that may not be read can be, later."""
        return all(kind != 'missing' for _, kind, _ in self.problems)


def state_of(scene: Scene) -> str:
    """Return the key of a scene and its files: path, size and time of change, if readable."""
    values = [(f.name, _stamp(value) if isinstance(value, Path) else value)
              for f in fields(scene) for value in [getattr(scene, f.name)]]
    known = __version__, [f.name for f in fields(SceneFacts)], type(scene).__qualname__, values
    # a repr leaves out the middle of an array; equal values that are pickled otherwise are read
    # once more
    return hashlib.sha256(pickle.dumps(known)).hexdigest()[:32]


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), -1, -1
    if not os.access(path, os.R_OK):  # rights change neither size nor time
        return str(path), -1, -1
    return str(path), found.st_size, found.st_mtime_ns


def look_at(scene: Scene) -> SceneFacts:
    """Read all of a scene as training does, and note what cannot be read."""
    problems: list[tuple[str, str, str]] = []
    stored: dict[str, np.ndarray | None] = {}  # by part, where classes alone are wrong

    def attempt(part: str, read: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except DataSetError as error:
            problems.append((part, error.kind or 'damaged', str(error)))
            stored[part] = error.stored
            return None

    image = attempt('image', scene.image)
    labels = attempt('mask', scene.labels) if scene.labelled else None
    for part, path, values in (('mask', scene.label_path, labels),
                               ('depth', scene.depth_path, attempt('depth', scene.depth)),
                               ('rainy', scene.rainy_path, attempt('rainy', scene.rainy))):
        values = stored.get(part) if values is None else values
        if image is not None and values is not None:
            attempt(part, check_size, path, values, scene.image_path, image)
    counts = None
    if labels is not None:
        pixels = np.bincount(labels.ravel(), minlength=256)
        counts = tuple((int(i), int(pixels[i])) for i in np.flatnonzero(pixels))
    return SceneFacts(
        tuple(problems), *((None, UPRIGHT, '', '') if image is None else (
            (image.shape[1], image.shape[0]), orientation(scene.image_path.read_bytes()),
            _hash(str(image.shape).encode(), np.ascontiguousarray(image)),
            difference_hash(image))),
        counts, _content(scene))


def _content(scene: Scene) -> str:
    """Hash all files of a scene."""
    found = hashlib.sha256()
    for f in fields(scene):
        path = getattr(scene, f.name)
        if isinstance(path, Path):
            try:
                found.update(f'{f.name} {_file_hash(*_stamp(path))}\n'.encode())
            except OSError:
                found.update(f'{f.name} missing\n'.encode())
    return found.hexdigest()


@functools.lru_cache(maxsize=8)  # a file may be that of many scenes
def _file_hash(path: str, size: int, changed: int) -> str:
    return _hash(Path(path).read_bytes())


def _hash(*parts: Any) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def look_at_all(scenes: Sequence[Scene], processes: int | None = None) -> Iterator[SceneFacts]:
    """
    Look at many scenes, in order.

    :param processes: to use; by default one a core this process may use, and none for few scenes.
    :raises ChildProcessError: a process was ended from outside.
    """
    if processes is None:
        processes = len(os.sched_getaffinity(0)) if len(scenes) >= _WORTH_PROCESSES else 1
    if processes == 1:
        yield from map(look_at, scenes)
        return
    # spawned, for a fork of a process with threads may wait for ever
    with ProcessPoolExecutor(processes, multiprocessing.get_context('spawn'), _prepare) as pool:
        try:
            with signals_held():  # processes begin so
                found = pool.map(look_at, scenes, chunksize=_AT_ONCE)
            yield from in_whole_steps(found)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                'a process that reads images was ended, as the system does where memory is short: '
                'make memory free, or let one core read, with taskset -c 0 before the command'
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _prepare() -> None:
    """Leave signals to the first process, and the cores to the others."""
    leave_signals_to_parent()
    cv2.setNumThreads(1)


def _cache_path(dataset: DataSet) -> Path:
    """Where the facts of a data set are kept; OSError where there is no cache folder."""
    key = digest(os.path.realpath(dataset.source))
    return cache_folder() / 'data' / f'{key}.json'


def load_facts(dataset: DataSet) -> dict[str, SceneFacts]:
    """Return facts by ``state_of`` their scene; none of a missing or damaged file."""
    try:
        checksum, _, text = _cache_path(dataset).read_text('utf-8').partition('\n')
        if checksum != _hash(text.encode()):
            return {}
        return {state: SceneFacts(*map(_frozen, values))
                for state, values in json.loads(text).items()}
    except (OSError, ValueError, TypeError):  # TypeError: facts of another version
        return {}


def save_facts(dataset: DataSet, facts: dict[str, SceneFacts]) -> None:
    """Keep these facts instead of those before; where nothing can be written, keep none."""
    text = json.dumps({state: astuple(found) for state, found in facts.items()})
    with contextlib.suppress(OSError):
        write_whole(_cache_path(dataset), f'{_hash(text.encode())}\n{text}'.encode())


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value

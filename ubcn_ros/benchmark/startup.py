# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the start of a process to its first frame, by phase; and whether starts agree in bits."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ubcn_ros.python_command import python_command

PHASES = ('import', 'load', 'kernels', 'capture', 'first_frame')
"""
In their order: PyTorch and this package, the model, the first batch, in which kernels are compiled
and chosen, the second, for which 'graphs' and 'compiled' are prepared, and a frame after these.
"""
_CACHES = {'XDG_CACHE_HOME': '', 'TRITON_CACHE_DIR': 'triton', 'CUDA_CACHE_PATH': 'cuda'}


def probe(arguments: dict[str, Any]) -> dict[str, Any]:
    """
    Do what a fresh process does: import, load, warm up as a node does, process one frame.

    :return: 'marks': when each phase was done, on the monotonic clock that all processes share;
        'outputs': a digest of the frame's; 'log': the lines of progress; 'timed': how many kernels
        were chosen by timing; 'backend', 'device'.
    """

    from ubcn_ros.runtime import Engine
    from ubcn_ros.runtime.backends.backend import random_pixels
    from ubcn_ros.runtime.device import use_threads
    from ubcn_ros.runtime.kernels.autotune import TIMING
    use_threads(arguments['threads'])
    marks, log = {'import': time.monotonic()}, []
    engine = Engine.load(
        **{key: arguments[key] for key in ('model', 'device', 'precision', 'backend', 'fused',
                                           'autotune', 'processing_size')},
        allow_partial=True, progress=log.append)
    marks['load'] = time.monotonic()
    size = arguments['height'], arguments['width']
    image = random_pixels((1, *size), seed=0)[0].numpy()
    all_stages = max(2, arguments['iterations'])
    engine(image, all_stages)
    marks['kernels'] = time.monotonic()
    if engine.backend in ('graphs', 'compiled'):
        engine(image, all_stages)
    marks['capture'] = time.monotonic()
    frame = engine(image, arguments['iterations'], confidence=True)
    marks['first_frame'] = time.monotonic()
    outputs = hashlib.sha256()
    for array in (frame.derained, frame.labels, frame.confidence):
        outputs.update(np.ascontiguousarray(array))
    return {'marks': marks, 'outputs': outputs.hexdigest(), 'log': log,
            'timed': sum(line.startswith(TIMING) for line in log),
            'backend': engine.backend, 'device': str(engine.device)}


def start_once(caches: Path, **arguments: Any) -> dict[str, Any]:
    """
    Start a fresh interpreter and have it load a model, warm up and process an image.

    :param caches: folder in which what takes long to make is kept, instead of the user's.
    :param arguments: model, device, precision, backend, fused, autotune, threads, height, width,
        iterations and processing_size.
    :return: seconds of each phase and their sum, 'first_result'; and the others of ``probe``.
    :raises ValueError: the process failed; its last line says why.
    """
    environment = {**os.environ, **{name: str(caches / folder)
                                    for name, folder in _CACHES.items()}}
    begun = time.monotonic()
    done = subprocess.run(python_command('-m', __spec__.name, json.dumps(arguments)),
                          capture_output=True, text=True, env=environment)
    if done.returncode:
        raise ValueError((done.stderr.strip().splitlines() or ['no message'])[-1])
    found = json.loads(done.stdout.splitlines()[-1])
    marks = found.pop('marks')
    row = {phase: marks[phase] - before for phase, before in zip(
        PHASES, [begun, *(marks[phase] for phase in PHASES)], strict=False)}
    return {**row, 'first_result': marks[PHASES[-1]] - begun, **found}


def start_repeatedly(count: int, progress: Callable[[str], Any] = lambda _: None,
                     **arguments: Any) -> Iterator[dict[str, Any]]:
    """
    Start with empty caches, and then with what was left in them.

    :param count: starts in all.
    :param progress: called with a line of text before each start.
    :param arguments: as of ``start_once``.
    :return: yields its result of each start, with its name as 'start': 'cold', 'warm 1' and so on.
    :raises ValueError: as ``start_once``.
    """
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            name = f'warm {number}' if number else 'cold'
            progress(f'start {number + 1} of {count}, {name}')
            yield {'start': name, **start_once(Path(folder), **arguments)}


if __name__ == '__main__':
    print(json.dumps(probe(json.loads(sys.argv[1]))))

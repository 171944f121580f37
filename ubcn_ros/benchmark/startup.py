# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the start of a process to its first result."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any


def probe(arguments: dict[str, Any]) -> dict[str, float]:
    """
    Do what the fresh process does: import, load, two frames.

    :return: when each was done, on the monotonic clock that all processes share.
    """
    import numpy as np
    import torch

    from ubcn_ros.runtime import Engine
    if arguments['threads']:
        torch.set_num_threads(arguments['threads'])
    marks = {'imported': time.monotonic()}
    engine = Engine.load(*(arguments[key] for key in ('model', 'device', 'precision', 'backend')),
                         allow_partial=True, processing_size=arguments['processing_size'])
    marks['loaded'] = time.monotonic()
    image = np.zeros((arguments['height'], arguments['width'], 3), np.uint8)
    for name in ('first', 'second'):
        engine(image, arguments['iterations'])
        marks[name] = time.monotonic()
    return marks


def start_once(**arguments: Any) -> dict[str, float]:
    """
    Start a fresh interpreter and have it load a model and process two blank images.

    :param arguments: model, device, precision, backend, threads, height, width, iterations
        and processing_size.
    :return: seconds: 'import', 'load', 'first_frame', their sum 'first_result', and
        'second_frame' beside it.
    :raises ValueError: the process failed; its last line says why.
    """
    begun = time.monotonic()
    done = subprocess.run([sys.executable, '-m', __spec__.name, json.dumps(arguments)],
                          capture_output=True, text=True)
    if done.returncode:
        raise ValueError((done.stderr.strip().splitlines() or ['no message'])[-1])
    marks = json.loads(done.stdout.splitlines()[-1])
    return {'import': marks['imported'] - begun, 'load': marks['loaded'] - marks['imported'],
            'first_frame': marks['first'] - marks['loaded'],
            'first_result': marks['first'] - begun,
            'second_frame': marks['second'] - marks['first']}


if __name__ == '__main__':
    print(json.dumps(probe(json.loads(sys.argv[1]))))

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Processes that write a bag until they kill themselves."""

import multiprocessing
import os
import signal
import time

from bag_files import SECOND, serialized
from drives import processed

from ubcn_ros.bags import IMAGE, McapBagWriter
from ubcn_ros.bags.process import run


def run_until_killed(function, *arguments):
    """
    Call one of the functions below in a process of its own, which has to end by SIGKILL.

    It is spawned: a fork of pytest's process, which has threads, may wait for ever for a lock that
    one of them held, and goes on as a second pytest after an exception.
    """
    process = multiprocessing.get_context('spawn').Process(target=function, args=arguments,
                                                           daemon=True)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def write_images(bag):
    """Write images 1 and 2, a second later 3, and 4."""
    writer = McapBagWriter(bag).__enter__()
    for number in (1, 2, 3):
        if number == 3:
            time.sleep(1.05)
        writer.write_message('/image', IMAGE, serialized(number), number * SECOND)
    writer.write_message('/image', IMAGE, serialized(4), 4 * SECOND)
    _kill()


def write_records(bag, records, flushed):
    """Write records, and flush after so many of them."""
    writer = McapBagWriter(bag).__enter__()
    for place, record in enumerate(records, 1):
        writer.write(record)
        if place == flushed:
            writer.flush()
    _kill()


def process_frames(source, out, frames):
    """Process so many frames of a bag, with a checkpoint after every record."""
    run.CHECKPOINT_S = 0
    processed(source, out, progress=lambda tally: tally.frames >= frames and _kill())


def process_without_sidecar(source, out):
    """Begin to process a bag, up to its first process.json."""
    run.write_sidecar = lambda *_: _kill()
    processed(source, out)


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)

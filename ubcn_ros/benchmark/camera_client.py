# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera of a load, as a process of its own: it sends images and notes what comes back."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from ubcn_ros.bags.headers import header_bytes
from ubcn_ros.bags.live.client import Client, Output
from ubcn_ros.bags.live.node_process import ReplayError
from ubcn_ros.benchmark.node_load import Load, Stamped

START_SECONDS = 180.0  # a start may compile
_COUNTERS = ('received', 'processed', 'dropped', 'malformed', 'dropped (failed)',
             'dropped (of the stale, in transport)')


@dataclass(frozen=True)
class StreamResult:
    """
    What a camera sent, and what the node made of it; times are time.monotonic(), seconds.

    ``sent`` has the times by serialized header, ``counters`` what the node's counters gained,
    ``frames`` what it says of each frame in `debug/frame`, milliseconds; ``camera`` and ``engine``
    are its last diagnostics. ``started`` and ``seconds`` are of the sending, a whole period for
    each image, ``busy_seconds`` until the last output, if that comes later, and ``cpu_seconds``
    what the node used in these. ``uncounted`` is how many images sent before the node had not
    counted: it counts those that were lost when the next one comes.
    """

    sent: dict[bytes, float]
    outputs: list[Output]
    frames: list[dict[str, float]]
    counters: dict[str, int]
    camera: dict[str, str]
    engine: dict[str, str]
    started: float
    seconds: float
    busy_seconds: float
    cpu_seconds: float
    uncounted: int


class CameraClient:
    """
    A process that is one camera of a load; a context manager that ends it.

    :param load: the images, and the node's cameras.
    :param camera: one of the load's names.
    :param node: process id of the node.
    :param cores: that it may run on; none: all.
    """

    def __init__(self, load: Load, camera: str, node: int, cores: Sequence[int]) -> None:
        context = multiprocessing.get_context('spawn')
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, daemon=True,
                                        args=(other, load, camera, node, cores))
        self._process.start()
        other.close()

    def __enter__(self) -> CameraClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.join(10.0)
        self._process.kill()

    def probe(self) -> None:
        """Ask it to send an image until the outputs answer, as `Client.probe`."""
        self._connection.send(('probe',))

    def stream(self, frames: int, rate_hz: float, most_s: float = math.inf) -> None:
        """Ask it to send images as `LoadedNode.stream`, and to wait for the node's counters."""
        self._connection.send(('stream', frames, rate_hz, most_s))

    def fileno(self) -> int:
        """Return what is readable once `receive` has something, as `connection.wait` asks for."""
        return self._connection.fileno()

    def receive(self) -> tuple[str, Any]:
        """
        Wait for what it says next.

        :return: 'sent' and a number of images; or 'result' and what was asked for last: None of
            `probe`, StreamResult of `stream`.
        :raises ReplayError: as the client did.
        """
        try:
            kind, value = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise ReplayError("a camera's process ended by itself") from error
        if kind == 'error':
            raise value
        return kind, value


def results(cameras: Sequence[CameraClient], progress: Callable[[int], Any] = lambda count: None
            ) -> list[Any]:
    """
    Wait for what all cameras were asked for last.

    Listens to all of them at once: one that is not heard has to stop once its pipe is full.

    :param progress: called with a number of images that were sent.
    :raises ReplayError: as the client of one did.
    """
    found: dict[CameraClient, Any] = {}
    while left := [camera for camera in cameras if camera not in found]:
        for camera in wait(left):
            kind, value = camera.receive()
            if kind == 'sent':
                progress(value)
            else:
                found[camera] = value
    return [found[camera] for camera in cameras]


class _Watched:
    """Stands for the node's process, whose parent is another."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def check(self) -> None:
        if (_stat(self._pid) or ['X'])[0] in 'XZ':
            raise ReplayError('the node ended by itself')


class _LoadClient(Client):
    """
    A client that notes what the node has used up to each output.

    :ivar used: CPU seconds at the last one.
    """

    def __init__(self, load: Load, camera: str, node: int) -> None:
        self.used, self._node_pid = math.nan, node
        super().__init__(_Watched(node), False, None, True, camera, load.outputs)

    def _on_output(self, topic: str, data: bytes) -> None:
        super()._on_output(topic, data)
        self.used = cpu_seconds(self._node_pid)


def _stat(pid: int) -> list[str]:
    """Read the state of a process and what follows, of proc(5); empty where it is gone."""
    try:
        # the name before the last ')' may hold anything
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except OSError:
        return []


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process, of user and system; NaN where it is gone."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK') if fields else math.nan


def _serve(connection: Connection, load: Load, camera: str, node: int, cores: Sequence[int]
           ) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    if cores:
        os.sched_setaffinity(0, cores)
    with suppress(EOFError, ConnectionError):  # the parent has gone, or wants no more
        try:
            with _LoadClient(load, camera, node) as client:
                image = Stamped(load.height, load.width)
                while True:
                    command, *arguments = connection.recv()
                    if command == 'probe':
                        client.wait_until_active(START_SECONDS)
                        client.probe(image.now())
                        result = None
                    else:
                        result = _stream(client, image, node, *arguments,
                                         lambda count: connection.send(('sent', count)))
                    connection.send(('result', result))
        except ReplayError as error:
            connection.send(('error', error))


def _stream(client: _LoadClient, image: Stamped, node: int, frames: int, rate_hz: float,
            most_s: float, progress: Callable[[int], Any]) -> StreamResult:
    before = counters(client)
    uncounted = client.published - before['received']
    client.outputs.clear()
    client.frames.clear()
    sent: dict[bytes, float] = {}
    started, used_before = time.monotonic(), cpu_seconds(node)
    for number in _paced(frames, rate_hz, most_s):
        client.check()
        data = image.now()
        sent[header_bytes(data)] = client.publish(data)
        if number % 10 == 9:
            progress(10)
    seconds, used = time.monotonic() - started, cpu_seconds(node) - used_before
    progress(len(sent) % 10)
    busy = seconds
    gained, outputs = counters(client, before), list(client.outputs)
    last = max((output.time for output in outputs), default=started)
    if last > started + seconds:  # the node was at it after the last image
        busy, used = last - started, client.used - used_before
    return StreamResult(sent, outputs, list(client.frames), gained, client.status('camera'),
                        client.status('engine'), started, seconds, busy, used, uncounted)


def counters(client: Client, before: dict[str, int] | None = None) -> dict[str, int]:
    """Wait until the node's counters rest and add up; return them, or what they gained."""
    client.settled_counts(60.0)
    status = client.status('camera')
    return {name: int(status[name]) - (before[name] if before else 0) for name in _COUNTERS}


def _paced(count: int, rate_hz: float, most_s: float) -> Iterator[int]:
    """Yield 0 .. count - 1, each when it is due, and end when one more would be, or before."""
    start = time.monotonic()
    for number in range(count + 1):
        due = start + min(number / rate_hz, most_s)
        time.sleep(max(0.0, due - time.monotonic()))
        if number == count or time.monotonic() >= start + most_s:
            return
        yield number

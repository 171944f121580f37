# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A node in a process of its own under streams of images, a process for each camera."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ubcn_ros.bags.live.client import source_topic
from ubcn_ros.bags.live.node_process import NodeProcess, ReplayError, enter_private_domain
from ubcn_ros.benchmark.camera_client import CameraClient, StreamResult, results
from ubcn_ros.benchmark.lock_probe import lock_figures, probe_cpu_seconds, read_samples
from ubcn_ros.benchmark.node_figures import delivered, latency_bound, stage_times
from ubcn_ros.benchmark.node_load import Load
from ubcn_ros.node.diagnostics import resident_mib

_SOAKED = 1000  # frames after which memory should stay as it is
_MOST_DROPPED = 0.01  # share at which a rate is sustained
_CLOSE = 1.05  # rates that differ by less are one
_PEAK_SECONDS, _PEAK_FRAMES = 3.0, 30  # of each trial, at least, but for
_MOST_PEAK_SECONDS = 30.0


class LoadedNode:
    """
    A node, and a process for each camera of a load; a context manager that ends them.

    Sets the environment of DDS for this process, and must be the first in it to use rclpy. Where
    there are four cores or more, node and cameras keep to cores of their own.

    :param probe: whether to note how the GIL is held, for `samples`.
    :ivar cores: of the node and of the cameras; empty where all share all.
    """

    def __init__(self, load: Load, probe: bool = False) -> None:
        self._load = load
        enter_private_domain(load.shared_memory)
        self.cores = _split_cores(load.cameras)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._samples = folder / 'lock'
            self.node = stack.enter_context(_start_node(
                load, folder, self._samples if probe else None))
            if self.cores:
                os.sched_setaffinity(self.node.process.pid, self.cores[0])
            self._cameras = [stack.enter_context(CameraClient(
                load, name, self.node.process.pid, self.cores[1] if self.cores else ()))
                for name in load.names]
            for camera in self._cameras:
                camera.probe()
            results(self._cameras)
            self._running = stack.pop_all()

    def __enter__(self) -> LoadedNode:
        return self

    def __exit__(self, *error: Any) -> None:
        self._running.__exit__(*error)

    def stream(self, frames: int, rate_hz: float,
               progress: Callable[[int], Any] = lambda count: None, most_s: float = math.inf
               ) -> list[StreamResult]:
        """
        Let every camera send so many images at a rate, all at once; return what became of them.

        :param most_s: seconds after which no more are sent.
        :raises ReplayError: the node ended, or its counters do not add up.
        """
        for camera in self._cameras:
            camera.stream(frames, rate_hz, most_s)
        return results(self._cameras, progress)

    def stop(self) -> None:
        """End the node; ReplayError where it ends with an error."""
        if self.node.stop():
            raise ReplayError(f'the node ended with exit code {self.node.process.returncode}')

    def samples(self) -> np.ndarray:
        """Return what the probe noted, as `read_samples`; once the node has stopped."""
        return read_samples(self._samples)


def stream(load: Load, progress: Callable[[int], Any] = lambda count: None) -> dict[str, Any]:
    """
    Send images at a steady rate and report what became of them.

    :param progress: called with a number of images that were sent.
    :return: figures of all cameras together as of `node_figures`; `stages_ms`, `lock`,
        `rate_in_hz`, `rate_out_hz`, `seconds`; `cpu_seconds` that the node, but for the probe of
        its lock, used until the last output, also as `cpu_percent` of one core and
        `cpu_ms_per_frame`; `rss_mib`, resident memory at the `start`, `after_1000` frames (None:
        fewer), at the `end`, and its `growth`;
        what the node's diagnostics say, `cores`, the load, and, of several cameras, `by_camera`.
    :raises ReplayError: the node ended, or its counters do not add up.
    """
    with LoadedNode(load, probe=True) as loaded:
        pid = loaded.node.process.pid
        start, soaked, shown = resident_mib(pid), None, 0

        def show(count: int) -> None:
            nonlocal shown, soaked
            if shown < _SOAKED * load.cameras <= shown + count:
                soaked = resident_mib(pid)
            shown += count
            progress(count)

        time.sleep(1.0)  # what an idle node's lock is like
        cameras = loaded.stream(load.frames, load.rate_hz, show)
        end, cores = resident_mib(pid), loaded.cores
        loaded.stop()
        result = delivered(cameras, load.outputs[-1])
        longest = max(cameras, key=lambda camera: camera.busy_seconds)
        seconds, busy, samples = longest.seconds, longest.busy_seconds, loaded.samples()
    during = longest.started, longest.started + busy
    lock = lock_figures(samples, *during, result['processed'])
    cpu_seconds = longest.cpu_seconds - probe_cpu_seconds(samples, *during)
    status, engine = cameras[0].camera, cameras[0].engine
    by_camera = {} if load.cameras == 1 else {
        'by_camera': {name: delivered([camera], load.outputs[-1])
                      for name, camera in zip(load.names, cameras, strict=True)}}
    return {**result,
            'latency_bound_ms': latency_bound(
                [frame for camera in cameras for frame in camera.frames],
                [[*camera.sent.values()] for camera in cameras]),
            'node_latency_ms': {name: _number(status, f'latency {name} (ms)')
                                for name in ('p50', 'p95')},
            'rate_in_hz': round(result['sent'] / seconds, 2),
            'rate_out_hz': round(result['processed'] / busy, 2),
            'stages_ms': stage_times(cameras),
            'lock': lock,
            'cpu_ms_per_frame': round(1e3 * cpu_seconds / result['processed'], 2)
            if result['processed'] else None,
            'cpu_seconds': round(cpu_seconds, 2),
            'cpu_percent': round(100 * cpu_seconds / busy, 1),
            'rss_mib': _memory(start, soaked, end),
            'seconds': round(seconds, 1),
            'iterations_used': _number(status, 'iterations used (mean)'),
            'precision': engine.get('precision'), 'backend': engine.get('backend'),
            'model_sha256': engine.get('model sha256'),
            'cores': dict(zip(('node', 'cameras'), map(len, cores), strict=True)) if cores
            else None,
            **by_camera,
            **asdict(load),
            'device': engine.get('device', load.device)}


def find_peak(load: Load, progress: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """
    Find the highest rate at which less than one in a hundred images is dropped.

    One that the cameras do not reach themselves is not sustained.

    :param load: `rate_hz` is tried first; then it is doubled or halved, and what lies between
        the best and the next is tried until the two differ by less than five percent.
    :param progress: called with each trial.
    :return: `peak_hz` of each camera, None where not even a sixteenth of the load's rate is
        sustained, and `trials`: {rate_hz, rate_in_hz, sent, dropped, latency_ms, sustained}
        each, of which `rate_in_hz` is what the slowest camera sent at; also the load but
        for its `frames`.
    :raises ReplayError: the node ended, or its counters do not add up.
    """
    trials: list[dict[str, Any]] = []
    with LoadedNode(load) as loaded:
        def sustains(rate: float) -> bool:
            seconds = min(max(_PEAK_SECONDS, _PEAK_FRAMES / rate), _MOST_PEAK_SECONDS)
            cameras = loaded.stream(max(1, round(seconds * rate)), rate, most_s=seconds)
            found = delivered(cameras, load.outputs[-1])
            reached = min(len(camera.sent) / camera.seconds for camera in cameras)
            trials.append({'rate_hz': round(rate, 2), 'rate_in_hz': round(reached, 2),
                           'sent': found['sent'], 'dropped': found['dropped'],
                           'latency_ms': found['latency_ms'],
                           'sustained': found['dropped'] < _MOST_DROPPED * found['sent']
                           and reached * _CLOSE > rate})
            progress(trials[-1])
            return trials[-1]['sustained']

        peak = search_peak(sustains, load.rate_hz)
        loaded.stop()
    said = asdict(load)
    del said['frames']  # as many as the rates ask for
    return {'peak_hz': peak and round(peak, 2), 'trials': trials, **said}


def search_peak(sustains: Callable[[float], bool], first: float) -> float | None:
    """
    Find the highest rate that is sustained, to five percent.

    :param sustains: whether a rate is.
    :param first: that is tried first.
    :return: None where not even a sixteenth of that is sustained.
    """
    low, high = None, None
    rate = first
    while low is None or high is None:
        if sustains(rate):
            low, rate = rate, rate * 2
        else:
            high, rate = rate, rate / 2
        if low is None and rate < first / 16:
            return None
    while high / low > _CLOSE:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if sustains(middle) else (low, middle)
    return low


def _start_node(load: Load, folder: Path, samples: Path | None) -> NodeProcess:
    """Start the node that a load is for; its log goes to the folder, a LockProbe's to a file."""
    program = ('-m', 'ubcn_ros.benchmark.stand_in') if samples is None else (
        '-m', 'ubcn_ros.benchmark.lock_probe', str(samples))
    parameters = {
        'model': load.model, 'device': load.device, 'iterations': load.iterations,
        'processing_size': load.processing_size, 'warm_up_width': load.width,
        'warm_up_height': load.height, 'max_failures': 0}
    if load.cameras > 1:
        parameters['cameras'] = list(load.names)
    remappings = {f'{name}/image' if name else 'image': source_topic(name) for name in load.names}
    return NodeProcess(folder / 'node.log', parameters, remappings, program)


def _split_cores(cameras: int) -> tuple[list[int], list[int]] | tuple[()]:
    """Give node and cameras cores of their own, a camera at most one; none where they are few."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 4:
        return ()
    own = min(cameras, len(cores) // 2)
    return cores[:-own], cores[-own:]


def _memory(start: float, soaked: float | None, end: float) -> dict[str, float | None]:
    return {'start': round(start, 1), 'after_1000': None if soaked is None else round(soaked, 1),
            'end': round(end, 1), 'growth': round(end - (start if soaked is None else soaked), 1)}


def _number(values: dict[str, str], name: str) -> float | None:
    return float(values[name]) if name in values else None

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Figures of a stream of images through a node, from what was sent and what came back.

Vocabulary of NVIDIA's ros2_benchmark: `latency` is from publishing an image to receiving its
derained one, or, where the mask alone is taken, that; `first_sent_received` and
`last_sent_received` are from the first image that was sent to the first output that came, and
from last to last; `jitter` is the standard deviation of the time between outputs. `node_latency`,
the pipeline latency of diagnostics, is from an image's arrival at the node to the publishing of
its outputs. All in milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ubcn_ros.bags.live.client import DERAINED
from ubcn_ros.bags.live.node_process import ReplayError
from ubcn_ros.benchmark.camera_client import StreamResult

_NOT_STAGES = ('pipeline latency', 'processing time', 'deadline', 'total')


def delivered(cameras: Sequence[StreamResult], topic: str = DERAINED) -> dict[str, Any]:
    """
    Match outputs to what was sent by their headers.

    :param topic: of the outputs, below that of the camera.
    :raises ReplayError: the counts do not fit.
    """
    latencies, gaps, sent, received = [], [], [], []
    count = {name: sum(camera.counters[name] for camera in cameras)
             for name in cameras[0].counters}
    for camera in cameras:
        arrivals = [(output.time, camera.sent[output.header]) for output in camera.outputs
                    if output.topic == topic and output.header in camera.sent]
        latencies += [1e3 * (came - published) for came, published in arrivals]
        gaps += list(1e3 * np.diff([came for came, _ in arrivals]))
        sent += camera.sent.values()
        received += [came for came, _ in arrivals]
    never_counted = len(sent) - count['received']
    earlier = sum(camera.uncounted for camera in cameras)  # lost ones, which may be counted now
    if never_counted < -earlier or len(latencies) > count['processed']:
        raise ReplayError(f"{len(sent)} images sent and {len(latencies)} received, but the node "
                          f"counted {count['received']} and {count['processed']}")
    return {'sent': len(sent),
            'processed': count['processed'],
            'received': len(latencies),
            'dropped': count['dropped'] + never_counted,
            'malformed': count['malformed'],
            'failed': count['dropped (failed)'],
            'lost_in_transport': never_counted + count['dropped (of the stale, in transport)'],
            'latency_ms': {**_percentiles(latencies, (50, 95, 99)),
                           'max': round(max(latencies), 2) if latencies else None},
            'first_sent_received_ms': round(1e3 * (min(received) - min(sent)), 2)
            if received else None,
            'last_sent_received_ms': round(1e3 * (max(received) - max(sent)), 2)
            if received else None,
            'jitter_ms': round(float(np.std(gaps)), 2) if gaps else None}


def stage_times(cameras: Sequence[StreamResult]) -> dict[str, dict[str, float | None]]:
    """
    Tell where the time of published frames goes: p50 and p95 by stage, milliseconds.

    :return: in the order of a frame's way, from its publisher to the publishing of its outputs.
    """
    frames = [frame for camera in cameras for frame in camera.frames]
    names = dict.fromkeys(name for frame in frames for name in frame)
    return {stage: _percentiles([frame[name] for frame in frames if name in frame], (50, 95))
            for name in names
            if (stage := name.removesuffix(' (ms)')) not in _NOT_STAGES}


def latency_bound(frames: list[dict[str, float]], sent: Sequence[list[float]]
                  ) -> dict[str, Any]:
    """
    Hold the pipeline latency of published frames against one frame period plus one inference.

    A frame may wait in the queue until the next one replaces it, and is processed then.

    :param frames: per published frame what the node says of it in `debug/frame`, milliseconds.
    :param sent: when the images of each camera were sent, seconds; a busy machine sends some of
        them late.
    :return: `max`, the greatest latency; `period`, the longest between two images of a camera;
        `inference`, the longest processing; `allowed`, their sum; whether it stays `within`;
        `wait`, the longest in the queue; and the number of `frames`. None where it was not
        measured.
    """
    periods = np.concatenate([np.diff(times) for times in sent])
    if not frames or not len(periods):
        return dict.fromkeys(('max', 'period', 'inference', 'allowed', 'within', 'wait'), None) | {
            'frames': len(frames)}
    oldest = max(frame['pipeline latency (ms)'] for frame in frames)
    period = float(periods.max()) * 1e3
    inference = max(frame['processing time (ms)'] for frame in frames)
    return {'max': round(oldest, 2), 'period': round(period, 2), 'inference': round(inference, 2),
            'allowed': round(period + inference, 2), 'within': bool(oldest <= period + inference),
            'wait': round(max(frame['pipeline latency (ms)'] - frame['processing time (ms)']
                              for frame in frames), 2),
            'frames': len(frames)}


def _percentiles(values: list[float], which: tuple[int, ...]) -> dict[str, float | None]:
    if not values:
        return {f'p{p}': None for p in which}
    return {f'p{p}': round(float(v), 2)
            for p, v in zip(which, np.percentile(values, which), strict=True)}

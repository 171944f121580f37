# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Times per stage, summed over the steps, from frame to frame."""

import pytest
import torch

from ubcn_ros.runtime import stopwatch
from ubcn_ros.runtime.stopwatch import TIMED_STAGES, Stopwatch


class PretendEvent:
    """As torch.cuda.Event: a moment, in milliseconds."""

    made = 0
    now = 0.0

    def __init__(self, enable_timing):
        assert enable_timing
        PretendEvent.made += 1

    def record(self, stream):
        assert stream == 'the stream'
        self.at = PretendEvent.now

    def synchronize(self):
        pass

    def elapsed_time(self, other):
        return other.at - self.at


@pytest.fixture(params=['cpu', 'cuda'])
def watch(request, monkeypatch):
    PretendEvent.made, PretendEvent.now = 0, 0.0
    monkeypatch.setattr(stopwatch.time, 'perf_counter', lambda: PretendEvent.now / 1e3)
    monkeypatch.setattr(torch.cuda, 'Event', PretendEvent)
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda device: 'the stream')
    return Stopwatch(torch.device(request.param))


def test_stages_are_summed_and_frames_are_apart(watch):
    for scale in (1, 2, 1):
        watch.start()
        for stage, ms in (('upload', 1), ('derain', 2), ('segment', 4), ('attend', 8),
                          ('segment', 16), ('download', 32)):
            PretendEvent.now += ms * scale
            watch.mark(stage)
        found = watch.timings()
        assert {stage: round(found[stage], 6) for stage in TIMED_STAGES} == {
            'upload': scale, 'derain': 2 * scale, 'segment': 20 * scale, 'attend': 8 * scale,
            'download': 32 * scale}
        assert found['total'] == pytest.approx(63 * scale)
    assert PretendEvent.made in (0, 7)  # made once, used for every frame

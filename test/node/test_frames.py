# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The deadline of a batch leaves time to publish every frame of it, one after the other."""

import pytest

from ubcn_ros.node.jobs import Arrival, Job, engine_deadline


def job(deadline, publishing):
    return Job(Arrival(None, 0.0), None, deadline, False, 0.0, 0.0, publishing)


@pytest.mark.parametrize('jobs, expected', [
    ([(10.0, 0.5)], 10.0),  # its own publishing is off already
    ([(10.0, 0.5), (10.0, 0.25)], 9.5),  # the second waits for the first
    ([(10.0, 0.5), (10.0, 0.25), (10.0, 0.0)], 9.25),
    ([(10.0, 0.5), (20.0, 0.25)], 10.0),  # the first has less time left
    ([(None, 0.5), (10.0, 0.25)], 9.5),
    ([(None, 0.5), (None, 0.25)], None),
], ids=str)
def test_every_frame_of_a_batch_is_to_be_out_in_time(jobs, expected):
    assert engine_deadline([job(*values) for values in jobs]) == expected

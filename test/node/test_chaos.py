# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random lifecycle, parameter and message traffic at a live node: it answers, and counts all."""

import os
from collections import Counter
from pathlib import Path

import fuzzing
import numpy as np
import pytest

pytest.importorskip('rclpy')
from chaos import POSSIBLE, Session, random_traffic, wanted_transition  # noqa: E402

from ubcn_ros.bags.live.node_process import ReplayError  # noqa: E402
from ubcn_ros.node.parameters import SPECS  # noqa: E402
from ubcn_ros.runtime.installed import DEFAULT_MODEL  # noqa: E402

STEPS = 240
LONG_RUN = int(os.environ.get('UBCN_CHAOS_STEPS', 0))  # steps; with the shipped weights
FAKE_ENGINE = [str(Path(__file__).parent / 'fake_engine.py')]


def frames_accounted_for(done):
    """Return the frames by what became of them, once these counts add up."""
    frames = Counter({kind: count for (group, kind), count in done.items() if group == 'frames'})
    assert frames['received'] == frames['processed'] + frames['dropped'] + frames['malformed']
    # one that cannot be read shows as a gap before the next one
    unread = frames['dropped (of the stale, in transport)']
    assert unread <= done['sent', 'unreadable']
    assert frames['sent'] == frames['received'] - unread
    return frames


@pytest.mark.integration
def test_a_node_survives_random_traffic_and_accounts_for_every_frame(ros):
    done = random_traffic(STEPS, np.random.default_rng(6), 'raises:3', 'cpu', FAKE_ENGINE)
    assert sum(count for (group, _), count in done.items() if group == 'sent') == STEPS
    assert done['nodes', ''] == 2, 'one was shut down, and replaced'
    frames = frames_accounted_for(done)
    assert frames['dropped (of the stale, in transport)'] > 0 and frames['sent'] > 30
    assert frames['malformed'] > 10 and frames['processed'] > 0 and frames['dropped'] > 0
    assert done['transitions', 'made'] > 5 and done['transitions', 'refused'] > 20
    assert done['parameters', 'set'] > 5 and done['parameters', 'refused'] > 20


@pytest.mark.integration
@pytest.mark.timeout(300 + 5 * LONG_RUN)
@pytest.mark.skipif(not LONG_RUN, reason='UBCN_CHAOS_STEPS is not set')
def test_a_node_with_the_shipped_weights_survives_many_steps(ros):
    done = random_traffic(LONG_RUN, np.random.default_rng(0), DEFAULT_MODEL, 'cpu')
    print(*(f'{count:8,} {group} {kind}' for (group, kind), count in sorted(done.items())),
          sep='\n')
    frames_accounted_for(done)


@pytest.mark.integration
def test_a_frame_that_was_not_counted_and_a_node_that_ends_are_told(ros):
    with Session('fast', 'cpu', FAKE_ENGINE) as session:
        for label in ('configure', 'activate'):
            session.ask_transitions(0, label)
        session._sent += 1
        session._seconds = 2.0
        with pytest.raises(ReplayError, match='1 frames were sent to the active node'):
            session.settle()
        session.process.process.kill()
        session.process.process.wait()
        with pytest.raises(ReplayError, match='the node ended by itself'):
            session.step(np.random.default_rng(0))


def test_a_label_wins_over_an_id():
    assert wanted_transition('active', 4, '') == 'deactivate'
    assert wanted_transition('active', 4, 'shutdown') == 'shutdown'
    assert wanted_transition('active', 4, 'activate') == ''
    assert wanted_transition('active', 99, 'deactivate') == 'deactivate'
    assert wanted_transition('finalized', 7, 'shutdown') == ''
    assert wanted_transition('active', 5, '') == ''


def test_requests_are_drawn_of_every_kind():
    random = np.random.default_rng(0)
    transitions = [fuzzing.any_transition(random) for _ in range(2000)]
    for state, possible in POSSIBLE.items():
        wanted = Counter(wanted_transition(state, *transition) for transition in transitions)
        assert set(wanted) == {'', *possible.values()}
    parameters = [fuzzing.any_parameter(random) for _ in range(5000)]
    names = {name for name, _, _ in parameters}
    assert names > {spec.name for spec in SPECS} | {'', 'use_sim_time', 'unknown'}
    kinds = {kind for _, kind, _ in parameters}
    assert kinds > set(range(10)) and max(kinds) > 10


def test_what_a_node_can_be_configured_with_is_acceptable():
    specs = {spec.name: spec for spec in SPECS}
    for name, values in fuzzing.ACCEPTABLE.items():
        assert name == 'use_sim_time' or not any(
            specs[name].refusal(value) for _, value in values), name

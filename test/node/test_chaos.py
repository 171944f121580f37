# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random lifecycle, parameter and message traffic at a live node: it answers, and counts all."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

pytest.importorskip('rclpy')
from ubcn_ros.bags.live.node_process import ReplayError  # noqa: E402
from ubcn_ros.benchmark import fuzzing  # noqa: E402
from ubcn_ros.benchmark.chaos import POSSIBLE, Session, wanted_transition  # noqa: E402
from ubcn_ros.node.parameters import SPECS  # noqa: E402

EXAMPLES, STEPS = 20, 12
FAKE_ENGINE = [str(Path(__file__).parent / 'fake_engine.py')]


@pytest.mark.integration
def test_a_node_survives_random_traffic_and_accounts_for_every_frame(ros):
    sessions = []

    # no shrinking: a shorter attack would meet a node with another past
    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
              phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32 - 1))
    def attack(seed):
        random = np.random.default_rng(seed)
        for _ in range(STEPS):
            if not sessions or sessions[-1].over:
                if sessions:  # one that is still there would answer for the next
                    sessions[-1].finish()
                    sessions[-1].__exit__()
                sessions.append(Session('raises:3', 'cpu', FAKE_ENGINE))
            sessions[-1].step(random)

    try:
        attack()
        sessions[-1].finish()
    finally:
        for session in sessions:
            session.__exit__()
    done = sum((session.done for session in sessions), Counter())
    assert sum(count for (group, _), count in done.items() if group == 'sent') \
        == EXAMPLES * STEPS
    frames = {kind: count for (group, kind), count in done.items() if group == 'frames'}
    assert frames['received'] == frames['processed'] + frames['dropped'] + frames['malformed']
    # one that cannot be read shows as a gap before the next one
    unread = frames['dropped (of the stale, in transport)']
    assert 0 < unread <= done['sent', 'unreadable']
    assert frames['sent'] == frames['received'] - unread > 30
    assert frames['malformed'] > 10 and frames['processed'] > 0 and frames['dropped'] > 0
    assert done['transitions', 'made'] > 5 and done['transitions', 'refused'] > 20
    assert done['parameters', 'set'] > 5 and done['parameters', 'refused'] > 20


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

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The step budget follows what it measures."""

import pytest

from ubcn_ros.runtime.budget import StepBudget


def frame(budget, step, deadline):
    """Run a frame whose steps take `step` seconds; return the steps that ran and its time."""
    now, done = step, 1
    budget.record_first(now)
    while done < 10 and budget.fits(now, deadline):
        now += step
        budget.record_step(step)
        done += 1
    budget.record_finish(0.0)
    return done, now


def test_without_measurement_it_tries_unless_it_is_late():
    budget = StepBudget()
    budget.record_first(0.01)
    assert budget.fits(0.0, 0.001)
    assert not budget.fits(0.002, 0.001)


def test_a_step_and_the_finish_must_fit():
    budget = StepBudget()
    budget.record_first(0.020)
    budget.record_step(0.010)
    budget.record_finish(0.004)
    assert budget.fits(0.0, 0.015)
    assert not budget.fits(0.0, 0.013)


def test_a_slower_first_step_means_slower_further_ones():
    budget = StepBudget()
    budget.record_first(0.020)
    budget.record_step(0.010)
    budget.record_first(0.040)
    assert budget.fits(0.0, 0.0201)
    assert not budget.fits(0.0, 0.0199)


def test_steps_come_back_as_soon_as_the_load_has_gone():
    budget = StepBudget()
    frame(budget, 0.010, 0.035)
    assert frame(budget, 0.010, 0.035) == (3, pytest.approx(0.030))
    loaded = [frame(budget, 0.020, 0.035)[0] for _ in range(200)]
    assert loaded.count(1) >= 195
    assert frame(budget, 0.010, 0.035)[0] == 3


def test_one_stray_does_not_count_against_the_usual():
    budget = StepBudget()
    for _ in range(4):
        frame(budget, 0.010, 0.035)
    budget.record_step(0.300)
    assert frame(budget, 0.010, 0.035)[0] == 3


@pytest.mark.parametrize('ratios, counts', [
    ([1, 3, 2], 3), ([1, 2, 1, 3], 2), ([1, 1, 3, 1, 3], 3), ([9] + 16 * [1], 1)])
def test_a_step_is_expected_to_take_the_second_longest_of_lately(ratios, counts):
    budget = StepBudget()
    budget.record_first(1.0)
    for ratio in ratios:
        budget.record_step(ratio)
    assert budget.fits(0.0, counts + 0.01)
    assert not budget.fits(0.0, counts - 0.01)


def test_what_is_too_long_now_and_then_is_not_forgotten():
    budget = StepBudget()
    budget.record_first(1.0)
    budget.record_step(2.0)
    for _ in range(200):
        assert budget.fits(0.0, 2.1) and not budget.fits(0.0, 1.9)


def test_a_bad_beginning_is_forgotten():
    budget = StepBudget()
    budget.record_first(0.010)
    budget.record_step(0.300)  # compiled something, say
    steps = [frame(budget, 0.010, 0.035)[0] for _ in range(100)]
    assert steps[0] == 1 and steps[-1] == 3


def test_trying_in_vain_is_rare():
    budget = StepBudget()
    late = [frame(budget, 0.010, 0.015)[1] > 0.015 for _ in range(1000)]
    assert 0 < sum(late) <= 30

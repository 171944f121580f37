# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Too little memory means fewer steps, then a dropped frame; other failures are let through."""

import gc
import weakref

import pytest
import torch

from ubcn_ros.node.recovery import FailureStreak, Outcome, error_text, fails_together, infer

ERRORS = [MemoryError('host'), torch.OutOfMemoryError('CUDA out of memory'),
          RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 EB")]

OPTIONS = {'iterations': 3, 'deadline': 12.5, 'confidence': True, 'processing_size': 360}


class Ballast:
    """Something large that a failed attempt had allocated."""


class Engine:
    """Fails with an error while more than `most` steps are asked for."""

    def __init__(self, error, most):
        self.error, self.most, self.calls = error, most, []
        self.allocated, self.released = None, 0

    def __call__(self, image, iterations, deadline, confidence, processing_size, **_):
        self.calls.append((iterations, deadline, confidence, processing_size))
        if iterations > self.most:
            ballast = Ballast()
            self.allocated = weakref.ref(ballast)
            raise type(self.error)(*self.error.args)  # one that nobody else holds
        assert self.allocated is None or self.allocated() is None, 'still held'
        return 'frame'

    def batch(self, images, **options):
        return [self(image, **options) for image in images]

    def release_all(self):
        self.released += 1


@pytest.fixture
def no_collector():
    """What is left over must go without waiting for the collector's turn."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize('count', [1, 3])
@pytest.mark.parametrize('error', ERRORS, ids=lambda error: type(error).__name__)
def test_out_of_memory_is_tried_once_more_with_one_step(no_collector, error, count):
    engine = Engine(error, most=1)
    outcomes = infer(engine, ['image'] * count, **OPTIONS)
    assert [outcome.frame for outcome in outcomes] == ['frame'] * count
    assert all(type(error).__name__ in outcome.retried for outcome in outcomes)
    each = [(3, 12.5, True, 360), (1, None, True, 360)]
    assert engine.released == count, 'of what it keeps for other sizes'
    together = [] if count == 1 else each[:1]
    assert engine.calls == together + each * count
    assert all(bool(outcome.alone) == (count > 1) for outcome in outcomes)


@pytest.mark.parametrize('error', ERRORS, ids=lambda error: type(error).__name__)
def test_images_that_fit_one_by_one_keep_their_steps(no_collector, error):
    class Together(Engine):
        def batch(self, images, **options):
            ballast = Ballast()
            self.allocated = weakref.ref(ballast)
            raise type(error)(*error.args)

    engine = Together(error, most=3)
    outcomes = infer(engine, ['image'] * 2, **OPTIONS)
    assert outcomes == [Outcome('frame', alone=error_text(error), short=True)] * 2
    assert engine.calls == [(3, 12.5, True, 360)] * 2


@pytest.mark.parametrize('error', ERRORS, ids=lambda error: type(error).__name__)
def test_out_of_memory_for_one_step_is_the_outcome(error):
    engine = Engine(error, most=0)
    outcome, = infer(engine, ['image'], **OPTIONS)
    assert type(outcome.error) is type(error) and outcome.frame is None
    assert len(engine.calls) == 2


@pytest.mark.parametrize('error', [*ERRORS, ValueError('shapes differ')],
                         ids=lambda error: type(error).__name__)
def test_a_failure_keeps_nothing_that_was_allocated(no_collector, error):
    engine = Engine(error, most=0)
    outcome, = infer(engine, ['image'], **OPTIONS)
    assert outcome.error and engine.allocated() is None, 'the next frame is to have it'


@pytest.mark.parametrize('how', ['from', 'while'])
@pytest.mark.parametrize(('error', 'calls'), [(MemoryError('out of memory'), 2),
                                              (ValueError('shapes differ'), 1)])
def test_a_failure_keeps_nothing_of_what_led_to_it(no_collector, error, calls, how):
    class Wrapping(Engine):
        def __call__(self, image, **options):
            try:
                super().__call__(image, **options)
            except Exception as cause:
                if how == 'from':
                    raise RuntimeError(f'because: {cause}') from cause
                raise RuntimeError(f'because: {cause}')  # noqa: B904

    engine = Wrapping(error, most=0)
    outcome, = infer(engine, ['image'], **OPTIONS)
    assert outcome.error and len(engine.calls) == calls
    assert engine.allocated() is None, 'the next frame is to have it'


def test_other_failures_are_not_tried_again():
    engine = Engine(RuntimeError('shapes differ'), most=0)
    outcome, = infer(engine, ['image'], **OPTIONS)
    assert str(outcome.error) == 'shapes differ' and len(engine.calls) == 1


def test_an_image_that_fails_spoils_no_other_of_its_batch():
    class Picky(Engine):
        def __call__(self, image, **options):
            if image == 'bad':
                raise ValueError('bad image')
            return image

    outcomes = infer(Picky(None, 3), ['front', 'bad', 'right'], **OPTIONS)
    assert [outcome.frame for outcome in outcomes] == ['front', None, 'right']
    assert str(outcomes[1].error) == 'bad image'
    assert [outcome.alone for outcome in outcomes] == ['bad image'] * 3
    assert not fails_together(outcomes), 'one image is to blame'


@pytest.mark.parametrize('error', [*ERRORS, RuntimeError('cuDNN error: NOT_SUPPORTED')],
                         ids=lambda error: type(error).__name__)
@pytest.mark.parametrize('most', [0, 1, 3])
def test_a_batch_may_fail_without_any_of_its_images(error, most):
    class Together(Engine):
        def batch(self, images, **options):
            raise type(error)(*error.args)

    outcomes = infer(Together(MemoryError('one image'), most), ['image'] * 2, **OPTIONS)
    assert [bool(outcome.error) for outcome in outcomes] == [most == 0] * 2
    assert fails_together(outcomes) == error_text(error)


@pytest.mark.parametrize('error', ERRORS, ids=lambda error: type(error).__name__)
def test_an_image_is_not_to_blame_for_the_memory_of_its_batch(error):
    class Together(Engine):
        def batch(self, images, **options):
            raise type(error)(*error.args)

        def __call__(self, image, **options):
            if image == 'bad':
                raise ValueError('bad image')
            return image

    outcomes = infer(Together(None, 3), ['front', 'bad'], **OPTIONS)
    assert [outcome.frame for outcome in outcomes] == ['front', None]
    assert fails_together(outcomes) == error_text(error)


def test_frames_that_fit_are_not_tried_again():
    assert infer(Engine(None, most=3), ['image'], **OPTIONS) == [Outcome('frame')]
    together = infer(Engine(None, most=3), ['a', 'b'], **OPTIONS)
    assert together == [Outcome('frame')] * 2 and not fails_together(together)


def test_a_streak_ends_with_a_success_and_zero_means_never():
    streak = FailureStreak()
    assert [streak.failed('x', 3) for _ in range(2)] == [False, False]
    streak.succeeded()
    assert [streak.failed(reason, 3) for reason in 'abc'] == [False, False, True]
    told = 'gave up after 3 failures in a row, the last: c'
    assert streak.gave_up == told
    streak.succeeded()
    assert not streak.failed('later', 1) and streak.gave_up == told, 'it gives up once'
    assert not any(FailureStreak().failed('x', 0) for _ in range(99))


def test_the_limit_may_be_lowered_meanwhile():
    streak = FailureStreak()
    assert [streak.failed('x', limit) for limit in (9, 9, 2)] == [False, False, True]


def test_errors_are_worded_in_one_line():
    assert error_text(RuntimeError('a\n  b')) == 'RuntimeError: a b'
    assert error_text(ValueError('what to do')) == 'what to do'


def test_an_error_that_costs_the_gpu_says_what_helps():
    assert error_text(RuntimeError('CUDA error: device-side assert triggered\nmore')) == (
        'the GPU is lost to this process, which must be restarted: RuntimeError: CUDA error: '
        'device-side assert triggered more')

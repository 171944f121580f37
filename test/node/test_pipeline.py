# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The way of a frame: what the engine is asked for, what is counted, and when to give up."""

import gc
import threading
import time
import weakref
from types import SimpleNamespace

import messages
import numpy as np
import pytest

pytest.importorskip('rclpy')
from fake_engine import FakeEngine  # noqa: E402

from ubcn_ros.node import recovery  # noqa: E402
from ubcn_ros.node.diagnostics import CameraStatistics  # noqa: E402
from ubcn_ros.node.frames import Arrival  # noqa: E402
from ubcn_ros.node.parameters import Settings  # noqa: E402
from ubcn_ros.node.pipeline import Pipeline  # noqa: E402
from ubcn_ros.node.recovery import FailureStreak  # noqa: E402
from ubcn_ros.node.topics import COLOR, CONFIDENCE, DERAINED, LABELS, OVERLAY  # noqa: E402

NOW = 2_000_000_000.0  # seconds since the epoch, by the node's clock


class Clock:
    """A time that moves only when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Outputs:
    """Outputs that note what they are given, each publishing in a time of its own."""

    def __init__(self, clock, wanted=(LABELS,), seconds=0.0):
        self.clock, self.subscribed, self.seconds = clock, set(wanted), seconds
        self.published, self.numbers = [], []
        self.calibration = None

    def wanted(self, topic):
        return topic in self.subscribed

    def any_wanted(self):
        return bool(self.subscribed)

    def publish(self, header, frame, encoding, overlay_alpha):
        self.clock.now += self.seconds
        self.published.append((header, frame, encoding, overlay_alpha))
        return self.seconds / 3

    def camera_info(self, header):
        return self.calibration

    def publish_numbers(self, header, numbers, topic):
        self.numbers.append(numbers)


class Camera:
    """A camera without ROS."""

    def __init__(self, clock, **outputs):
        self.topic, self.warnings, self.errors = '/image', [], []
        self.outputs, self.statistics = Outputs(clock, **outputs), CameraStatistics(clock)

    def warn(self, key, text):
        self.warnings.append(text)

    remind = warn

    def error(self, key, text):
        self.errors.append((key, text))


class Node:
    """What the pipeline asks of a node."""

    def __init__(self, **settings):
        self.settings = Settings.of(settings)
        self.running = True
        self.context = SimpleNamespace(ok=lambda: self.running)

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=int(NOW * 1e9)))


@pytest.fixture
def bench():
    """Make a pipeline around an engine of this behaviour, with a node, a clock and a camera."""
    def make(behaviour='fast', **settings):
        bench = SimpleNamespace(node=Node(**settings), clock=Clock(), streak=FailureStreak(),
                                engine=FakeEngine(behaviour), given_up=[], fewer=[])
        bench.pipeline = Pipeline(bench.node, bench.engine, bench.streak,
                                  lambda: bench.given_up.append(bench.streak.gave_up),
                                  lambda *told: bench.fewer.append(told), bench.clock)
        bench.camera = Camera(bench.clock)
        made.append(bench)

        def process(batch):
            bench.pipeline.process(batch)
            assert bench.pipeline.finish(60.0)

        bench.process = process
        return bench

    made = []
    yield make
    for bench in made:
        bench.pipeline.close()


def arrival(encoding='rgb8', time=100.0, age=None):
    """An image that arrived at a time, stamped so many seconds ago, or not at all."""
    message = messages.sample(encoding, np.full((32, 32, 3), 7, np.uint8))
    second = 0.0 if age is None else NOW - age
    message.header.stamp = SimpleNamespace(sec=int(second), nanosec=0)
    return Arrival(message, time)


def test_the_engine_gets_iterations_and_deadline_of_the_settings(bench):
    for settings, expected in (({'iterations': 2}, (2, None)),
                               ({'deadline_ms': 33}, (3, pytest.approx(100.033)))):
        made = bench(**settings)
        made.process([(made.camera, arrival())])
        call, = made.engine.calls
        assert (call['iterations'], call['deadline'], call['confidence']) == (*expected, False)


def test_a_deadline_counts_from_the_arrival(bench):
    made = bench(deadline_ms=50)
    made.process([(made.camera, arrival(time=99.98))])
    assert made.engine.calls[0]['deadline'] == pytest.approx(100.03)


def test_a_change_of_the_settings_holds_from_the_next_frame_on(bench):
    made = bench(iterations=3)
    made.process([(made.camera, arrival())])
    made.node.settings = Settings.of({'iterations': 1, 'overlay_alpha': 0.25})
    made.process([(made.camera, arrival('bgr8'))])
    assert [call['iterations'] for call in made.engine.calls] == [3, 1]
    assert [published[2:] for published in made.camera.outputs.published] == [
        ('rgb8', 0.5), ('bgr8', 0.25)]


@pytest.mark.parametrize('width, frame_id, text', [
    (32, 'camera', None), (32, '', None), (0, 'camera', None),
    (1920, '', '/image: images are 32x32, but the camera info is of 1920x32: it goes'),
    (32, 'left', "/image: images are of frame_id 'camera', but the camera info is of 'left': it")])
def test_a_calibration_of_another_size_or_frame_is_warned_of(bench, width, frame_id, text):
    made = bench()
    made.camera.outputs.calibration = SimpleNamespace(
        header=SimpleNamespace(frame_id=frame_id), height=32, width=width, binning_x=0,
        binning_y=0, roi=SimpleNamespace(width=0, height=0))
    made.process([(made.camera, arrival())])
    assert [warning[:len(text)] for warning in made.camera.warnings] == ([text] if text else [])
    assert len(made.camera.outputs.published) == 1


def test_the_deadline_leaves_the_time_that_publishing_took(bench):
    made = bench(deadline_ms=50)
    made.camera.outputs.seconds = 0.02
    for _ in range(2):
        made.clock.now = 100.0
        made.process([(made.camera, arrival())])
    assert [call['deadline'] for call in made.engine.calls] == pytest.approx([100.05, 100.03])


def test_a_batch_has_to_be_done_in_time_to_publish_all_of_it(bench):
    made = bench(deadline_ms=50)
    batch = [(Camera(made.clock, seconds=seconds), arrival()) for seconds in (0.02, 0.01, 0.005)]
    for _ in range(2):
        made.clock.now = 100.0
        made.process(batch)
    deadlines = [call['deadline'] for call in made.engine.calls if 'deadline' in call]
    assert deadlines == pytest.approx([100.05] * 3 + [100.05 - 0.035] * 3)


def test_every_camera_of_a_batch_gets_what_came_of_its_own_image(bench):
    made = bench(iterations=1)
    batch = []
    for number in range(3):
        message = messages.sample('rgb8', np.full((32, 32, 3), 10 * number, np.uint8))
        message.header.stamp = SimpleNamespace(sec=number, nanosec=0)
        batch.append((Camera(made.clock, wanted=(LABELS, DERAINED)), Arrival(message, 100.0)))
    made.process(batch)
    for number, (camera, one) in enumerate(batch):
        (header, frame, *_), = camera.outputs.published
        assert header is one.message.header
        assert (frame.derained == 10 * number + 1).all()


def test_the_deadline_leaves_the_most_time_that_publishing_took_lately(bench):
    made = bench(deadline_ms=50)
    for seconds in (0.02, 0.005, 0.005):
        made.camera.outputs.seconds, made.clock.now = seconds, 100.0
        made.process([(made.camera, arrival())])
    assert made.engine.calls[-1]['deadline'] == pytest.approx(100.03)


def test_confidence_is_asked_for_where_one_camera_of_a_batch_wants_it(bench):
    made = bench()
    other = Camera(made.clock, wanted=(LABELS, CONFIDENCE))
    made.process([(made.camera, arrival()), (other, arrival())])
    assert made.engine.calls[-1]['confidence']


@pytest.mark.parametrize('topics, asked', [
    ((LABELS,), False), ((LABELS, CONFIDENCE), False), ((LABELS, DERAINED), True),
    ((OVERLAY,), True)])
def test_the_derained_image_is_asked_for_where_one_camera_of_a_batch_wants_it(bench, topics,
                                                                              asked):
    made = bench()
    other = Camera(made.clock, wanted=topics)
    made.process([(made.camera, arrival()), (other, arrival())])
    assert made.engine.calls[-1]['derained'] is asked


@pytest.mark.parametrize('topics, asked', [
    ((DERAINED,), False), ((DERAINED, LABELS), True), ((DERAINED, COLOR), True),
    ((OVERLAY,), True)])
def test_labels_are_asked_for_where_one_camera_of_a_batch_wants_them(bench, topics, asked):
    made = bench()
    batch = [Camera(made.clock, wanted=wanted) for wanted in ((DERAINED,), topics)]
    made.process([(camera, arrival()) for camera in batch])
    assert made.engine.calls[-1]['labels'] is asked


def test_what_is_not_sure_enough_is_left_unlabeled_from_the_next_frame_on(bench):
    made = bench()
    other = Camera(made.clock)
    for least in (0.0, 0.5, 0.0):
        made.node.settings = Settings.of({'min_confidence': least})
        made.process([(made.camera, arrival()), (other, arrival())])
        values = made.camera.statistics.report().values
        assert values.get('unlabeled (last, %)') == ('100.00' if least else None)
    assert [call['min_confidence'] for call in made.engine.calls if 'shape' in call] == [
        0, 0, 0.5, 0.5, 0, 0]
    for camera in (made.camera, other):
        assert [numbers.unlabeled for numbers in camera.outputs.numbers] == [None, 1.0, None]
        masks = [frame.labels for _, frame, *_ in camera.outputs.published]
        assert [(mask == 255).all() for mask in masks] == [False, True, False]


def test_what_the_model_tells_of_the_rain_goes_with_the_frame(bench):
    for behaviour, told in (('rain', 12.5), ('fast', None)):
        made = bench(behaviour)
        made.process([(made.camera, arrival())])
        assert getattr(made.camera.outputs.numbers[0].rain, 'rate', None) == told
        values = made.camera.statistics.report().values
        assert values.get('rain rate (last, mm/hr)') == (told and '12.50')


def test_the_engine_is_told_when_to_leave_steps_out_from_the_next_frame_on(bench):
    made = bench()
    for threshold in (0.0, 0.5):
        made.node.settings = Settings.of({'convergence': threshold})
        made.process([(made.camera, arrival())])
    assert [call['convergence'] for call in made.engine.calls] == [0.0, 0.5]


def test_numbers_of_a_frame_add_up(bench):
    made = bench(deadline_ms=20, iterations=2)
    made.camera.outputs.seconds = 0.03
    made.clock.now = 100.1
    made.process([(made.camera, arrival(age=5))])
    numbers, = made.camera.outputs.numbers
    assert numbers.iterations == 2 and numbers.late
    assert (numbers.processing_ms, numbers.latency_ms) == pytest.approx((30.0, 130.0))
    assert list(numbers.timings) == ['wait', 'convert', 'upload', 'derain', 'total', 'queue',
                                     'fill', 'publish']
    assert (numbers.timings['wait'], numbers.timings['fill'], numbers.timings['publish']
            ) == pytest.approx((100.0, 10.0, 20.0))
    values = made.camera.statistics.report().values
    assert values['deadline missed'] == '1 of 1' and values['age p50 (ms)'] == '5000.00'


@pytest.mark.parametrize('age', [None, -3600.0, 3600.0])
def test_an_age_needs_a_stamp_of_this_clock(bench, age):
    made = bench()
    made.process([(made.camera, arrival(age=age))])
    values = made.camera.statistics.report().values
    assert values['processed'] == '1' and 'age p50 (ms)' not in values
    assert values['without age (stamp of zero, or 60 s or more off)'] == '1'


def test_a_camera_whose_clock_is_ahead_has_negative_ages(bench):
    made = bench()
    made.process([(made.camera, arrival(age=-5.0))])
    values = made.camera.statistics.report().values
    assert values['age p50 (ms)'] == '-5000.00'
    assert not any(name.startswith('without age') for name in values)


def test_a_stamp_of_zero_has_no_age_under_simulated_time_either(bench):
    made = bench()
    made.node.get_clock = lambda: SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=30e9))
    made.process([(made.camera, arrival())])
    assert not any(name.startswith('age') for name in made.camera.statistics.report().values)


def test_a_malformed_image_is_counted_and_leaves_the_rest_of_its_batch_alone(bench):
    made, other = bench(), arrival()
    other.message.step = 1
    made.process([(made.camera, other), (Camera(made.clock), arrival())])
    assert made.camera.statistics.malformed == {'step': 1}
    assert made.camera.warnings[0].startswith('/image: malformed image dropped: step 1 is shorter')
    assert len(made.engine.calls) == 1 and not made.streak.count, 'no failure of the engine'


def test_the_size_of_each_cameras_newest_image_is_known(bench):
    made, other = bench(), Camera(Clock())
    for height in (32, 40):
        message = messages.sample('rgb8', np.zeros((height, 64, 3), np.uint8))
        message.header.stamp = SimpleNamespace(sec=0, nanosec=0)
        made.process([(made.camera, Arrival(message, 100.0))])
    made.process([(other, arrival())])
    assert made.pipeline.sizes == {made.camera: (40, 64), other: (32, 32)}


def test_nothing_is_converted_while_nobody_listens(bench):
    made, bad = bench(), arrival()
    made.camera.outputs.subscribed.clear()
    bad.message.step = 1  # converting it would tell
    made.process([(made.camera, bad)])
    assert not made.engine.calls and not made.camera.statistics.malformed
    assert made.camera.statistics.idle == 1


def test_too_little_memory_is_warned_of_and_counted(bench):
    made = bench('small')
    made.process([(made.camera, arrival())])
    assert made.camera.statistics.reduced == made.camera.statistics.processed == 1
    assert [numbers.iterations for numbers in made.camera.outputs.numbers] == [1]
    assert made.camera.warnings == [
        '/image: one step instead of 3: MemoryError: no memory for 3 steps; use a smaller image '
        'or fewer iterations']


def test_a_single_step_that_needs_memory_given_back_is_not_one_step_less(bench):
    made, run = bench('fast', iterations=1), FakeEngine.__call__
    failing = [MemoryError('full')]

    class Full(FakeEngine):
        def __call__(self, image, **options):
            if failing:
                raise failing.pop()
            return run(self, image, **options)

    made.pipeline.engine = Full()
    made.process([(made.camera, arrival())])
    assert made.camera.statistics.processed == 1 and not made.camera.statistics.reduced
    assert made.camera.warnings == [
        '/image: done only after memory was given back, which takes time: MemoryError: full; use '
        'a smaller image']


@pytest.mark.parametrize('bad', [False, True])
def test_a_batch_that_fails_is_told_and_fewer_are_taken_where_no_image_is_to_blame(bench, bad):
    made, run = bench(), FakeEngine.__call__

    class Together(FakeEngine):
        def batch(self, images, **options):
            raise RuntimeError('no kernel for 2 images')

        def __call__(self, image, **options):
            if bad and image.max() == 8:
                raise RuntimeError('bad image')
            return run(self, image, **options)

    made.pipeline.engine, other = Together(), Camera(made.clock)
    eight = arrival()
    eight.message.data = bytes([8]) * len(eight.message.data)
    made.process([(made.camera, arrival()), (other, eight)])
    assert made.camera.statistics.processed == 1 and other.statistics.failed == bad
    reason = 'RuntimeError: no kernel for 2 images'
    assert made.fewer == ([] if bad else [(1, reason)])
    assert made.camera.warnings == ([
        f'2 images together failed, and were taken one by one: {reason}'] if bad else [])


def test_images_that_fit_one_by_one_alone_are_taken_so_from_then_on(bench):
    made = bench('most:2')
    cameras = [Camera(made.clock) for _ in range(3)]
    made.process([(camera, arrival()) for camera in cameras])
    assert made.fewer == [(2, 'MemoryError: no memory for 3 images')]
    for camera in cameras:
        assert camera.statistics.processed == 1 and not camera.statistics.reduced
        assert [numbers.iterations for numbers in camera.outputs.numbers] == [3]


def test_failures_in_a_row_are_counted_and_end_in_giving_up(bench):
    made = bench('raises:1', max_failures=3)
    for _ in range(5):
        made.process([(made.camera, arrival())])
    reason = 'gave up after 3 failures in a row, the last: RuntimeError: injected failure'
    assert made.given_up == [reason] and made.streak.gave_up == reason
    assert len(made.engine.calls) == 3, 'frames that come later are dropped'
    assert made.camera.statistics.failed == 5
    assert made.camera.errors == 3 * [
        ('RuntimeError', '/image: frame dropped: RuntimeError: injected failure')]


def test_failures_that_are_not_in_a_row_end_in_nothing(bench):
    made = bench('raises:2', max_failures=2)
    for _ in range(8):
        made.process([(made.camera, arrival())])
    assert (made.camera.statistics.failed, made.camera.statistics.processed) == (4, 4)
    assert not made.given_up


def test_without_memory_for_a_single_step_frames_are_dropped_and_nothing_is_given_up(bench):
    made = bench('full', max_failures=0)
    for _ in range(9):
        made.process([(made.camera, arrival())])
    assert made.camera.statistics.failed == 9 and not made.given_up
    assert set(made.camera.errors) == {
        ('MemoryError', '/image: frame dropped: MemoryError: no memory for 1 steps')}


def test_a_frame_that_failed_is_let_go_at_once(bench):
    made, one = bench('raises:1'), arrival()
    held = weakref.ref(one)
    gc.disable()  # which may take long to have its turn
    try:
        made.process([(made.camera, one)])
        made.pipeline.close()
        del one
        assert held() is None
    finally:
        gc.enable()


def test_a_failure_that_cannot_be_reported_hinders_no_later_frame(bench):
    made = bench('raises:2')
    report, made.camera.error = made.camera.error, lambda *_: [][1]
    made.process([(made.camera, arrival())])
    with pytest.raises(IndexError):
        made.process([(made.camera, arrival())])
    made.camera.error = report
    made.process([(made.camera, arrival())])
    assert made.camera.statistics.processed == 2


def test_what_reporting_the_batch_before_raised_costs_the_present_one_nothing(bench):
    made = bench('raises:2')
    report, made.camera.error = made.camera.error, lambda *_: [][1]
    for _ in range(2):
        made.pipeline.process([(made.camera, arrival())])
    with pytest.raises(IndexError):
        made.pipeline.process([(made.camera, arrival())])
    made.camera.error = report
    assert made.pipeline.finish(60.0)
    assert (made.camera.statistics.processed, made.camera.statistics.failed) == (2, 1)


@pytest.mark.parametrize('place', ['to_rgb', 'engine', '_take_fewer', 'publish'])
def test_a_panic_of_rust_code_counts_every_frame_of_the_batch(bench, place):
    made, one = bench('most:1' if place == '_take_fewer' else 'fast'), arrival()
    other = Camera(made.clock)

    def panic(*_, **__):
        raise BaseException('unwrap() on a None value')
    for owner, name in {'to_rgb': [(one, 'to_rgb')], 'publish': [(made.camera.outputs, 'publish')],
                        'engine': [(made.engine, 'batch')],
                        '_take_fewer': [(made.pipeline, '_take_fewer')]}[place]:
        object.__setattr__(owner, name, panic)
    made.process([(made.camera, one), (other, arrival())])
    together = place in ('engine', '_take_fewer')
    assert (made.camera.statistics.failed, other.statistics.failed) == (1, together)
    assert other.statistics.processed == (not together)
    assert made.camera.errors[-1][1].endswith('BaseException: unwrap() on a None value')


def test_publishing_that_fails_is_a_failure_of_this_camera_alone(bench):
    made = bench()
    other = Camera(made.clock)
    made.camera.outputs.publish = lambda *_: [][1]
    made.process([(made.camera, arrival()), (other, arrival())])
    assert (made.camera.statistics.failed, other.statistics.processed) == (1, 1)


@pytest.mark.parametrize('place', ['release_all', 'free_memory', '_take_fewer'])
def test_what_fails_while_mending_a_failure_is_counted_for_every_frame_of_the_batch(
        bench, monkeypatch, place):
    made = bench('most:1' if place == '_take_fewer' else 'full', max_failures=4)

    def fail(*_):
        raise RuntimeError('capturing')
    owner = {'release_all': made.engine, 'free_memory': recovery,
             '_take_fewer': made.pipeline}[place]
    monkeypatch.setattr(owner, place, fail)
    for _ in range(2):
        made.process([(made.camera, arrival()), (Camera(made.clock), arrival())])
    assert made.camera.statistics.failed == 2
    assert made.camera.errors[-1][1] == '/image: frame dropped: RuntimeError: capturing'
    assert made.given_up == [
        'gave up after 4 failures in a row, the last: RuntimeError: capturing']


def test_only_the_engine_s_failures_end_in_giving_up(bench):
    made, unpublished, unread = bench(max_failures=2), [], arrival()
    made.camera.outputs.publish = lambda *_: unpublished[1]
    object.__setattr__(unread, 'to_rgb', lambda: unpublished[1])
    for one in (arrival(), unread) * 3:
        made.process([(made.camera, one)])
    assert made.camera.statistics.failed == 6 and not made.given_up and not made.streak.count


@pytest.mark.parametrize('method', ['publish', 'publish_numbers'])
def test_a_frame_ends_in_one_counter_whatever_fails(bench, method):
    made = bench()
    setattr(made.camera.outputs, method, lambda *_: [][1])
    made.process([(made.camera, arrival())])
    assert (made.camera.statistics.failed, made.camera.statistics.processed) == (1, 0)


def test_what_fails_while_the_process_ends_is_not_told(bench):
    made = bench('raises:1', max_failures=1)
    made.node.running = False
    made.process([(made.camera, arrival())])
    assert not made.camera.errors and not made.given_up and not made.camera.statistics.failed


class Gate:
    """Outputs whose publishing waits to be let through."""

    def __init__(self, outputs):
        self.begun, self.open = threading.Semaphore(0), threading.Semaphore(0)
        self._publish, outputs.publish = outputs.publish, self

    def __call__(self, *args):
        self.begun.release()
        assert self.open.acquire(timeout=60.0)
        return self._publish(*args)


def wait_for(condition):
    end = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_the_engine_works_on_the_next_frame_while_one_is_published_and_order_is_kept(bench):
    made = bench()
    gate = Gate(made.camera.outputs)
    arrivals = [arrival(time=100.0 + number) for number in range(3)]

    def process():
        for one in arrivals:
            made.pipeline.process([(made.camera, one)])

    worker = threading.Thread(target=process)
    worker.start()
    assert gate.begun.acquire(timeout=60.0)
    wait_for(lambda: len(made.engine.calls) == 2)
    assert not made.pipeline.finish(0.01)
    assert not gate.begun.acquire(blocking=False), 'only one is published at a time'
    assert len(made.engine.calls) == 2, 'no further one is begun'
    for _ in arrivals:
        gate.open.release()
    worker.join(60.0)
    assert made.pipeline.finish(60.0)
    assert [published[0] for published in made.camera.outputs.published] == [
        one.message.header for one in arrivals]
    assert made.camera.statistics.processed == 3


def test_the_wait_for_the_frame_before_counts_for_the_next_deadline(bench, monkeypatch):
    made = bench(deadline_ms=50)
    gate = Gate(made.camera.outputs)
    made.pipeline.process([(made.camera, arrival())])
    assert gate.begun.acquire(timeout=60.0)
    waits, finish = threading.Event(), made.pipeline.finish
    monkeypatch.setattr(made.pipeline, 'finish', lambda *args: [waits.set(), finish(*args)][1])
    worker = threading.Thread(target=made.pipeline.process, args=([(made.camera, arrival())],))
    worker.start()
    assert waits.wait(60.0)
    made.clock.now += 0.02
    for _ in range(2):
        gate.open.release()
    worker.join(60.0)
    assert made.pipeline.finish(60.0)
    assert [round(numbers.timings['queue']) for numbers in made.camera.outputs.numbers] == [0, 20]
    made.clock.now = 100.0
    gate.open.release()
    made.process([(made.camera, arrival())])
    assert made.engine.calls[-1]['deadline'] == pytest.approx(100.03)

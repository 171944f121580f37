# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One thread does everything, fairly, and stops only between frames."""

import threading
from concurrent.futures import CancelledError
from types import SimpleNamespace

import pytest

from ubcn_ros.node.frame_queue import FrameQueue
from ubcn_ros.node.worker import Worker


@pytest.fixture
def bench():
    """A worker that notes what it handles, and stops at a gate when told to."""
    bench = SimpleNamespace(handled=[], threads=set(), gate=threading.Event(),
                            begun=threading.Semaphore(0))
    bench.gate.set()

    def handle(batch):
        (camera, frame), *more = batch
        bench.begun.release()
        assert bench.gate.wait(10.0)
        bench.threads.add(threading.current_thread())
        bench.handled.append((camera, frame))
        bench.handled += [(camera, frame, 'together') for camera, frame in more]
        if isinstance(frame, BaseException):
            raise frame

    bench.queue = FrameQueue(lambda frame: frame if frame == 'same' else None)
    bench.worker = Worker(bench.queue, handle)
    yield bench
    bench.gate.set()
    assert bench.worker.close(10.0)


def test_tasks_and_frames_run_in_the_same_thread(bench):
    thread = bench.worker.submit(threading.current_thread).result(10.0)
    bench.queue.serve('l')
    bench.queue.put('l', 1)
    assert bench.begun.acquire(timeout=10.0)
    bench.worker.pause()(None)
    assert bench.threads == {thread} and thread is not threading.current_thread()
    assert bench.handled == [('l', 1)]


def test_a_task_that_raises_hands_on_its_error(bench):
    with pytest.raises(ZeroDivisionError):
        bench.worker.submit(lambda: 1 / 0).result(10.0)
    assert bench.worker.submit(lambda: 7).result(10.0) == 7


def test_a_panic_of_rust_code_is_handed_on_as_an_error_and_does_not_end_the_thread(bench):
    class PanicException(BaseException):
        """As pyo3 raises it."""

    def panic():
        raise PanicException('unwrap() on a None value')
    with pytest.raises(RuntimeError, match=r'PanicException: unwrap\(\) on a None value'):
        bench.worker.submit(panic).result(10.0)
    assert bench.worker.submit(lambda: 7).result(10.0) == 7


def test_without_room_for_its_thread_a_worker_says_so_and_can_be_closed(bench, monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, 'start', start)
        for _ in range(2):
            with pytest.raises(RuntimeError, match='start new thread'):
                bench.worker.submit(lambda: None)
    assert not bench.worker.started
    assert bench.worker.submit(lambda: 7).result(10.0) == 7 and bench.worker.started


def test_nothing_is_taken_unless_serving(bench):
    bench.queue.put('l', 1)
    bench.worker.submit(lambda: None).result(10.0)
    assert not bench.handled and bench.queue.discard('l')


def test_cameras_take_turns(bench):
    bench.worker.submit(lambda: None).result(10.0)
    bench.gate.clear()
    bench.queue.serve('lr')
    bench.queue.put('l', 0)
    assert bench.begun.acquire(timeout=10.0)
    for item in range(1, 4):  # a busy camera and a quiet one
        bench.queue.put('l', item)
    bench.queue.put('r', 9)
    bench.gate.set()
    for _ in range(2):
        assert bench.begun.acquire(timeout=10.0)
    bench.worker.pause()(None)
    assert bench.handled == [('l', 0), ('r', 9), ('l', 3)]


def test_frames_of_one_key_are_handled_together_and_the_others_are_next(bench):
    bench.worker.submit(lambda: None).result(10.0)
    bench.gate.clear()
    bench.queue.serve('ltr')
    bench.queue.put('l', 0)
    assert bench.begun.acquire(timeout=10.0)
    bench.queue.put('l', 'same')
    bench.queue.put('t', 'other')
    bench.queue.put('r', 'replaced')
    bench.queue.put('r', 'same')  # until its turn comes
    bench.gate.set()
    for _ in range(2):
        assert bench.begun.acquire(timeout=10.0)
    bench.worker.pause()(None)
    assert bench.handled == [('l', 0), ('t', 'other'), ('r', 'same'), ('l', 'same', 'together')]


def test_no_more_than_the_most_are_handled_together_and_the_rest_is_next(bench):
    bench.worker.submit(lambda: None).result(10.0)
    bench.queue.take_at_most(2)
    for camera in 'lrt':
        bench.queue.put(camera, 'same')
    bench.queue.serve('lrt')
    for _ in range(2):
        assert bench.begun.acquire(timeout=10.0)
    bench.worker.pause()(None)
    assert bench.handled == [('l', 'same'), ('r', 'same', 'together'), ('t', 'same')]


def test_pausing_waits_for_the_frame_in_hand(bench):
    bench.worker.submit(lambda: None).result(10.0)
    bench.gate.clear()
    bench.queue.serve('l')
    bench.queue.put('l', 1)
    assert bench.begun.acquire(timeout=10.0)
    assert not bench.worker.pause()(0.01)
    bench.queue.put('l', 2)
    bench.gate.set()
    assert bench.worker.pause()(10.0)
    assert bench.handled == [('l', 1)] and bench.queue.discard('l')


def test_pausing_does_not_wait_for_tasks_that_have_not_begun(bench):
    gates, begun = [threading.Event(), threading.Event()], threading.Event()
    tasks = [bench.worker.submit(lambda gate=gate: begun.set() or gate.wait(10.0))
             for gate in gates]
    assert begun.wait(10.0)
    in_hand = bench.worker.pause()
    assert not in_hand(0.01)
    gates[0].set()
    tasks[0].result(10.0)
    assert in_hand(10.0) and not tasks[1].done()
    gates[1].set()
    assert all(task.result(10.0) for task in tasks)


@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
@pytest.mark.parametrize('error', [RuntimeError, BaseException])
def test_a_frame_that_raises_does_not_end_the_thread(bench, error):
    bench.worker.submit(lambda: None).result(10.0)
    bench.queue.serve('l')
    items = error('bad'), 'good'
    for item in items:
        bench.queue.put('l', item)
        assert bench.begun.acquire(timeout=10.0)
    assert bench.worker.pause()(10.0)
    assert bench.handled == [('l', item) for item in items]


def test_closing_cancels_what_has_not_begun(bench):
    bench.gate.clear()
    begun = threading.Event()

    def task():
        begun.set()
        return bench.gate.wait(10.0)

    running, queued = bench.worker.submit(task), bench.worker.submit(lambda: None)
    assert begun.wait(10.0)
    assert not bench.worker.close(timeout=0.01)
    with pytest.raises(CancelledError):
        queued.result(10.0)
    bench.gate.set()
    assert bench.worker.close(timeout=10.0) and running.result()
    with pytest.raises(RuntimeError, match='closed'):
        bench.worker.submit(lambda: None)

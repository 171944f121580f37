# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Run everything that touches the engine in one thread: loading, warming up, frames and release.

CUDA graphs and compiled code belong to the thread that made them, and the executor's thread has
to stay free to swap messages.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ubcn_ros.node.frame_queue import FrameQueue


class Worker:
    """
    Runs tasks, and between them handles frames.

    A frame is taken only when it is its turn, so that newer ones still replace it.
    """

    def __init__(self, queue: FrameQueue, handle: Callable[[list[tuple[Any, Any]]], None]):
        """
        Make a worker; its thread starts with the first `submit`.

        :param queue: of frames; no others are to take from it.
        :param handle: called in the worker's thread with what the queue hands on. It must not
            raise; what it raises all the same goes to `threading.excepthook`.
        """
        self._queue, self._condition = queue, queue.condition
        self._handle = handle
        self._tasks: list[tuple[Future, Callable[[], Any]]] = []
        self._closing = False
        self._busy = False
        self._done = 0  # tasks and batches
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        """Whether there is a thread, or was one."""
        return self._thread is not None

    def submit(self, task: Callable[[], Any]) -> Future:
        """
        Run a task in the worker's thread, before any further frame.

        :raises RuntimeError: the worker is closed, or its thread cannot be started.
        """
        future: Future = Future()
        with self._condition:
            if self._closing:
                raise RuntimeError('the worker is closed')
            if self._thread is None:
                thread = threading.Thread(target=self._run, name='engine', daemon=True)
                thread.start()
                self._thread = thread  # only now, as there may be no room for another thread
            self._tasks.append((future, task))
            self._condition.notify_all()
        return future

    def pause(self) -> Callable[[float | None], bool]:
        """
        Serve no camera any more; tasks that wait come later.

        :return: waits until what is in hand now is done, so many seconds at most; False where it
            took longer.
        """
        with self._condition:
            self._queue.serve([])
            done = self._done

        def wait(timeout: float | None) -> bool:
            with self._condition:
                return self._condition.wait_for(lambda: not self._busy or self._done > done,
                                               timeout)
        return wait

    def close(self, timeout: float | None = None) -> bool:
        """
        End the thread after what it has in hand; tasks not begun are cancelled.

        :param timeout: seconds to wait at most.
        :return: False where the thread still runs.
        """
        with self._condition:
            self._closing = True
            self._queue.serve([])
            for future, _ in self._tasks:
                future.cancel()
            self._tasks.clear()
            self._condition.notify_all()
            thread = self._thread
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _next(self) -> Callable[[], None] | None:
        """Wait for something to do; None when closing."""
        with self._condition:
            self._done += self._busy
            self._busy = False
            self._condition.notify_all()
            while True:
                if self._closing:
                    return None
                if self._tasks:
                    self._busy = True
                    future, task = self._tasks.pop(0)
                    return lambda: _settle(future, task)
                batch = self._queue.take()
                if batch:
                    self._busy = True
                    return lambda: self._handle(batch)
                self._condition.wait()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            except BaseException:  # also what Rust code panics with: the thread goes on
                threading.excepthook(threading.ExceptHookArgs(
                    (*sys.exc_info(), threading.current_thread())))
            del work  # a frame must not live on while the thread waits


def _settle(future: Future, task: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(task())
    except Exception as error:
        future.set_exception(error)
    except BaseException as error:  # what Rust code panics with; to others it would mean to stop
        future.set_exception(RuntimeError(f'{type(error).__name__}: {error}'))

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Run callbacks so that no exception of one of them ends the process, and take images natively."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.executors import (
    ExternalShutdownException,
    ShutdownException,
    SingleThreadedExecutor,
    TimeoutException,
)

from ubcn_ros.node.native_images import native_images

_PAUSE_SECONDS = 0.1  # after an error in waiting, which may come again at once


class ReportingExecutor(SingleThreadedExecutor):
    """
    Runs callbacks in one thread, reports what they raise, and goes on.

    rclpy's own ends `spin` with the first exception of any callback. Callbacks of images, raw and
    compressed, get rclpy's MessageInfo, too, and the image as `native_images` takes it.
    """

    def __init__(self, report: Callable[[str, Exception], None], **kwargs: Any):
        """
        Make an executor without nodes.

        :param report: called with the callback, like 'subscription /image', and what it raised.
        :param kwargs: passed on to rclpy's SingleThreadedExecutor.
        """
        super().__init__(**kwargs)
        self._report = report

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for a callback and run it; seconds to wait, None without end."""
        try:
            handler, entity, _ = self.wait_for_ready_callbacks(timeout_sec)
        except (ShutdownException, TimeoutException):
            return
        except ExternalShutdownException:
            raise
        except Exception as error:
            self._report('waiting for callbacks', error)
            time.sleep(_PAUSE_SECONDS)
            return
        handler()
        error = handler.exception()
        if error is not None:
            self._report(describe(entity), error)

    def _take_subscription(self, sub: Any) -> Any:
        native = None if sub.raw else native_images(sub.msg_type)
        if native is None:
            return super()._take_subscription(sub)
        try:
            found = native.take(sub)
        except InvalidHandle:  # destroyed meanwhile
            return None

        async def execute() -> None:
            sub.callback(*found)

        return found and execute

    def _make_handler(self, entity: Any, node: Any, take_from_wait_list: Callable[[Any], Any],
                      *others: Any) -> Any:
        """Report what taking raises: rclpy (7.1) then runs no callback of the group ever again."""
        def take(entity: Any) -> Any:
            try:
                return take_from_wait_list(entity)
            except Exception as error:
                self._report(f'{describe(entity)}, taking', error)
                return None
        return super()._make_handler(entity, node, take, *others)


def describe(entity: Any) -> str:
    """Name what a callback belongs to, like 'service /ubcn/change_state'."""
    if entity is None:
        return 'task'
    name = getattr(entity, 'topic', None) or getattr(entity, 'srv_name', None)
    kind = ''.join(f' {c.lower()}' if c.isupper() else c for c in type(entity).__name__).strip()
    return f'{kind} {name}' if name else kind

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Count what callbacks raise for diagnostics, and word it for the log; ROS-free."""

from __future__ import annotations

import traceback
from pathlib import Path

from ubcn_ros.node.diagnostics import DiagnosticReport, Level, Throttle
from ubcn_ros.node.recovery import error_text


class CallbackErrors:
    """
    Counts exceptions that callbacks raised, and keeps the last one in words.

    It belongs to the executor's thread, in which they run.

    :ivar count: exceptions so far.
    :ivar last: the last one: where, what, and the line that raised it; '' before the first.
    """

    def __init__(self, throttle: Throttle | None = None):
        self.count = 0
        self.last = ''
        self._throttle = throttle or Throttle()
        self._reported = 0

    def add(self, where: str, error: Exception, always: bool = False) -> str:
        """
        Count an exception.

        :param where: the callback, like 'subscription /image'.
        :param always: whether it is worth a line each time, as where somebody asked for it.
        :return: the line to log; '' where one like it was logged a moment ago.
        """
        self.count += 1
        self.last = f'{where}: {error_text(error)}'
        frames = traceback.extract_tb(error.__traceback__)
        if frames:
            self.last += f' ({Path(frames[-1].filename).name}:{frames[-1].lineno})'
        held_back = self._throttle.passes(f'{where} {type(error).__name__}')
        if held_back is None and not always:
            return ''
        return self.last + (
            f' ({held_back} more {type(error).__name__} there)' if held_back else '')

    def put_into(self, report: DiagnosticReport) -> None:
        """Add the count to a report, and make it an error where there are new ones."""
        report.values['callback errors'] = str(self.count)
        if self.last:
            report.values['last callback error'] = self.last
        new, self._reported = self.count - self._reported, self.count
        if new:
            report.add(Level.ERROR, f'{new} callbacks failed, the last: {self.last}')

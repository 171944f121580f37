# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the engine warns of through Python's logging, in the log of the node."""

from __future__ import annotations

import logging
from typing import Any


class RuntimeLog(logging.Handler):
    """
    Hands warnings and errors of this package's modules on to a node's logger, and to /rosout.

    Without it Python prints them bare, where neither a launch file nor a recorder sees them.
    """

    def __init__(self, node: Any):
        """Begin; ``close`` ends it."""
        super().__init__(logging.WARNING)
        self._node = node
        logging.getLogger('ubcn_ros').addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record, with its severity."""
        if not self._node.context.ok():  # else the logger complains about itself
            return
        try:
            logger, text = self._node.get_logger(), record.getMessage()
            if record.levelno >= logging.ERROR:  # rclpy wants a line for each severity
                logger.error(text)
            else:
                logger.warning(text)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Leave the warnings to others again."""
        logging.getLogger('ubcn_ros').removeHandler(self)
        super().close()

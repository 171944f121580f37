# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Run the node as a process.

Exit codes: 0 when told to stop (SIGINT, SIGTERM, also in the middle of a frame or of loading),
1 when autostart could not configure and activate or the usage cannot be written, 2 when an
argument or a parameter cannot be taken or ROS cannot be started, as where security is enforced and
cannot be had. A middleware that cannot be loaded, or a domain above 232, ends the process with a
code and a text of its own.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

_STOPPING = signal.SIGINT, signal.SIGTERM
_STOP_SECONDS = 2.0  # for a frame in hand; launch escalates after 5 for all, docker after 10
_LISTEN_SECONDS = 0.1  # Python's handlers wait while rclpy waits
_SPINS = 20_000


def limit_openmp_spinning(environment: MutableMapping[str, str]) -> None:
    """
    Let PyTorch's CPU threads spin for each other only briefly; before PyTorch is imported.

    GNU OpenMP's threads wait for milliseconds without letting go of their cores. Where other
    processes want these, too, every layer then waits for a thread that is not running. What the
    environment says of it stays.

    :param environment: of the process, changed in place.
    """
    if 'OMP_WAIT_POLICY' not in environment:
        environment.setdefault('GOMP_SPINCOUNT', str(_SPINS))


def main(args: Sequence[str] | None = None, load: Callable[..., Any] | None = None) -> int:
    """
    Run the node until it is told to stop.

    :param args: command line, `--ros-args` included; the process's own by default.
    :param load: makes the engine of the settings; the real one by default.
    :return: the exit code.
    """
    if {'-h', '--help'}.intersection(sys.argv[1:] if args is None else args):
        return _print_usage()
    # Before anything slow: whenever a signal comes, it ends in the `except` below.
    signals = _StopSignals()
    node = executor = rclpy = None
    code = 0
    try:
        from ubcn_ros.malloc import keep_freed_memory
        from ubcn_ros.node.ros_start import refuse_others
        limit_openmp_spinning(os.environ)
        keep_freed_memory(os.environ)
        import rclpy
        from rclpy.exceptions import ParameterException
        from rclpy.signals import SignalHandlerOptions
        try:
            # rclpy's own handlers wake executors from a thread of theirs, also one that is just
            # taken down here: that is a segmentation fault
            rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
            refuse_others(args)
            from ubcn_ros.node.executor import ReportingExecutor
            from ubcn_ros.node.ubcn_node import UBCNNode
            node = UBCNNode(**({'load': load} if load else {}), stopping=lambda: signals.stopping)
            if node.settings.autostart and not node.start() and not signals.stopping:
                code = 1
                node.get_logger().fatal('autostart failed, ending: the error above says why')
            else:
                executor = ReportingExecutor(node.callback_failed)
                executor.add_node(node)
                while not signals.stopping:
                    executor.spin_once(_LISTEN_SECONDS)
        except (ValueError, ParameterException, RuntimeError) as error:
            if node is not None:
                raise
            code = _refuse(error)
    except ImportError as error:  # of rclpy itself, or of messages
        if node is not None:
            raise
        code = _refuse(error)
    except KeyboardInterrupt:
        code = 0
    signals.stopping = True
    if executor is not None:  # else it is let go when its handles are gone, whenever that is
        executor.shutdown()
    _tidy_up(node, code)
    if rclpy is not None:
        rclpy.get_default_context().try_shutdown()
    for number in _STOPPING:  # Python lets go of its handlers before the process ends
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()  # or Python looks through all of PyTorch once more, for half a second of a core
    return code


def _print_usage() -> int:
    """Print the usage; return the exit code."""
    from ubcn_ros.node.usage import usage
    try:
        print(usage(), flush=True)
    except OSError as error:
        print(f'ubcn_node: the usage cannot be written: {error}', file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left of it
        return 1
    return 0


class _StopSignals:
    """
    Turns the first SIGINT or SIGTERM into a KeyboardInterrupt.

    Once: a terminal and a launch file both send one, and tidying up must not be cut short. A
    destructor that one comes in swallows the exception: `stopping` is what tells then.
    """

    def __init__(self) -> None:
        self.stopping = False
        show_lost = sys.unraisablehook
        sys.unraisablehook = lambda lost: \
            None if lost.exc_type is KeyboardInterrupt else show_lost(lost)
        for number in _STOPPING:
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: Any) -> None:
        if not self.stopping:
            self.stopping = True
            raise KeyboardInterrupt


def _tidy_up(node: Any, code: int) -> None:
    """Take a node down, None for none; end the process at once where its worker does not end."""
    if node is None:
        return
    if not node.stop(_STOP_SECONDS):
        # A thread inside native code would be torn down with the interpreter, and crash.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    node.destroy_node()


def _refuse(error: Exception) -> int:
    """Print why the node cannot be started, in one line; return the exit code."""
    from ubcn_ros.node.ros_start import why_not_started
    of_ros = isinstance(error, (RuntimeError, ImportError))  # the former are rclpy's own errors
    text = why_not_started(error) if of_ros else ' '.join(str(error).split())
    print(f'ubcn_node: {text}', file=sys.stderr)
    return 2


if __name__ == '__main__':
    sys.exit(main())

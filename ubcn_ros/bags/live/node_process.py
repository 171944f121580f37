# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node in a process of its own, and the DDS domain that it runs in."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from ubcn_ros.node.middleware import DISCOVERY_RANGE, FAST_DDS, fast_dds_profile
from ubcn_ros.node.ros_start import why_not_started
from ubcn_ros.python_command import python_command
from ubcn_ros.runtime.installed import shared_folders
from ubcn_ros.stopping import signals_noted

_DOMAINS = 101  # above, ports meet the system's own
# of a domain: its multicast, and its first participants' (DDSI-RTPS, 9.6)
_PORTS = (0, 10, 12, 14)


class ReplayError(RuntimeError):
    """The node or the topics failed; the text says what was waited for, or the node's exit."""


def fast_dds_file() -> Path:
    """
    Find config/fastdds.xml: in the source tree, else where colcon or pip put it.

    :raises ReplayError: it is nowhere.
    """
    folders = shared_folders('config')
    for folder in folders:
        if (file := folder / 'fastdds.xml').is_file():
            return file
    raise ReplayError('config/fastdds.xml is missing in '
                      f'{", ".join(map(str, folders)) or "no folder"}: install the package again')


def private_domain() -> dict[str, str]:
    """
    Return the environment in which DDS stays on this machine, among processes given the same one.

    The domain is this process's own until it ends.

    :raises ReplayError: no domain is free.
    """
    return {'ROS_DOMAIN_ID': str(_own_domain()), DISCOVERY_RANGE: 'LOCALHOST'}


@cache
def _own_domain() -> int:
    """Take a domain that no other process uses, once for this one."""
    start = os.getpid()
    for domain in (1 + (start + n) % _DOMAINS for n in range(_DOMAINS)):
        if _hold(domain):
            return domain
    raise ReplayError(f'the DDS domains 1 to {_DOMAINS} are all in use on this machine: end some '
                      'of its ROS processes')


def _hold(domain: int) -> bool:
    """Hold a domain against other processes of ours; False where it is held or in use."""
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(f'\0ubcn_ros_domain_{domain}')  # of no file: ends with the process
        for number in _PORTS:
            with socket.socket(type=socket.SOCK_DGRAM) as port:
                port.bind(('', 7400 + 250 * domain + number))
    except OSError:
        held.close()
        return False
    held.detach()  # it stays open until this process ends
    return True


def enter_private_domain(shared_memory: bool = True) -> None:
    """
    Set the environment of `private_domain` in this process, before rclpy is initialised in it.

    ROS's logs go to a folder that is removed at the end, so that no home is needed for them.
    Transports that are chosen for others' nodes are of no effect in the domain.

    :param shared_memory: as `use_shared_memory`; else Fast DDS has its default transport.
    """
    os.environ.update(private_domain(), ROS_LOG_DIR=_log_folder())
    if shared_memory:
        use_shared_memory()
        return
    for name in FAST_DDS:
        os.environ.pop(name, None)


@cache
def _log_folder() -> str:
    folder = tempfile.mkdtemp(prefix='ubcn_ros_log_')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def starting_ros() -> Iterator[None]:
    """Raise ReplayError with the remedy where this block cannot import or start ROS."""
    try:
        yield
    except (ImportError, RuntimeError) as error:  # RuntimeError: as rclpy's own errors are
        raise ReplayError(why_not_started(error)) from error


def use_shared_memory() -> None:
    """Give Fast DDS room for large images in this process, unless it has a profile already."""
    os.environ.update(fast_dds_profile(os.environ, fast_dds_file()))


class NodeProcess:
    """
    `ubcn_node` as a process; a context manager that starts and ends it.

    To a ReplayError that leaves the block it adds the end of the log.

    :param log: file for all that it prints.
    :param parameters: of the node, by name.
    :param remappings: topic to topic.
    :param program: what Python is to run.
    """

    def __init__(self, log: Path, parameters: dict[str, Any], remappings: dict[str, str],
                 program: Sequence[str] = ('-m', 'ubcn_ros.node.main')):
        command = python_command(*program, '--ros-args')
        for name, value in parameters.items():
            command += ['-p', f'{name}:={json.dumps(value, ensure_ascii=False)}']
        for name, topic in remappings.items():
            command += ['-r', f'{name}:={topic}']
        self.log, self._command = log, command

    def __enter__(self) -> NodeProcess:
        environment = {**os.environ, 'PYTHONUNBUFFERED': '1'}
        with ExitStack() as stack, open(self.log, 'wb') as file:
            with signals_noted():  # not held: it would begin with them blocked
                self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL,
                                                stdout=file, stderr=subprocess.STDOUT,
                                                env=environment)
                stack.callback(self.stop, 0.0)
            stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None = None,
                 error: BaseException | None = None, trace: TracebackType | None = None) -> None:
        tail = ''
        try:
            if isinstance(error, ReplayError):
                tail = self.tail()  # before it tells of being stopped
        finally:
            self.stop()
        if tail:
            raise type(error)(f'{error}.\nThe end of {self.log.name}:\n'
                              f"{textwrap.indent(tail, '  ')}") from error

    def check(self) -> None:
        """Raise ReplayError if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise ReplayError(f'the node ended by itself with exit code {code}')

    def stop(self, timeout: float = 20.0) -> int:
        """End it as Ctrl-C does, by force when it does not follow; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also when a signal ends the waiting
            self.process.kill()
            self.process.wait()
        return self.process.returncode

    def tail(self, lines: int = 20) -> str:
        """Return the end of what it printed."""
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-lines:])

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node in a process of its own, and the DDS domain that it runs in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ubcn_ros.runtime.installed import shared_folders

_PROFILES = 'FASTRTPS_DEFAULT_PROFILES_FILE'


class ReplayError(RuntimeError):
    """The node or the topics failed; the text says what was waited for, or the node's exit."""


def config_file(name: str) -> Path:
    """
    Find a file of config/: in the source tree, else where colcon or pip put it.

    :raises ReplayError: it is nowhere.
    """
    folders = shared_folders('config')
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise ReplayError(f'config/{name} is missing in {", ".join(map(str, folders)) or "no folder"}:'
                      ' install the package again')


def private_domain() -> dict[str, str]:
    """
    Environment in which DDS stays on this machine, among processes given the same one.

    A Fast DDS profile that is set already stays.
    """
    profile = os.environ.get(_PROFILES) or str(config_file('fastdds.xml'))
    return {'ROS_DOMAIN_ID': str(1 + os.getpid() % 101),  # above 101 ports meet the system's
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            _PROFILES: profile}


def enter_private_domain(shared_memory: bool = True) -> None:
    """
    Set the environment of `private_domain` in this process, before rclpy is initialised in it.

    :param shared_memory: with the profile of Fast DDS; else its default transport.
    """
    os.environ.update(private_domain())
    if not shared_memory:
        del os.environ[_PROFILES]


class NodeProcess:
    """
    `ubcn_node` as a process; a context manager that ends it.

    :param log: file for all that it prints.
    :param parameters: of the node, by name.
    :param remappings: topic to topic.
    :param program: what Python is to run.
    """

    def __init__(self, log: Path, parameters: dict[str, Any], remappings: dict[str, str],
                 program: Sequence[str] = ('-m', 'ubcn_ros.node.main')):
        command = [sys.executable, *program, '--ros-args']
        for name, value in parameters.items():
            command += ['-p', f'{name}:={json.dumps(value)}']
        for name, topic in remappings.items():
            command += ['-r', f'{name}:={topic}']
        self.log = log
        self._ros_log = tempfile.TemporaryDirectory(prefix='ubcn_ros_log_')
        environment = {**os.environ, 'PYTHONUNBUFFERED': '1', 'ROS_LOG_DIR': self._ros_log.name}
        with open(log, 'wb') as file:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file,
                                            stderr=subprocess.STDOUT, env=environment)

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def check(self) -> None:
        """Raise ReplayError if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise ReplayError(f'the node ended by itself with exit code {code}')

    def stop(self, timeout: float = 20.0) -> int:
        """End it as Ctrl-C does, by force when it does not follow; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._ros_log.cleanup()
        return self.process.returncode

    def tail(self, lines: int = 20) -> str:
        """Return the end of what it printed."""
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-lines:])

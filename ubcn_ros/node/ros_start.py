# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Word why ROS cannot be started, and what helps; imports ROS late."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence

from ubcn_ros.node.parameters import nearest
from ubcn_ros.node.recovery import error_text

_FLAGS = ('--params-file', '--param', '-p', '--remap', '-r', '--enclave', '-e', '--log-level',
          '--log-config-file', '--log-file-name', '--enable-rosout-logs',
          '--disable-rosout-logs', '--enable-stdout-logs', '--disable-stdout-logs',
          '--enable-external-lib-logs', '--disable-external-lib-logs')

_SECURITY = ('ROS_SECURITY_ENABLE=true asks for SROS 2, which needs an enclave of '
             'ROS_SECURITY_KEYSTORE (enclave:=/ubcn for a launch file, else --ros-args '
             '--enclave /ubcn) and a DDS built with security, as that of the ROS 2 distribution; '
             'that of the wheels is not')
_LOG = ('Its logs go to ~/.ros/log unless ROS_LOG_DIR says another folder: set it to one that '
        'you may write to')

_MODULES = re.compile(r'rclpy|rpyutils|ament_index_python|rosidl_\w+|\w+_(msgs|srvs|interfaces)')
_MISSING = "Source a ROS 2 installation, or install the wheels with pip install -e '.[ros]'"


def why_not_started(error: RuntimeError | ImportError) -> str:
    """
    Word why ROS was not started, in one line, with the remedy where known.

    :param error: that rclpy raised, or that importing it, or messages, did.
    """
    if isinstance(error, ImportError) and not _MODULES.match(error.name or ''):
        return error_text(error)  # also of NumPy, whose errors name no module
    text = f'ROS cannot be started: {error_text(error)}'
    if isinstance(error, ImportError):
        return f'{text}. {_MISSING}'
    if os.environ.get('ROS_SECURITY_ENABLE') == 'true' and 'security' in text.lower():
        return f'{text}. {_SECURITY}'
    if 'failed to initialize logging' in text:
        return f'{text}. {_LOG}'
    if type(error).__name__ == 'UnknownROSArgsError':
        flag = re.search(r'-[\w-]+', str(error))
        return f'{text}. {nearest(flag.group() if flag else "", _FLAGS)}'
    return text


def refuse_others(arguments: Sequence[str] | None) -> None:
    """
    Refuse what of a command line is not for ROS: the node has no such arguments.

    :param arguments: without the program's name; the process's own by default.
    :raises ValueError: there are any.
    """
    from rclpy.utilities import remove_ros_args
    words = sys.argv if arguments is None else ['ubcn_node', *arguments]
    others = remove_ros_args(words)[1:]
    if others:
        raise ValueError(f'the arguments {shlex.join(others)} would have no effect: put '
                         '--ros-args before those for ROS, like --ros-args -p iterations:=2')

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Word why ROS cannot be started, and what helps; imports no ROS."""

from __future__ import annotations

import os

from ubcn_ros.node.recovery import error_text

_SECURITY = ('ROS_SECURITY_ENABLE=true asks for SROS 2, which needs an enclave of '
             'ROS_SECURITY_KEYSTORE (--ros-args --enclave /ubcn) and a DDS built with security, '
             'as that of the ROS 2 distribution; that of the wheels is not')
_LOG = ('Its logs go to ~/.ros/log unless ROS_LOG_DIR says another folder: set it to one that '
        'you may write to')


def why_not_started(error: RuntimeError) -> str:
    """Word what rclpy raised while ROS was started, in one line, with the remedy where known."""
    text = f'ROS cannot be started: {error_text(error)}'
    if os.environ.get('ROS_SECURITY_ENABLE') == 'true' and 'security' in text.lower():
        return f'{text}. {_SECURITY}'
    if 'failed to initialize logging' in text:
        return f'{text}. {_LOG}'
    return text

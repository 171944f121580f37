# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ROS for the tests of the node: a domain of their own, and processes that never outlive them."""

import os
import sys
from pathlib import Path

import pytest

# helper modules beside the tests, whatever pytest's import mode
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope='session')
def ros(tmp_path_factory):
    """Initialise rclpy in a domain of this session's own; skip where there is no ROS."""
    rclpy = pytest.importorskip('rclpy')
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)
    os.environ['ROS_LOG_DIR'] = str(tmp_path_factory.mktemp('ros_log'))
    from rclpy.signals import SignalHandlerOptions
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    yield rclpy
    rclpy.try_shutdown()


@pytest.fixture(scope='module')
def start(ros, tmp_path_factory):
    """Start the node in its own process: `start(stand_in=True, model='fast', ...)`."""
    from ros_peer import NodeProcess
    folder, running = tmp_path_factory.mktemp('nodes'), []

    def start_process(**options):
        running.append(NodeProcess(folder / f'{len(running)}.log', **options))
        return running[-1]

    yield start_process
    for process in running:
        process.kill()


@pytest.fixture
def peer(ros, request):
    """A node of the tests, spinning."""
    from ros_peer import Peer
    peer = Peer('peer')
    yield peer
    peer.close()

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Nodes for the tests, in processes that never outlive them."""

import gc
from contextlib import contextmanager

import pytest


@contextmanager
def _starter(folder):
    from ros_client import NodeProcess
    running = []

    def start_process(**options):
        running.append(NodeProcess(folder / f'{len(running)}.log', **options))
        return running[-1]

    yield start_process
    for process in running:
        # A killed node stays discovered for seconds: the next test's requests would go to it.
        process.stop(5.0)


@pytest.fixture
def start(ros, tmp_path):
    """Start the node in its own process: `start(fake_engine=True, model='fast', ...)`."""
    with _starter(tmp_path) as start_process:
        yield start_process


@pytest.fixture(scope='module')
def start_shared(ros, tmp_path_factory):
    """Start a node, as `start` does, that lives as long as the tests of a file."""
    with _starter(tmp_path_factory.mktemp('nodes')) as start_process:
        yield start_process


@pytest.fixture
def client(ros, request):
    """A node of the tests, spinning."""
    from ros_client import RosClient
    # A lifecycle node of an earlier test keeps its services, unanswered, until it is collected.
    gc.collect()
    client = RosClient('client')
    yield client
    client.close()

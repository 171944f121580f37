# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the process around the node sets before PyTorch is there."""

import os
import subprocess
import sys

import pytest

from ubcn_ros.node.main import rest_between_layers


@pytest.mark.parametrize('given, spins', [
    ({}, '20000'), ({'GOMP_SPINCOUNT': '7'}, '7'), ({'OMP_WAIT_POLICY': 'active'}, None)])
def test_threads_spin_briefly_unless_the_environment_says_how(monkeypatch, given, spins):
    monkeypatch.setattr(os, 'environ', dict(given))
    rest_between_layers()
    assert os.environ.get('GOMP_SPINCOUNT') == spins


def test_the_node_says_so_before_pytorch_is_imported():
    code = """
import os, sys
import ubcn_ros.node.main as node
def rest():
    os._exit(7 if 'torch' in sys.modules else 5)
node.rest_between_layers = rest
node.main([])
"""
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 5

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the process around the node sets before PyTorch is there."""

import subprocess
import sys

import pytest

from ubcn_ros.node.main import limit_openmp_spinning


@pytest.mark.parametrize('given, spins', [
    ({}, '20000'), ({'GOMP_SPINCOUNT': '7'}, '7'), ({'OMP_WAIT_POLICY': 'active'}, None)])
def test_threads_spin_briefly_unless_the_environment_says_how(given, spins):
    environment = dict(given)
    limit_openmp_spinning(environment)
    assert environment.get('GOMP_SPINCOUNT') == spins


def test_the_node_says_so_before_pytorch_is_imported():
    code = """
import os, sys
import ubcn_ros.node.main as node
def rest(environment):
    os._exit(7 if 'torch' in sys.modules else 5)
node.limit_openmp_spinning = rest
node.main([])
"""
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 5

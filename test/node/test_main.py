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


def test_it_is_said_before_pytorch_is_imported():
    code = 'import sys, ubcn_ros.node.main; sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node's process as replay and benchmark handle it, and the domain that it runs in."""

import textwrap
import time
import xml.etree.ElementTree as ElementTree

import pytest

from ubcn_ros.bags.node_process import NodeProcess, ReplayError, config_file, private_domain


def test_the_profile_is_found_and_missing_files_are_named():
    assert ElementTree.parse(config_file('fastdds.xml')).getroot().tag.endswith('dds')
    with pytest.raises(ReplayError, match='config/absent.xml is missing in'):
        config_file('absent.xml')
    domain = private_domain()
    assert 1 <= int(domain['ROS_DOMAIN_ID']) <= 101
    assert domain['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'


@pytest.fixture
def program(tmp_path):
    """Run a Python program in the node's stead: `program(text)`."""
    def start(text, **parameters):
        path = tmp_path / 'stand_in.py'
        path.write_text(textwrap.dedent(text))
        return NodeProcess(tmp_path / 'log', parameters, {'image': '/x'}, [str(path)])
    return start


def test_parameters_keep_their_types_and_the_log_its_end(program):
    with program('import sys; print(*sys.argv[1:], sep="\\n")', model='007', iterations=2,
                 autostart=True) as node:
        assert node.process.wait(30) == 0
        with pytest.raises(ReplayError, match='ended by itself with exit code 0'):
            node.check()
    lines = node.log.read_text().splitlines()
    assert {'model:="007"', 'iterations:=2', 'autostart:=true', 'image:=/x'} <= set(lines)
    assert node.tail(2).splitlines() == lines[-2:]


def test_it_ends_by_the_signal_or_by_force(program):
    obedient = program("""
        import signal, sys, time
        signal.signal(signal.SIGINT, lambda *_: sys.exit(3))
        print('ready', flush=True)
        time.sleep(60)""")
    _wait_for(obedient, 'ready')
    obedient.check()
    assert obedient.stop() == 3
    stubborn = program("""
        import signal, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print('ready', flush=True)
        time.sleep(60)""")
    _wait_for(stubborn, 'ready')
    assert stubborn.stop(timeout=0.3) == -9


def _wait_for(node, text):
    end = time.monotonic() + 30
    while text not in node.log.read_text():
        assert time.monotonic() < end
        time.sleep(0.02)

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node's process as replay and benchmark handle it, and the domain that it runs in."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from unittest.mock import patch

import pytest

from ubcn_ros.bags.live import node_process
from ubcn_ros.bags.live.node_process import (
    NodeProcess,
    ReplayError,
    enter_private_domain,
    fast_dds_file,
    private_domain,
)
from ubcn_ros.node.middleware import FAST_DDS, FAST_DDS_TRANSPORTS
from ubcn_ros.stopping import Stopped, stop_on_signals

ROOT = Path(__file__).parents[3]


def test_the_profile_is_found_and_named_where_it_is_missing(monkeypatch, tmp_path):
    assert ElementTree.parse(fast_dds_file()).getroot().tag.endswith('dds')
    for folders, where in (([tmp_path], tmp_path), ([], 'no folder')):
        monkeypatch.setattr(node_process, 'shared_folders', lambda _, found=folders: found)
        with pytest.raises(ReplayError, match=f'config/fastdds.xml is missing in {where}: ins'):
            fast_dds_file()


OWN_DOMAIN = """
import os
from ubcn_ros.bags.live.node_process import ReplayError, private_domain
os.getpid = lambda: 7  # all begin to look at the same
try:
    assert private_domain() == private_domain()
    print(private_domain()['ROS_DOMAIN_ID'], flush=True)
except ReplayError as error:
    print(error, flush=True)
input()
"""


def start_with_a_domain():
    process = subprocess.Popen([sys.executable, '-c', OWN_DOMAIN], text=True, cwd=ROOT,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return process, process.stdout.readline().strip()


def test_transports_for_other_nodes_leave_a_private_domain_its_profile(monkeypatch):
    for name in FAST_DDS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(FAST_DDS_TRANSPORTS, 'UDPv4')
    with patch.dict(os.environ):
        enter_private_domain()
        assert {os.environ[name] for name in FAST_DDS} == {str(fast_dds_file())}


def test_a_private_domain_without_shared_memory_has_no_profile_not_even_the_users():
    for given in ({}, {FAST_DDS[0]: '/home/me/profile.xml'}):
        with patch.dict(os.environ, given):
            enter_private_domain(shared_memory=False)
            assert not any(name in os.environ for name in FAST_DDS)
            assert os.environ['ROS_DOMAIN_ID'] == private_domain()['ROS_DOMAIN_ID']


def test_each_process_has_a_domain_of_its_own_until_it_ends():
    domain = private_domain()
    assert domain['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
    first, its = start_with_a_domain()
    second, others = start_with_a_domain()
    assert len({domain['ROS_DOMAIN_ID'], its, others}) == 3
    assert all(1 <= int(number) <= 101 for number in (its, others))
    first.communicate('\n')
    third, again = start_with_a_domain()
    assert again == its
    for process in (second, third):
        process.communicate('\n')


def test_a_domain_that_another_program_uses_is_not_taken():
    process, its = start_with_a_domain()
    process.communicate('\n')
    for number in (0, 10):
        with socket.socket(type=socket.SOCK_DGRAM) as port:
            port.bind(('', 7400 + 250 * int(its) + number))
            process, other = start_with_a_domain()
            process.communicate('\n')
        assert int(other) != int(its)


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
                 autostart=True, name='/🌧') as node:
        assert node.process.wait(30) == 0
        with pytest.raises(ReplayError, match='ended by itself with exit code 0'):
            node.check()
    lines = node.log.read_text().splitlines()
    # ROS's YAML does not know the two \\u of JSON for one character
    assert {'model:="007"', 'iterations:=2', 'autostart:=true', 'name:="/🌧"',
            'image:=/x'} <= set(lines)
    assert node.tail(2).splitlines() == lines[-2:]


class Lost(ReplayError):
    """One that a caller knows."""


@pytest.mark.parametrize('said, told', [
    ('no such model', 'waited in vain.\nThe end of log:\n  no such model'),
    ('', 'waited in vain')])
def test_an_error_of_a_replay_has_the_end_of_the_log(program, said, told):
    with pytest.raises(Lost) as error, program(f'print({said!r}, end="")') as node:
        node.process.wait(30)
        raise Lost('waited in vain')
    assert str(error.value) == told


def test_the_end_of_the_log_is_that_of_before_the_node_was_stopped(program):
    with pytest.raises(ReplayError) as error, program("""
            import signal, sys, time
            signal.signal(signal.SIGINT, lambda *_: sys.exit('Stopped by SIGINT'))
            print('no frame is whole', flush=True)
            time.sleep(60)""") as node:
        _wait_for(node, 'no frame is whole')
        raise ReplayError('waited in vain')
    assert str(error.value) == 'waited in vain.\nThe end of log:\n  no frame is whole'
    assert 'Stopped by SIGINT' in node.tail()


WITHOUT_HOME = """
import os
import rclpy
from ubcn_ros.bags.live.node_process import enter_private_domain
enter_private_domain()
rclpy.init()
rclpy.shutdown()
print(os.environ['ROS_LOG_DIR'])
"""


def test_a_private_domain_needs_no_home_for_its_logs():
    pytest.importorskip('rclpy')
    environment = {name: value for name, value in os.environ.items() if name != 'ROS_LOG_DIR'}
    ended = subprocess.run([sys.executable, '-c', WITHOUT_HOME], cwd=ROOT, text=True, timeout=60,
                           env={**environment, 'HOME': '/proc/none'}, capture_output=True)
    assert ended.returncode == 0, ended.stderr
    assert 'ubcn_ros_log_' in ended.stdout and not Path(ended.stdout.strip()).exists()


STUBBORN = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print('ready', flush=True)
time.sleep(60)"""


def test_it_ends_by_the_signal_or_by_force(program):
    with program("""
            import signal, sys, time
            signal.signal(signal.SIGINT, lambda *_: sys.exit(3))
            print('ready', flush=True)
            time.sleep(60)""") as obedient:
        _wait_for(obedient, 'ready')
        obedient.check()
        assert obedient.stop() == 3
    with program(STUBBORN) as stubborn:
        _wait_for(stubborn, 'ready')
        assert stubborn.stop(timeout=0.3) == -9


def test_a_second_signal_does_not_leave_it_behind(program):
    with pytest.raises(Stopped), stop_on_signals(), program(STUBBORN) as stubborn:
        _wait_for(stubborn, 'ready')
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert stubborn.process.returncode == -9


def test_a_signal_while_it_starts_does_not_leave_it_behind(program, monkeypatch):
    started, popen = [], subprocess.Popen

    def interrupted(*arguments, **options):
        started.append(popen(*arguments, **options))
        os.kill(os.getpid(), signal.SIGTERM)
        return started[0]

    monkeypatch.setattr(subprocess, 'Popen', interrupted)
    with pytest.raises(Stopped), stop_on_signals(), program(STUBBORN):
        raise AssertionError('the block began')
    assert started[0].returncode is not None


def _wait_for(node, text):
    end = time.monotonic() + 30
    while text not in node.log.read_text():
        assert time.monotonic() < end
        time.sleep(0.02)

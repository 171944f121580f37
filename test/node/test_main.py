# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the process around the node sets before PyTorch is there."""

import os
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


def test_signals_are_heard_before_anything_slow_is_imported():
    code = ("import sys, ubcn_ros.node.main; "
            "sys.exit(bool({'numpy', 'yaml', 'torch', 'rclpy'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


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


def run_main(code):
    """Run the node, unconfigured, in a process of its own, after this code."""
    pytest.importorskip('rclpy')
    from ubcn_ros.bags.live.node_process import private_domain
    code = f"""
import os, signal, sys
import rclpy
import ubcn_ros.node.main as main
import ubcn_ros.node.ubcn_node as module
{code}
sys.exit(main.main(['--ros-args', '-p', 'autostart:=false']))
"""
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          check=False, timeout=60, env={**os.environ, **private_domain()})


@pytest.mark.parametrize('missing', ['rclpy', 'lifecycle_msgs.msg', 'diagnostic_msgs.msg'])
def test_a_ros_that_is_not_sourced_is_told_in_one_line(missing):
    code = f'import sys; sys.modules[{missing!r}] = None\n' \
        'from ubcn_ros.node.main import main; sys.exit(main([]))'
    from ubcn_ros.bags.live.node_process import private_domain
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          check=False, timeout=60, env={**os.environ, **private_domain()})
    line, = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith('ubcn_node: ROS cannot be started: ')
    assert missing in line or 'rclpy' in line
    assert line.endswith("Source a ROS 2 installation, or install the wheels with pip install -e "
                         "'.[ros]'")


def test_signals_are_pythons_alone():
    # rclpy's thread for them uses the guard conditions of executors that are being taken down
    done = run_main("""
def create(**_):
    print(rclpy.signals.get_current_signal_handlers_options())
    raise KeyboardInterrupt
module.UBCNNode = create
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, 'SignalHandlerOptions.NO\n', '')


def test_python_does_not_look_through_all_objects_once_more_at_the_end():
    done = run_main("""
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count() > 1000))
def create(**_):
    raise KeyboardInterrupt
module.UBCNNode = create
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, 'True\n', '')


def test_a_signal_in_a_destructor_ends_it_too():
    done = run_main("""
class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
class Node(module.UBCNNode):
    def __init__(self, **options):
        super().__init__(**options)
        self.create_timer(0.01, Last)
module.UBCNNode = Node
""")
    assert (done.returncode, done.stdout) == (0, '')
    assert 'Exception ignored' not in done.stderr and 'Traceback' not in done.stderr


def test_what_else_is_lost_in_a_destructor_is_shown():
    done = run_main("""
class Last:
    def __del__(self):
        raise ValueError('lost')
def create(**_):
    Last()
    raise KeyboardInterrupt
module.UBCNNode = create
""")
    assert done.returncode == 0 and 'ValueError: lost' in done.stderr


@pytest.mark.parametrize('given', [
    'use_sim_time:=3', 'use_sim_time:="true"', 'use_sim_time:=[true]',
    'start_type_description_service:=1'])
def test_a_wrong_type_of_a_parameter_of_rclpy_is_told_in_one_line(given):
    pytest.importorskip('rclpy')
    done = subprocess.run([sys.executable, '-m', 'ubcn_ros.node.main', '--ros-args', '-p', given],
                          capture_output=True, text=True, check=False)
    line, = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith('ubcn_node: ')
    assert given.partition(':=')[0] in line and 'BOOL' in line


def test_a_usage_that_cannot_be_written_is_told_in_one_line():
    with open('/dev/full', 'w') as full:
        done = subprocess.run([sys.executable, '-m', 'ubcn_ros.node.main', '--help'], stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)
    line, = done.stderr.splitlines()
    assert done.returncode == 1 and 'No space left' in line

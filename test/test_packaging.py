# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One description of the package for pip, colcon and ROS, and imports that point one way."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import ubcn_ros

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope='module')
def setup_arguments():
    """Run setup.py with a `setup` that only notes what it is called with."""
    code = ('import json, setuptools\n'
            'setuptools.setup = lambda **arguments: print(json.dumps(arguments))\n'
            "exec(compile(open('setup.py').read(), 'setup.py', 'exec'), "
            "{'__file__': 'setup.py', '__name__': '__main__'})")
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True, timeout=60,
                          capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.fixture(scope='module')
def manifest():
    """The root element of package.xml."""
    return ElementTree.parse(ROOT / 'package.xml').getroot()


def test_name_version_and_license_agree(setup_arguments, manifest):
    assert manifest.get('format') == '3'
    assert manifest.findtext('name') == setup_arguments['name'] == 'ubcn_ros'
    assert (manifest.findtext('version') == setup_arguments['version']
            == ubcn_ros.__version__)
    license_tag = manifest.find('license')
    assert license_tag.text == setup_arguments['license'] == 'Apache-2.0'
    assert 'Apache License' in (ROOT / license_tag.get('file')).read_text()
    assert manifest.findtext('export/build_type') == 'ament_python'


def test_ros_imports_of_the_sources_are_in_the_manifest(manifest):
    declared = {tag.text for tag in manifest if tag.tag.endswith('depend')}
    imported = set()
    for path in [*(ROOT / 'ubcn_ros').rglob('*.py'), *(ROOT / 'launch').glob('*.py')]:
        imported |= set(re.findall(
            r'^\s*(?:from|import) (\w+_msgs|rclpy|cv_bridge|launch|launch_ros|'
            r'ament_index_python|std_srvs|rcl_interfaces|builtin_interfaces)\b',
            path.read_text(), re.MULTILINE))
    assert {'rclpy', 'sensor_msgs', 'launch_ros'} <= imported <= declared


def test_everything_that_installs_exists(setup_arguments):
    files = {file: target for target, files in setup_arguments['data_files'] for file in files}
    assert all((ROOT / file).is_file() for file in files)
    marker = 'share/ament_index/resource_index/packages'
    assert files['resource/ubcn_ros'] == marker
    assert files['package.xml'] == 'share/ubcn_ros'
    for folder, pattern in (('launch', '*.launch.py'), ('config', '*.yaml'),
                            ('config', '*.xml'), ('config', '*.rviz'),
                            ('models', '*.safetensors')):
        for path in (ROOT / folder).rglob(pattern):
            relative = path.relative_to(ROOT)
            assert files[relative.as_posix()] == f'share/ubcn_ros/{relative.parent.as_posix()}'


def test_every_package_of_the_tree_installs(setup_arguments):
    found = {path.parent.relative_to(ROOT).as_posix().replace('/', '.')
             for path in (ROOT / 'ubcn_ros').rglob('__init__.py')}
    assert set(setup_arguments['packages']) == found
    folders = {path.parent for path in (ROOT / 'ubcn_ros').rglob('*.py')}
    assert all((folder / '__init__.py').exists() for folder in folders)


def test_programs_are_where_ros_looks_for_them(setup_arguments):
    scripts = dict(line.split(' = ') for line in setup_arguments['entry_points'][
        'console_scripts'])
    assert scripts == {'ubcn': 'ubcn_ros.cli:main', 'ubcn_node': 'ubcn_ros.node.main:main'}
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')
    assert config['develop']['script_dir'] == '$base/lib/ubcn_ros'
    assert config['install']['install_scripts'] == '$base/lib/ubcn_ros'
    assert config['build_scripts']['executable'] == '/usr/bin/env python3'


def test_ros_wheels_are_pinned_to_one_distribution(setup_arguments):
    wheels = setup_arguments['extras_require']['ros']
    assert all('==' in wheel for wheel in wheels)
    assert 'ros-rclpy[fastrtps]==7.1.6' in wheels
    assert not any(wheel.startswith('ros-') for wheel in setup_arguments['install_requires'])


@pytest.mark.parametrize('sourced', ['', '/opt/ros/jazzy'])
def test_make_installs_extras_that_exist(setup_arguments, sourced):
    if shutil.which('make') is None:
        pytest.skip('make is not installed')
    plan = subprocess.run(
        ['make', '--dry-run', '--always-make', 'test', f'PYTHON={sys.executable}'], cwd=ROOT,
        env={**os.environ, 'AMENT_PREFIX_PATH': sourced, 'ROS_DISTRO': 'jazzy'}, timeout=60,
        check=True, capture_output=True, text=True).stdout
    trees = re.findall(r"-e '\.(.*?)'", plan)
    extras = [re.fullmatch(r'(?:\[(\w+(?:,\w+)*)\])?', tree)[1] or '' for tree in trees]
    named = {extra for group in extras for extra in group.split(',') if extra}
    assert len(trees) == 2 and named <= set(setup_arguments['extras_require'])
    # the wheels crash beside a sourced ROS 2, and need a virtual environment of their own
    assert ('ros' in named) != bool(sourced)
    assert ('--system-site-packages' in plan) == bool(sourced)


def test_no_machine_path_and_no_registry_in_what_builds():
    for name in ('setup.py', 'setup.cfg', 'Makefile', '.ci/run', 'package.xml'):
        text = (ROOT / name).read_text()
        assert not re.search(r'index-url|find-links|pypi\.org|trusted-host|/home/|/root/', text)


def test_the_linter_finds_nothing():
    pytest.importorskip('ruff')
    done = subprocess.run(
        [sys.executable, '-m', 'ruff', 'check', '--no-cache', '--output-format=concise', '.'],
        cwd=ROOT, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_point_one_way(tmp_path):
    program = shutil.which('lint-imports', path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip('import-linter is not installed')
    done = subprocess.run([program, '--cache-dir', str(tmp_path)], cwd=ROOT, timeout=120,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.integration
def test_colcon_builds_what_ros_finds(tmp_path):
    pytest.importorskip('colcon_core')
    source = tmp_path / 'src' / 'ubcn_ros'
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(
        '.*', 'build', 'install', 'log', 'out', 'runs', 'test', '*.egg-info', '__pycache__'))
    done = subprocess.run([sys.executable, '-m', 'colcon', 'build'], cwd=tmp_path, timeout=240,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    prefix = tmp_path / 'install' / 'ubcn_ros'
    for program in ('ubcn', 'ubcn_node'):
        first = (prefix / 'lib/ubcn_ros' / program).read_text().splitlines()[0]
        assert first == '#!/usr/bin/env python3'
    assert (prefix / 'share/ament_index/resource_index/packages/ubcn_ros').exists()
    for path in ('package.xml', 'launch/ubcn.launch.py', 'config/ubcn.yaml'):
        assert (prefix / 'share/ubcn_ros' / path).is_file()
    assert list(prefix.rglob('ubcn_ros/node/main.py'))

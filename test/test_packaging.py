# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One description of the package for pip, colcon and ROS, and imports that point one way."""

import ast
import configparser
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

import ubcn_ros
from ubcn_ros.cli.commands import PACKAGES
from ubcn_ros.images.files import read_image, write_image

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


def test_the_manifest_declares_the_ros_packages_that_the_sources_import(manifest):
    declared = {tag.text for tag in manifest if tag.tag == 'exec_depend'}
    imported = set()
    for path in [*(ROOT / 'ubcn_ros').rglob('*.py'), *(ROOT / 'launch').glob('*.py')]:
        imported |= set(re.findall(
            r'^\s*(?:from|import) (\w+_(?:msgs|srvs|interfaces)|rclpy|cv_bridge|launch|launch_ros|'
            r'ament_index_python)\b',
            path.read_text(), re.MULTILINE))
    assert {'rclpy', 'sensor_msgs', 'launch_ros'} <= imported
    assert imported == {name for name in declared if not name.startswith('python3-')}


def test_everything_that_installs_exists(setup_arguments):
    files = {file: target for target, files in setup_arguments['data_files'] for file in files}
    assert all((ROOT / file).is_file() for file in files)
    marker = 'share/ament_index/resource_index/packages'
    assert files['resource/ubcn_ros'] == marker
    assert files['package.xml'] == 'share/ubcn_ros'
    for folder, pattern in (('launch', '*.launch.py'), ('config', '*.yaml'),
                            ('config', '*.xml'), ('config', '*.rviz'),
                            ('config', '*.foxglove.json'),
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


def test_pip_leaves_ros_a_setuptools_that_its_colcon_can_use(setup_arguments):
    """PyTorch asks for one newer than that of ROS 2, and the newest know no `--editable`."""
    bound = "'setuptools<80'"
    assert bound.strip("'") in setup_arguments['extras_require']['test']
    block, = re.findall(r'^pip install --break-system-packages (?:.*\\\n)*.*$',
                        (ROOT / 'README.md').read_text(), re.MULTILINE)
    assert "'torch>=" in block and bound in block


def test_every_file_of_the_package_installs(setup_arguments):
    found = {path for path in (ROOT / 'ubcn_ros').rglob('*')
             if path.is_file() and path.suffix not in ('.py', '.pyc')}
    patterns = setup_arguments['package_data']['ubcn_ros']
    assert found == {path for pattern in patterns for path in (ROOT / 'ubcn_ros').glob(pattern)}


def test_programs_are_where_ros_looks_for_them(setup_arguments):
    scripts = dict(line.split(' = ') for line in setup_arguments['entry_points'][
        'console_scripts'])
    assert scripts == {'ubcn': 'ubcn_ros.cli:main', 'ubcn_node': 'ubcn_ros.node.main:main'}
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')
    assert config['develop']['script_dir'] == '$base/lib/ubcn_ros'
    assert config['install']['install_scripts'] == '$base/lib/ubcn_ros'
    assert config['build_scripts']['executable'] == '/usr/bin/env python3'


def test_commands_say_how_to_install_what_is_missing(setup_arguments):
    needed = {re.match('[a-z0-9-]+', line)[0] for line in setup_arguments['install_requires']}
    assert needed - {'setuptools', 'click'} <= set(PACKAGES.values())
    extras = {f'ubcn_ros[{extra}]' for extra in setup_arguments['extras_require']}
    assert set(PACKAGES.values()) <= needed | extras | {'lz4'}  # which mcap brings


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


def test_the_oldest_python_is_one_everywhere(setup_arguments):
    oldest = setup_arguments['python_requires'].removeprefix('>=')
    assert f'Python {oldest} or newer' in (ROOT / 'README.md').read_text()
    makefile = (ROOT / 'Makefile').read_text()
    assert f'sys.version_info < ({oldest.replace(".", ", ")})' in makefile
    assert makefile.count(f'{oldest} or newer') == 2


def test_no_machine_path_and_no_registry_in_what_builds():
    for name in ('setup.py', 'setup.cfg', 'pyproject.toml', 'Makefile', '.ci/run', 'package.xml'):
        text = (ROOT / name).read_text()
        assert not re.search(r'index-url|find-links|pypi\.org|trusted-host|/home/|/root/', text)


def test_nothing_lies_beside_the_folders_of_the_package():
    git = shutil.which('git')
    done = git and subprocess.run([git, 'ls-files', '-z'], cwd=ROOT, timeout=60,
                                  capture_output=True, text=True)
    if not done or done.returncode:
        pytest.skip('not a git repository')
    found = {name.split('/')[0] for name in done.stdout.split('\0') if name}
    assert {name for name in found if not name.startswith('.')} == {
        'ubcn_ros', 'launch', 'config', 'models', 'test', 'package.xml', 'setup.py', 'README.md',
        'setup.cfg', 'pyproject.toml', 'resource', 'Makefile', 'LICENSE'}


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


def contract(name):
    config = configparser.ConfigParser()
    config.read(ROOT / '.importlinter')
    return config[f'importlinter:contract:{name}']


def layers():
    """Packages and modules of the layers, a set for each, the highest first."""
    return [{f'ubcn_ros.{package.strip()}' for package in row.split('|')}
            for row in contract('layers')['layers'].strip().split('\n')]


def test_each_contract_names_all_that_it_is_about():
    """A forgotten layer breaks the first; the others have no such check of their own."""
    assert contract('layers')['exhaustive'] == 'True'
    first = next(n for n, row in enumerate(layers()) if 'ubcn_ros.node' in row)
    below, everywhere = set().union(*layers()[first:]), layers()[-1]
    assert set(contract('no-ros')['source_modules'].split()) == below - {'ubcn_ros.node'}
    assert everywhere <= set(contract('vehicle')['source_modules'].split())


def strings(path):
    """Line and text of the strings of a source file, docstrings left out."""
    tree = ast.parse(path.read_text())
    prose = {node.value for node in ast.walk(tree)
             if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    return [(node.lineno, node.value) for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            and node not in prose]


def modules_by_name():
    """File, line and name of every module of the package that a string in it names."""
    for path in sorted((ROOT / 'ubcn_ros').rglob('*.py')):
        # parsing takes its time, and most name the package where they import it alone
        named = r'^(?!\s*(?:from|import) ).*\bubcn_ros\.'
        if not re.search(named, path.read_text(), re.MULTILINE):
            continue
        for line, text in strings(path):
            # a '/' follows in the name of a file format
            for name in re.findall(r'\bubcn_ros(?:\.\w+)+(?::\w+)?(?![\w/]|\.\w)', text):
                yield path.relative_to(ROOT), line, name


def exists(name):
    """Whether it is a module, or an attribute of one."""
    module, _, attribute = name.partition(':')
    path = ROOT / module.replace('.', '/')
    if path.is_dir() or path.with_suffix('.py').is_file():
        return not attribute or hasattr(importlib.import_module(module), attribute)
    module, _, attribute = module.rpartition('.')
    return exists(module) and hasattr(importlib.import_module(module), attribute)


def test_modules_named_in_strings_exist_and_are_not_above():
    """Which the linter of imports cannot see."""
    level = {package: number for number, row in enumerate(layers()) for package in row}
    found, wrong = 0, []
    for path, line, name in modules_by_name():
        found += 1
        here = '.'.join(path.with_suffix('').parts[:2])
        there = '.'.join(name.partition(':')[0].split('.')[:2])
        if not exists(name):
            wrong.append(f'{path}:{line}: no {name}')
        elif here in level and there != here and level[there] <= level[here]:
            wrong.append(f'{path}:{line}: {name} is not below {here}')
    assert found > 10 and not wrong, '\n'.join(wrong)


def test_an_old_pip_builds_a_wheel_too():
    """Else it would run setup.py, obey setup.cfg, and put the commands into lib/ubcn_ros."""
    assert re.search(r"^\[build-system\]\nrequires = .*\nbuild-backend = 'setuptools.build_meta'$",
                     (ROOT / 'pyproject.toml').read_text(), re.MULTILINE)


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of the tree, for what building leaves in it."""
    copy = tmp_path_factory.mktemp('workspace') / 'src' / 'ubcn_ros'
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(
        '.*', 'build', 'install', 'log', 'out', 'runs', 'test', '*.egg-info', '__pycache__'))
    return copy


@pytest.fixture(scope='module')
def workspace(source):
    """A colcon workspace in which the package is built."""
    pytest.importorskip('colcon_core')
    folder = source.parents[1]
    done = subprocess.run([sys.executable, '-m', 'colcon', 'build'], cwd=folder, timeout=240,
                          env={**os.environ, 'PYTHONDONTWRITEBYTECODE': '1'},  # takes a while
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope='module')
def wheel_prefix(source, tmp_path_factory):
    """A prefix that pip has installed a wheel of the package in."""
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '--quiet']
    folder = tmp_path_factory.mktemp('wheel')
    for arguments in (
            ['wheel', '--no-index', '--no-deps', '--no-build-isolation', '-w', folder, source],
            # --ignore-installed: else pip removes the package from where the tests run
            ['install', '--no-index', '--no-deps', '--no-compile', '--ignore-installed',
             '--prefix', folder / 'prefix', '--find-links', folder, 'ubcn_ros']):
        done = subprocess.run([*pip, *arguments], cwd=folder, timeout=120, capture_output=True,
                              text=True)
        if 'No module named pip' in done.stderr:
            pytest.skip('pip is not installed')
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / 'prefix'


PLACES = """
import ubcn_ros
from ubcn_ros.bags.live.node_process import fast_dds_file
from ubcn_ros.runtime.installed import shared_folders
print(ubcn_ros.__file__)
print(shared_folders('models')[0] / 'ubcn-light-camvid.safetensors')
print(fast_dds_file())
print(shared_folders('config/train')[0] / 'light.yaml')
"""


def check_installed(prefix, program, call, folder):
    """Run the installed command from another folder, and ask what it has found."""
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    write_image(folder / 'in.png', image)
    version = call([program, '--version'])
    assert version.stdout.split()[-1] == ubcn_ros.__version__, version.stderr
    done = call([program, 'derain', 'in.png', 'out.png', '--iterations', '1', '--device', 'cpu',
                 '--labels', 'labels'])
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_image(folder / 'out.png').shape == (32, 32, 3)
    assert (folder / 'labels' / 'out.png').is_file()
    places = call(['python3', '-c', PLACES])
    package, *data = map(Path, places.stdout.splitlines())
    assert package.is_relative_to(prefix), places.stderr
    share = prefix / 'share' / 'ubcn_ros'
    assert data == [share / 'models/ubcn-light-camvid.safetensors', share / 'config/fastdds.xml',
                    share / 'config/train/light.yaml']
    assert all(path.is_file() for path in data)


def clean_environment(**more):
    """Environment without this tree, in which python3 is the one that runs the tests."""
    kept = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    return {**kept, 'PATH': os.pathsep.join([str(Path(sys.executable).parent), kept['PATH']]),
            'OMP_NUM_THREADS': '1', **more}


@pytest.mark.integration
def test_colcon_builds_what_ros_finds(workspace):
    prefix = workspace / 'install' / 'ubcn_ros'
    for program in ('ubcn', 'ubcn_node'):
        first = (prefix / 'lib/ubcn_ros' / program).read_text().splitlines()[0]
        assert first == '#!/usr/bin/env python3'
    assert (prefix / 'share/ament_index/resource_index/packages/ubcn_ros').exists()
    for path in ('package.xml', 'launch/ubcn.launch.py', 'config/ubcn.yaml'):
        assert (prefix / 'share/ubcn_ros' / path).is_file()
    assert list(prefix.rglob('ubcn_ros/node/main.py'))


@pytest.mark.integration
def test_the_command_runs_in_a_sourced_workspace(workspace, tmp_path):
    """As `ros2 run ubcn_ros ubcn` does: the program in lib/ubcn_ros of the package's prefix."""
    prefix = workspace / 'install' / 'ubcn_ros'

    def call(command):
        sourced = f'. {workspace}/install/local_setup.bash && exec "$@"'
        return subprocess.run(['bash', '-c', sourced, 'bash', *command], cwd=tmp_path, timeout=120,
                              env=clean_environment(), capture_output=True, text=True)

    found = call(['bash', '-c', 'echo $AMENT_PREFIX_PATH']).stdout.strip().split(os.pathsep)
    assert str(prefix) in found
    check_installed(prefix, str(prefix / 'lib/ubcn_ros/ubcn'), call, tmp_path)


@pytest.mark.integration
def test_the_command_runs_from_a_wheel(wheel_prefix, tmp_path):
    packages = next(wheel_prefix.rglob('ubcn_ros/__init__.py')).parents[1]
    assert {path.name for path in (wheel_prefix / 'bin').iterdir()} == {'ubcn', 'ubcn_node'}
    assert not (wheel_prefix / 'lib/ubcn_ros').exists()

    def call(command):
        return subprocess.run(command, cwd=tmp_path, timeout=120, capture_output=True, text=True,
                              env=clean_environment(PYTHONPATH=str(packages)))

    check_installed(wheel_prefix, str(wheel_prefix / 'bin/ubcn'), call, tmp_path)

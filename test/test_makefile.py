# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When make creates .venv, installs into it, and refuses to."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# An interpreter that only notes what it is called with, and makes environments of itself.
INTERPRETER = """#!/bin/sh
echo "$0 $*" >> calls
case "$*" in
  *base_prefix*) cat version;;
  *"$FAILS"*) exit 1;;
  "-m venv"*) test -e .venv/.created-by-make && mkdir .venv/bin && cp "$0" .venv/bin/python;;
esac
"""


class Checkout:
    """A folder with the Makefile and two interpreters, `one` and `the other`."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        for name in ('Makefile', 'setup.py'):
            shutil.copy(ROOT / name, folder)
        for name in ('one', 'the other'):
            (folder / name).write_text(INTERPRETER)
            (folder / name).chmod(0o755)
        (folder / 'version').write_text('/usr 3 12')

    def make(self, *values, python='./one', sourced='/opt/ros', fails='nothing', **variables):
        # not the options and values of the make that runs the tests
        environment = {name: value for name, value in os.environ.items()
                       if name not in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL')}
        return subprocess.run(
            ['make', f'PYTHON={python}', *values], cwd=self.folder, timeout=60,
            capture_output=True, text=True,
            env={**environment, 'AMENT_PREFIX_PATH': sourced, 'FAILS': fails, **variables})

    def calls(self, *values, target='demo', **options):
        """List what the interpreters are called with for a target, its own call the last."""
        (self.folder / 'calls').unlink(missing_ok=True)
        done = self.make(target, *values, **options)
        assert done.returncode == 0, done.stderr
        return [line for line in (self.folder / 'calls').read_text().splitlines()
                if not re.search(' -c | --version', line)]

    def installs(self, *values, **options):
        """Count the calls before the target's own: one creates .venv, two or three install."""
        return len(self.calls(*values, **options)) - 1


@pytest.fixture
def checkout(tmp_path):
    if shutil.which('make') is None:
        pytest.skip('make is not installed')
    return Checkout(tmp_path / 'checkout')


def test_installs_again_where_its_values_change(checkout):
    assert checkout.installs() == 3 and checkout.installs() == 0
    for value in ('TORCH=torch==9', "PIP_ARGS=--find-links 'a  place'  --pre"):
        *changed, _ = checkout.calls(value)
        assert len(changed) == 2 and all(value.partition('=')[2].split()[-1] in line
                                         for line in changed)
        assert checkout.installs(value) == 0
    assert checkout.installs(value, target='test') == 1
    assert checkout.installs(target='test') == 3 and checkout.installs(target='test') == 0
    assert checkout.installs(target='test', python='./the other') == 4
    assert checkout.installs(python='./the other') == 0


def test_creates_its_environment_again_for_another_base_or_place(checkout):
    checkout.make('demo')
    (checkout.folder / 'version').write_text('/usr 3 13')
    assert checkout.installs() == 3 and checkout.installs() == 0
    checkout.folder = checkout.folder.rename(checkout.folder.with_name('moved'))
    assert checkout.installs() == 3 and checkout.installs() == 0


@pytest.mark.parametrize('python', ['/usr/bin/env ./one', '~/one'])
def test_takes_an_interpreter_as_a_shell_does(checkout, python):
    assert checkout.installs(python=python, HOME=str(checkout.folder)) == 3


def test_leaves_an_environment_of_others_alone(checkout):
    kept = checkout.folder / '.venv' / 'pyvenv.cfg'
    kept.parent.mkdir()
    kept.touch()
    done = checkout.make('demo')
    assert done.returncode and '.venv was not made by make: move it' in done.stdout
    checkout.make('clean')
    assert kept.exists()
    kept.unlink()
    assert checkout.make('demo', fails='-m venv --system-site-packages').returncode
    assert checkout.installs() == 3  # one that is not whole is its own, too
    checkout.make('clean')
    assert not kept.parent.exists()


def test_tells_a_missing_package_from_a_folder_that_cannot_be_written(checkout):
    done = checkout.make('demo', fails='import ensurepip')
    assert done.returncode and 'apt-get install python3-venv' in done.stdout
    done = checkout.make('demo', 'VENV=setup.py/venv')
    assert done.returncode and 'apt-get' not in done.stdout
    assert 'may not write there' in done.stdout


def test_takes_a_bag_with_quotes_in_its_path(checkout):
    bag = 'a driver\'s "bag"'
    assert checkout.calls(f'BAG={bag}')[-1].endswith(f'demo --bag {bag}')


def test_installs_all_without_a_test(checkout):
    assert len(checkout.calls(target='install-all')) == 4
    assert checkout.installs(target='test') == 0


@pytest.mark.parametrize('sourced', ['', '/opt/ros'])
def test_hides_packages_on_pythonpath_from_pip_unless_ros_put_them_there(checkout, sourced):
    show = '@echo PYTHONPATH=$$PYTHONPATH'
    done = checkout.make(f'--eval=show: ; {show}', 'show', sourced=sourced, PYTHONPATH='/a')
    assert done.stdout == f'PYTHONPATH={sourced and "/a"}\n'

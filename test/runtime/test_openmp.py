# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""OpenMP's threads end when they are let go, and come back."""

import mmap
import os
import subprocess
import sys

import pytest

from ubcn_ros.runtime.openmp import release_openmp_threads

PROGRAM = """
import os, torch
from ubcn_ros.runtime.openmp import release_openmp_threads
torch.set_num_threads(3)
x = torch.rand(2000, 2000)
def threads():
    y = x * 2  # exact, however many threads share it
    return len(os.listdir('/proc/self/task')), y
before, first = threads()
done = release_openmp_threads()
after = len(os.listdir('/proc/self/task'))
again, second = threads()
assert torch.equal(first, second)
print(done, before, after, again)
"""


def test_a_mapped_file_may_have_a_name_in_any_encoding(tmp_path):
    path = os.fsencode(tmp_path) + b'/\xe9'
    with open(path, 'w+b') as file:
        file.write(bytes(mmap.PAGESIZE))
        file.flush()
        with mmap.mmap(file.fileno(), mmap.PAGESIZE):
            assert release_openmp_threads() in (False, True)


def test_threads_that_were_let_go_are_gone_and_come_back():
    ended = subprocess.run([sys.executable, '-c', PROGRAM], capture_output=True, text=True,
                           timeout=120)
    assert ended.returncode == 0, ended.stderr
    done, *counts = ended.stdout.split()
    before, after, again = map(int, counts)
    if done == 'False':
        pytest.skip('PyTorch runs on another OpenMP')
    assert after <= before - 2 and again == before

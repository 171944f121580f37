# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Freed memory is kept unless the environment says otherwise; what of its settings is told of."""

import os
import subprocess
import sys

import pytest

from ubcn_ros.malloc import explain_malloc, keep_freed_memory

FULL_HD = 3 * 1920 * 1080
# Prints the pages new from the kernel for arrays of 40 and 80 MiB, after as many that were freed,
# in the main thread and in another, then how many MiB are given back. They are aligned as tensors
# are, for which glibc leaves small pieces between the first ones.
PAGES = """
import ctypes, os, resource, threading
from ubcn_ros.malloc import give_back_freed_memory, keep_freed_memory

def new_pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize() >> 20

libc = ctypes.CDLL(None)
libc.free.argtypes = [ctypes.c_void_p]
libc.posix_memalign.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]

def block(size):
    place = ctypes.c_void_p()
    assert libc.posix_memalign(ctypes.byref(place), 64, size) == 0
    ctypes.memset(place, 1, size)
    return place

def use(times):
    for _ in range(times):
        for size in (40 << 20, 80 << 20):
            for place in (block(size), block(size)):
                libc.free(place)

def count():
    use(8)
    before = new_pages()
    use(4)
    print(new_pages() - before)

assert keep_freed_memory(os.environ)
count()
thread = threading.Thread(target=count)
thread.start()
thread.join()
before = resident()
give_back_freed_memory()
print(before - resident())
"""


def test_freed_memory_is_used_again_and_given_back_when_asked():
    done = subprocess.run([sys.executable, '-c', PAGES], timeout=120, capture_output=True,
                          text=True, env={name: value for name, value in os.environ.items()
                                          if not name.startswith(('MALLOC_', 'GLIBC_'))})
    assert done.returncode == 0, done.stderr
    main, other, given_back = map(int, done.stdout.split())
    assert max(main, other) < 1_000, 'of 245,760'
    assert given_back > 150


@pytest.mark.parametrize('environment', [
    {'MALLOC_ARENA_MAX': '2'}, {'MALLOC_MMAP_THRESHOLD_': '65536'},
    {'GLIBC_TUNABLES': 'glibc.malloc.arena_max=1'}])
def test_what_the_environment_says_of_malloc_stays(environment):
    assert not keep_freed_memory(environment)


@pytest.mark.parametrize('value', ['131072', str(FULL_HD - 1)])
def test_a_threshold_below_an_image_is_told_with_its_value(value):
    environment = {'MALLOC_MMAP_THRESHOLD_': value}
    text = explain_malloc(FULL_HD, environment)
    assert f'MALLOC_MMAP_THRESHOLD_={value}' in text and 'unset' in text
    assert explain_malloc(0, environment) == '', 'of no size nothing is known'


@pytest.mark.parametrize('environment', [
    {}, {'MALLOC_MMAP_THRESHOLD_': ''}, {'MALLOC_MMAP_THRESHOLD_': 'x'},
    {'MALLOC_MMAP_THRESHOLD_': str(FULL_HD)}, {'MALLOC_MMAP_THRESHOLD_': '-1'}])
def test_all_else_is_left_alone(environment):
    assert explain_malloc(FULL_HD, environment) == ''

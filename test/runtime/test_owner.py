# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Who may use an engine: one thread at a time, of the process that loaded it."""

import subprocess
import sys
import threading

import numpy as np
import pytest

IMAGE = np.zeros((40, 52, 3), np.uint8)
PROGRAM = """
import os, signal, sys
import numpy as np, torch
from ubcn_ros import Engine
torch.set_num_threads(2)
image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
engine = Engine.load(sys.argv[1], 'cpu', 'fp32')
expected = engine(image, 2)
child = os.fork()
if child == 0:
    signal.alarm(30)  # ends it where it hangs
    try:
        engine(image, 1)
    except RuntimeError as error:
        print(error)
    own = Engine.load(sys.argv[1], 'cpu', 'fp32')
    print(np.array_equal(own(image, 2).derained, expected.derained), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1])
print(np.array_equal(engine(image, 2).derained, expected.derained))
"""


def test_a_forked_process_is_refused_and_may_load_its_own(tiny_model):
    ended = subprocess.run([sys.executable, '-c', PROGRAM, tiny_model], capture_output=True,
                           text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    refusal, *rest = ended.stdout.splitlines()
    assert 'belongs to the process that loaded it' in refusal and 'by spawn' in refusal
    assert rest == ['True', '0', 'True']


def test_a_second_thread_is_refused_while_another_is_served(tiny_engine):
    refused = []

    def use(call):
        with pytest.raises(RuntimeError, match='one thread at a time: give each thread an Engine'):
            call()
        refused.append(call)

    def progress(_):  # the engine is at work
        for call in (lambda: tiny_engine(IMAGE, 1), tiny_engine.release_all,
                     lambda: tiny_engine.release(40, 52), lambda: tiny_engine.warm_up(40, 52)):
            thread = threading.Thread(target=use, args=(call,))
            thread.start()
            thread.join()
    tiny_engine.warm_up(40, 52, progress)
    assert len(refused) == 8


def test_threads_may_take_turns_also_after_an_error(tiny_engine):
    with pytest.raises(ValueError, match='too small'):
        tiny_engine(IMAGE[:8], 1)
    found = []
    thread = threading.Thread(target=lambda: found.append(tiny_engine(IMAGE, 1)))
    thread.start()
    thread.join()
    assert np.array_equal(found[0].labels, tiny_engine(IMAGE, 1).labels)

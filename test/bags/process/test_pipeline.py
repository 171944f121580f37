# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Order, bounds and errors, whatever order threads finish in."""

import random
import threading
import time

import pytest
from drives import imu

from ubcn_ros.bags import MalformedMessage
from ubcn_ros.bags.cameras import BagCamera
from ubcn_ros.bags.process import pipeline as module
from ubcn_ros.bags.process.job_reader import Item, Position
from ubcn_ros.bags.process.pipeline import ThreadedPipeline

CAMERA = BagCamera('/front', 'sensor_msgs/msg/Image', 1)


def item(number, image=True, size=40):
    record = imu(number, number)._replace(data=bytes(size), sequence=number)
    return Item(record, Position(number, 1, {}), True, CAMERA if image else None)


def pause(seed):
    time.sleep(random.Random(seed).random() * 0.004)


def decode(record):
    pause(record.sequence)
    return 'message', record.sequence


def infer(item):
    pause(-item.pixels)
    return item.pixels * 10


def encode(item, message):
    pause(item.frame)
    return [f'{message} {item.frame}']


def run(items, workers=4, decode=decode, infer=infer, encode=encode):
    done = []
    with ThreadedPipeline(items, decode, infer, encode, workers) as pipeline:
        for one in pipeline:
            done.append((one.record.sequence, one.outputs))
    return done


@pytest.mark.parametrize('workers', [1, 4])
def test_what_comes_out_is_in_the_order_of_what_went_in(workers):
    items = [item(n, image=n % 3 != 1) for n in range(40)]
    assert run(items, workers) == [
        (n, [f'message {n * 10}'] if n % 3 != 1 else []) for n in range(40)]


@pytest.mark.parametrize('stage', ['read', 'decode', 'infer', 'encode'])
def test_an_error_comes_at_its_place(stage, kept=7):
    def failing(work):
        def fails(*arguments):
            # a record, or the item of one
            if kept in {getattr(getattr(a, 'record', a), 'sequence', a) for a in arguments}:
                raise MemoryError(stage)
            return work(*arguments)
        return fails

    def items():
        for n in range(20):
            if stage == 'read' and n == kept:
                raise MemoryError(stage)
            yield item(n)

    stages = {name: failing(work) if name == stage else work
              for name, work in (('decode', decode), ('infer', infer), ('encode', encode))}
    done = []
    with pytest.raises(MemoryError, match=stage), \
            ThreadedPipeline(items(), stages['decode'], stages['infer'], stages['encode'],
                             3) as pipeline:
        for one in pipeline:
            done.append(one.record.sequence)
    assert done == [*range(kept)]


def test_a_malformed_image_is_told_and_the_next_goes_on():
    def malformed(record):
        if record.sequence == 3:
            raise MalformedMessage('broken')
        return decode(record)

    errors = {}
    with ThreadedPipeline([item(n) for n in range(6)], malformed, infer, encode, 2) as pipeline:
        for one in pipeline:
            errors[one.record.sequence] = one.error, one.frame is not None, one.outputs != []
    assert errors.pop(3) == ('broken', False, False)
    assert {*errors.values()} == {(None, True, True)}


@pytest.mark.parametrize('image, size, limit', [(True, 10, 2 + 3), (False, 1000, 10)])
def test_only_so_much_is_in_memory(monkeypatch, image, size, limit):
    monkeypatch.setattr(module, 'LIMIT_BYTES', 10 * 2000)
    read, written, most = [], [], 0

    def items():
        nonlocal most
        for n in range(40):
            most = max(most, len(read) - len(written))
            read.append(n)
            yield item(n, image, size)

    with ThreadedPipeline(items(), decode, infer, encode, 2) as pipeline:
        for one in pipeline:
            time.sleep(0.001)
            written.append(one)
    assert len(written) == 40 and 2 <= most <= limit + 1


def test_a_record_that_is_larger_than_all_the_room_passes(monkeypatch):
    monkeypatch.setattr(module, 'LIMIT_BYTES', 100)
    assert len(run([item(n, size=500) for n in range(5)])) == 5


@pytest.mark.parametrize('taken', [0, 1, 5])
def test_whoever_leaves_early_leaves_no_thread_behind(taken):
    before = threading.active_count()

    def endless():
        n = 0
        while True:
            yield item(n, image=n % 2 == 0)
            n += 1

    with pytest.raises(KeyboardInterrupt), \
            ThreadedPipeline(endless(), decode, infer, encode, 2) as pipeline:
        for number, _ in enumerate(pipeline):
            if number == taken:
                raise KeyboardInterrupt
    assert threading.active_count() == before


def test_stages_work_at_the_same_time():
    """Each waits until the one before it is at a later image."""
    begun = {(stage, number): threading.Event() for stage in ('decode', 'infer', 'encode')
             for number in range(4)}

    def meet(stage, number, other):
        begun[stage, number].set()
        if number == 0:
            assert begun[other].wait(120)

    def decode(record):
        meet('decode', record.sequence, ('decode', 1))
        return 'message', record.sequence

    def infer(item):
        meet('infer', item.pixels, ('decode', 2))
        return item.pixels

    def encode(item, message):
        meet('encode', item.frame, ('infer', 1))
        return []

    with ThreadedPipeline([item(n) for n in range(4)], decode, infer, encode, 2) as pipeline:
        for one in pipeline:
            if one.record.sequence == 0:
                assert begun['encode', 1].wait(120) and begun['infer', 2].wait(120)

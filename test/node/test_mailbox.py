# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The newest item wins and none goes uncounted."""

import threading

from ubcn_ros.node.mailbox import Mailbox


def test_newest_wins_and_the_rest_is_counted():
    mailbox = Mailbox(threading.Condition())
    for item in range(5):
        mailbox.put(item)
    assert mailbox.take() == 4
    assert mailbox.take() is None
    assert mailbox.dropped == 4


def test_clearing_counts_what_waited():
    mailbox = Mailbox(threading.Condition())
    mailbox.clear()
    assert mailbox.dropped == 0
    mailbox.put('frame')
    mailbox.clear()
    assert not mailbox.pending and mailbox.dropped == 1


def test_counts_add_up_between_threads():
    mailbox, taken = Mailbox(threading.Condition()), []
    over = threading.Event()

    def consume():
        while not over.is_set() or mailbox.pending:
            item = mailbox.take()
            if item is not None:
                taken.append(item)

    consumer = threading.Thread(target=consume)
    consumer.start()
    for item in range(1, 5001):
        mailbox.put(item)
    over.set()
    consumer.join()
    assert taken == sorted(set(taken)) and taken[-1] == 5000
    assert len(taken) + mailbox.dropped == 5000


def test_putting_wakes_who_waits_on_a_shared_condition():
    condition = threading.Condition()
    left, right = Mailbox(condition), Mailbox(condition)
    woken = threading.Event()

    def wait():
        with condition:
            condition.wait_for(lambda: left.pending and right.pending, 5.0)
            woken.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    left.put(1)
    right.put(2)
    assert woken.wait(5.0)
    waiter.join()


def test_putting_wakes_everybody_who_waits():
    mailbox, waiting = Mailbox(condition := threading.Condition()), []

    def wait():
        with condition:
            waiting.append(1)
            condition.wait_for(lambda: mailbox.pending, 30.0)

    waiters = [threading.Thread(target=wait) for _ in range(3)]
    for waiter in waiters:
        waiter.start()
    while len(waiting) < 3:
        waiters[0].join(0.001)
    mailbox.put('frame')
    for waiter in waiters:
        waiter.join(5.0)
    assert not any(waiter.is_alive() for waiter in waiters)

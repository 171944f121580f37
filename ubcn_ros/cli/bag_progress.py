# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Show how far `bag process` is: a bar on a terminal, else a line a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from ubcn_ros.cli.output import has_cursor
from ubcn_ros.text_table import counted

LINE_S = 60.0
"""Seconds between two lines where there is no terminal."""
_BAR = '{percentage:3.0f}%|{bar}| {desc} [{elapsed}<{remaining}]'
_BAR_S = 0.1


class Progress:
    """
    Called with the tally of a job after each record; a context manager.

    How far it is, is the share of the drive's time.

    :param job: that runs.
    :param clock: seconds.
    :param terminal: whether to show a bar; None finds out.
    """

    def __init__(self, job: Any, clock: Callable[[], float] = time.monotonic,
                 terminal: bool | None = None):
        self._job, self._clock = job, clock
        self._terminal = has_cursor() if terminal is None else terminal
        self._begun = self._shown = clock()
        self._first: tuple[int, float] | None = None  # frames and share that there were before
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if self._terminal:
            from tqdm import tqdm
            self._bar = tqdm(total=1.0, bar_format=_BAR)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, tally: Any) -> None:
        """Show it, if it is time to."""
        now = self._clock()
        share = (tally.position.time_ns - self._job.start_ns) / (
            self._job.end_ns - self._job.start_ns)
        if self._first is None:
            self._first = tally.frames, share
            if self._bar is not None:  # what an interrupted run did takes no time now
                self._bar.initial = self._bar.n = share
        if now - self._shown < (_BAR_S if self._terminal else LINE_S):
            return
        self._shown = now
        rate = (tally.frames - self._first[0]) / (now - self._begun)
        text = f'{counted(tally.frames, "image")}, {rate:.1f} per second'
        if self._bar is not None:
            self._bar.set_description_str(text, refresh=False)
            self._bar.update(share - self._bar.n)
            return
        left = (1 - share) * (now - self._begun) / max(share - self._first[1], 1e-9)
        click.echo(f'{self._job.out}: {share:.0%}, {text}, {clock_text(left)} left', err=True)


def clock_text(seconds: float) -> str:
    """Write seconds as 1:02:03, or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}' if hours else f'{minutes}:{seconds:02}'

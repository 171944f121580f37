# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Report on a replay: what was sent, what came back for it, and whether that adds up."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ubcn_ros.bags.live.client import DERAINED, LABELS, Output
from ubcn_ros.text_table import table


@dataclass
class Replayed:
    """What was sent and what came back."""

    sent: list[tuple[bytes, float]] = field(default_factory=list)  # header, time
    outputs: list[Output] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    camera: dict[str, str] = field(default_factory=dict)
    engine: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)  # of the bag, a line each


def problems(result: Replayed) -> list[str]:
    """List whatever does not fit between what was sent, counted and received."""
    found = []
    sent = Counter(header for header, _ in result.sent)
    for topic in (DERAINED, LABELS):
        got = Counter(output.header for output in result.outputs if output.topic == topic)
        if not got:
            found.append(f'nothing arrived on {topic}')
        elif strange := got - sent:
            found.append(f'{strange.total()} messages on {topic} carry a header that was not '
                         'sent, or twice')
        if got.total() != result.counts['processed']:
            found.append(f"{got.total()} messages arrived on {topic}, but the node processed "
                         f"{result.counts['processed']}")
    if result.counts['received'] > len(result.sent):
        found.append(f"the node received {result.counts['received']} images, but only "
                     f'{len(result.sent)} were sent: another publisher is on the topic')
    return found


def latencies_ms(sent: list[tuple[bytes, float]], outputs: list[Output], topic: str
                 ) -> list[float]:
    """
    Match outputs to inputs by header and return the times between them, milliseconds.

    :param sent: header and time of each input, seconds.
    """
    times: dict[bytes, list[float]] = {}
    for header, moment in reversed(sent):
        times.setdefault(header, []).append(moment)
    return [(output.time - times[output.header].pop()) * 1e3 for output in outputs
            if output.topic == topic and times.get(output.header)]


def sent_hz(sent: list[tuple[bytes, float]]) -> float | None:
    """Return how many inputs followed each other in a second; None of fewer than two."""
    if len(sent) < 2:
        return None
    return (len(sent) - 1) / max(sent[-1][1] - sent[0][1], 1e-9)


def summary_text(summary: dict[str, Any]) -> str:
    """Lay a summary out in lines of name and value."""
    latency, used = summary['latency_ms'], summary['iterations_used']
    rate = '' if summary['rate_hz'] is None else f" at {summary['rate_hz']} Hz"
    rows = [('frames sent', f"{summary['sent']}{rate}"),
            *((name, str(summary[name])) for name in ('processed', 'dropped', 'malformed')),
            ('latency p50', f"{latency['p50']} ms" if latency else '-'),
            ('latency p95', f"{latency['p95']} ms" if latency else '-'),
            ('iterations', str(summary['iterations'])),
            ('iterations run (mean)', '-' if used is None else f'{used:g}'),
            ('model', f"{summary['model']} ({summary['device']}, {summary['precision']}, "
             f"{summary['backend']})")]
    return '\n' + textwrap.indent(table(None, rows, left=(0, 1)), '  ') + '\n'

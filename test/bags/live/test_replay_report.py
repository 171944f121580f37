# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the report on a replay finds, and how it is laid out."""

import pytest

from ubcn_ros.bags.live.client import DERAINED, LABELS, Output
from ubcn_ros.bags.live.replay_report import (
    Replayed,
    latencies_ms,
    problems,
    sent_hz,
    summary_text,
)


def replayed(sent, derained, labels, **counts):
    """Headers are letters; inputs are sent a second apart and answered after 0.1 s."""
    outputs = [Output(topic, header.encode(), 'abcdef'.find(header) + 0.1)
               for topic, headers in ((DERAINED, derained), (LABELS, labels))
               for header in headers]
    counts = {'received': len(sent), 'processed': len(derained), 'dropped': 0, 'malformed': 0,
              **counts}
    return Replayed([(header.encode(), float('abcdef'.find(header))) for header in sent],
                    outputs, counts)


@pytest.mark.parametrize('result, texts', [
    (replayed('abc', 'abc', 'abc'), []),
    (replayed('abcd', 'ad', 'ad', dropped=2), []),
    (replayed('abc', '', ''), ['nothing arrived on /derained', 'nothing arrived on /labels']),
    (replayed('abc', 'abx', 'abc'), ['1 messages on /derained/image_raw carry a header']),
    (replayed('abc', 'abb', 'abc'), ['header that was not sent, or twice']),
    (replayed('abc', 'abc', 'ab'), ['2 messages arrived on /labels/image_raw, but the node proc']),
    (replayed('ab', 'ab', 'ab', received=3), ['another publisher'])])
def test_what_does_not_fit_is_named(result, texts):
    found = problems(result)
    assert len(found) == len(texts)
    assert all(text in problem for text, problem in zip(texts, found, strict=True))


def test_latency_matches_by_header_also_where_stamps_repeat():
    result = replayed('abc', 'cab', 'abc')
    assert latencies_ms(result.sent, result.outputs, DERAINED) == pytest.approx([100] * 3)
    twice = [(b'z', 0.0), (b'z', 10.0)]
    outputs = [Output(DERAINED, b'z', 1.0), Output(DERAINED, b'z', 12.0),
               Output(DERAINED, b'z', 13.0), Output(LABELS, b'z', 1.0)]
    assert latencies_ms(twice, outputs, DERAINED) == pytest.approx([1000, 2000])


def test_the_rate_is_that_of_the_gaps_between_images():
    """Of few images, too: four that are a second apart are not sent at 1.33 Hz."""
    assert sent_hz(replayed('abcd', '', '').sent) == pytest.approx(1)
    assert sent_hz(replayed('ab', '', '').sent) == pytest.approx(1)
    assert sent_hz(replayed('a', '', '').sent) is None and sent_hz([]) is None


def test_the_table_shows_every_figure():
    summary = {'sent': 61, 'processed': 52, 'dropped': 7, 'malformed': 2, 'rate_hz': 4.5,
               'latency_ms': {'p50': 123.4, 'p95': 567.8}, 'iterations': 3,
               'iterations_used': 2.5, 'model': 'm',
               'device': 'cpu', 'precision': 'fp32', 'backend': 'eager'}
    text = summary_text(summary)
    for figure in ('61 at 4.5 Hz', '52', '7', '2', '123.4 ms', '567.8 ms', '3',
                   'iterations run (mean)  2.5', 'm (cpu, fp32, eager)'):
        assert any(line.strip().endswith(figure) for line in text.splitlines())
    assert 'Hz' not in summary_text({**summary, 'rate_hz': None})

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is said of a claim, and how terminal and report show it."""

import pytest

from ubcn_ros.study.report.content import Section, StudyReport
from ubcn_ros.study.statements import Statement, all_gain, amount, listing, statements_text


@pytest.mark.parametrize(('holds', 'target', 'verdict', 'word'), [
    (True, False, 'agree', 'agrees'), (False, False, 'differ', 'differs'),
    (None, False, 'open', 'not known'), (True, True, 'agree', 'reached'),
    (False, True, 'differ', 'missed'), (None, True, 'open', 'not known')])
def test_statements_have_a_verdict(holds, target, verdict, word):
    statement = Statement('', holds, '', target)
    assert (statement.verdict, statement.word) == (verdict, word)
    report = StudyReport('', '', [Section('', '', '', [statement])])
    of_claims, of_targets = ({name: getattr(tally, name) for name in ('agree', 'differ', 'open')}
                             for tally in report.tallies)
    none = dict.fromkeys(of_claims, 0)
    assert (of_targets if target else of_claims) == {**none, verdict: 1}
    assert (of_claims if target else of_targets) == none


def test_a_terminal_shows_all_in_plain_letters():
    text = statements_text([Statement('First', False, 'by −1.0', details=('a', 'b')),
                            Statement('Second', None, '– or ∞', target=True)])
    assert text.splitlines() == ['differs    First', *(' ' * 11 + each for each in (
        'by -1.0', 'a', 'b')), 'not known  Second', ' ' * 11 + '- or inf']


@pytest.mark.parametrize(('gains', 'expected'), [
    ([1.0, 0.1], True), ([1.0, None], None), ([None], None), ([], None), ([1.0, 0.0], False),
    ([None, -1.0], False)])
def test_a_gain_that_is_not_known_decides_nothing(gains, expected):
    assert all_gain(iter(gains)) is expected


@pytest.mark.parametrize(('value', 'digits', 'text'), [
    (0.0, 1, '0.0'), (0.03, 1, '0.03'), (0.05, 1, '0.1'), (-0.004, 2, '−0.004'), (1.25, 2, '1.25'),
    (float('inf'), 1, '∞')])
def test_only_nothing_reads_as_nothing(value, digits, text):
    assert amount(value, digits) == text


def test_lists_in_words():
    assert [listing(['a', 'b', 'c'][:n]) for n in range(4)] == ['', 'a', 'a and b', 'a, b and c']

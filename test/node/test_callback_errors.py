# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What callbacks raised: how it is counted, worded and held back."""

from ubcn_ros.node.callback_errors import CallbackErrors
from ubcn_ros.node.diagnostics import DiagnosticReport, Level, Throttle


def raised(text='no\nsuch thing'):
    try:
        raise RuntimeError(text)
    except RuntimeError as error:
        return error


def test_an_error_is_one_line_that_says_where():
    errors = CallbackErrors()
    line = errors.add('subscription /image', raised())
    assert line.startswith('subscription /image: RuntimeError: no such thing (test_callback_err')
    assert '\n' not in line and errors.count == 1 and errors.last == line


def test_errors_of_a_fast_callback_are_logged_now_and_then_and_all_counted():
    now = [0.0]
    errors = CallbackErrors(Throttle(5.0, lambda: now[0]))
    lines = []
    for number in range(300):
        now[0] = number / 30
        lines.append(errors.add('subscription /image', raised()))
    told = [line for line in lines if line]
    assert len(told) == 2 and told[1].endswith('(149 more RuntimeError there)')
    assert errors.count == 300
    assert errors.add('timer', raised()), 'another callback is told at once'
    asked = [errors.add('on_activate', raised(), always=True) for _ in range(3)]
    assert all('on_activate: RuntimeError: no such thing' in line for line in asked)


def test_a_report_is_an_error_in_the_period_in_which_one_came():
    errors = CallbackErrors()
    quiet = DiagnosticReport(Level.WARN, 'unconfigured', {'resident memory (MiB)': '1'})
    errors.put_into(quiet)
    assert (quiet.level, quiet.message) == (Level.WARN, 'unconfigured')
    assert quiet.values == {'resident memory (MiB)': '1', 'callback errors': '0'}
    errors.add('timer', raised())
    errors.add('timer', raised('other'))
    bad, later = DiagnosticReport(Level.OK, 'fine'), DiagnosticReport(Level.OK, 'fine')
    errors.put_into(bad)
    assert bad.level == Level.ERROR
    assert bad.message.startswith('2 callbacks failed, the last: timer: RuntimeError: other')
    errors.put_into(later)
    assert (later.level, later.message) == (Level.OK, 'fine')
    errors.add('timer', raised())
    gave_up = DiagnosticReport(Level.ERROR, 'gave up')
    errors.put_into(gave_up)
    assert gave_up.message.startswith('gave up; 1 callbacks failed'), 'the reason is kept'
    assert later.values['callback errors'] == '2'
    assert later.values['last callback error'].startswith('timer: RuntimeError: other')

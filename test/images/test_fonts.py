# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Names of any script are drawn by a font of the system that has them, or spelled readably."""

import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest

from ubcn_ros.images import fonts, text
from ubcn_ros.images.text import text_coverage

NAMES, ODD = '행인 行人', 'ᶁᶊ'  # of the second DejaVu Sans has neither, STIX has both


@pytest.fixture(autouse=True)
def asked():
    """Ask anew, not what another test was answered."""
    for each in (fonts.font_with, fonts.in_matplotlib, fonts._warn):
        each.cache_clear()
    yield
    for each in (fonts.font_with, fonts.in_matplotlib, fonts._warn):
        each.cache_clear()


def own(name):
    """Return a font file that matplotlib brings."""
    return Path(pytest.importorskip('matplotlib').get_data_path()) / 'fonts' / 'ttf' / name


def drawn(matplotlib_text, families):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure((2, 1))
    figure.text(0.1, 0.4, matplotlib_text, family=families)
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # of glyphs that are missing
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())


@pytest.mark.parametrize('answer', [FileNotFoundError(), ''])
def test_without_a_font_a_name_is_spelled_and_a_note_says_so(monkeypatch, caplog, answer):
    def run(*_, **__):
        if isinstance(answer, Exception):
            raise answer
        return subprocess.CompletedProcess([], 0, answer)

    monkeypatch.setattr(subprocess, 'run', run)
    pytest.importorskip('matplotlib')
    for _ in range(2):
        spelled, families = fonts.in_matplotlib(f'{NAMES}, Straße é\nroad')
        assert spelled == 'U+D589 U+C778 U+884C U+4EBA , Straße é road'
    drawn(spelled, families)
    assert np.array_equal(text_coverage('行é', 12), text_coverage('U+884C e', 12))
    assert len(caplog.records) == 1 and 'fonts-noto-cjk' in caplog.text


def test_a_font_of_the_system_draws_what_the_usual_one_lacks(monkeypatch):
    font = own('STIXGeneral.ttf')
    asked = []
    monkeypatch.setattr(fonts, 'font_with', lambda letters: asked.append(letters) or font)
    found, families = fonts.in_matplotlib(f'a{ODD}')
    assert found == f'a{ODD}' and asked == [ODD]
    assert (drawn(found, families) != drawn('a', families)).any()
    assert fonts.in_matplotlib('Straße\nroad')[0] == 'Straße\nroad' and len(asked) == 1


def test_pictures_without_matplotlib_take_it_too(monkeypatch):
    pytest.importorskip('PIL')
    monkeypatch.setattr(text, 'font_with', lambda _: own('DejaVuSans.ttf'))
    letter, plain = text_coverage('ü', 40), text_coverage('u', 40)
    assert letter.shape[1] < 1.5 * plain.shape[1], 'not U+00FC'
    assert letter.max() > 0.9 and letter.dtype == np.float32
    assert text_coverage('ü', 40, bold=True).sum() > 1.2 * letter.sum()


@pytest.mark.parametrize('line, like', [('ü\nu', 'ü u'), ('u\tu', 'u u'), ('u\u2028u', 'u u')])
def test_a_text_is_drawn_on_one_line(monkeypatch, line, like):
    pytest.importorskip('PIL')
    monkeypatch.setattr(text, 'font_with', lambda _: own('DejaVuSans.ttf'))
    assert np.array_equal(text_coverage(line, 40), text_coverage(like, 40))


def test_characters_without_a_width_are_drawn_as_nothing(monkeypatch):
    pytest.importorskip('PIL')
    monkeypatch.setattr(text, 'font_with', lambda _: own('DejaVuSans.ttf'))
    coverage = text_coverage('\u200b\u200d', 40)
    assert coverage.shape[1] == 1 and not coverage.any()


def test_fontconfig_is_asked_for_a_font_with_all_of_the_letters(monkeypatch):
    answers = {'fc-match': '/fonts/best.ttf\n', 'fc-list': '/fonts/a.ttf\n/fonts/best.ttf\n'}

    def run(command, **_):
        assert ':charset=884c 4eba:' in command[-1].replace('sans-serif', '')
        return subprocess.CompletedProcess(command, 0, answers[command[0]])

    monkeypatch.setattr(subprocess, 'run', run)
    assert fonts.font_with('行人') == Path('/fonts/best.ttf')
    fonts.font_with.cache_clear()
    answers['fc-list'] = '/fonts/a.ttf\n'  # what matches best has not all of them
    assert fonts.font_with('行人') is None

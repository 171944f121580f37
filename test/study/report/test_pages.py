# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The page and the PDF: everything is in them, as text, and they ask for nothing."""

import base64
import re
import shutil
import sys
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from made_up import STUDIES, written

from ubcn_ros.study.report.assemble import study_report
from ubcn_ros.study.report.content import Section, StudyFigure, StudyReport, Table
from ubcn_ros.study.report.page import html
from ubcn_ros.study.report.pdf import pdf
from ubcn_ros.study.statements import Statement

ODD = '<b>&"\' #panic() *x* $1 @y `z` \\ [ ü → '
CHROMIUM = next(filter(None, map(shutil.which, (
    'chromium', 'chromium-browser', 'google-chrome'))), None)


@pytest.fixture(scope='module')
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp('studies')
    return study_report([written(root, name) for name in STUDIES], 'ubcn study report')


@pytest.fixture(scope='module')
def page(report):
    return html(report)


class Text(HTMLParser):
    """Text of a page, and the tags in it."""

    def __init__(self, page):
        super().__init__()
        self.text, self.tags = '', []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_everything_is_on_the_page(report, page):
    text = Text(page).text
    for section in report.sections:
        assert section.title in text and section.lead in text
        for part in section.statements:
            assert part.text in text and part.found in text
        assert all(opinion in text for opinion in section.opinions)
        assert all(command in text for _, command in section.missing)
        assert all(name in text and value in text for name, value in section.facts)
    anchors = {attributes['id'] for _, attributes in Text(page).tags if 'id' in attributes}
    links = {attributes['href'][1:] for tag, attributes in Text(page).tags if tag == 'a'}
    assert links == {section.anchor for section in report.sections} <= anchors


def test_the_page_asks_for_nothing(page):
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert 'url(' not in page and '<script' not in page and "default-src 'none'" in page
    pictures = [attributes['src'] for tag, attributes in Text(page).tags if tag == 'img']
    assert len(pictures) == 3 and all(p.startswith('data:image/webp;base64,') for p in pictures)


def test_texts_are_never_markup():
    table = Table(ODD, (ODD, ODD), ((ODD, ODD),), ((ODD, 2),), note=ODD)
    statement = Statement(ODD, False, ODD, details=(ODD, ODD))
    section = Section(ODD, ODD, ODD, [statement], [table], [ODD],
                      [('command', ODD), (ODD, ODD)], [(ODD, ODD)])
    report = StudyReport(ODD, ODD, [section], [(ODD, ODD)])
    found = Text(html(report))
    assert found.text.count(ODD) >= 20
    assert '<b>&"' not in html(report)
    assert pdf(report).startswith(b'%PDF-')


def test_a_pdf_of_everything_and_of_nothing(report, tmp_path):
    whole, nothing = pdf(report), pdf(study_report([], 'ubcn study report'))
    for data in (whole, nothing):
        assert data.startswith(b'%PDF-') and data.rstrip().endswith(b'%%EOF')
    assert len(whole) > len(nothing) > 10_000
    assert whole == pdf(report), 'the same report is the same file'
    assert whole.count(b'/FontFile') >= 2, 'letters are embedded'


def test_a_pdf_takes_a_font_of_the_system_for_letters_that_its_own_lack(monkeypatch, tmp_path):
    import typst
    given, asked = {}, []
    monkeypatch.setattr('ubcn_ros.study.report.pdf.font_with',
                        lambda letters: asked.append(letters) or tmp_path / 'sans.ttc')
    monkeypatch.setattr(typst, 'compile', lambda *_, **kwargs: given.update(kwargs) or b'')
    for title, folders in (('Straße ≥ Ж', []), ('行人 ≥', [tmp_path])):
        pdf(replace(study_report([], ''), title=title))
        assert given['font_paths'] == folders
    assert asked == ['人行']


@pytest.mark.parametrize('write', [html, pdf])
def test_a_figure_that_is_gone_is_said(write, tmp_path):
    gone = StudyFigure(tmp_path / 'gone.png', '')
    report = StudyReport('', '', [Section('', '', '', blocks=[gone])])
    with pytest.raises(ValueError, match=r'gone\.png.*make it again'):
        write(report)


def test_a_picture_that_is_taller_than_a_webp_can_be_is_scaled(tmp_path):
    path = tmp_path / 'tall.png'
    assert cv2.imwrite(str(path), np.zeros((20_000, 40, 3), np.uint8))
    report = StudyReport('', '', [Section('', '', '', blocks=[StudyFigure(path, '')])])
    (uri,) = re.findall('data:image/webp;base64,([^"]+)', html(report))
    image = cv2.imdecode(np.frombuffer(base64.b64decode(uri), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[0] <= 16383 and image.shape[1] == 32


def test_folders_whose_names_are_not_utf_8_are_shown(tmp_path):
    folders = [written(tmp_path / 'f', name) for name in ('methods', 'degradations')]
    (tmp_path / 'f').rename(tmp_path / 'f\udcff')
    folders = [tmp_path / 'f\udcff' / folder.name for folder in folders]
    report = study_report(folders, 'ubcn study report --study f\udcff')
    assert 'f\\udcff/study-methods' in Text(html(report)).text
    html(report).encode()
    assert pdf(report).startswith(b'%PDF-')


def test_without_typst_the_remedy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, 'typst', None)
    with pytest.raises(ValueError, match=r"pip install 'typst.*--no-pdf"):
        pdf(study_report([], ''))


@pytest.mark.skipif(CHROMIUM is None, reason='Chromium is not installed')
def test_it_fits_on_small_screens(page, tmp_path):
    sync_api = pytest.importorskip('playwright.sync_api')
    (tmp_path / 'report.html').write_text(page, 'utf-8')
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'],
                                         timeout=120_000)
        for width, scheme in ((390, 'light'), (1280, 'dark')):
            shown = browser.new_context(viewport={'width': width, 'height': 800},
                                        color_scheme=scheme).new_page()
            complaints = []
            shown.on('console', lambda message, told=complaints: told.append(message.text))
            shown.goto((tmp_path / 'report.html').as_uri(), timeout=120_000)
            assert shown.evaluate('document.documentElement.scrollWidth') == width
            assert shown.evaluate('[...document.images].every(i => i.naturalWidth > 0)')
            assert not complaints
        browser.close()

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The page in Chromium (`apt-get install chromium`), opened from its file."""

import shutil
import time

import numpy as np
import pytest
from processed_bags import HEIGHT, WIDTH

from ubcn_ros.report.bag import BagPaths, BagReportOptions, bag_report
from ubcn_ros.report.page import Measure, PaneView, Report, ReportFrame, write
from ubcn_ros.report.pictures import Album
from ubcn_ros.report.steps import Steps

sync_api = pytest.importorskip('playwright.sync_api')
CHROMIUM = next(filter(None, map(shutil.which, (
    'chromium', 'chromium-browser', 'google-chrome'))), None)
LOAD_MS = 120_000
LEFT = "$('.sheet[data-side=left] img')"


@pytest.fixture(scope='module')
def browser():
    if CHROMIUM is None:
        pytest.skip('Chromium is not installed')
    with sync_api.sync_playwright() as driver:
        # without a sandbox, for containers: the page is our own
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'],
                                         timeout=LOAD_MS)
        yield browser
        browser.close()


class Opened:
    """A page, and all that it complained of or asked for."""

    def __init__(self, browser, path, **options):
        self.complaints, self.requests = [], []
        self.page = browser.new_context(viewport={'width': 1400, 'height': 1000},
                                        **options).new_page()
        self.page.set_default_timeout(LOAD_MS)
        self.page.on('console', lambda message: self.complaints.append(message.text))
        self.page.on('pageerror', lambda error: self.complaints.append(str(error)))
        self.page.on('request', lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.wait("all('.sheet').every(s => s.view && (s.view.kind === 'image' || s.values))")

    def wait(self, condition):
        """
        Wait until an expression of the page's script holds.

        Asked anew from here: the page's policy forbids the eval with which `wait_for_function`
        looks a second time.
        """
        end = time.monotonic() + LOAD_MS / 1000
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, f'{condition} never held'
            self.page.wait_for_timeout(20)

    def boxes(self, selector):
        return [found.bounding_box() for found in self.page.query_selector_all(selector)]

    def names(self, column=0):
        return self.page.eval_on_selector_all(
            '#frames tbody tr', f'rows => rows.map(row => row.cells[{column}].textContent)')

    def done(self):
        """Nothing was logged, and nothing asked for beside the file and what is in it."""
        assert not self.complaints
        assert [url for url in self.requests if not url.startswith('data:')] == [self.page.url]
        self.page.context.close()


@pytest.fixture(scope='module')
def path(drive, fake_engine, tmp_path_factory):
    """A report of a pair with steps, at a path with odd characters."""
    path = tmp_path_factory.mktemp('report') / 'a b#%3Cü.html'
    write(path, bag_report(BagPaths(drive / 'a', drive / 'b', truth=drive / 'dry'),
                           BagReportOptions(path, 1000, None, 1), Steps(fake_engine, 3)))
    return path


@pytest.fixture
def opened(browser, path):
    opened = Opened(browser, path)
    yield opened
    opened.done()


def test_slider_by_mouse_and_keys(opened):
    page, handle = opened.page, opened.page.locator('.handle')

    def split():
        return int(handle.get_attribute('aria-valuenow'))

    (screen,), (knob,) = opened.boxes('#compare'), opened.boxes('.handle')
    assert split() == 50
    assert knob['x'] + knob['width'] / 2 == pytest.approx(screen['x'] + screen['width'] / 2)
    page.mouse.move(knob['x'] + knob['width'] / 2, knob['y'] + knob['height'] / 2)
    page.mouse.down()
    page.mouse.move(screen['x'] + 0.8 * screen['width'], screen['y'] + 50)
    page.mouse.up()
    assert split() == 80
    handle.focus()
    for key, expected in (('ArrowLeft', 78), ('Shift+ArrowRight', 88), ('Home', 0), ('End', 100)):
        handle.press(key)
        assert split() == expected
    page.mouse.click(screen['x'] + 0.25 * screen['width'], screen['y'] + 50)
    assert split() == 25
    page.mouse.click(screen['x'] + 0.75 * screen['width'], screen['y'] + 50, button='right')
    assert split() == 25
    clip = page.eval_on_selector('.before', 'element => getComputedStyle(element).clipPath')
    assert clip.startswith('inset(0px 75%')


def test_one_zoom_for_all_panes_and_the_nearest_pixel_beyond_twice(opened):
    page = opened.page

    def scales():
        return {round(sheet['width'] / screen['width'], 2) for sheet, screen in zip(
            opened.boxes('.screen > .sheet'), opened.boxes('.screen'), strict=True)}

    assert scales() == {1.0}
    box = opened.boxes('.pane:not(.wide) .screen')[0]
    page.mouse.move(box['x'] + box['width'] / 2, box['y'] + box['height'] / 2)
    page.keyboard.down('Control')
    page.mouse.wheel(0, -300)
    page.keyboard.up('Control')
    opened.wait('state.zoom > 2.7')
    assert len(scales()) == 1 and min(scales()) > 2.7
    rendering = page.eval_on_selector_all('.sheet img, .sheet canvas', 'layers => layers.map('
                                          'layer => getComputedStyle(layer).imageRendering)')
    assert set(rendering) == {'pixelated'}
    before = page.evaluate('[state.x, state.y]')
    page.mouse.down()
    page.mouse.move(box['x'] + box['width'] / 2 + 30, box['y'] + box['height'] / 2)
    page.mouse.up()
    after = page.evaluate('[state.x, state.y]')
    assert after[0] - before[0] == pytest.approx(30 / box['width']) and after[1] == before[1]
    page.keyboard.press('0')
    assert scales() == {1.0}


def test_the_pointer_names_classes_and_pixels(opened):
    page, box = opened.page, opened.boxes('.pane:not(.wide) .screen')[0]
    # A calls 24 rows sky, B 30, the drive without rain 36
    for row, names in ((10, {'Sky'}), (27, {'Road', 'Sky'}), (45, {'Road'})):
        page.mouse.move(box['x'] + 0.5 * box['width'], box['y'] + (row + .5) / HEIGHT
                        * box['height'])
        tip = page.inner_text('#tip')
        assert {name for name in ('Sky', 'Road') if name in tip} == names
        assert f'x {WIDTH // 2}, y {row}' in page.inner_text('#readout')
        assert 'Labels A: ' in page.inner_text('#readout')
        assert 'Confidence A: 98 %' in page.inner_text('#readout')
        here = page.eval_on_selector_all('.legend .here', 'all => all.map(b => b.textContent)')
        assert set(here) == names
    page.mouse.move(5, 5)
    assert page.is_hidden('#tip')


def test_the_table_sorts_and_shows_a_frame(opened):
    page = opened.page
    worst = opened.names()
    assert page.inner_text('#where').startswith(worst[0])
    page.click('#frames thead button >> nth=0')
    assert opened.names() == sorted(worst) == ['0.00 s', '0.10 s', '0.20 s', '0.30 s']
    assert page.get_attribute('#frames th >> nth=0', 'aria-sort') == 'ascending'
    page.click('#frames thead button:has-text("Change of 255") >> nth=0')
    assert opened.names() == ['0.00 s', '0.10 s', '0.20 s', '0.30 s']  # worst first: most
    page.click('#frames thead button:has-text("Change of 255") >> nth=0')
    assert opened.names() == ['0.30 s', '0.20 s', '0.10 s', '0.00 s']
    page.click('#frames tbody tr >> nth=2 >> button')
    opened.wait("$('#where').textContent.startsWith('0.10 s')")
    assert page.locator('tr.shown').inner_text().startswith('0.10 s')
    assert '--start 0.100 ' in page.inner_text('#again')
    page.keyboard.press('j')
    assert page.inner_text('#where').startswith('0.20 s')
    (plot,) = opened.boxes('.plot >> nth=0')
    page.mouse.click(plot['x'] + plot['width'] - 3, plot['y'] + 5)
    assert page.inner_text('#where').startswith('0.30 s')


def test_steps_take_the_place_of_what_was_recorded(opened):
    page = opened.page
    number = next(i for i in range(4) if page.evaluate(f'data.frames[{i}].steps.length'))
    page.evaluate(f'show({number})')
    brightness = {}
    for t in (0, 1, 3):
        page.check(f'input[name=step][value="{t}"]', force=True)
        source = f'data.frames[{number}].' + (f'steps[{t - 1}]' if t else 'pictures') + '.derained'
        opened.wait(f'{LEFT}.src === {source} && {LEFT}.complete')
        brightness[t] = page.evaluate(f"""() => {{
            const context = new OffscreenCanvas(1, 1).getContext('2d');
            context.drawImage({LEFT}, 0, 0, 1, 1);
            return context.getImageData(0, 0, 1, 1).data[0]; }}""")
        tag = page.inner_text('#compare .tag >> nth=0')
        assert tag == 'Derained A' + (f', T = {t}' if t else '')
    assert brightness[1] - brightness[3] == pytest.approx(20, abs=4)
    page.evaluate(f'show({(number + 1) % 4})')
    assert page.is_disabled('input[name=step] >> nth=0')


def test_full_size_pictures_come_with_the_zoom(browser, drive, tmp_path):
    path = tmp_path / 'page.html'
    full_size = tmp_path / 'full size'
    report = bag_report(BagPaths(drive / 'a'), BagReportOptions(path, 1000, full_size, 6))
    gone = next(full_size.glob('00003*derained.png'))
    gone.unlink()
    write(path, report)
    opened = Opened(browser, path)
    assert not [url for url in opened.requests if url.endswith('.png')]
    opened.page.evaluate('show(0); place(4, -1, -1)')
    opened.wait(f"{LEFT}.src.endsWith('input.png') && {LEFT}.complete && {LEFT}.naturalWidth")
    opened.page.evaluate('show(3)')
    right = LEFT.replace('left', 'right')
    opened.wait(f'{right}.src === data.frames[3].pictures.derained && {right}.naturalWidth')
    assert all(url.startswith(('data:', 'file:')) for url in opened.requests)
    opened.page.context.close()


def test_steps_without_a_recording_begin_with_the_last(browser, tmp_path):
    colors = {t: Album(3, 3).image(np.full((HEIGHT, WIDTH, 3), 60 * t, np.uint8))
              for t in (1, 2, 3)}
    frame = ReportFrame('1, 50 mm/hr', 'streets/val', 'seed 1', (WIDTH, HEIGHT),
                        values={'psnr': 30.0}, pictures={'input': colors[3]},
                        steps=[{'derained': colors[1]}, {'derained': colors[2]}])
    measure = Measure('psnr', 'PSNR', 'dB', 'Of the derained image.', low_is_bad=True)
    write(tmp_path / 'page.html', Report(
        'model on data', '', views=[PaneView('input', 'Input'), PaneView('derained', 'Derained')],
        sides=('input', 'derained'), recorded=False, frames=[frame], measures=[measure],
        worst=measure, columns=('Data', 'Rain')))
    opened = Opened(browser, tmp_path / 'page.html')
    right = LEFT.replace('left', 'right')
    opened.wait(f'{right}.src === data.frames[0].steps[1].derained')
    assert opened.page.eval_on_selector_all('#steps label', 'l => l.map(x => x.textContent)') \
        == ['1', '2']
    opened.page.check('input[name=step][value="1"]', force=True)
    opened.wait(f'{right}.src === data.frames[0].steps[0].derained')
    assert 'Rain: seed 1' in opened.page.inner_text('#again')
    opened.done()


def test_touch_and_small_screens(browser, path):
    opened = Opened(browser, path, has_touch=True, color_scheme='dark')
    page = opened.page
    page.set_viewport_size({'width': 400, 'height': 850})
    assert page.evaluate('document.documentElement.scrollWidth') == 400
    (screen,) = opened.boxes('#compare')
    session = page.context.new_cdp_session(page)

    def touch(kind, *places):
        session.send('Input.dispatchTouchEvent', {'type': kind, 'touchPoints': [
            {'x': screen['x'] + u * screen['width'], 'y': screen['y'] + 60, 'id': i}
            for i, u in enumerate(places)]})

    touch('touchStart', 0.5)
    touch('touchMove', 0.6)
    touch('touchMove', 0.75)
    touch('touchEnd')
    opened.wait('state.split > 60')
    touch('touchStart', 0.4, 0.6)
    touch('touchMove', 0.3, 0.7)
    touch('touchMove', 0.1, 0.9)
    touch('touchEnd')
    opened.wait('state.zoom > 1.5')
    ink = page.evaluate('getComputedStyle(document.body).color')
    assert min(map(int, ink[4:-1].split(','))) > 200  # light on dark
    opened.done()

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures for print: panels pixel for pixel, text that fits, fonts embedded, files of some MB."""

import re
import zlib

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from ubcn_ros.data.formats.camvid import CAMVID
from ubcn_ros.study.print_cells import ErrorMap, LabelMap, Picture
from ubcn_ros.study.print_grid import (
    DPI,
    ColorKey,
    Grid,
    Row,
    Scale,
    save_figure,
    shortened,
    text_width,
)

LEGEND = [*zip(CAMVID.classes, CAMVID.colors, strict=True)]


def picture(width=64, height=48, seed=0, **options):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return Picture(image=cv2.resize(coarse, (width, height)), **options)


def mask(width=64, height=48, **options):
    labels = np.random.default_rng(1).integers(0, 11, (6, 8)).astype(np.uint8)
    return LabelMap(labels=cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST),
                    label_set=CAMVID, **options)


def saved(grid, folder):
    png, pdf = save_figure(grid.figure(), folder, 'figure')
    image = cv2.cvtColor(cv2.imread(str(png)), cv2.COLOR_BGR2RGB)
    assert image.shape[1] == round(grid.width * DPI)
    return image, pdf.read_bytes()


def streams(pdf):
    """Contents of a PDF that are compressed, as they were."""
    for data in re.findall(rb'stream\r?\n(.*?)\r?\nendstream', pdf, re.DOTALL):
        try:
            yield zlib.decompress(data)
        except zlib.error:
            continue


def texts_of(figure):
    """Texts of a figure with left, top, right and bottom of each, in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    renderer, height = FigureCanvasAgg(figure).get_renderer(), figure.get_figheight() * DPI
    for text in figure.axes[0].texts:
        box = text.get_window_extent(renderer)
        yield text.get_text(), (box.x0, height - box.y1, box.x1, height - box.y0)


def panels_of(figure):
    """Images of a figure with left, top, right and bottom of each, as whole pixels."""
    for image in figure.axes[0].images:
        left, right, bottom, top = image.get_extent()
        yield np.asarray(image.get_array()), tuple(map(int, (left, top, right, bottom)))


def apart(one, other):
    return (one[2] <= other[0] + 1 or other[2] <= one[0] + 1 or one[3] <= other[1] + 1
            or other[3] <= one[1] + 1)


def methods_grid(columns, width, **options):
    images = [picture(seed=i, caption='30.12 dB', bold=i == 1) for i in range(columns)]
    masks = [mask(caption='mIoU 71.2 %') for _ in range(columns)]
    rows = [Row(images, '50 mm/hr', True), Row(masks), Row(images, '250 mm/hr', True), Row(masks)]
    return Grid(rows, ['ground truth'] * columns, legend=LEGEND, width=width, **options)


def steps_grid(images, width=7.0):
    """Return one of images of different aspects side by side."""
    cells, truth = [], []
    for i in range(images):
        size = (64, 48 - 8 * i)
        error = np.random.default_rng(i).random(size[::-1]).astype(np.float32)
        cells += [picture(*size, caption='20.36 dB'), mask(*size, caption='mIoU 59.9 %'),
                  ErrorMap('mean 19.6', error=error, highest=1.0)]
        truth += [picture(*size), Scale('of 255', 90.0), ColorKey((('wrong', (255, 0, 0)),))]
    return Grid([Row(cells, 'input'), Row(truth, 'ground truth')],
                ['image', 'segmentation', 'absolute error'] * images,
                [(f'a drive with a name that is long {i}' * 3, 3) for i in range(images)],
                LEGEND, width)


GRIDS = {'few columns': lambda: methods_grid(2, 1.8), 'many columns': lambda: methods_grid(9, 7.0),
         'two images': lambda: steps_grid(2, 3.6), 'three images': lambda: steps_grid(3)}


@pytest.mark.parametrize('name', ['few columns', 'two images'])
def test_every_panel_is_printed_pixel_for_pixel(tmp_path, name):
    grid = GRIDS[name]()
    image, _ = saved(grid, tmp_path)
    for panel, (left, top, right, bottom) in panels_of(grid.figure()):
        assert panel.shape[:2] == (bottom - top, right - left)
        assert (image[top:bottom, left:right] == panel).all()


@pytest.mark.parametrize('name', GRIDS)
def test_no_text_is_cut_or_lies_on_a_panel_or_another_text(name):
    figure = GRIDS[name]().figure()
    texts, panels = [*texts_of(figure)], [box for _, box in panels_of(figure)]
    width, height = (DPI * side for side in figure.get_size_inches())
    for place, (text, box) in enumerate(texts):
        assert min(box[:2]) >= -1 and box[2] <= width + 1 and box[3] <= height + 1, text
        assert all(apart(box, other) for _, other in texts[:place]), text
        assert all(apart(box, panel) for panel in panels), text


@pytest.mark.parametrize('name', GRIDS)
def test_panels_keep_their_aspect_and_columns_are_aligned(name):
    grid = GRIDS[name]()
    boxes = [box for panel, box in panels_of(grid.figure())
             if panel.shape[1] < 3 * len(panel)]  # and none of a scale
    cells = [cell for row in grid.rows for cell in row.cells
             if isinstance(cell, (Picture, LabelMap, ErrorMap))]
    for cell, (left, top, right, bottom) in zip(cells, boxes, strict=True):
        assert (right - left) / (bottom - top) == pytest.approx(cell.size[0] / cell.size[1],
                                                                rel=0.02)
    assert len({box[0] for box in boxes}) == len({box[2] for box in boxes}) == len(grid.columns)
    assert max(box[2] for box in boxes) <= grid.width * DPI


def test_a_part_is_shown_larger_in_the_corner_that_is_farthest(tmp_path):
    corners = {(2, 2, 8, 6): (1, 1), (54, 2, 8, 6): (0, 1), (54, 40, 8, 6): (0, 0),
               (2, 40, 8, 6): (1, 0)}
    for zoom, (right, below) in corners.items():
        (whole, box), (inset, inner) = panels_of(
            Grid([Row([picture(zoom=zoom)])], [''], width=1).figure())
        assert (inner[2] == box[2]) == bool(right) and (inner[0] == box[0]) == (not right)
        assert (inner[3] == box[3]) == bool(below) and (inner[1] == box[1]) == (not below)
        larger = inset.shape[1] / zoom[2] / (whole.shape[1] / 64)
        assert larger > 2 and inset.shape[1] / inset.shape[0] == pytest.approx(8 / 6, rel=0.05)


def test_the_pdf_has_text_in_embedded_fonts_and_masks_as_palettes(tmp_path):
    grid = methods_grid(2, 1.8)
    _, pdf = saved(grid, tmp_path)
    assert b'/FontFile2' in pdf and b'/Type3' not in pdf
    written = b''.join(re.findall(rb'[(]\x00?([^()]+)[)]', b''.join(streams(pdf))))
    for text in ('250 mm/hr', 'Bicyclist', 'ground truth', '30.12 dB'):
        assert text.encode() in written, text
    assert pdf.count(b'/Indexed') == 4
    assert saved(grid, tmp_path)[1] == pdf, 'the same figure, the same file'


def test_large_images_make_no_larger_file_than_what_is_printed(tmp_path):
    def noisy(width, height):
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
        return Grid([Row([Picture(image=noise)])], ['x'], width=1)
    sizes = [len(saved(noisy(width, width // 2), tmp_path)[1]) for width in (300, 1200)]
    assert sizes[1] < 1.05 * sizes[0] < 300 * 150 * 3.2 + 20_000


def test_the_color_of_a_class_stays_whatever_its_name_is(tmp_path):
    color = (250, 10, 130)
    grid = Grid([Row([picture()])], ['image'], legend=[('a class of a long name ' * 5, color)],
                width=1.5)
    image, _ = saved(grid, tmp_path)
    assert (image == color).all(2).sum() > 18 ** 2  # without its black edge


def test_a_text_without_room_is_refused_or_shortened():
    with pytest.raises(ValueError, match="'mIoU 71.2 %' has no room .*: take a larger width"):
        methods_grid(30, 7.0).figure()
    with pytest.raises(ValueError, match="'mIoU 71.2 %' has no room"):
        methods_grid(30, 7.0).letters()
    assert shortened('a name', 1000, 7) == 'a name'
    short = shortened('a drive with a long name', 100, 7)
    assert short.endswith('…') and len(short) > 4 and text_width(short, 7) <= 100
    with pytest.raises(ValueError, match='at least one row'):
        Grid([], ['a'])


def test_a_text_without_width_takes_no_room():
    texts = '\u200b', 'image'
    for label, heading in (texts, texts[::-1]):
        Grid([Row([picture(caption='\u200b')], label)], [heading], width=1).figure()


def test_a_figure_is_a_png_of_300_dpi_and_a_pdf_with_its_fonts(tmp_path):
    def figure():
        made = Figure(figsize=(2, 1))
        made.text(0.5, 0.5, 'rain')
        return made
    png, pdf = save_figure(figure(), tmp_path / 'new', 'a figure')
    assert [path.name for path in (png, pdf)] == ['a figure.png', 'a figure.pdf']
    assert cv2.imread(str(png)).shape == (300, 600, 3)
    assert b'FontFile2' in pdf.read_bytes() and b'Type3' not in pdf.read_bytes()
    assert save_figure(figure(), tmp_path, 'again')[1].read_bytes() == pdf.read_bytes()

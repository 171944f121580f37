# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures are written at print quality, and the same again."""

import cv2
from matplotlib.figure import Figure

from ubcn_ros.study.figure_files import save_figure


def figure():
    made = Figure(figsize=(2, 1))
    made.text(0.5, 0.5, 'rain')
    return made


def test_a_png_of_300_dpi_and_a_pdf_with_its_fonts(tmp_path):
    png, pdf = save_figure(figure(), tmp_path / 'new', 'a figure')
    assert [path.name for path in (png, pdf)] == ['a figure.png', 'a figure.pdf']
    assert cv2.imread(str(png)).shape == (300, 600, 3)
    assert b'FontFile2' in pdf.read_bytes() and b'Type3' not in pdf.read_bytes()
    assert save_figure(figure(), tmp_path, 'again')[1].read_bytes() == pdf.read_bytes()

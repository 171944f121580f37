# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report of the studies as one HTML file that asks for nothing outside of it."""

from __future__ import annotations

from pathlib import Path

import cv2

from ubcn_ros.images.contact_sheet import scaled_to
from ubcn_ros.images.files import ImageFileError, data_uri, read_image
from ubcn_ros.report.page import environment, resource
from ubcn_ros.study.report.content import StudyReport

_REPORT = 'ubcn_ros.report'  # whose charts and style this report has, too
_WEBP_QUALITY = 88
_WIDEST = 2100  # pixels of a picture in the page: 7 inches of 300 dpi
_TALLEST = 16383  # of a WebP


def html(report: StudyReport) -> str:
    """
    Lay out a report as a page.

    :raises ValueError: a picture of a study is not there, or not one.
    """
    templates = environment(__package__, _REPORT)
    templates.filters.update(embedded=_embedded)
    return templates.get_template('page.html').render(
        report=report, style=resource(_REPORT, 'page.css') + resource(__package__, 'page.css'))


def _embedded(path: Path) -> str:
    """Return a picture as a data URI."""
    try:
        image = read_image(path)
    except ImageFileError as error:
        raise ValueError(f'a figure of a study: {error}; or make it again') from error
    height, width = image.shape[:2]
    most = max(1, min(_WIDEST, _TALLEST * width // height))
    if width > most:
        image = scaled_to(most, image)
    _, data = cv2.imencode('.webp', image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, _WEBP_QUALITY])
    return data_uri(data.tobytes(), 'webp')

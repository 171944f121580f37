# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""JSON files of figures: writing them whole, and naming one that is not as it was written."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ubcn_ros.whole_files import write_whole


@contextlib.contextmanager
def as_written(path: Path, command: str) -> Iterator[None]:
    """
    Turn what goes wrong in reading figures of a JSON file into a ValueError that names it.

    :param path: of the file.
    :param command: that writes such files.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f'{path} is not as `{command}` writes it ({type(error).__name__}: '
                         f'{error}): move it away and make it again') from error


def json_text(report: Any) -> str:
    """Return a report as JSON; figures that are not finite (PSNR of equal images) are null."""
    return json.dumps(_finite(report), indent=1) + '\n'


def write_json(path: Path, report: Any) -> None:
    """Write a report as of ``json_text``, whole or not at all, and its folder."""
    write_whole(path, json_text(report).encode())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image deraining and segmentation for ROS 2 with UBCN."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = '0.1.0'


def __getattr__(name: str) -> Any:
    # torch takes a second to import: only when the engine is asked for
    if name == 'Engine':
        return importlib.import_module('ubcn_ros.runtime').Engine
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

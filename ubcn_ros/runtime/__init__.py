# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A trained network turned into a frame processor."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ubcn_ros.runtime.engine import Engine, Frame
    from ubcn_ros.runtime.model_info import ModelFileError, ModelInfo
    from ubcn_ros.runtime.weights import find_model, load_model, save_model

__all__ = ['Engine', 'Frame', 'ModelFileError', 'ModelInfo', 'find_model', 'load_model',
           'save_model']


def __getattr__(name: str) -> Any:
    # torch takes a second to import, and `ubcn --help` needs none of it
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module = 'engine' if name in ('Engine', 'Frame') else 'weights'
    return getattr(importlib.import_module(f'{__name__}.{module}'), name)

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A trained network turned into a frame processor."""

from ubcn_ros.runtime.engine import Engine, Frame
from ubcn_ros.runtime.weights import ModelFileError, ModelInfo, find_model, load_model, save_model

__all__ = ['Engine', 'Frame', 'ModelFileError', 'ModelInfo', 'find_model', 'load_model',
           'save_model']

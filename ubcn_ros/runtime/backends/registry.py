# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The backends by name. Each is imported when it is asked for: what one needs, others do not."""

from __future__ import annotations

import importlib

from ubcn_ros.runtime.backends.backend import Backend, LoadOptions

BACKENDS = {'eager': 'eager', 'graphs': 'graphs', 'compiled': 'compiled', 'onnxruntime': 'onnx'}
"""Modules of this package whose ``build`` makes a backend, by the backend's name."""


def build_backend(name: str, options: LoadOptions) -> Backend:
    """
    Load a model into a backend.

    :param name: one of ``BACKENDS``, or 'auto': 'graphs' on a GPU, 'eager' on a CPU.
    :raises ModelFileError: the model is missing, damaged or of another architecture.
    :raises ValueError: the name or the precision is unknown, or the backend cannot be had here.
    """
    if name == 'auto':
        name = 'graphs' if options.device.type == 'cuda' else 'eager'
    if name not in BACKENDS:
        raise ValueError(f"unknown backend {name!r}: choose 'auto' or one of "
                         f'{", ".join(BACKENDS)}')
    return importlib.import_module(f'.{BACKENDS[name]}', __package__).build(options)

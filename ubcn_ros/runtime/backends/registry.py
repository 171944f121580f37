# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The backends by name. Each is imported when it is asked for: what one needs, others do not."""

from __future__ import annotations

from collections.abc import Callable

from ubcn_ros.runtime.backends.backend import Backend, LoadOptions


def _eager(options: LoadOptions) -> Backend:
    from ubcn_ros.runtime.backends.eager import build
    return build(options)


def _graphs(options: LoadOptions) -> Backend:
    from ubcn_ros.runtime.backends.graphs import build
    return build(options)


def _compiled(options: LoadOptions) -> Backend:
    from ubcn_ros.runtime.backends.compiled import build
    return build(options)


def _onnxruntime(options: LoadOptions) -> Backend:
    from ubcn_ros.runtime.backends.onnx import build
    return build(options)


BACKENDS: dict[str, Callable[[LoadOptions], Backend]] = {
    'eager': _eager, 'graphs': _graphs, 'compiled': _compiled, 'onnxruntime': _onnxruntime}


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
    return BACKENDS[name](options)

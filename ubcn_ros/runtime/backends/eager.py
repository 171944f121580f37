# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loop's steps by PyTorch, module by module."""

from __future__ import annotations

import torch

from ubcn_ros.network import UBCN
from ubcn_ros.runtime.backends.backend import LoadOptions
from ubcn_ros.runtime.backends.stages import StageFunctions, StagesBackend
from ubcn_ros.runtime.device import PRECISIONS, resolve_precision
from ubcn_ros.runtime.model_info import ModelInfo
from ubcn_ros.runtime.optimize import prepare
from ubcn_ros.runtime.weights import load_model


class EagerBackend(StagesBackend):
    """
    A prepared network, called module by module.

    :param network: as ``prepare`` returned it.
    :param info: of its file.
    :param device, precision: that it was prepared for.
    """

    def __init__(self, network: UBCN, info: ModelInfo, device: torch.device, precision: str
                 ) -> None:
        super().__init__(StageFunctions.of(network), info, device, precision)
        self.network = network


def load_eager(options: LoadOptions, **preparation: bool) -> EagerBackend:
    """
    Load a model and prepare it.

    :param preparation: options of ``prepare``.
    :raises ModelFileError: of the model's file, also where a needed part was never trained; as
        of ``prepare``.
    :raises ValueError: the precision is unknown.
    """
    precision = resolve_precision(options.precision, options.device)
    network, info = load_model(options.model, options.needs)
    prepare(network, options.device, PRECISIONS[precision], autotune=options.autotune,
            progress=options.progress, **preparation)
    return EagerBackend(network, info, options.device, precision)


def build(options: LoadOptions) -> EagerBackend:
    """Build the backend 'eager', whose modules are PyTorch's own on a GPU, never fused ones."""
    return load_eager(options, fused=options.fused and options.device.type == 'cpu')

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every operator's swap shares: getting its kernel, and replacing modules by others."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from types import ModuleType

from torch import nn

from ubcn_ros.runtime.kernels.autotune import first_line

_LOG = logging.getLogger(__name__)


class WithReference(nn.Module):
    """
    A module that computes at once what trained modules compute one after the other.

    It keeps these as its reference, and runs them where nothing else applies: no later swap
    replaces them.
    """

    def reference_modules(self) -> tuple[nn.Module, ...]:
        """Return the trained modules that it keeps."""
        raise NotImplementedError


def is_plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """
    Return whether a module computes what its class says, so that something else may do it.

    A subclass may compute something else, as a convolution with standardised weights does, and so
    may a hook, as that of ``torch.nn.utils.weight_norm``.
    """
    return type(module) is kind and not (module._forward_pre_hooks or module._forward_hooks)


def load_kernel(name: str) -> ModuleType | None:
    """
    Import a module of kernels in Triton.

    :param name: of the module in this package, like 'triton_resize'.
    :return: the module; None, and a warning in the log, where Triton is missing or broken.
    """
    try:
        return importlib.import_module(f'.{name}', __package__)
    except Exception as error:  # a broken Triton raises more than ImportError
        _LOG.warning('%s is not used, Triton does not work here: %s', name, first_line(error))
        return None


def swap(network: nn.Module, replacement: Callable[[nn.Module], nn.Module | None]) -> int:
    """
    Replace modules in a network, in place.

    :param replacement: called with every module but the network itself; returns what takes its
        place, or None to leave it.
    :return: how many were replaced.
    """
    replaced = 0
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            new = replacement(child)
            if new is not None:
                setattr(parent, name, new)
                replaced += 1
    return replaced

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of a network's parts, as the paper's table 4 counts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ubcn_ros.network import UBCN

WHOLE = ('derain', 'attention', 'segmentation')
"""Parts in table 4's order: IDM, SAM and FAM's network."""


def parameters(network: UBCN, *parts: str) -> dict[str, int]:
    """
    Count the parameters of a network's parts.

    That of 'derain' is with the ``Veil`` before it; of a baseline it is the published file's,
    which may hold more than the network uses.

    :param parts: some of WHOLE.
    """
    found = {}
    for part in parts:
        module = getattr(network, part)
        found[part] = (getattr(module, 'published_parameters', None)
                       or sum(p.numel() for p in module.parameters()))
        if part == 'derain' and network.veil is not None:
            found[part] += sum(p.numel() for p in network.veil.parameters())
    return found


def megabytes(counts: Mapping[str, int]) -> str:
    """Return the size of parts as table 4 writes it, '0.90 + 0.40': MB at 4 bytes a parameter."""
    return ' + '.join(f'{4e-6 * count:.2f}' for count in counts.values())

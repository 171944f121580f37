# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of a network's parts, for the paper's table 4, whose UBCN is counted in MiB."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from ubcn_ros.network import UBCN

WHOLE = ('derain', 'attention', 'segmentation')
"""Parts in table 4's order: IDM, SAM and FAM's network."""


def parameters(network: UBCN, *parts: str) -> dict[str, int]:
    """
    Count the parameters of a network's parts.

    That of 'derain' is with the ``Veil`` and the ``RainHead``; of a baseline it is the published
    file's, which may hold more than the network uses.

    :param parts: some of WHOLE.
    """
    found = {}
    for part in parts:
        module = getattr(network, part)
        found[part] = (getattr(module, 'published_parameters', None)
                       or sum(p.numel() for p in module.parameters()))
        if part == 'derain' and network.veil is not None:
            found[part] += sum(p.numel() for module in (network.veil, network.rain_head)
                               for p in module.parameters())
    return found


def checkpoint_megabytes(module: nn.Module) -> float:
    """
    Return the size in MB of a checkpoint of a module, in the format of PyTorch before 1.6.

    That is what fits table 4 for JORDER-E and RCDNet. Parameters that a published file holds
    beyond the module's are added at 4 bytes each.
    """
    import torch
    file = io.BytesIO()
    torch.save(module.state_dict(), file, _use_new_zipfile_serialization=False)
    count = sum(p.numel() for p in module.parameters())
    published = getattr(module, 'published_parameters', None) or count
    return (file.tell() + 4 * (published - count)) / 1e6


def megabytes(counts: Mapping[str, int]) -> str:
    """Return parts in the form of table 4, '0.90 + 0.40': MB at 4 bytes a parameter."""
    return ' + '.join(f'{4e-6 * count:.2f}' for count in counts.values())

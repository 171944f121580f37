# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Derain-only networks of other papers, to compare with; each stands in the place of IDM.

They are those of the paper's table 4, trained by the stage ``derain`` as IDM is. Structure was
checked by the number of parameters, not against the text of their papers; for RESCAN, JORDER-E and
RCDNet the authors' public implementations were read for it. A new one is a file here with a
``base.Baseline``, and a line in ``REGISTRY``.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from ubcn_ros.network.baselines.base import Baseline

REGISTRY = {
    'ddn': 'ubcn_ros.network.baselines.ddn:DDN',
    'rescan': 'ubcn_ros.network.baselines.rescan:RESCAN',
    'prenet': 'ubcn_ros.network.baselines.prenet:PReNet',
    'jorder-e': 'ubcn_ros.network.baselines.jorder_e:JORDERE',
    'rcdnet': 'ubcn_ros.network.baselines.rcdnet:RCDNet',
}


@dataclass(frozen=True)
class BaselineConfig:
    """A baseline in the place of IDM, as its paper has it."""

    # a key of REGISTRY
    network: str

    def __post_init__(self) -> None:
        """Raise ValueError for a name that is unknown."""
        if self.network not in REGISTRY:
            raise ValueError(f'unknown baseline {self.network!r}: choose one of '
                             f'{", ".join(REGISTRY)}')


def build_baseline(config: BaselineConfig) -> Baseline:
    """Build a baseline with random weights."""
    module, _, name = REGISTRY[config.network].partition(':')
    return getattr(importlib.import_module(module), name)()

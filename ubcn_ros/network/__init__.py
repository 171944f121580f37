# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The paper's network in plain PyTorch."""

from ubcn_ros.network.attention import SAM, SAMConfig
from ubcn_ros.network.derain import IDM, IDMConfig
from ubcn_ros.network.discriminator import Discriminator
from ubcn_ros.network.segmentation import build_segmentation
from ubcn_ros.network.ubcn import UBCN, Step, UBCNConfig, build

__all__ = ['IDM', 'SAM', 'UBCN', 'Discriminator', 'IDMConfig', 'SAMConfig', 'Step', 'UBCNConfig',
           'build', 'build_segmentation']

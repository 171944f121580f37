# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The paper's network in plain PyTorch."""

from ubcn_ros.network.attention import SAM, SAMConfig
from ubcn_ros.network.derain import IDM, IDMConfig
from ubcn_ros.network.discriminator import Discriminator
from ubcn_ros.network.rain_estimate import RainEstimate
from ubcn_ros.network.segmentation import build_segmentation
from ubcn_ros.network.step import Step
from ubcn_ros.network.ubcn import PRESETS, UBCN, UBCNConfig, build
from ubcn_ros.network.veil import Veil, VeilConfig

__all__ = ['IDM', 'PRESETS', 'SAM', 'UBCN', 'Discriminator', 'IDMConfig', 'RainEstimate',
           'SAMConfig', 'Step', 'UBCNConfig', 'Veil', 'VeilConfig', 'build',
           'build_segmentation']

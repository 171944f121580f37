# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The replaceable segmentation networks of FAM.

A segmentation network is a ``segmentation.base.SegmentationNetwork``, which keeps the input of
half-precision weights right, built with ``num_classes`` (and options of its own):

- ``forward(image)``: (N, 3, H, W) RGB 0..1 to logits (N, num_classes, h, w), h and w at the
  network's own stride; any H, W from 32 up;
- ``with_features(image)``: for training, (logits, list of auxiliary logits, features) in one
  pass: the (N, C, h', w') features that the discriminator sees, with C = ``feature_channels``.

The base has both for a subclass with ``encode`` and ``classify``. A new one is a file here and a
line in ``REGISTRY``; one that lives elsewhere is named as ``module:Class``.

Model files come from anywhere and name their network, so that a name must not be able to run
anything else: a module is imported only if its source defines a class of that name, and the class
is called only if it is a ``SegmentationNetwork``.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder
from typing import Any

from ubcn_ros.network.keywords import called
from ubcn_ros.network.segmentation.base import SegmentationNetwork

REGISTRY = {
    'ddrnet23_slim': 'ubcn_ros.network.segmentation.ddrnet:DDRNet23Slim',
    'pspnet_resnet50': 'ubcn_ros.network.segmentation.pspnet:PSPNetResNet50',
}


def build_segmentation(name: str, num_classes: int, /, **options: object
                       ) -> SegmentationNetwork:
    """
    Build the segmentation network of that name.

    :param name: a key of ``REGISTRY``, or ``module:Class`` of a ``SegmentationNetwork``.
    :raises ValueError: the name is neither, or cannot be imported; the class is not derived from
        the base, cannot be built so, or lacks ``feature_channels``.
    """
    constructor = _find_class(name)
    try:
        network = called(constructor, 'options', options, num_classes=num_classes)
    except Exception as error:  # somebody's own raises what it likes
        raise ValueError(f'the segmentation network {name!r} cannot be built with num_classes='
                         f'{num_classes} and the options {options}: {error}') from error
    if not hasattr(network, 'feature_channels'):
        raise ValueError(f'the segmentation network {name!r} has no feature_channels: set it to '
                         'the number of channels of the features that encode returns')
    return network


def _find_class(name: str) -> type[SegmentationNetwork]:
    target = REGISTRY.get(name, name) if isinstance(name, str) else ''
    module, _, attribute = target.partition(':')
    if not attribute:
        raise ValueError(f'unknown segmentation network {name!r}: choose one of '
                         f'{", ".join(sorted(REGISTRY))}, or name yours as module:Class')
    try:
        if module not in sys.modules and not _defines(module, attribute):
            raise ImportError(f'the source of {module} has no statement "class {attribute}"')
        # vars: a module's own __getattr__ is not to run
        found = vars(importlib.import_module(module)).get(attribute)
    except Exception as error:  # a module raises what it likes
        raise ValueError(f'cannot import the segmentation network {name!r} ({error}): name it as '
                         'module:Class, and put the folder of the module on PYTHONPATH, for the '
                         'node, too') from error
    if not (isinstance(found, type) and issubclass(found, SegmentationNetwork)):
        raise ValueError(f'{name!r} is not a segmentation network, but {found!r}: name a class as '
                         'module:Class, and derive it from '
                         'ubcn_ros.network.segmentation.base.SegmentationNetwork')
    return found


def _defines(module: str, attribute: str) -> bool:
    """Tell whether the source of a module defines a class; neither it nor its parents are run."""
    top, *rest = module.split('.')
    spec: Any = importlib.util.find_spec(top)
    for part in rest:
        path = spec and spec.submodule_search_locations
        spec = path and PathFinder.find_spec(f'{spec.name}.{part}', path)
    if not spec:
        raise ImportError(f'there is no module {module}')
    source = spec.loader.get_source(spec.name) if spec.loader else None
    return any(isinstance(node, ast.ClassDef) and node.name == attribute
               for node in ast.parse(source or '').body)

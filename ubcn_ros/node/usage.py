# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Write the text of `ubcn_node --help` from the table of parameters; ROS-free."""

from __future__ import annotations

import textwrap

from ubcn_ros.node.parameter_spec import Spec
from ubcn_ros.node.parameters import SPECS, USE_SIM_TIME

_WIDTH = 99
_HEAD = """\
usage: ubcn_node [-h] [--ros-args [-p NAME:=VALUE]... [--params-file FILE] [-r FROM:=TO]...]

Derain and label the images of a camera, or of several: a ROS 2 lifecycle node that subscribes to
image and camera_info and publishes derained/image_raw, labels/image_raw, labels/color,
overlay/image_raw and more, each with the stamp of its image.

examples:
  ubcn_node --ros-args -r image:=/camera/image_raw -p iterations:=2
  ubcn_node --ros-args --params-file ubcn.yaml
  ros2 launch ubcn_ros ubcn.launch.py image:=/camera/image_raw iterations:=2
  ros2 param set /ubcn iterations 1

Camera info is expected beside the image: /camera/camera_info here.

parameters (default; what is allowed; when it may change):
"""


def usage() -> str:
    """Say what the node is, what its parameters are, and how to set them."""
    return _HEAD + ''.join(map(_describe, (*SPECS, USE_SIM_TIME)))


def _describe(spec: Spec) -> str:
    facts = '; '.join(filter(None, (spec.typed(spec.default), spec.constraint,
                                    spec.changes.value)))
    return '\n'.join([
        textwrap.fill(f'{spec.name} ({facts})', _WIDTH, initial_indent='  ',
                      subsequent_indent='      '),
        textwrap.fill(spec.description, _WIDTH, initial_indent='      ',
                      subsequent_indent='      '), ''])

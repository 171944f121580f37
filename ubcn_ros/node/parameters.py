# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Define every parameter of the node in one table: default, range, meaning, when it may change.

The table declares them, validates them, makes the launch arguments and the help text, and is what
config/ubcn.yaml and config/README.md are checked against; ROS-free.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ubcn_ros.images.malformed import MIN_SIDE
from ubcn_ros.node.parameter_spec import Changes, Spec, is_list
from ubcn_ros.runtime.installed import DEFAULT_MODEL
from ubcn_ros.runtime.processing import LARGEST, NATIVE, TRAINED
from ubcn_ros.text_table import counted

SPECS = (
    Spec('model', DEFAULT_MODEL,
         'Trained network: a name in models/, the path of a .safetensors file, or the folder of '
         'an export for onnxruntime.',
         Changes.AT_CONFIGURE, pattern=r'(?s).+', allowed='a name or a path, not empty'),
    Spec('allow_partial_model', False,
         'Accept, with a warning, a model of which parts were never trained; else it is refused.',
         Changes.AT_CONFIGURE),
    Spec('device', 'auto',
         'Where the network runs; auto takes the first GPU where there is one.',
         Changes.AT_CONFIGURE, pattern=r'auto|cpu|cuda|cuda:\d+',
         allowed='auto, cpu, cuda or cuda:N'),
    Spec('precision', 'auto',
         'Arithmetic of the network; auto takes the fastest that keeps the results.',
         Changes.AT_CONFIGURE, choices=('auto', 'fp32', 'bf16', 'fp16')),
    Spec('backend', 'auto',
         'How the engine executes the network; auto takes graphs (CUDA graphs) on a GPU, eager on '
         'a CPU; compiled (torch.compile) takes minutes for a new size and keeps the code.',
         Changes.AT_CONFIGURE,
         choices=('auto', 'eager', 'graphs', 'compiled', 'onnxruntime')),
    Spec('fused', True,
         'Let the backend graphs on a GPU in half precision use kernels that do several '
         'operations at once, where they were measured to be faster, and eager and graphs on a '
         "CPU those of oneDNN; false: PyTorch's own.",
         Changes.AT_CONFIGURE),
    Spec('autotune', True,
         'Time the kernels for which no choice is kept for this GPU, driver and versions, and '
         'keep the choice for later starts; false: nothing is timed, kept choices are used.',
         Changes.AT_CONFIGURE),
    Spec('input_transport', 'raw',
         'raw subscribes to image, compressed to image/compressed (JPEG or PNG); one value, or a '
         'list with one for each camera.',
         Changes.AT_CONFIGURE, choices=('raw', 'compressed'), per_camera=True),
    Spec('cameras', (),
         'Names of several cameras that share the engine: each has the topics below its name, '
         'like front/image and front/derained/image_raw; none: one camera without a name.',
         Changes.AT_CONFIGURE,
         pattern=r'(?!engine$)[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*',
         allowed='a list of names of letters, digits and _ that begin with a letter, other than '
                 'engine, like [front, left] or [car/front], or []'),
    Spec('warm_up_width', 640,
         "Width in pixels to warm up with while configuring, ideally the camera's; 0 skips it.",
         Changes.AT_CONFIGURE, low=MIN_SIDE, high=LARGEST, also=(0,)),
    Spec('warm_up_height', 480,
         "Height in pixels to warm up with while configuring, ideally the camera's; 0 skips it.",
         Changes.AT_CONFIGURE, low=MIN_SIDE, high=LARGEST, also=(0,)),
    Spec('autostart', True,
         'Configure and activate at the start; the process ends with an error if that fails.',
         Changes.AT_START),
    Spec('iterations', 3,
         "Steps of the loop per frame; 1 is fastest, 2 is as good in practice as the paper's 3.",
         Changes.AT_RUNTIME, low=1, high=10),
    Spec('deadline_ms', 0.0,
         "Time from a frame's arrival within which it should be done: as many steps as fit are "
         'run, at least one, at most `iterations`; 0 switches it off. Milliseconds.',
         Changes.AT_RUNTIME, low=0.0, high=10000.0),
    Spec('convergence', 0.0,
         'Stop when the last step, which may be the first, changed the image by less than this '
         '(mean absolute difference, 0..255); 0 runs all steps.',
         Changes.AT_RUNTIME, low=0.0, high=255.0),
    Spec('processing_size', TRAINED,
         "Short side in pixels at which images are labelled; outputs have the input's size; -1: "
         'that of the training, scaled by the focal length in camera_info if the model states its '
         "own; 0: the image's own. Images are enlarged twice at most.",
         Changes.AT_RUNTIME, low=MIN_SIDE, high=LARGEST, also=(TRAINED, NATIVE), per_camera=True),
    Spec('min_confidence', 0.0,
         'Probability below which a pixel is left unlabeled, 255, in the masks; 0 labels all.',
         Changes.AT_RUNTIME, low=0.0, high=1.0),
    Spec('max_failures', 10,
         'After so many engine failures in a row the node gives up, frees the engine and returns '
         'to unconfigured; 0: never.',
         Changes.AT_RUNTIME, low=0, high=1000000),
    Spec('overlay_alpha', 0.5,
         'Opacity of the class colours in overlay/image_raw.',
         Changes.AT_RUNTIME, low=0.0, high=1.0),
)
"""The table."""

USE_SIM_TIME = Spec('use_sim_time', False,
                    'Take the time from /clock, as when a bag is played with --clock.',
                    Changes.AT_RUNTIME)
"""A parameter of every node, which rclpy declares."""

_BY_NAME = {spec.name: spec for spec in SPECS}


@dataclass(frozen=True)
class Settings:
    """
    All values at one moment, described in the table.

    Replaced as a whole, so that a frame sees one consistent set.
    """

    model: str
    allow_partial_model: bool
    device: str
    precision: str
    backend: str
    fused: bool
    autotune: bool
    input_transport: str | tuple[str, ...]
    cameras: tuple[str, ...]
    warm_up_width: int
    warm_up_height: int
    autostart: bool
    iterations: int
    deadline_ms: float
    convergence: float
    processing_size: int | tuple[int, ...]
    min_confidence: float
    max_failures: int
    overlay_alpha: float

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """
        Make settings of values by name; what is missing takes its default.

        :raises ValueError: a value out of range or of the wrong type.
        """
        merged = {spec.name: values.get(spec.name, spec.default) for spec in SPECS}
        for spec in SPECS:
            if reason := spec.refusal(merged[spec.name]):
                raise ValueError(reason)
            merged[spec.name] = spec.take(merged[spec.name])
        return cls(**merged)

    def for_cameras(self, name: str) -> tuple[Any, ...]:
        """
        Return the values for each camera of a parameter that may list them.

        :raises ValueError: there are not as many as cameras. Parameters are set one by one, so
            that only a configured node can tell.
        """
        count, given = max(len(self.cameras), 1), getattr(self, name)
        if not isinstance(given, tuple):
            return (given,) * count
        if len(given) != count:
            raise ValueError(
                f'{name} lists {len(given)} ({", ".join(map(str, given))}) for '
                f'{counted(count, "camera")}: give one value for all, or one for each camera')
        return given

    @property
    def prefixes(self) -> list[str]:
        """What stands before the topics of each camera, like 'front/'; '' of one without name."""
        return [name and f'{name}/' for name in self.cameras or ('',)]

    def check_lists(self) -> None:
        """Raise ValueError where a parameter does not list as many values as there are cameras."""
        for spec in SPECS:
            if spec.per_camera:
                self.for_cameras(spec.name)


def refusal(name: str, value: Any, configured: bool) -> str:
    """
    Say why a parameter cannot be set to a value at runtime; '' where it can.

    :param name: where it is not in the table, any value is taken.
    :param configured: whether the node holds a model.
    """
    if not name:
        return f'a parameter needs a name, got none for {value!r}'
    if value is None:
        return f'{name} cannot be deleted: set a value'
    spec = _BY_NAME.get(name)
    if spec is None:
        return ''
    if spec.changes is Changes.AT_START:
        return f'{name} is read once at start: set it in the parameter file or launch file'
    if spec.changes is Changes.AT_CONFIGURE and configured:
        return (f'{name} is fixed while the node is configured: deactivate and clean it up, '
                f'set {name}, then configure it again')
    return spec.refusal(value)


def unchanged(name: str, present: Any, value: Any) -> bool:
    """Say whether a value is the present one of a parameter: 1 is 1.0, but True is not 1."""
    spec = _BY_NAME.get(name)
    if value is None:  # asks for its removal
        return False
    if spec is not None:
        return not spec.refusal(value) and spec.take(value) == spec.take(present)
    if is_list(present) and is_list(value):
        return list(present) == list(value)
    return type(present) is type(value) and present == value


def unknown_names(names: Iterable[str]) -> list[str]:
    """Describe each name that neither the table nor rclpy knows, with the nearest that it has."""
    known = {*_BY_NAME, USE_SIM_TIME.name}
    return [f"parameter '{name}' is not known and has no effect; {nearest(name, _BY_NAME)}"
            for name in names if name not in known
            and not name.startswith(('qos_overrides.', 'start_type_description'))]


def nearest(name: str, known: Iterable[str]) -> str:
    """Word which of the known names an unknown one may stand for."""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1)
    return f'did you mean {near[0]}?' if near else 'known are ' + ', '.join(known)

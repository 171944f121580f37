# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a recipe says of its samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ubcn_ros.data.degradations import Degradation
from ubcn_ros.data.painted_rain import HAZE_PROBABILITY
from ubcn_ros.training.yaml_to_dataclass import check_range

_LARGEST_SCALE = 2  # of a frame that is resized to a short side: beyond, it is blurred
_ABOUT_1 = 0.1


@dataclass(frozen=True)
class SampleConfig:
    """How one training sample is drawn."""

    # height and width, pixels
    crop: tuple[int, int] = (192, 192)
    # range of the factor that a frame is resized by before cropping, log-uniform
    scale: tuple[float, float] = (1.0, 1.0)
    # range of the short side in pixels that a frame is resized to before cropping, log-uniform,
    # instead of by scale; no frame is enlarged more than twice for it. [0, 0]: by scale
    short_sides: tuple[int, int] = (0, 0)
    # of rain on the degraded image, 0..1; the other samples stay dry, as do 8 % of those with
    # rendered rain (rain_parameters.sample_rate)
    rain_probability: float = 1.0
    # of painted instead of rendered rain, 0..1, among the rainy samples
    painted_rain_probability: float = 0.15
    # range of its severity: 0 are a few faint streaks, 1 nearly nothing but rain
    painted_severity: tuple[float, float] = (0.0, 1.0)
    # of a soft haze behind painted streaks, 0..1
    painted_haze_probability: float = HAZE_PROBABILITY
    # of streaks of blurred noise, which mostly brighten the image as a whole, 0..1
    painted_noise_probability: float = 0.0
    # of misty instead of rendered rain, 0..1, among the rainy samples: mist of other laws, soft
    # streaks, drops on the lens, noise and compression (on_device)
    misty_rain_probability: float = 0.0
    # of a frame turned, resized and recoloured beyond what a drive shows, 0..1, among dry samples
    # and those with painted rain
    strong_augmentation_probability: float = 0.0
    # of physical parameters and distances tied to the classes, 0..1, among the rendered ones; the
    # others vary in everything, now and then with distances that follow no class
    physical_rain_probability: float = 0.0
    # kind and level of a degradation of all images, which then count as clean: 'rain', 'pepper',
    # 'haze' or 'gaussian', and the level as of data.degradations.Degradation; '' for none
    # (on_device)
    degradation: str = ''
    degradation_level: float = 0.0
    # samples are made as tensors on the training's device, where all scenes are kept, and rain
    # comes from streaks rendered ahead; otherwise processes render whole frames
    on_device: bool = False
    # rendered whole frames that each process keeps to take crops from (without on_device)
    renders: int = 64
    # crops taken from each of them (without on_device)
    reuse: int = 4
    # strength of the random change of brightness, contrast and colour, 0 (off) to 1
    color_jitter: float = 0.0
    # of other colours, contrast, light, texture, blur and noise, as by another camera, of dry and
    # rainy image alike, 0..1 (on_device)
    photometric_probability: float = 0.0
    # of a crop about a place of a class, each class as often as the others, 0..1 (on_device)
    balanced_crop_probability: float = 0.0
    # of half of another frame's classes put over a frame, 0..1 (on_device)
    class_mix_probability: float = 0.0
    # of a whole frame, resized to the crop, instead of a part of it, 0..1 (on_device); rendered
    # rain then fell before a camera's frame of a drawn scale. What looks at the frame as a whole
    # sees nothing else at run time
    whole_frame_probability: float = 0.0
    # largest rotation of the camera about the middle of a crop, degrees (on_device)
    rotation_deg: float = 0.0
    # share of frames from procedural drives, 0..1, spread evenly
    drive_share: float = 0.0
    # frames of procedural drives that are rendered ahead (on_device)
    drive_frames: int = 96

    def __post_init__(self) -> None:
        check_range(self, ('crop',), 32, 8192)
        check_range(self, ('scale',), 0.01, 100)
        if any(self.short_sides):
            check_range(self, ('short_sides',), 32, 8192)
        for name in ('scale', 'painted_severity', 'short_sides'):
            least, most = getattr(self, name)
            if least > most:
                raise ValueError(f'{name} is {[least, most]}: give the smaller one first')
        check_range(self, ('rain_probability', 'painted_rain_probability', 'painted_severity',
                           'painted_haze_probability', 'painted_noise_probability',
                           'misty_rain_probability',
                           'strong_augmentation_probability', 'physical_rain_probability',
                           'color_jitter', 'photometric_probability', 'balanced_crop_probability',
                           'class_mix_probability', 'whole_frame_probability', 'drive_share'),
                    0, 1)
        check_range(self, ('rotation_deg',), 0, 45)
        self._check_degradation()
        for name in ('misty_rain_probability', 'photometric_probability',
                     'balanced_crop_probability', 'class_mix_probability',
                     'whole_frame_probability', 'rotation_deg', 'degradation'):
            if getattr(self, name) and not self.on_device:
                raise ValueError(f'{name} is {getattr(self, name)}: only samples made as tensors '
                                 'have it: set on_device to true')
        if self.painted_rain_probability + self.misty_rain_probability > 1:
            raise ValueError(
                f'painted_rain_probability is {self.painted_rain_probability} and '
                f'misty_rain_probability {self.misty_rain_probability}: they add up to more than '
                '1')
        check_range(self, ('renders', 'reuse', 'drive_frames'), 1)

    def _check_degradation(self) -> None:
        if self.fixed_degradation is None:
            if self.degradation_level:
                raise ValueError(f'degradation_level is {self.degradation_level}, of no '
                                 'degradation: set degradation, too')
            return
        for name in ('rain_probability', 'strong_augmentation_probability'):
            if getattr(self, name):
                raise ValueError(f'{name} is {getattr(self, name)}, and degradation '
                                 f'{self.degradation}, which comes alone: set {name} to 0')

    @property
    def fixed_degradation(self) -> Degradation | None:
        """Return that of all images, None for none."""
        return Degradation(self.degradation, self.degradation_level) if self.degradation else None

    @property
    def knows_rain(self) -> bool:
        """Whether the rain rate of some samples is known: that of rain that is rendered."""
        return (self.rain_probability > 0
                and self.painted_rain_probability + self.misty_rain_probability < 1)

    def scales_of(self, side: int) -> tuple[float, float]:
        """
        Return the range of the factor that a frame is resized by.

        :param side: short side of the frame, pixels.
        """
        if not any(self.short_sides):
            return self.scale
        least, most = (min(wanted / side, _LARGEST_SCALE) for wanted in self.short_sides)
        return least, most

    def largest_side(self, side: int) -> int:
        """
        Return the largest short side that frames have as samples, pixels.

        :param side: of the frames as they are.
        """
        return round(side * self.scales_of(side)[1])

    def typical_side(self, side: int) -> int:
        """
        Return the short side that frames typically have as samples, pixels.

        :param side: of the frames as they are, which a scale about 1 is meant to leave them.
        """
        middle = math.prod(self.scales_of(side)) ** 0.5
        about_1 = abs(middle - 1) < _ABOUT_1 and not any(self.short_sides)
        return side if about_1 else round(side * middle)

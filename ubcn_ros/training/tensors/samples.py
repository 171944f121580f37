# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training samples that are drawn, augmented and rained on as tensors on the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch

from ubcn_ros.data.log_uniform import log_uniform
from ubcn_ros.data.rain_parameters import RainParameters, sample_rate
from ubcn_ros.data.scenes import SceneList
from ubcn_ros.data.strong_augmentation import Recolouring
from ubcn_ros.training.drive_frames import chosen_scene
from ubcn_ros.training.sample_config import SampleConfig
from ubcn_ros.training.samples import CLASS_DISTANCES, Sample
from ubcn_ros.training.tensors.class_places import ClassPlaces
from ubcn_ros.training.tensors.colors import Jitter, jittered, recoloured
from ubcn_ros.training.tensors.misty import MistyDraw, MistyRain
from ubcn_ros.training.tensors.mixing import Mixed, MixedViews
from ubcn_ros.training.tensors.painted import PaintedStreaks, Painting
from ubcn_ros.training.tensors.photometric import PhotometricDistortion
from ubcn_ros.training.tensors.rain import add_noise, plain_distance, rendered_rain
from ubcn_ros.training.tensors.scenes import SceneTensors, load_scenes, release_scenes
from ubcn_ros.training.tensors.streaks import LayerView, StreakLayers, frame_sizes
from ubcn_ros.training.tensors.transfer import per_image, to_device
from ubcn_ros.training.tensors.views import View, Views, draw_view

_VARIANTS = 16  # layers of streaks of each size, rate and kind

# those of the last calls are kept, which stages share
_streak_layers, _painted_streaks, _misty_rain = map(
    lru_cache(maxsize=2), (StreakLayers, PaintedStreaks, MistyRain))


def release_kept() -> None:
    """Give back the scenes and streaks that are kept on a device for further stages."""
    release_scenes()
    for kept in (_streak_layers, _painted_streaks, _misty_rain):
        kept.cache_clear()


@dataclass(frozen=True)
class Draw:
    """
    Everything random about one sample, but for the noise.

    :param mixed: what of another image is put over it, None for nothing.
    :param rain: of rendered rain, with ``layer``; None without it.
    :param plain: the distances follow no class.
    :param seed: of the noise.
    :param painting: of painted rain; None without it.
    :param misty: of misty rain; None without it.
    :param real: the scene's own rain is shown.
    :param fixed: it has the degradation that all samples have, another than rain.
    :param distortion: of dry and rainy image; None without it.
    """

    view: View
    jitter: Jitter | None
    mixed: Mixed | None = None
    recolouring: Recolouring | None = None
    rain: RainParameters | None = None
    layer: LayerView | None = None
    plain: bool = False
    seed: int = 0
    painting: Painting | None = None
    misty: MistyDraw | None = None
    real: bool = False
    fixed: bool = False
    distortion: PhotometricDistortion | None = None

    @property
    def rain_rate(self) -> float:
        """Of rendered rain, mm/hr; 0 where it is dry, NaN in other rain."""
        if self.rain is not None:
            return self.rain.rate_mm_h
        unknown = self.painting or self.misty or self.real or self.fixed
        return math.nan if unknown else 0.0

    @property
    def extinction(self) -> float:
        """Of the veil, 1/m, likewise."""
        return self.rain_rate if self.rain is None else self.rain.extinction


class TensorSamples:
    """
    Endless training samples from scenes on a device, as ``TrainingSamples`` draws them.

    But for one thing: distances that follow the classes are of one horizon and focal length, as
    they are worked out once for each scene.

    Sample n depends on n, the seed and the scenes alone, on one kind of device; the samples of a
    batch do not depend on each other. Rain is rendered at the sample's own size: streaks from
    layers rendered ahead, the veil from the scene's distances.

    :param scenes: what is cropped; all of it is kept on the device.
    :param config: how samples are drawn.
    :param seed: of everything that is drawn.
    :param device: where samples are made.
    :param workers: processes that render what is rendered ahead.
    :raises DataSetError: a file cannot be read.
    :raises ValueError: memory does not hold the scenes.
    """

    def __init__(self, scenes: SceneList, config: SampleConfig, seed: int, device: torch.device,
                 workers: int = 0) -> None:
        self.scenes, self.config, self.seed = scenes, config, seed
        self.device, self.workers = device, workers
        drives = config.drive_frames if config.drive_share else 0
        self.tensors: SceneTensors = load_scenes(scenes, device, drives, seed, workers)

    @cached_property
    def _frame_sizes(self) -> tuple[tuple[int, int], ...]:
        """Sizes near to those at which samples show the scenes."""
        sizes = self.tensors.sizes
        sides = [scale * side for side in {*sizes.min(1).tolist()}
                 for scale in self.config.scales_of(side)]
        height, width = np.median(sizes, 0)
        return tuple(frame_sizes((min(sides), max(sides)), width / height))

    @cached_property
    def streaks(self) -> StreakLayers:
        """Layers of streaks for these sizes."""
        share = 1.0 if self.config.degradation else self.config.physical_rain_probability
        kinds = tuple(kind for kind in (True, False) if (share if kind else 1 - share) > 0)
        layers = _streak_layers(self._frame_sizes, kinds, _VARIANTS, self.seed, self.device,
                                self.workers)
        if not self.config.whole_frame_probability:
            return layers
        size = np.median(self.tensors.sizes, 0)  # any will do: whole frames fill the crop
        return layers.with_shrunk(round(max(self.config.crop / size) * min(size)))

    @cached_property
    def paintings(self) -> PaintedStreaks:
        """Pictures of painted streaks of a sample's size."""
        c = self.config
        return _painted_streaks(c.crop, self.seed, self.device, self.workers, c.painted_severity,
                                c.painted_haze_probability, c.painted_noise_probability)

    @cached_property
    def class_places(self) -> ClassPlaces:
        """Where classes are, for balanced crops."""
        return ClassPlaces(self.tensors, self.scenes.label_set.num_classes, self.seed)

    @cached_property
    def misty_rain(self) -> MistyRain:
        """Streaks and drops of misty rain for these sizes."""
        return _misty_rain(tuple(map(min, self._frame_sizes)), self.config.crop, self.seed,
                           self.device, self.workers)

    def __getitem__(self, n: int) -> Sample:
        """Return sample n, 0 or more, on the device."""
        return {name: values[0] for name, values in self.batch([n]).items()}

    @torch.no_grad()
    def batch(self, numbers: Sequence[int]) -> Sample:
        """
        Make samples.

        :return: 'clean' and 'degraded' (N, 3, h, w) uint8 RGB, 'labels' (N, h, w) uint8,
            'rain_rate' and 'extinction' (N,) float32, as of ``TrainingSamples``.
        """
        draws = [self.draw(n) for n in numbers]
        views = MixedViews(self.tensors, [draw.view for draw in draws], self.config.crop,
                           {n: draw.mixed for n, draw in enumerate(draws) if draw.mixed})
        clean = self._coloured(views.images(), draws).round_().byte()
        degraded = clean.clone()
        for kind, degrade in (('rain', self._rendered), ('painting', self._painted),
                              ('misty', self._misty), ('real', self._real),
                              ('fixed', self._fixed)):
            places = [i for i, draw in enumerate(draws) if getattr(draw, kind)]
            if places:
                where = to_device(places, self.device, torch.int64)
                few = [draws[i] for i in places]
                image = degrade(clean[where].float(), views.select(places), few)
                degraded[where] = image.round_().clamp_(0, 255).byte()
        for place, draw in enumerate(draws):
            if draw.distortion:
                both = draw.distortion(torch.stack((clean[place], degraded[place])).float())
                clean[place], degraded[place] = both.round_().byte()
        if self.config.degradation:
            clean = degraded
        return {'clean': clean, 'degraded': degraded, 'labels': views.labels(),
                **{name: to_device([getattr(draw, name) for draw in draws], self.device)
                   for name in ('rain_rate', 'extinction')}}

    def draw(self, n: int) -> Draw:
        """Draw everything random about sample n."""
        draw, share = self._draw(n), self.config.photometric_probability
        if share and (rng := np.random.default_rng([self.seed, 12, n])).random() < share:
            draw = replace(draw, distortion=PhotometricDistortion.draw(rng))
        return draw

    def _draw(self, n: int) -> Draw:
        c, rng = self.config, np.random.default_rng([self.seed, 3, n])
        of_drive, number = chosen_scene(n, self.tensors.scenes, c.drive_share, self.seed)
        image = self.tensors.scenes + number % self.tensors.drives if of_drive else number
        focus = None
        if c.balanced_crop_probability and rng.random() < c.balanced_crop_probability:
            image, focus = self.class_places.draw(rng, of_drive)
        jitter = Jitter.draw(c.color_jitter, rng) if c.color_jitter else None
        wet = rng.random() < c.rain_probability
        real = wet and image in self.tensors.rainy
        kind = rng.random() if wet and not real else 1.0
        painted = kind < c.painted_rain_probability
        strong = (painted or not wet) and rng.random() < c.strong_augmentation_probability
        view = self._view(rng, image, strong, focus)
        draw = Draw(view, jitter, None if real or strong else self._mixed(rng))
        if strong:
            draw = replace(draw, recolouring=Recolouring.draw(rng))
        fixed = c.fixed_degradation
        if fixed is not None and fixed.kind != 'rain':
            return replace(draw, fixed=True, seed=int(rng.integers(1 << 31)))
        if fixed is not None:
            return self._rainy(rng, draw, fixed.level, physical=True) if fixed.level else draw
        if real or not wet:
            return replace(draw, real=real)
        if painted:
            return replace(draw, painting=self.paintings.draw(rng))
        if kind < c.painted_rain_probability + c.misty_rain_probability:
            return replace(draw, misty=self.misty_rain.draw(rng, self._side(view),
                                                            self._sky(image, jitter)))
        rate = sample_rate(rng)
        physical = bool(rng.random() < c.physical_rain_probability)
        return self._rainy(rng, draw, rate, physical) if rate else draw

    def _view(self, rng: np.random.Generator, image: int, strong: bool = False,
              focus: tuple[float, float] | None = None) -> View:
        c, size = self.config, self.tensors.sizes[image]
        scale = log_uniform(rng, *c.scales_of(int(min(size))))
        shrunk = 1.0
        if c.whole_frame_probability and rng.random() < c.whole_frame_probability:
            whole, focus = max(c.crop / size), None
            scale, shrunk = whole, max(1.0, scale / whole)
        view = draw_view(rng, image, size, c.crop, scale, strong, focus, c.rotation_deg)
        return replace(view, shrunk=shrunk)

    def _mixed(self, rng: np.random.Generator) -> Mixed | None:
        share = self.config.class_mix_probability
        if not share or rng.random() >= share:
            return None
        scenes, drives = self.tensors.scenes, self.tensors.drives
        of_drive = rng.random() < self.config.drive_share
        other = scenes + int(rng.integers(drives)) if of_drive else int(rng.integers(scenes))
        return Mixed.draw(rng, self._view(rng, other), len(self.scenes.class_names or ()))

    def _rainy(self, rng: np.random.Generator, draw: Draw, rate: float, physical: bool) -> Draw:
        view = draw.view
        parameters = RainParameters.random(rng, rate, physical)
        shown = view.shown(self.tensors.sizes[view.image], self.config.crop)
        layer = self.streaks.draw(rng, self._side(view), shown, rate, parameters.streak_gain,
                                  physical, view.shrunk)
        plain = bool(rng.random() >= CLASS_DISTANCES and not physical
                     and not self.tensors.measured[view.image])
        return replace(draw, rain=parameters, layer=layer, plain=plain,
                       seed=int(rng.integers(1 << 31)))

    def _side(self, view: View) -> float:
        """Short side of the whole image at the sample's size, pixels."""
        return view.scale * int(min(self.tensors.sizes[view.image]))

    def _coloured(self, images: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
        if self.config.color_jitter:
            images = jittered(images, [draw.jitter for draw in draws])
        for place, draw in enumerate(draws):
            if draw.recolouring is not None:
                images[place] = recoloured(images[place], draw.recolouring)
        return images

    def _rendered(self, images: torch.Tensor, views: Views, draws: Sequence[Draw]
                  ) -> torch.Tensor:
        parameters = [draw.rain for draw in draws]
        distance = views.depth()
        plain = to_device([draw.plain for draw in draws], self.device, torch.bool)
        distance = torch.where(plain.view(-1, 1, 1, 1),
                               plain_distance(views.points, views.sizes, parameters), distance)
        frames = [draw.view.from_middle(self.tensors.sizes[draw.view.image], self.config.crop)
                  for draw in draws]
        thickness = self.streaks.thickness([draw.layer for draw in draws], frames,
                                           self.config.crop)
        rainy = rendered_rain(images, distance, thickness, parameters,
                              np.array([self._airlight(draw) for draw in draws]))
        return add_noise(rainy, [p.noise_sigma for p in parameters],
                         [draw.seed for draw in draws])

    def _airlight(self, draw: Draw) -> np.ndarray:
        if draw.rain.airlight is not None:
            return np.asarray(draw.rain.airlight)
        return self._sky(draw.view.image, draw.jitter)

    def _sky(self, image: int, jitter: Jitter | None) -> np.ndarray:
        light = self.tensors.airlight[image]
        return light if jitter is None else jitter(light).clip(0.35, 1)

    def _misty(self, images: torch.Tensor, views: Views, draws: Sequence[Draw]) -> torch.Tensor:
        return self.misty_rain.rained(images, views.depth(), [draw.misty for draw in draws])

    def _painted(self, images: torch.Tensor, _views: Views, draws: Sequence[Draw]
                 ) -> torch.Tensor:
        return self.paintings.painted(images, [draw.painting for draw in draws])

    def _real(self, _images: torch.Tensor, views: Views, draws: Sequence[Draw]) -> torch.Tensor:
        rainy = views.images([self.tensors.rainy[draw.view.image] for draw in draws])
        return self._coloured(rainy, draws)

    def _fixed(self, images: torch.Tensor, views: Views, draws: Sequence[Draw]) -> torch.Tensor:
        kind, level = self.config.degradation, self.config.degradation_level
        if kind == 'haze':
            airlight = np.array([self._sky(draw.view.image, draw.jitter) for draw in draws])
            light = per_image(255 * airlight, self.device)
            return torch.lerp(images, light, -torch.expm1(-level * views.depth()))
        seeds = [draw.seed for draw in draws]
        if kind == 'pepper':
            return _peppered(images, level / 100, seeds)
        return add_noise(images, [level] * len(draws), seeds)


def _peppered(images: torch.Tensor, probability: float, seeds: Sequence[int]) -> torch.Tensor:
    """Blacken pixels at random, each image's own, as ``data.degradations``, in place."""
    generator = torch.Generator(images.device)
    for image, seed in zip(images, seeds, strict=True):
        generator.manual_seed(seed)
        drawn = torch.rand(image.shape[1:], generator=generator, device=image.device)
        image *= drawn >= probability
    return images

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Times of the engine, stage by stage, beside the machine's limits."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from ubcn_ros.network import UBCN
    from ubcn_ros.runtime.engine import Engine

WARM_UP = 2
"""First calls of everything that is timed; they do not count."""


@dataclass(frozen=True)
class Rows:
    """What to time: every combination of these, or a waterfall."""

    # of random weights; one where there is a model, which has its own
    presets: tuple[str, ...]
    # name or path
    model: str | None
    # T of the loop
    iterations: tuple[int, ...]
    precisions: tuple[str, ...]
    backends: tuple[str, ...]
    device: str
    # images per row
    frames: int
    # a name of network.baselines.REGISTRY, timed in turn with ours; None for none
    baseline: str | None
    baseline_precision: str
    # the engine without its optimisations, adding one after the other
    waterfall: bool
    # short sides at which images are labelled
    processing_sizes: tuple[int, ...]
    # SAM's, of random weights, whose masks are then known labels; None for the preset's
    path_threshold: float | None


@dataclass
class TimedCall:
    """What is timed in turn with the others: a call per image, and how long the calls took."""

    row: dict[str, Any]
    call: Callable[[np.ndarray], dict[str, float]]
    device: torch.device
    times: list[dict[str, float]] = field(default_factory=list)
    # that is called; None for a baseline
    engine: Engine | None = None

    def measure(self, image: np.ndarray) -> None:
        """Time one image, milliseconds."""
        start = time.perf_counter()
        stages = self.call(image)
        self.times.append({**stages, 'total': 1e3 * (time.perf_counter() - start)})

    def result(self) -> dict[str, Any]:
        """Return the row with its percentiles."""
        def percentile(stage: str, q: float) -> float:
            return round(float(np.percentile([t[stage] for t in self.times], q)), 3)

        stages = [stage for stage in self.times[0] if stage != 'total']
        p50 = percentile('total', 50)
        return {**self.row, 'frames': len(self.times), 'p50_ms': p50,
                'p95_ms': percentile('total', 95), 'images_per_s': round(1e3 / p50, 3),
                'stages_ms': {stage: {'p50': percentile(stage, 50), 'p95': percentile(stage, 95)}
                              for stage in stages}}


def rainy_images(height: int, width: int, count: int) -> list[np.ndarray]:
    """Render frames of a drive in rain of 100 mm/hr, (H, W, 3) uint8 RGB each."""
    from ubcn_ros.data.drive.drive import Drive
    from ubcn_ros.data.rain import add_rain
    drive = Drive(1, height, width)
    frames = [drive.frame(2.0 * i) for i in range(count)]
    return [add_rain(frame.image, 100.0, i, frame.depth) for i, frame in enumerate(frames)]


def run_interleaved(timed: Sequence[TimedCall], images: Sequence[np.ndarray], frames: int,
                    progress: Callable[[], Any]) -> None:
    """Time each call on every frame in turn, so that a noisy moment meets all of them."""
    for one in timed:
        for i in range(WARM_UP):
            one.call(images[i % len(images)])
    for i in range(frames):
        for one in timed:
            one.measure(images[i % len(images)])
        progress()


def speed_up(one: TimedCall, base: TimedCall) -> float:
    """Return how many times faster it is than ``base``: the median over the turns."""
    return round(float(np.median([theirs['total'] / ours['total'] for ours, theirs in
                                  zip(one.times, base.times, strict=True)])), 3)


def open_engine(preset: str, model: str | None, folder: Path,
                path_threshold: float | None = None, **options: Any) -> Engine:
    """Load a model file, or a preset with random weights by way of a file."""
    from ubcn_ros.benchmark.known_labels import with_threshold
    from ubcn_ros.network import UBCNConfig, build
    from ubcn_ros.runtime import Engine, save_model
    if model is None:
        import torch
        torch.manual_seed(0)
        path = folder / f'{preset}.safetensors'
        if not path.exists():
            config = UBCNConfig.preset(preset)
            if path_threshold is not None:
                config = with_threshold(config, path_threshold)
            save_model(path, build(config), {'note': 'random weights'})
        model = str(path)
    return Engine.load(model, **options, allow_partial=True)  # as quick as a trained one


def eager_engine(model: Path, device: torch.device, precision: str, **preparation: bool
                 ) -> tuple[Engine, UBCN]:
    """Load an eager engine, prepared as `load_eager` is told; return its network, too."""
    from ubcn_ros.runtime import Engine
    from ubcn_ros.runtime.backends.backend import LoadOptions
    from ubcn_ros.runtime.backends.eager import load_eager
    backend = load_eager(LoadOptions(model, device, precision), **preparation)
    return Engine(backend), backend.network


def timed_engine(engine: Engine, size: tuple[int, int], iterations: int, processing_size: int,
                 optimisation: str = '') -> TimedCall:
    """Return an engine, to be timed: T steps per image, uint8 to uint8."""
    from ubcn_ros.benchmark.known_labels import masks_of
    row = {'name': engine.info.name, 'height': size[1], 'width': size[0], 'iterations': iterations,
           'processing_size': processing_size, 'precision': engine.precision, 'backend': '',
           'device': str(engine.device), **masks_of(engine.info.config)}
    if optimisation:
        row['optimisation'] = optimisation

    def call(image: np.ndarray) -> dict[str, float]:
        frame = engine(image, iterations, processing_size=processing_size)
        row['processed'] = 'x'.join(map(str, frame.working_size[::-1]))
        row['backend'] = engine.backend  # known only now: graphs that fail are left
        return {stage: ms for stage, ms in frame.timings.items() if stage != 'total'}

    return TimedCall(row, call, engine.device, engine=engine)


def timed_baseline(name: str, device: torch.device, precision: str, size: tuple[int, int]
                   ) -> TimedCall:
    """
    Return a baseline with random weights, to be timed; uint8 to uint8 as well.

    Batch normalisation is folded, and it runs in channels last, module by module.
    """
    import torch

    from ubcn_ros.network.baselines import BaselineConfig, build_baseline
    from ubcn_ros.runtime.device import PRECISIONS
    from ubcn_ros.runtime.optimize import prepare
    dtype = PRECISIONS[precision]
    network = prepare(build_baseline(BaselineConfig(name)), device, dtype, fused=False)

    @torch.inference_mode()
    def call(image: np.ndarray) -> dict[str, float]:
        tensor = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].to(dtype) / 255
        network(tensor).clamp(0, 1).mul(255).round().to(torch.uint8)[0].cpu().numpy()
        return {}

    return TimedCall({'name': name, 'height': size[1], 'width': size[0], 'iterations': 1,
                      'precision': precision, 'backend': 'eager', 'device': str(device)},
                     call, device)


def waterfall(best: Engine) -> dict[str, Engine]:
    """Return engines of a model: without optimisations, then with one more of them each."""
    import torch
    variants = [('fp32, layers as trained', 'fp32', 0),
                ('+ batch normalisation folded', 'fp32', 1), ('+ channels last', 'fp32', 2)]
    if best.device.type == 'cpu':
        variants.append(('+ paths mixed in strips', 'fp32', 3))
    if best.precision != 'fp32':
        variants.append((f'+ {best.precision}', best.precision, 3))
    if best.device.type == 'cpu' or best.precision != 'fp32':
        variants.append(('+ fused kernels', best.precision, 4))
    engines = {}
    for name, kind, level in variants:
        engines[name], network = eager_engine(
            best.info.path, best.device, kind, fold=level > 0, channels_last=level > 1,
            fast_attention=level > 2, fused=level > 3)
        if level < 2:
            for module in network.children():
                module.register_forward_pre_hook(lambda _, inputs: tuple(
                    x.contiguous() if isinstance(x, torch.Tensor) else x for x in inputs))
    if best.backend == 'graphs':
        engines['+ graphs'] = best
    return engines


def roofline_ms(engine: Engine, image: np.ndarray, iterations: int, processing_size: int = -1
                ) -> dict[str, float]:
    """
    Work out milliseconds of every stage's roofline, over T steps, on this machine's ceilings.

    Counted on the reference modules, as a backend's may work out of sight; empty for an export,
    and without SAM where its masks decide what it has to do.
    """
    if not engine.info.path.is_file():
        return {}
    from torch.nn import ModuleList

    from ubcn_ros.benchmark.roofline import measure_ceilings, roofline_times
    from ubcn_ros.runtime.device import PRECISIONS
    ceilings = measure_ceilings(engine.device, PRECISIONS[engine.precision])
    reference, network = eager_engine(engine.info.path, engine.device, engine.precision,
                                      fast_attention=False, fused=False)
    result = {}
    derain = ModuleList(part for part in (network.veil, network.derain) if part is not None)
    parts = {'derain': derain, 'segment': network.segmentation}
    if not engine.info.config.attention.has_zeros:
        parts['attend'] = network.attention
    for stage, part in parts.items():
        with roofline_times(part, ceilings) as seconds:
            reference(image, iterations, processing_size=processing_size)
        result[stage] = 1e3 * sum(seconds)
    return result


def measure(rows: Rows, size: tuple[int, int], folder: Path, progress: Callable[[], Any],
            found: list[dict[str, Any]]) -> None:
    """
    Time all rows of one size (width, height) in turn, image by image.

    :param folder: for models of random weights.
    :param progress: called after every image.
    :param found: gets a dictionary per row, as `report` shows it, the baseline's last. Where an
        error ends it, these are of the images until then, or lack what is measured after them.
    """
    timed = _timed(rows, size, folder)
    if rows.baseline:
        timed.append(timed_baseline(rows.baseline, timed[0].device, rows.baseline_precision, size))
    images = rainy_images(size[1], size[0], 3)  # takes seconds, and a model may be wrong
    results: list[dict[str, Any]] = []
    try:
        run_interleaved(timed, images, rows.frames, progress)
    finally:
        turns = min(len(one.times) for one in timed)
        for one in timed:
            del one.times[turns:]
        if turns:
            results = _results(rows, timed)
        found += results
    for result, one in zip(results, timed, strict=True):
        _measure_beside(one, None if rows.waterfall else one.engine, images[0], result)


def _results(rows: Rows, timed: Sequence[TimedCall]) -> list[dict[str, Any]]:
    """Return the rows of what was timed, with how many times faster they are."""
    results = [one.result() for one in timed]
    if rows.baseline:
        for result, one in zip(results[:-1], timed, strict=False):
            result['speed_up'] = speed_up(one, timed[-1])
    elif rows.waterfall:
        first: dict[tuple[Any, ...], TimedCall] = {}
        for result, one in zip(results, timed, strict=True):
            work = tuple(result[key] for key in ('name', 'iterations', 'processing_size'))
            result['speed_up'] = speed_up(one, first.setdefault(work, one))
    return results


def _timed(rows: Rows, size: tuple[int, int], folder: Path) -> list[TimedCall]:
    found = []
    for preset, precision, backend in itertools.product(rows.presets, rows.precisions,
                                                        rows.backends):
        engine = open_engine(preset, rows.model, folder, rows.path_threshold,
                             device=rows.device, precision=precision, backend=backend)
        engines = waterfall(engine) if rows.waterfall else {'': engine}
        found += [timed_engine(each, size, t, side, optimisation)
                  for t, side in itertools.product(rows.iterations, rows.processing_sizes)
                  for optimisation, each in engines.items()]
    return found


def _measure_beside(one: TimedCall, engine: Engine | None, image: np.ndarray, row: dict[str, Any]
                    ) -> None:
    """Give a row its peak memory and, for an engine, its share of the roofline."""
    from ubcn_ros.benchmark.known_labels import paths_reached
    from ubcn_ros.runtime.peak_memory import peak_mib
    # the networks of all rows are in the process of a CPU, beside much else
    held = peak_mib(lambda: None, one.device) if one.device.type == 'cpu' else 0.0
    peak = peak_mib(functools.partial(one.call, image), one.device)
    row['peak_mib'] = round(peak - held, 1)
    if engine is not None:
        limits = roofline_ms(engine, image, row['iterations'], row['processing_size'])
        row['roofline_ms'] = {stage: round(ms, 3) for stage, ms in limits.items()}
        row['roofline_share'] = {
            stage: round(ms / row['stages_ms'][stage]['p50'], 3)
            for stage, ms in limits.items() if row['stages_ms'][stage]['p50'] > 0 and ms > 0}
        row |= paths_reached(engine, image, row['processing_size'])

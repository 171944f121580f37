# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which of several ways to compute the same runs: the reference, or a faster that agrees."""

from __future__ import annotations

import logging
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping

import torch
from torch import nn

from ubcn_ros.network.blocks import exporting
from ubcn_ros.runtime.kernels.choices import KernelChoices
from ubcn_ros.runtime.out_of_memory import out_of_memory

REFERENCE = 'reference'
TIMING = 'timing kernels'
"""How the progress lines begin that announce a timing."""
Run = Callable[..., torch.Tensor]
"""Features, and tensors that go with them, to a result."""
Draw = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""A tensor to random values of its shape, layout and type."""
_LOG = logging.getLogger(__name__)
_WARM_UPS, _ROUNDS, _RUNS = 2, 5, 4
_HEAD_START_CYCLES = 4_000_000  # some 2 ms, in which the launches queue up


def applies(x: torch.Tensor, *parts: nn.Module) -> bool:
    """
    Return whether ``x`` may be computed by anything but the reference modules.

    Not for gradients, nor where the modules are traced or compiled or somebody watches ``parts``
    of them by hooks: the roofline counts their work.
    """
    if exporting() or torch.compiler.is_compiling():
        return False
    learning = torch.is_grad_enabled() and (
        x.requires_grad or any(p.requires_grad for part in parts for p in part.parameters()))
    watched = any(part._forward_hooks or part._forward_pre_hooks for part in parts)
    return not (learning or watched)


@torch.inference_mode()
def fastest(reference: Callable[[torch.Tensor], torch.Tensor],
            candidates: Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
            example: torch.Tensor, operation: str) -> str:
    """
    Find the fastest of several ways to compute the same, on the device of ``example``.

    :param reference: kept unless another one agrees with it and is faster.
    :param candidates: the others, by name. One that raises, or whose result on random features
        differs by more than rounding, is left out, with a line in the log.
    :param example: features, whose shape, layout and type are timed (on random values: zeros are
        faster on some devices).
    :param operation: what is timed, for the log.
    :return: a name from ``candidates``, or 'reference'.
    :raises Exception: memory is short now, as ``out_of_memory`` tells.
    """
    generator = torch.Generator(example.device)
    generator.seed()
    runs = {REFERENCE: reference}
    for name, run in candidates.items():
        try:
            # fresh values each time, so that no memory still holds the right answer
            features = torch.empty_like(example).normal_(generator=generator)
            _poison(reference(features))
            features.normal_(generator=generator)
            _check(run(features), reference(features))
            runs[name] = run
        except Exception as error:
            if out_of_memory(error):
                raise  # says nothing of the candidate
            _LOG.warning('%s: %s is left out: %s', operation, name, first_line(error))
    if len(runs) == 1:
        return REFERENCE
    features = torch.empty_like(example).normal_(generator=generator)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        _seconds(run, features, _WARM_UPS)
    for _ in range(_ROUNDS):  # in turns, so that a change of clocks hits all
        for name, run in runs.items():
            times[name].append(_seconds(run, features, _RUNS))
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    best = min(medians, key=medians.get)
    _LOG.info('%s, %s %s: %s of %s', operation, tuple(example.shape), example.dtype, best,
              ', '.join(f'{name} {1e3 * median:.3f} ms' for name, median in medians.items()))
    return best


def _poison(like: torch.Tensor) -> None:
    """
    Leave NaN in the freed memory that a result of that size is likely put into.

    A candidate that reads it before it writes is so found out: times zero it would do no harm
    otherwise, until it does. ``like`` is the caller's last use of it.
    """
    freed = [torch.full_like(like, float('nan')) for _ in range(2)]
    like.fill_(float('nan'))
    del freed


def _check(result: torch.Tensor, reference: torch.Tensor) -> None:
    """Raise ValueError unless they agree within the roundings that their type makes."""
    if result.shape != reference.shape or result.dtype != reference.dtype:
        raise ValueError(f'gives {tuple(result.shape)} {result.dtype} where the reference modules '
                         f'give {tuple(reference.shape)} {reference.dtype}')
    difference = (result.float() - reference.float()).abs_()
    magnitude = reference.float().abs_()
    allowed = magnitude.add_(magnitude.square().mean().sqrt()).mul_(
        16 * torch.finfo(reference.dtype).eps)
    wrong = int((difference <= allowed).logical_not_().sum())  # NaN is wrong, too
    if wrong:
        raise ValueError(f'{wrong} of {difference.numel()} values differ from the reference '
                         f'modules, by up to {float(difference.max()):.3g}')


def _seconds(run: Callable[[torch.Tensor], torch.Tensor], features: torch.Tensor, times: int
             ) -> float:
    """Measure seconds per run; on a GPU the GPU's alone, for a graph launches at no cost."""
    if features.device.type == 'cuda':
        with torch.cuda.device(features.device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda._sleep(_HEAD_START_CYCLES)
            start.record()
            for _ in range(times):
                run(features)
            end.record()
            end.synchronize()
            return start.elapsed_time(end) / 1e3 / times
    start = time.perf_counter()
    for _ in range(times):
        run(features)
    return (time.perf_counter() - start) / times


def _is_of_this_system(error: BaseException) -> bool:
    """
    Whether Triton could not compile for what the system lacks, and may be given later.

    That is a C compiler, Python.h, or a folder that can be written to.
    """
    return (isinstance(error, (OSError, subprocess.SubprocessError, ImportError))
            or 'C compiler' in str(error))


def uniform(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Make random values between 0 and 1 of the shape, layout and type of a tensor."""
    return torch.empty_like(like).uniform_(generator=generator)


def first_line(error: BaseException) -> str:
    """Return one line; compilers write pages."""
    text = str(error).strip()
    return f'{type(error).__name__}: {text.splitlines()[0]}' if text else type(error).__name__


class Autotuner:
    """
    What runs for every kind of work: what was chosen for it once, decided at its first use.

    :param device: type of the devices on which candidates are tried.
    :param dtypes: types of features for which they are.
    :param choose: finds the fastest that is right; arguments and result as in ``fastest``. None
        where nothing may be timed: the reference runs for a kind without a choice.
    :param choices: of the device, which are used and added to; by default none are kept.
    :param progress: called with a line of text before something is timed.
    """

    def __init__(self, device: str = 'cuda',
                 dtypes: tuple[torch.dtype, ...] = (torch.float16, torch.bfloat16),
                 choose: Callable[..., str] | None = fastest,
                 choices: KernelChoices | None = None,
                 progress: Callable[[str], None] = lambda _: None) -> None:
        self._device = device
        self._dtypes = dtypes
        self._choose = choose
        self._choices = KernelChoices(None) if choices is None else choices
        self._progress = progress
        self.chosen: dict[tuple[object, ...], str] = {}
        self._short: set[str] = set()  # kinds for which memory was short, as the log says

    def supports(self, x: torch.Tensor) -> bool:
        """Return whether a tensor is of a device and type on which candidates are tried."""
        return x.device.type == self._device and x.dtype in self._dtypes

    def run(self, kind: tuple[object, ...], operation: str, reference: Run,
            candidates: Mapping[str, Run], x: torch.Tensor, *others: torch.Tensor,
            draw: Draw = uniform) -> torch.Tensor:
        """
        Run on ``x`` and what goes with it what is fastest there, ``reference`` if that fails.

        :param kind: what the choice depends on beside the type and the order of magnitude (power
            of two) of the number of pixels; its text is the same in every process.
        :param operation: what runs, for the log.
        :param candidates: the other ways, by name.
        :param draw: makes what stands for each of ``others`` while candidates are checked and
            timed.
        """
        pixels = x.numel() // max(1, x.shape[1])
        key = (*kind, x.dtype, *(other.dtype for other in others), pixels.bit_length())
        if key not in self.chosen:
            name = self._choices.get(str(key))
            if name != REFERENCE and name not in candidates:
                if x.is_cuda and torch.cuda.is_current_stream_capturing():
                    return reference(x, *others)  # a graph cannot wait for the device
                name = self._decide(str(key), operation, reference, candidates, x, others, draw)
                if name is None:
                    return reference(x, *others)
            self.chosen[key] = name
        name = self.chosen[key]
        if name != REFERENCE:
            try:
                return candidates[name](x, *others)
            except Exception as error:  # whatever it is, the frame can be had without it
                if not out_of_memory(error):  # which says nothing of the candidate
                    self.chosen[key] = REFERENCE
                    _LOG.warning('%s: %s failed, reference modules from now on: %s', operation,
                                 name, first_line(error))
        return reference(x, *others)

    def _decide(self, key: str, operation: str, reference: Run, candidates: Mapping[str, Run],
                x: torch.Tensor, others: tuple[torch.Tensor, ...], draw: Draw) -> str | None:
        """
        Name what runs for a kind of work without a choice; keep what timing says.

        :return: None where memory is short for timing now.
        """
        if self._choose is None:
            return REFERENCE
        if key not in self._short:
            self._progress(f'{TIMING}, once for this device: {operation} for '
                           f'{tuple(x.shape)}, {x.dtype}')
        try:
            name, lasts = self._tune(operation, reference, candidates, x, others, draw)
        except Exception as error:
            full = out_of_memory(error)  # now: it says nothing of later frames
            if not full or key not in self._short:
                _LOG.warning('%s: reference modules, nothing else could be tried: %s', operation,
                             first_line(error))
            if not full:
                return REFERENCE
            self._short.add(key)
            return None
        if lasts:
            name = self._choices.keep(key, name)
        return name if name in candidates else REFERENCE

    def _tune(self, operation: str, reference: Run, candidates: Mapping[str, Run],
              x: torch.Tensor, others: tuple[torch.Tensor, ...], draw: Draw
              ) -> tuple[str, bool]:
        """
        Name the fastest that agrees with ``reference`` on random values, or 'reference'.

        :return: it, and whether it holds for later starts, too.
        """
        generator = torch.Generator(x.device)
        generator.seed()
        # a first frame's own values may be all alike, and hide what is wrong
        random = [draw(other, generator) for other in others]
        lacking: list[BaseException] = []

        def with_random(run: Run) -> Callable[[torch.Tensor], torch.Tensor]:
            def tried(features: torch.Tensor) -> torch.Tensor:
                try:
                    return run(features, *random)
                except Exception as error:
                    if _is_of_this_system(error):
                        lacking.append(error)
                    raise
            return tried
        name = self._choose(
            with_random(reference),
            {name: with_random(run) for name, run in candidates.items()}, x, operation)
        return name, not lacking

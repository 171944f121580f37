# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is done once, at load, so that every frame is faster and the results stay the same."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ubcn_ros.network import UBCN, build_segmentation
from ubcn_ros.network.segmentation import REGISTRY
from ubcn_ros.runtime.cache import keep_kernels
from ubcn_ros.runtime.kernels.cpu_path_mix import mix_in_strips
from ubcn_ros.runtime.kernels.onednn_convolution import fuse_by_onednn
from ubcn_ros.runtime.kernels.swap import is_plain
from ubcn_ros.runtime.model_info import NetworkError
from ubcn_ros.runtime.sparse_attention import sparsify

_LOG = logging.getLogger(__name__)


def fold_batch_norm(module: nn.Module) -> int:
    """
    Fold every batch normalisation that follows a convolution in a Sequential into it, in place.

    Subclasses of these and hooks compute what they like, and without running statistics there is
    nothing to fold: they stay.

    :param module: in evaluation mode.
    :return: how many were folded.
    """
    folded = 0
    for part in list(module.modules()):
        if type(part) is not nn.Sequential:
            continue
        for i in range(len(part) - 1):
            norm = part[i + 1]
            if (is_plain(part[i], nn.Conv2d) and is_plain(norm, nn.BatchNorm2d)
                    and norm.running_mean is not None):
                part[i] = fuse_conv_bn_eval(part[i], norm)
                part[i + 1] = nn.Identity()
                folded += 1
    return folded


@torch.no_grad()
def check_own_segmentation(network: UBCN) -> None:
    """
    Check that somebody's own segmentation network, prepared, gives what it gave before.

    Not so where it takes, out of a Sequential, what a convolution gives: the normalisation and
    the activation that follow are in it then.

    :param network: in evaluation mode, not prepared yet.
    :raises NetworkError: it gives something else.
    """
    config, cpu = network.config, torch.device('cpu')
    if config.segmentation in REGISTRY:
        return
    with cpu, torch.autocast('cpu', enabled=False):
        own = build_segmentation(config.segmentation, network.label_set.num_classes,
                                 **config.segmentation_options).eval()
        own.load_state_dict(network.segmentation.state_dict())
        image = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0),
                           dtype=torch.float32)
        expected = own(image)
        difference = (prepare(own, cpu, torch.float32)(image) - expected).abs().mean()
    if difference > 1e-3 * expected.abs().max():
        raise NetworkError(f'the segmentation network {config.segmentation!r} gives something '
                           'else once what follows its convolutions is folded into them: call '
                           'each nn.Sequential of these as a whole, or make it of a subclass of '
                           'nn.Sequential, which stays as it is')


def prepare(network: nn.Module, device: torch.device, dtype: torch.dtype, fold: bool = True,
            channels_last: bool = True, fast_attention: bool = True,
            fused: bool = True, autotune: bool = True,
            progress: Callable[[str], None] = _LOG.info) -> nn.Module:
    """
    Return the network as frames are processed with it; changed in place.

    Evaluation mode without gradients, on the device, in the precision.

    :param fold, channels_last, fast_attention, fused: leave one out to see what it gains.
        fast_attention is for CPUs: SAM's paths in strips or, where a threshold makes zeros in
        their masks, in cells.
        fused is for GPUs in half precision, channels last: RES, SAM's stacks where a threshold
        makes zeros in their masks, the mix of its paths, convolutions with what follows them, and
        resizing by kernels that do more at once, where they are faster; and for CPUs:
        convolutions with what follows them.
    :param autotune: as in ``Engine.load``.
    :param progress: called with lines of text about kernels, now and when they are chosen.
    :raises NetworkError: as ``check_own_segmentation``.
    """
    network.eval().requires_grad_(False)
    if isinstance(network, UBCN):
        check_own_segmentation(network)
    if fold:
        fold_batch_norm(network)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network.to(device, dtype, memory_format=layout)
    if fast_attention and device.type == 'cpu':
        mix_in_strips(network)
        sparsify(network)
    if fused and device.type == 'cpu':
        fuse_by_onednn(network)
    if (fused and channels_last and device.type == 'cuda'
            and dtype in (torch.float16, torch.bfloat16)):
        use_fused_kernels(network, device, autotune, progress)
    return network


def use_fused_kernels(network: nn.Module, device: torch.device, autotune: bool,
                      progress: Callable[[str], None]) -> None:
    """
    Let a prepared network take kernels that do several operations at once, where they are faster.

    What fails is left as it is, with a warning: a vehicle must start.

    :param autotune, progress: as in ``prepare``.
    """
    # late: other devices have no use for it
    from ubcn_ros.runtime.kernels.autotune import Autotuner, fastest
    from ubcn_ros.runtime.kernels.choices import choices_of
    from ubcn_ros.runtime.kernels.fused_convolution import fuse_convolutions
    from ubcn_ros.runtime.kernels.fused_path_mix import fuse_path_mixes
    from ubcn_ros.runtime.kernels.fused_residual import fuse_residual_blocks
    from ubcn_ros.runtime.kernels.fused_resize import fuse_resizes
    from ubcn_ros.runtime.kernels.fused_stacks import fuse_stacks
    try:
        keep_kernels()
    except OSError as error:
        _LOG.warning('compiled kernels cannot be kept: %s', error)
    choices = choices_of(device)
    autotuner = Autotuner(choose=fastest if autotune else None, choices=choices,
                          progress=progress)
    progress(f'{len(choices)} kernel choices are taken from {choices.path or "this process"}'
             if choices else 'no kernel choices are kept for this device: '
             + ('they are made by timing' if autotune else "PyTorch's own run"))
    for fuse in (fuse_residual_blocks, fuse_stacks, fuse_path_mixes, fuse_convolutions,
                 fuse_resizes):
        try:
            fuse(network, autotuner)
        except Exception as error:
            _LOG.warning('%s: modules stay as they are: %s', fuse.__name__, error)

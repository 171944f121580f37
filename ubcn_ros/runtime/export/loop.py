# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Describe the engine's loop around the exported stages, for programs that have only these."""

from __future__ import annotations

from typing import Any

from ubcn_ros.images.malformed import MIN_SIDE
from ubcn_ros.network import UBCN
from ubcn_ros.network.blocks import ALIGNMENT
from ubcn_ros.network.step import attention_size, derain_size
from ubcn_ros.runtime.model_info import ModelInfo
from ubcn_ros.runtime.processing import LARGEST_FACTOR, TRAINED, short_side, working_size

_RESAMPLE = (
    'resample(x, size): antialiased bilinear, the rows and the columns each by themselves. Of n '
    'values along a line it makes m, with step = n / m: value i is the mean of all values j '
    'weighted by max(0, 1 - |j + 0.5 - (i + 0.5) * step| / max(1, step)). At its own size x is as '
    "it was. It is PyTorch's interpolate(mode='bilinear', antialias=True), and neither INTER_AREA "
    'nor INTER_LINEAR of OpenCV')
_ENLARGE = (
    'enlarge(x, size): bilinear without aligned corners. Of n values along a line it makes m: '
    "value i is read at (i + 0.5) * n / m - 0.5, limited to 0..n - 1. It is OpenCV's "
    'INTER_LINEAR')


def loop_sizes(info: ModelInfo, size: tuple[int, int] | None) -> dict[str, Any]:
    """
    Return the sizes that the engine works at, and what they follow from.

    :param info: of the model.
    :param size: (height, width) of images where it is fixed, else None, and so are those that
        follow from it.
    """
    side = short_side(TRAINED, info)
    label = size and (working_size(*size, side) or size)
    attention = label and (attention_size(size, label) or size)
    derain = size and (derain_size(*size, info.derain_side) or size)
    fixed = {name: value and list(value) for name, value in (
        ('image', size), ('derain', derain), ('label', label), ('attention', attention))}
    return {'short_side': side or None, 'derain_side': info.derain_side, 'alignment': ALIGNMENT,
            'least': MIN_SIDE, **fixed}


def loop_text(network: UBCN, sizes: dict[str, Any]) -> list[str]:
    """
    Say what to compute around the stages, in the order in which it is done.

    :param network: that the stages are of.
    :param sizes: as ``loop_sizes`` returns them.
    """
    rainy = 'lifted' if network.config.lifted else 'image'
    rain = ', rain' if network.estimates_rain else ''
    first = 'small = resample(image, derain size); ' + (
        f'x, y{rain} = derain(small); derained = image + enlarge(x - small, image size); lifted = '
        'image + enlarge(y - small, image size), which at the size of the image are x and y'
        if network.config.lifted else
        f'x{rain} = derain(small); derained = image + enlarge(x - small, image size), which at '
        'the size of the image is x')
    return [
        _RESAMPLE, _ENLARGE, *_sizes_text(sizes),
        'nothing is padded: the stages take these sizes',
        'image = R, G and B of 8 bits, divided by 255',
        first,
        'logits = segment(resample(derained, label size))',
        f'T - 1 times: small = resample(derained, attention size); derained = derained + enlarge('
        f'attend(resample({rainy}, attention size), small, logits) - small, image size), which at '
        f'the size of the image is attend({rainy}, derained, logits); then logits as above, of '
        'the new derained',
        'restored image = 255 * derained, limited to 0..255 and rounded to the nearest',
        'labels = argmax over dimension 1 of enlarge(logits, image size), the first of equals',
        'confidence = the largest of softmax(enlarge(logits, image size) / temperature), with '
        'temperature of metadata, 1 where there is none']


def _sizes_text(sizes: dict[str, Any]) -> list[str]:
    if sizes['image']:
        return [f'{name} size = {sizes[name][0]} x {sizes[name][1]} (height x width), no other'
                for name in ('image', 'derain', 'label', 'attention')]
    side, derained, step = (sizes[name] for name in ('short_side', 'derain_side', 'alignment'))
    scaled = ('s = min(H, W), as the model does not say at which size it was trained'
              if side is None else f's = min({side}, {LARGEST_FACTOR} * H, {LARGEST_FACTOR} * W)')
    return [
        f'image size = H x W (height x width), both {sizes["least"]} and more',
        f'label size = h x w, of each side of the image: max({step} * round(side * s / '
        f'min(H, W) / {step}), {sizes["least"]}), and where s <= min(H, W) at most '
        f'{step} * floor(side / {step}), where {scaled}, '
        'and round takes the even one of two that are as near',
        f'derain size = that of the image where k = floor(min(H, W) / {derained}) is below 2, '
        'else H / k x W / k, both rounded likewise',
        f'attention size = that of the image where h > H or w > W, or where h = {step} * '
        f'floor(H / {step}) and w = {step} * floor(W / {step}), else h x w']

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The losses of the four stages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F
from torchmetrics.functional.image import structural_similarity_index_measure

from ubcn_ros.data.class_shares import pixel_shares
from ubcn_ros.data.scenes import Group, SceneList
from ubcn_ros.labels import UNLABELED
from ubcn_ros.network.rain_estimate import rain_logs
from ubcn_ros.network.step import enlarged

# sigma 0.8 makes a 7x7 window: half of the work of the usual 11x11, to the same end
_SSIM_SIGMA = 0.8
_SSIM_WEIGHT = 0.2
_COARSE = 32
_LOVASZ_GRID = 4
_RAIN_DELTA = 0.25  # a quarter too much or too little


def derain_loss(image: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """
    Compare derained images with the clean ones: L1 + 0.2 (1 - SSIM).

    In fp32 under autocast too: SSIM's variances are small differences of large numbers, in bf16
    an SSIM of 0.99 reads 0.89.

    :param image, clean: (N, 3, H, W) RGB 0..1.
    """
    with torch.autocast(image.device.type, enabled=False):
        image = image.float()
        ssim = structural_similarity_index_measure(image, clean, sigma=_SSIM_SIGMA,
                                                   data_range=1.0)
        return F.l1_loss(image, clean) + _SSIM_WEIGHT * (1.0 - ssim)


def block_means(image: torch.Tensor) -> torch.Tensor:
    """Average over 8x8 pixels, (N, C, H // 8, W // 8): there streaks hardly count."""
    return F.avg_pool2d(image, 8)


def coarse_part(image: torch.Tensor) -> torch.Tensor:
    """
    Smooth an image, (N, C, H, W) to the same: means of 32x32 pixels, enlarged bilinearly.

    Of a difference of images these are the veil; the streaks are what they leave.
    """
    means = F.avg_pool2d(image, _COARSE, ceil_mode=True)
    large = F.interpolate(means, scale_factor=_COARSE, mode='bilinear', align_corners=False)
    return large[..., :image.shape[-2], :image.shape[-1]]


def psnr_loss(image: torch.Tensor, clean: torch.Tensor, cap: float) -> torch.Tensor:
    """
    Compare derained images with the clean ones: minus the PSNR in dB, which levels off at a cap.

    The form is HINet's (Chen et al., CVPR workshops 2021). Below the cap an image's share in the
    gradient does not grow with its error, so that light rain counts like a cloudburst; above it
    the gradient is that of the squared error.

    :param image, clean: (N, 3, H, W) RGB 0..1.
    :param cap: dB.
    :return: the mean over the images.
    """
    squared = (image.float() - clean).square().mean((1, 2, 3))
    return 10 * torch.log10(squared + 10 ** (-cap / 10)).mean()


def segmentation_loss(logits: torch.Tensor, labels: torch.Tensor,
                      weights: torch.Tensor | None = None, groups: torch.Tensor | None = None,
                      pixels: torch.Tensor | None = None) -> torch.Tensor:
    """
    Compare logits with labels: cross entropy.

    A pixel of which a coarser data set says only that it has one of several classes costs minus
    the logarithm of the sum of their probabilities.

    :param logits: (N, K, h, w), enlarged bilinearly to the labels' size.
    :param labels: (N, H, W) ids; unlabeled pixels do not count; the id K + i is the group i.
    :param weights: of the classes, (K,), or None; a group has the mean of its classes'.
    :param groups: of ``group_members``, or None where there are none.
    :param pixels: further weights, (N, H, W), or None.
    :return: the weighted mean over the labeled pixels; 0 for a batch without any.
    """
    logits = enlarged(logits, labels.shape[-2:])
    labels = labels.long()
    known = labels != UNLABELED
    if weights is not None:
        weights = weights.float()  # a network in fp64 has its stage's weights in fp64, too
    if groups is None:
        total = F.cross_entropy(logits, labels, weights, ignore_index=UNLABELED,
                                reduction='sum' if pixels is None else 'none')
    else:
        if weights is not None:
            weights = torch.cat((weights, groups.float() @ weights / groups.sum(1)))
        ids = labels * known
        costs = _costs_of_sums(logits, ids, groups) * known
        total = costs if weights is None else costs * weights[ids]
    # no indexing by `known`: on a GPU that waits for the GPU
    count = known if weights is None else weights[labels * known] * known
    if pixels is not None:
        total, count = total * pixels, count * pixels
    total, count = total.sum(), count.sum()
    # a batch without labels has a count, and a total, of 0
    return total / torch.where(count > 0, count, 1)


def _costs_of_sums(logits: torch.Tensor, ids: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """
    Minus the logarithm of the summed probability of what each pixel may be, (N, H, W).

    :param logits: (N, K, H, W).
    :param ids: (N, H, W) of classes, or K + the number of a group.
    :param groups: (G, K) bool.
    """
    single = torch.eye(groups.shape[1], dtype=torch.bool, device=groups.device)
    allowed = torch.cat((single, groups))[ids].movedim(-1, 1)
    return -logits.log_softmax(1).masked_fill(~allowed, -torch.inf).logsumexp(1)


def group_members(groups: Sequence[Group], num_classes: int) -> torch.Tensor | None:
    """Return which classes the groups of a list of scenes hold, (G, K) bool; None without any."""
    if not groups:
        return None
    members = torch.zeros(len(groups), num_classes, dtype=torch.bool)
    for row, group in zip(members, groups, strict=True):
        row[list(group.ids)] = True
    return members


def lovasz_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """
    Compare logits with labels: 1 - mIoU, made differentiable (Berman et al., CVPR 2018).

    What cross entropy hardly sees, a pole's few pixels, counts here like the road. All images of
    the batch count as one; of their pixels a grid that starts at a random place is taken, every
    fourth of every fourth row, for the sorting costs more than the rest of the loss.

    :param logits: (N, K, h, w), enlarged bilinearly to the labels' size.
    :param labels: (N, H, W) ids; pixels that are unlabeled or of a group, and absent classes, do
        not count.
    :return: 0..1; 0 for a batch without any labeled pixel.
    """
    logits = enlarged(logits, labels.shape[-2:])
    top, left = torch.randint(_LOVASZ_GRID, (2,)).tolist()
    labels = labels[:, top::_LOVASZ_GRID, left::_LOVASZ_GRID].flatten().long()
    known = labels < logits.shape[1]
    probabilities = logits[:, :, top::_LOVASZ_GRID, left::_LOVASZ_GRID].softmax(1)
    probabilities = probabilities.transpose(0, 1).flatten(1)
    present = (F.one_hot(labels * known, len(probabilities)).T * known).to(probabilities.dtype)
    # an unlabeled pixel is not an error: it comes last, and counts for nothing
    errors, order = ((present - probabilities).abs() * known).sort(1, descending=True)
    occurs = present.amax(1)
    present = present.gather(1, order)
    # Jaccard loss of a prediction that is wrong in the first n pixels of the order, for every n
    found = present.sum(1, keepdim=True) - present.cumsum(1)
    union = present.sum(1, keepdim=True) + (1 - present).cumsum(1)
    jaccard = 1 - found / union
    slope = torch.diff(jaccard, dim=1, prepend=jaccard.new_zeros(len(jaccard), 1))
    return ((errors * slope).sum(1) * occurs).sum() / occurs.sum().clamp(min=1)


def near_boundary(labels: torch.Tensor) -> torch.Tensor:
    """
    Find the pixels from which one of another class is no more than two away, (N, H, W) bool.

    Of a pole that is all of them. Unlabeled pixels are not another class, and near to none.

    :param labels: (N, H, W) ids.
    """
    known, ids = labels != UNLABELED, labels.float()
    highest = F.max_pool2d(torch.where(known, ids, -1.0), 5, 1, 2)
    lowest = -F.max_pool2d(torch.where(known, -ids, -256.0), 5, 1, 2)
    return known & (highest != lowest)


def rain_loss(estimate: torch.Tensor, rate: torch.Tensor, extinction: torch.Tensor
              ) -> torch.Tensor:
    """
    Compare estimates of rain with what was rendered: Huber on the logarithms.

    :param estimate: (N, 2), as of ``rain_logs``.
    :param rate, extinction: (N,) mm/hr and 1/m; NaN where unknown, which does not count.
    :return: the mean over what is known; 0 where nothing is.
    """
    target = rain_logs(rate.float(), extinction.float())
    known = ~target.isnan()
    errors = F.huber_loss(estimate.float(), target.nan_to_num(), reduction='none',
                          delta=_RAIN_DELTA)
    return (errors * known).sum() / known.sum().clamp(min=1)


def class_weights(scenes: SceneList) -> torch.Tensor:
    """
    Weigh the classes by how rare they are: 1 / ln(1.1 + share of the pixels).

    The form is ENet's (Paszke et al., 2016), milder: rare classes count about four times as much
    as the commonest. Pixels of groups of classes count for none.

    :param scenes: with a label set.
    :return: (K,) float32 of mean 1.
    :raises ValueError: nothing in the scenes has a class.
    """
    shares = torch.from_numpy(pixel_shares(scenes))
    if not shares.any():
        raise ValueError(f'no pixel of {scenes.name} has a class: there is nothing to weigh the '
                         'classes by')
    weights = 1.0 / torch.log(1.1 + shares)
    return (weights / weights.mean()).float()


def adversarial_loss(logits: torch.Tensor) -> torch.Tensor:
    """
    Tell the segmentation network that its degraded features should pass for clean.

    :param logits: the discriminator's, for the degraded features.
    """
    return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


def discriminator_loss(clean: torch.Tensor, degraded: torch.Tensor) -> torch.Tensor:
    """
    Tell the discriminator what is clean and what is degraded.

    :param clean, degraded: its logits for features of either kind.
    """
    return 0.5 * (
        F.binary_cross_entropy_with_logits(clean, torch.ones_like(clean)) +
        F.binary_cross_entropy_with_logits(degraded, torch.zeros_like(degraded)))

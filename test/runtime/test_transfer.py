# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images up and results down: values, layouts, and buffers that are never lent twice."""

import numpy as np
import pytest
import torch

from ubcn_ros.network import Step
from ubcn_ros.runtime.transfer import HostBuffers, download, image_bytes, labels_of, upload

CPU = torch.device('cpu')


def test_upload_scales_and_turns_the_axes():
    images = [np.random.default_rng(i).integers(0, 256, (33, 40, 3), np.uint8) for i in (1, 2)]
    found = upload([images[0][:, ::-1], images[1]], CPU)
    assert found.shape == (2, 3, 33, 40) and found.dtype == torch.float32
    expected = images[1].astype(np.float32).transpose(2, 0, 1) * np.float32(1 / 255)
    assert np.array_equal(found[1].numpy(), expected)
    assert np.allclose(found[0].numpy()[:, :, ::-1] * 255, images[0].transpose(2, 0, 1))


@pytest.mark.parametrize('count', [1, 2])
def test_what_is_uploaded_is_channels_last(count):
    found = upload([np.zeros((33, 40, 3), np.uint8)] * count, CPU)
    wanted = torch.empty(count, 3, 33, 40, memory_format=torch.channels_last)
    assert found.stride() == wanted.stride()


def test_bytes_are_clamped_and_rounded_half_to_even():
    values = torch.tensor([-3.0, 0.0, 0.5 / 255, 1.5 / 255, 1.0, 9.0])
    assert image_bytes(values.repeat(3, 2, 1))[0, :, 0].tolist() == [0, 0, 0, 2, 255, 255]


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_labels_and_how_sure_they_are(dtype):
    torch.manual_seed(3)
    logits = torch.randn(5, 4, 6).to(dtype)
    labels, sure = labels_of(logits, (9, 13), True)
    large = torch.nn.functional.interpolate(logits[None].float(), (9, 13), mode='bilinear')[0]
    assert torch.equal(labels.long(), large.argmax(0))
    assert torch.allclose(sure.float() / 255, large.softmax(0).amax(0), atol=0.6 / 255)
    assert labels_of(logits, (9, 13), False)[1] is None


def test_both_ways_to_find_labels_agree():
    torch.manual_seed(4)
    image = torch.rand(2, 3, 40, 52)
    step = Step(image, torch.randn(2, 11, 10, 13), image)
    for one, other, logits in zip(download(step, False), download(step, True), step.logits,
                                  strict=True):
        assert np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])
        assert one[2] is None and other[2] is not None
        labels, sure = labels_of(logits, (40, 52), True)
        assert (labels.numpy() == other[1]).mean() > 0.999
        assert np.abs(sure.numpy().astype(int) - other[2]).max() <= 1


def test_a_buffer_is_lent_again_when_nobody_uses_it():
    buffers = HostBuffers(12, 2, pinned=False)
    tensor, array = buffers.lend()
    tensor.fill_(7)
    assert array.tolist() == [7] * 12
    where = array.ctypes.data
    view = array[3:9].reshape(2, 3)[1]  # as results are views
    del array, tensor
    second = buffers.lend()[1]
    third = buffers.lend()[1]
    assert len({where, second.ctypes.data, third.ctypes.data}) == 3
    assert view.tolist() == [7] * 3
    shared = torch.from_numpy(view)
    del view
    assert buffers.lend()[1].ctypes.data not in (where, second.ctypes.data)
    del shared
    assert buffers.lend()[1].ctypes.data == where


def test_more_results_than_buffers_are_ordinary_memory():
    buffers = HostBuffers(8, 1, pinned=False)
    kept = []
    for i in range(4):
        tensor, array = buffers.lend()
        tensor.fill_(i)
        kept.append(array)
    assert [array.tolist() for array in kept] == [[i] * 8 for i in range(4)]

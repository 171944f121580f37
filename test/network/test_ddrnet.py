# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the pyramid of DDRNet sees of an image, however large that is."""

import pytest
import torch

from ubcn_ros.network import build_segmentation
from ubcn_ros.network.segmentation import ddrnet
from ubcn_ros.network.segmentation.ddrnet import DAPPM, window_means

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def pyramid(window):
    torch.manual_seed(1)
    return DAPPM(6, 8, 5, window).eval()


def by_hand(x, window):
    """Average as window_means, place by place."""
    sides = []
    for length, size in zip(x.shape[-2:], window, strict=True):
        size = min(size, length)
        starts = [min(max(i - (size - 1) // 2, 0), length - size) for i in range(length)]
        sides.append([slice(start, start + size) for start in starts])
    return torch.stack([torch.stack([x[..., rows, columns].mean((2, 3)) for columns in sides[1]],
                                    -1) for rows in sides[0]], -2)


@pytest.mark.parametrize('size', [(1, 1), (3, 9), (8, 5), (11, 14)])
@pytest.mark.parametrize('window', [(1, 1), (4, 5), (8, 10)])
def test_means_of_windows(size, window, monkeypatch):
    x = torch.rand(2, 3, *size)
    expected = by_hand(x, window)
    torch.testing.assert_close(window_means(x, window), expected)
    monkeypatch.setattr(ddrnet, 'exporting', lambda: True)
    torch.testing.assert_close(window_means(x, window), expected)


@pytest.mark.parametrize('size', [(8, 10), (3, 4)])
def test_an_image_no_larger_than_the_window_is_seen_as_a_whole(size):
    x = torch.rand(1, 6, *size)
    torch.testing.assert_close(window_means(x, (8, 10)),
                               x.mean((2, 3), keepdim=True).expand_as(x))


@pytest.mark.parametrize('window', [(4, 5), None])
def test_the_same_content_on_a_larger_canvas_gets_the_same_context(window):
    content, canvas = torch.rand(1, 6, 20, 22), 3 * torch.rand(1, 6, 40, 44)
    top, left = 10, 11
    canvas[..., top:top + 20, left:left + 22] = content
    made = pyramid(window)
    with torch.no_grad():
        alone, within = made(content), made(canvas)[..., top:top + 20, left:left + 22]
    # beyond the reach of a window and of the four 3x3 convolutions after one
    inner = (..., slice(8, 12), slice(9, 13))
    assert torch.allclose(alone[inner], within[inner], atol=1e-5) == (window is not None)


@pytest.mark.parametrize('window', [(4, 5), None])
def test_even_content_gets_the_same_context_at_any_size(window):
    made = pyramid(window)
    even = torch.rand(1, 6, 1, 1)
    with torch.no_grad():
        small, large = (made(even.expand(1, 6, *size))[..., size[0] // 2, size[1] // 2]
                        for size in ((12, 14), (30, 40)))
    assert torch.allclose(small, large, atol=1e-5) == (window is not None)


def test_without_a_window_it_is_the_published_pyramid_and_with_one_any_size_goes():
    for window in (None, [1, 2]):
        network = build_segmentation('ddrnet23_slim', 3, width=4, context_window=window).eval()
        for size in ((32, 32), (70, 150)):
            assert network(torch.rand(1, 3, *size)).shape[:2] == (1, 3)


def test_the_auxiliary_head_sees_the_detail_before_it_sees_the_context():
    network, seen = build_segmentation('ddrnet23_slim', 3, width=4).eval(), []
    network.detail3.register_forward_hook(lambda _, inputs, detail: seen.append(detail))
    _, (auxiliary,), _ = network.with_features(torch.rand(1, 3, 48, 64))
    torch.testing.assert_close(auxiliary, network.auxiliary_head(seen[0]))


@pytest.mark.parametrize('window', [[8], [0, 3], [2.5, 3], 8])
def test_a_window_that_is_none_is_named(window):
    with pytest.raises(ValueError, match='context_window is .*expected height and width'):
        build_segmentation('ddrnet23_slim', 3, width=4, context_window=window)

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Names of outputs: the node's, each once."""

import pytest

from ubcn_ros.bags import BagError
from ubcn_ros.bags.process.outputs import check_free, find_prefixes


@pytest.mark.parametrize('topics, prefixes', [
    (['/front/image_raw'], ['/front/']),
    (['/front/image_raw/compressed', '/rear/image'], ['/front/', '/rear/']),
    (['/image'], ['/']), (['image'], ['/']), (['front/image'], ['/front/']),
    (['/a/left/image', '/a/right/image'], ['/a/left/', '/a/right/']),
    (['/a/left', '/a/right', '/b/left'], ['/a/left/', '/a/right/', '/b/']),
    # a name that is kept may be another's
    (['/a/b', '/a/c', '/a/b/d'], ['/a/b/', '/a/c/', '/a/b/d/']),
    (['/a', '/b', '/a/c', '/a/c/d'], ['/a/', '/b/', '/a/c/', '/a/c/d/']),
    # chosen by name, both transports of one camera
    (['/a/image', '/a/image/compressed'], ['/a/image/', '/a/image/compressed/'])])
def test_each_camera_has_a_prefix_of_its_own(topics, prefixes):
    found = find_prefixes(topics)
    assert [found[topic] for topic in topics] == prefixes
    assert len({*prefixes}) == len(topics)


@pytest.mark.parametrize('topics', [
    ['/a/b', '/a/c', '/a/b/d'], ['/a/image', '/a/image/compressed'], ['/x', '/y', '/z/x']])
def test_the_order_of_cameras_does_not_matter(topics):
    assert find_prefixes(topics) == find_prefixes(topics[::-1])


def test_topics_that_cannot_be_told_apart_are_refused():
    with pytest.raises(BagError, match=r'outputs of cam and /cam would .* \(--topic\)'):
        find_prefixes(['/front/image', 'cam', '/cam'])


def test_a_name_that_is_taken_is_refused_with_the_remedy():
    check_free(['/a/derained/image_raw'], ['/a/image_raw'])
    with pytest.raises(BagError, match=r"has /a/x, /a/y already.* \(--exclude '/a/x' "
                                       r"--exclude '/a/y'\), or"):
        check_free(['/a/y', '/a/z', '/a/x'], ['/a/x', '/a/y'])

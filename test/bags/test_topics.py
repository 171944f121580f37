# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Topics are chosen by patterns."""

import pytest

from ubcn_ros.bags import BagError
from ubcn_ros.bags.topics import choose_topics

TOPICS = ('/front/image_raw', '/front/camera_info', '/rear/image_raw', '/tf')


@pytest.mark.parametrize('patterns, exclude, chosen', [
    ((), (), TOPICS),
    (('/tf',), (), ('/tf',)),
    (('/front/*', '/tf'), (), ('/front/image_raw', '/front/camera_info', '/tf')),
    ((), ('*/image_raw',), ('/front/camera_info', '/tf')),
    (('/front/*',), ('*info',), ('/front/image_raw',)),
    (('/t?',), (), ('/tf',)),
    (('*',), ('*',), ()),
], ids=str)
def test_topics_are_those_like_a_pattern_without_those_like_another(patterns, exclude, chosen):
    assert choose_topics(TOPICS, patterns, exclude) == set(chosen)


@pytest.mark.parametrize('patterns, exclude', [(('/front',), ()), ((), ('/TF',)), (('',), ())])
def test_a_pattern_like_no_topic_is_told_with_those_that_there_are(patterns, exclude):
    with pytest.raises(BagError, match='no topic is like .*/rear/image_raw, /tf'):
        choose_topics(TOPICS, patterns, exclude)

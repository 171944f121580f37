# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A process.json that is not there, cannot be read, or is not what `bag process` writes."""

import errno
import os
from pathlib import Path

import pytest
from drives import drive, processed, write_bag

from ubcn_ros.bag_names import PROCESSED
from ubcn_ros.bags import BagError
from ubcn_ros.bags.errors import BagOutOfReach
from ubcn_ros.bags.process import read_sidecar, read_tally


@pytest.fixture(scope='module')
def document(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bag')
    processed(write_bag(folder / 'in.mcap', drive(1)), folder / 'out')
    return read_sidecar(folder / 'out')


@pytest.mark.parametrize('text', ['', '{', '[' * 100_000, '\0'], ids=lambda text: text[:8])
def test_what_is_damaged_is_an_error_with_a_remedy_that_costs_no_bag(tmp_path, text):
    (tmp_path / PROCESSED).write_text(text)
    with pytest.raises(BagError, match=r'process.json cannot be read .*: if .*; else move this '
                                       'file elsewhere') as caught:
        read_sidecar(tmp_path)
    assert 'remove' not in str(caught.value)


@pytest.mark.parametrize('text', ['[]', '3', '{"a": 1}'])
def test_that_of_another_program_is_none(tmp_path, text):
    """As beside a user's own recording."""
    (tmp_path / PROCESSED).write_text(text)
    assert read_sidecar(tmp_path) is None


@pytest.mark.parametrize('code, kind, remedy', [
    (errno.ESTALE, BagOutOfReach, 'see that its disk or server is there'),
    (errno.EACCES, BagError, 'let this user read it')])
def test_one_that_cannot_be_read_need_not_be_processed_again(tmp_path, monkeypatch, code, kind,
                                                             remedy):
    def failing(path):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(Path, 'read_text', failing)
    with pytest.raises(kind, match=remedy) as caught:
        read_sidecar(tmp_path)
    assert type(caught.value) is kind and str(tmp_path / PROCESSED) in str(caught.value)
    assert os.strerror(code) in str(caught.value) and 'remove' not in str(caught.value)


def test_without_one_there_is_none(tmp_path):
    assert read_sidecar(tmp_path) is None


@pytest.mark.parametrize('changes', [{'cameras': None}, {'cameras': {'/a': {'faces': 1}}},
                                     {'read': 3}, {'position': [1]}, {'speed': 1}], ids=str)
def test_a_tally_of_another_version_is_an_error_with_a_remedy(tmp_path, document, changes):
    assert read_tally(tmp_path, document).frames == 2
    other = {**document, 'tally': {**document['tally'], **changes}}
    for wrong in (other, {key: value for key, value in document.items() if key != 'tally'}):
        with pytest.raises(BagError, match='process.json does not say .*: go on with the version'):
            read_tally(tmp_path, wrong)

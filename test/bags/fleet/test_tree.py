# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which bags a folder has, and where the outputs of each go."""

import os
from pathlib import Path

import pytest

from ubcn_ros.bags import BagError
from ubcn_ros.bags.fleet.tree import find_bags, pair_outputs


@pytest.fixture
def tree(tmp_path):
    """A folder with files of these names."""
    def make(*names):
        for name in names:
            path = tmp_path / 'in' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / 'in'
    return make


def outputs(root, *sources):
    pairs = pair_outputs(sources or [root], root.parent / 'out')
    return {str(bag.relative_to(root)): str(out.relative_to(root.parent)) for bag, out in pairs}


def test_bags_of_each_kind_keep_their_places(tree):
    root = tree('a.mcap', 'day/b.bag', 'day/c.db3.zstd', 'day/notes.txt', 'day/.hidden.mcap',
                'night/recorded/metadata.yaml', 'night/recorded/x.mcap',
                'night/killed/killed_3.mcap', 'night/killed/killed_4.mcap',
                'night/renamed/was_0.mcap', 'night/renamed/was_1.mcap',
                'night/each/run_1.mcap', 'night/each/run_2.mcap')
    assert outputs(root) == {
        'a.mcap': 'out/a', 'day/b.bag': 'out/day/b', 'day/c.db3.zstd': 'out/day/c',
        'night/recorded': 'out/night/recorded', 'night/killed': 'out/night/killed',
        'night/renamed': 'out/night/renamed', 'night/each/run_1.mcap': 'out/night/each/run_1',
        'night/each/run_2.mcap': 'out/night/each/run_2'}


def test_files_whose_names_would_clash_keep_their_suffix(tree):
    root = tree('a.mcap', 'a.db3', 'b.mcap', 'b/c.mcap', 'd.mcap', 'd/metadata.yaml')
    assert outputs(root) == {'a.db3': 'out/a', 'a.mcap': 'out/a.mcap', 'b.mcap': 'out/b.mcap',
                             'b/c.mcap': 'out/b/c', 'd': 'out/d', 'd.mcap': 'out/d.mcap'}


def test_pieces_and_links_are_not_taken_twice(tree):
    root = tree('a/x.mcap', 'a/y.mcap', 'a/y.pieces/0000-of-0002/metadata.yaml')
    (root / 'a' / 'loop').symlink_to(root)
    (root / 'b').symlink_to(root / 'a')
    found = find_bags(root, pytest.fail)
    assert [str(bag.relative_to(root)) for bag in found] == ['a/x.mcap', 'a/y.mcap']


def test_a_file_with_a_name_like_that_of_a_bag_is_told(tree):
    root, told = tree('a.mcap', 'b.bag.active', 'c.mcap.zst', 'd.MCAP', 'e.mcap.md5', 'f'), []
    pairs = pair_outputs([root], root.parent / 'out', told.append)
    assert [(bag.name, out.name) for bag, out in pairs] == [
        ('a.mcap', 'a'), ('b.bag.active', 'b')]
    assert [line.split(' is left out, ')[0] for line in told] == [
        f'{root}/c.mcap.zst', f'{root}/d.MCAP']
    assert 'rename it, if it is a bag' in told[0]


def test_a_folder_that_cannot_be_read_stops_no_other(tree, monkeypatch):
    """Like the lost+found of a disk."""
    root, scan, told = tree('a.mcap', 'lost+found/b.mcap', 'z/c.mcap'), os.scandir, []

    def refuse(folder):
        if folder.name == 'lost+found':
            raise PermissionError(13, 'Permission denied')
        return scan(folder)

    monkeypatch.setattr(os, 'scandir', refuse)
    pairs = pair_outputs([root], root.parent / 'out', told.append)
    assert [bag.name for bag, _ in pairs] == ['a.mcap', 'c.mcap']
    (line,) = told
    assert 'lost+found cannot be read (Permission denied): bags in it are left out; ' in line


def test_an_entry_that_cannot_be_looked_at_is_left_out_alone(tree):
    root, told = tree('a.mcap', 'b.mcap', 'z/c.mcap'), []
    for folder in (root, root / 'lone'):
        folder.mkdir(exist_ok=True)
        (folder / 'old').symlink_to('a' * 300)
    pairs = pair_outputs([root], root.parent / 'out', told.append)
    assert [bag.name for bag, _ in pairs] == ['a.mcap', 'b.mcap', 'c.mcap']
    assert ['lone/old cannot be read (' in line for line in told] == [False, True]
    out, lone = root.parent / 'out', root / 'lone'
    assert pair_outputs([lone], out, told.append) == []  # no bag itself
    (lone / 'x.mcap').touch()  # 'old' may have others: the place is the same once it can be read
    assert pair_outputs([lone], out, told.append) == [(lone / 'x.mcap', out / 'x')]


@pytest.mark.parametrize('names', [['bag/metadata.yaml'], ['bag/only.mcap'], ['bag/x_0.mcap']])
def test_one_bag_goes_to_out_itself(tree, names):
    root = tree(*names)
    assert pair_outputs([root / 'bag'], root.parent / 'out') == [
        (root / 'bag', root.parent / 'out')]


def test_the_only_bag_of_a_folder_keeps_its_name(tree):
    root = tree('drives/monday/metadata.yaml', 'drives/monday/monday_0.mcap')
    assert outputs(root, root / 'drives') == {'drives/monday': 'out/monday'}


def test_of_several_sources_each_goes_to_its_name(tree):
    root = tree('x.mcap', 'day/a.mcap', 'day/b.mcap', 'more/x.mcap')
    assert outputs(root, root / 'x.mcap', root / 'day') == {
        'x.mcap': 'out/x', 'day/a.mcap': 'out/day/a', 'day/b.mcap': 'out/day/b'}
    with pytest.raises(BagError, match=r'x.mcap and .*more/x.mcap would both be written to '):
        outputs(root, root / 'x.mcap', root / 'more' / 'x.mcap')


def test_a_bag_is_not_written_into_another(tree):
    root = tree('a/day/day_0.mcap', 'b/day/x.mcap', 'b/day/y.mcap')
    for sources in (('a', 'b'), ('b', 'a')):
        with pytest.raises(BagError, match=r'b/day/x.mcap would be written to .*out/day/x, which '
                                           r'is inside of .*out/day, where .*a/day is written'):
            pair_outputs([root / source / 'day' for source in sources], root.parent / 'out')


def test_a_folder_above_goes_to_its_name(tree, monkeypatch):
    root = tree('drives/a.mcap', 'drives/b.mcap', 'drives/sub/notes', 'x.mcap')
    monkeypatch.chdir(root / 'drives' / 'sub')
    pairs = pair_outputs([Path('..'), root / 'x.mcap'], root.parent / 'out')
    assert [str(out.relative_to(root.parent)) for _, out in pairs] == [
        'out/drives/a', 'out/drives/b', 'out/x']


def test_a_tree_is_not_written_into_itself(tree):
    root = tree('a.mcap', 'b.mcap')
    for out in (root, root / 'out'):
        with pytest.raises(BagError, match='would be written into it'):
            pair_outputs([root], out)

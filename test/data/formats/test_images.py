# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images without labels."""

import pytest
from set_files import picture, scene_names, write

from ubcn_ros.data.datasets import open_dataset
from ubcn_ros.data.scenes import DataSetError


def test_a_folder_is_the_split_train(tmp_path):
    for name in ('f10.jpg', 'f9.png', '._f9.png', 'notes.txt'):
        write(tmp_path / name, picture(7)) if '.txt' not in name else (
            tmp_path / name).write_text('x')
    dataset = open_dataset(tmp_path)
    assert (dataset.format, dataset.label_set, dataset.splits) == ('images', None, ('train',))
    assert scene_names(dataset.listing('train')) == ['f9', 'f10']
    frame = dataset.listing('train').scenes[0].read()
    assert (frame.labels == 255).all() and frame.rainy is None


def test_folders_of_splits(tmp_path):
    write(tmp_path / 'train/a.png', picture())
    write(tmp_path / 'val/b.png', picture())
    assert open_dataset(tmp_path).splits == ('train', 'val')


def test_images_beside_masks_are_not_taken_for_unlabeled(tmp_path):
    write(tmp_path / 'images/a.png', picture())
    write(tmp_path / 'masks/a.png', picture())
    with pytest.raises(DataSetError, match='give train, val and names'):
        open_dataset(tmp_path)


def test_images_in_folders_below_are_not_left_out_without_a_word(tmp_path):
    for place in ('train/a.png', 'train/drive/b.png', 'val/drive/night/c.png'):
        write(tmp_path / place, picture())
    (tmp_path / 'train/notes').mkdir()
    dataset = open_dataset(tmp_path)
    assert dataset.splits == ('train', 'val')
    for split, inner in (('train', 'train/drive'), ('val', 'val/drive')):
        (problem,) = dataset.listing(split).problems
        assert problem.startswith(f'{tmp_path / inner} holds images, too')


@pytest.mark.parametrize('split', ['val', 'test'])
def test_images_beside_folders_of_splits_are_refused(tmp_path, split):
    for place in ('a.png', f'{split}/b.png'):
        write(tmp_path / place, picture())
    with pytest.raises(DataSetError, match=f'holds images, too, .* those in {split}: move them'):
        open_dataset(tmp_path)


def test_a_mask_beside_its_image_is_known_in_any_case(tmp_path):
    for name in ('a.jpg', 'a_mask.PNG', 'b.jpg', 'b_Mask.png'):
        write(tmp_path / name, picture())
    (problem,) = open_dataset(tmp_path).listing('train').problems
    assert 'a_mask.PNG looks like the mask' in problem and 'so do 1 more' in problem

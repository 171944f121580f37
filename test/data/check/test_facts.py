# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A scene is judged as training judges it, and read again when its files have changed."""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ended_scene import EndedScene
from PIL import Image
from random_images import clouds
from small_set import add, mask, opened

from ubcn_ros.data.check import check as module
from ubcn_ros.data.check.check import check_data
from ubcn_ros.data.check.facts import load_facts, look_at, look_at_all, save_facts, state_of
from ubcn_ros.data.files import DataSetError
from ubcn_ros.data.scenes import Scene
from ubcn_ros.images.files import write_image


@pytest.fixture
def scene(clean):
    return opened(clean).sets[0].listing('train').scenes[0]


def fails(scene):
    try:
        scene.read()
    except DataSetError:
        return True
    return False


@pytest.mark.parametrize('part', ['image_path', 'label_path'])
@pytest.mark.parametrize('jpeg', [False, True], ids=['PNG', 'JPEG'])
def test_problems_are_what_reading_fails_with(scene, part, jpeg):
    path, rng = getattr(scene, part), np.random.default_rng(0)
    if jpeg:
        path.write_bytes(cv2.imencode('.jpg', clouds(3))[1].tobytes())
    whole, verdicts = path.read_bytes(), set()
    for case in range(40):
        data = bytearray(whole)
        place = int(rng.integers(len(data)))
        data = data[:place] if case % 4 == 0 else data
        if case % 4:
            data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        problems = look_at(scene).problems
        assert bool(problems) == fails(scene), problems
        verdicts.add(bool(problems))
        assert all(path.name in text for _, _, text in problems)
    # of a JPEG not every flipped bit shows; of a mask nothing may pass that is no PNG
    assert verdicts == ({True, False} if jpeg and part == 'image_path' else verdicts | {True})


def test_a_mask_of_unknown_ids_is_of_another_size_in_the_same_look(scene):
    wrong = mask((40, 64))
    wrong[0] = 77
    write_image(scene.label_path, wrong)
    found = look_at(scene)
    assert [(part, kind) for part, kind, _ in found.problems] == [
        ('mask', 'ids'), ('mask', 'mismatch')]
    assert found.counts is None


@pytest.mark.parametrize('orientation', [*range(1, 9), 0, 9, 65535])
@pytest.mark.parametrize('suffix', ['png', 'jpeg'])
def test_orientations(scene, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(clouds(1)).save(scene.image_path, suffix, exif=exif)
    expected = orientation if orientation in range(1, 9) else 1
    assert look_at(scene).orientation == expected


def test_counts_are_of_every_pixel(scene):
    facts = look_at(scene)
    ids, counts = np.unique(mask(), return_counts=True)
    assert dict(facts.counts) == dict(zip(ids.tolist(), counts.tolist(), strict=True))
    assert facts.size == (64, 48) and facts.problems == ()
    scene.label_path.unlink()
    assert look_at(scene).counts is None


def test_pixels_are_the_same_in_another_file(scene):
    before = look_at(scene)
    Image.fromarray(scene.image()).save(scene.image_path, compress_level=0)
    after = look_at(scene)
    assert after.pixels == before.pixels and after.content != before.content


@pytest.fixture
def read(monkeypatch):
    """Names of the scenes that were looked at since the last time it was asked."""
    seen = []

    def looked(scenes):
        seen.extend(scene.name for scene in scenes)
        return look_at_all(scenes)

    def names():
        found = sorted(seen)
        seen.clear()
        return found

    monkeypatch.setattr(module, 'look_at_all', looked)
    return names


def test_a_second_check_reads_nothing_and_finds_the_same(clean, read):
    (clean / 'train/labels/streetb.png').write_bytes(b'')
    steps = []
    first = check_data(opened(clean), lambda *step: steps.append(step))
    assert len(read()) == 9 and steps == [(i, 9) for i in range(1, 10)]
    second = check_data(opened(clean), lambda *step: steps.append(step))
    assert read() == [] and len(steps) == 9
    assert first.to_dict() == second.to_dict() and len(first.errors) == 1


def test_what_was_read_before_an_interrupt_is_kept(clean, read):
    def stop(done, _):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_data(opened(clean), stop)
    steps = []
    check_data(opened(clean), lambda *step: steps.append(step))
    assert steps == [(i, 9) for i in range(5, 10)]


def test_two_descriptions_of_one_name_and_folder_keep_their_facts(clean, tmp_path, read):
    for folder in ('day', 'night'):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'streets.yaml').write_text(
            f'path: {clean}\ntrain: train/images\nmasks_dir: labels\nnames: [{folder}]\n'
            f'ignore: [{", ".join(map(str, range(1, 11)))}]')
        check_data(opened(tmp_path / folder / 'streets.yaml'))
        assert len(read()) == 6
    for folder in ('day', 'night'):
        check_data(opened(tmp_path / folder / 'streets.yaml'))
    assert read() == []


def test_what_changes_is_read_again(clean, read):
    check_data(opened(clean))
    read()
    write_image(clean / 'train/images/streetb.png', clouds(77))
    os.utime(clean / 'val/labels/roada.png', ns=(1, 1))
    add(clean, 'train', 'new', clouds(78))
    assert not check_data(opened(clean)).findings
    assert read() == ['new', 'roada', 'streetb']
    (clean / 'val/labels/roada.png').unlink()
    (clean / 'val/images/roada.png').unlink()
    assert check_data(opened(clean)).counts['set']['val'] == 2 and read() == []


@pytest.mark.parametrize('harm', [
    lambda data: b'', lambda data: data[:200], lambda data: b'\xff\xfe' + data,
    lambda data: data.replace(b'[', b'{', 1), lambda data: data.replace(b'255', b'254', 1)])
def test_a_damaged_cache_is_rebuilt(clean, read, cache_folder, harm):
    report = check_data(opened(clean))
    (path,) = cache_folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(harm(whole))
    read()
    assert check_data(opened(clean)).to_dict() == report.to_dict() and len(read()) == 9
    assert path.read_bytes() == whole


def test_facts_of_another_version_are_found_again(clean, read, cache_folder):
    report = check_data(opened(clean))
    (path,) = cache_folder.iterdir()
    facts = json.loads(path.read_bytes().partition(b'\n')[2])
    text = json.dumps({state: values[:-1] for state, values in facts.items()})
    path.write_text(f'{hashlib.sha256(text.encode()).hexdigest()}\n{text}')
    read()
    assert check_data(opened(clean)).to_dict() == report.to_dict() and len(read()) == 9


def test_a_file_that_could_not_be_read_is_tried_again(clean, read, monkeypatch):
    """A change of its rights changes neither its size nor its time."""
    path, whole = clean / 'train/images/streetb.png', Path.read_bytes

    def refused(self):
        if self == path:
            raise PermissionError(13, 'Permission denied', str(self))
        return whole(self)

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'read_bytes', refused)
        (found,) = check_data(opened(clean)).errors
        assert 'Permission denied' in found.text
    read()
    assert check_data(opened(clean)).errors == () and read() == ['streetb']


def test_a_file_whose_rights_change_is_read_again(clean, read, monkeypatch):
    check_data(opened(clean))
    read()
    path, whole = clean / 'train/labels/streetb.png', os.access
    with monkeypatch.context() as patch:
        patch.setattr(os, 'access', lambda p, how: p != path and whole(p, how))
        check_data(opened(clean))
        assert read() == ['streetb']
    check_data(opened(clean))
    assert read() == ['streetb']


def test_a_cache_that_cannot_be_written_is_none(clean, read, tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    for _ in range(2):
        assert not check_data(opened(clean)).findings and len(read()) == 9


def test_processes_find_what_one_finds(clean):
    (clean / 'val/images/roada.png').write_bytes(b'text')
    scenes = opened(clean).sets[0].listing('val').scenes
    alone, shared = (list(look_at_all(scenes, processes)) for processes in (1, 2))
    assert alone == shared and any(facts.problems for facts in alone)


def test_a_reader_that_was_ended_is_told(scene, tmp_path):
    """Not as a model or a batch that is too large."""
    with pytest.raises(ChildProcessError, match='reads images was ended.*: make memory free'):
        [*look_at_all([EndedScene('a', scene.image_path, tmp_path / 'ended')] * 2, 2)]
    assert (tmp_path / 'ended').exists()


def test_facts_are_kept_whole(clean):
    dataset = opened(clean).sets[0]
    facts = {scene.name: look_at(scene) for scene in dataset.listing('train').scenes}
    save_facts(dataset, facts)
    assert load_facts(dataset) == facts


@dataclass(frozen=True)
class DrawnScene(Scene):
    """A scene whose labels come from values of its own, as COCO's do."""

    outline: Any = None


def test_the_state_is_of_all_that_a_scene_reads(clean):
    plain = opened(clean).sets[0].listing('train').scenes[0]
    again = opened(clean).sets[0].listing('train').scenes[0]
    outline = np.arange(4000.)
    moved = outline.copy()
    moved[2000] += 1
    states = [state_of(scene) for scene in (
        plain, replace(plain, ids={**plain.ids, 3: 4}), replace(plain, name='x'),
        replace(plain, label_path=None), replace(plain, depth_path=plain.label_path),
        *(DrawnScene(plain.name, plain.image_path, plain.label_path, plain.ids, outline=values)
          for values in (None, outline, moved)))]
    assert state_of(again) == states[0] and len(set(states)) == len(states)

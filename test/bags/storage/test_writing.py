# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What ends the writing of a bag, and what is there afterwards."""

import os
import signal
import time
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest
from bag_files import SECOND, file_limit, serialized
from command_line import ubcn
from killed_writers import run_until_killed, write_images
from random_images import noise

from ubcn_ros.bags import (
    IMAGE,
    BagError,
    McapBagWriter,
    create,
    image_connection,
    open_bag,
    read_images,
)
from ubcn_ros.images.files import ImageFileError, write_image


@pytest.mark.parametrize('compressed', [False, True])
@pytest.mark.parametrize('place', [1, 3])
def test_a_broken_image_leaves_no_bag_behind(tmp_path, compressed, place):
    for number in (1, 2, 3):
        write_image(tmp_path / 'in' / f'{number}.png', noise(number))
    (tmp_path / 'in' / f'{place}.png').write_bytes(b'broken')
    with pytest.raises(ImageFileError, match=f'{place}.png'):
        create(tmp_path / 'in', tmp_path / 'bag', compressed=compressed)
    assert not (tmp_path / 'bag').exists()
    (tmp_path / 'in' / f'{place}.png').rename(tmp_path / 'in' / f'._{place}.png')
    done = ubcn('bag', 'create', tmp_path / 'in', tmp_path / 'bag')
    assert done.exit_code == 0 and len(list(read_images(tmp_path / 'bag'))) == 2


def test_a_full_disk_is_one_line_with_a_remedy(tmp_path):
    for number in range(6):
        write_image(tmp_path / 'in' / f'{number}.png', noise(number, 120, 160))
    with file_limit(200_000):
        done = ubcn('bag', 'create', tmp_path / 'in', tmp_path / 'bag')
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    (line,) = done.output.strip().splitlines()
    assert line.startswith(f'Error: bag {tmp_path}/bag cannot be written: ')
    assert 'give a path on another' in line
    assert not (tmp_path / 'bag').exists()


def test_what_was_written_before_the_disk_was_full_is_readable(tmp_path):
    with (ExitStack() as limited, pytest.raises(BagError, match='give a path on another'),
          McapBagWriter(tmp_path / 'bag') as writer):
        for number in range(1, 9):
            if number == 3:  # what came before is in the file by now
                time.sleep(1.05)
            if number == 5:
                limited.enter_context(file_limit(100_000))
            writer.write_message('/image', IMAGE, serialized(number, height=96, width=128),
                                 number * SECOND)
    with open_bag(tmp_path / 'bag') as reader:
        connection = image_connection(reader)
        times = [record.time_ns // SECOND for record in reader.records()]
        assert times[:2] == [1, 2] and reader.problems(connection, len(times))


def test_nothing_is_left_where_nothing_could_be_written(tmp_path):
    with file_limit(1000), pytest.raises(BagError, match='cannot be written'):
        create([noise()], tmp_path / 'bag')
    assert not (tmp_path / 'bag').exists()


def test_a_failure_is_told_again_where_it_was_passed_over(tmp_path):
    with (file_limit(100_000), pytest.raises(BagError, match='give a path on another'),
          McapBagWriter(tmp_path / 'bag') as writer):
        with pytest.raises(BagError, match='give a path on another'):
            for number in range(1, 30):
                writer.write_message('/image', IMAGE, serialized(number, height=2000), number)


def test_a_bag_whose_metadata_cannot_be_written_stays_readable(tmp_path):
    with (pytest.raises(BagError, match='cannot be written'),
          McapBagWriter(tmp_path / 'bag') as writer):
        writer.write_message('/image', IMAGE, serialized(1), SECOND)
        (tmp_path / 'bag' / 'metadata.yaml').mkdir()
    (tmp_path / 'bag' / 'metadata.yaml').rmdir()
    assert [image.stamp_ns for image in read_images(tmp_path / 'bag')] == [SECOND]


def test_paths_that_cannot_be_written_say_why(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(BagError, match='/file/bag cannot be written: Not a directory; give'), \
            McapBagWriter(tmp_path / 'file' / 'bag'):
        pass
    with pytest.raises(BagError, match='/file/bag cannot be written: Not a directory; give'):
        create([noise()], tmp_path / 'file' / 'bag')
    with pytest.raises(BagError, match='x cannot be written: File name too long; give'):
        create([noise()], tmp_path / ('x' * 300))
    for sign in '?#%':
        assert create([noise()], tmp_path / f'a{sign}b') == 1
        assert len(list(read_images(tmp_path / f'a{sign}b'))) == 1


@pytest.mark.parametrize('rate', [1e-10, 1e-300])
def test_a_rate_that_no_stamp_can_have_is_refused(tmp_path, rate):
    with pytest.raises(BagError, match=r'puts image 2 after the last stamp'):
        create([noise(), noise()], tmp_path / 'bag', rate_hz=rate)
    assert not (tmp_path / 'bag').exists()


def test_a_kill_leaves_what_was_written_a_second_before(tmp_path):
    run_until_killed(write_images, tmp_path / 'bag')
    images, seconds = read_images(tmp_path / 'bag'), []
    with pytest.raises(BagError, match='has no metadata.yaml, as a recording that was killed '
                                       'leaves it.*`ros2 bag reindex`'):
        for image in images:
            assert np.array_equal(image.image, noise(image.stamp_ns // SECOND))
            seconds.append(image.stamp_ns // SECOND)
    assert seconds == [1, 2, 3]
    with pytest.raises(BagError, match='a command that was killed leaves it; remove it, or give'):
        create([noise()], tmp_path / 'bag')


def test_the_command_says_how_much_is_there_after_a_signal(tmp_path, monkeypatch):
    for number in range(5):
        write_image(tmp_path / 'in' / f'{number}.png', noise(number))
    done = []

    def bar(*_, **__):
        def update():
            done.append(1)
            if len(done) == 3:
                os.kill(os.getpid(), signal.SIGTERM)
        from contextlib import nullcontext
        return nullcontext(SimpleNamespace(update=update))

    monkeypatch.setattr('tqdm.tqdm', bar)
    result = ubcn('bag', 'create', tmp_path / 'in', tmp_path / 'bag')
    assert result.exit_code == 143
    assert result.output == f'Stopped by SIGTERM: 3 of 5 images written to {tmp_path}/bag\n'
    assert len(list(read_images(tmp_path / 'bag'))) == 3

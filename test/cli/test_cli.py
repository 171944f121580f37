# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command line: what is written where, what is said of what is wrong, and what is loaded."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
import torch
from command_line import ubcn
from random_images import noise

from ubcn_ros import Engine, __version__, cli
from ubcn_ros.bags import create, open_bag, read_images
from ubcn_ros.data.rain import add_rain
from ubcn_ros.images import files
from ubcn_ros.images.files import read_image, write_image
from ubcn_ros.runtime.backends.stages import StagesBackend


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path):
    """Two images, and a file that is not an image."""
    write_image(tmp_path / 'in' / 'a.png', noise(1))
    write_image(tmp_path / 'in' / 'b.jpg', noise(2, 33, 47))
    (tmp_path / 'in' / 'notes.txt').write_text('not an image')
    return tmp_path / 'in'


@pytest.fixture
def quick(quick):
    """Likewise, two steps."""
    return *quick[:-1], 2


def test_help_imports_nothing_heavy():
    code = ('import sys\n'
            'from ubcn_ros.cli import main\n'
            "main(['--help'], standalone_mode=False)\n"
            "print([n for n in ('torch', 'rclpy', 'cv2', 'numpy') if n in sys.modules])")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == '[]'
    for name in cli.COMMANDS:
        assert f'  {name} ' in done.stdout


def test_every_listed_command_has_complete_help():
    for path, group in (((), cli.main), (('bag',), cli.bag),
                        (('benchmark',), cli.benchmark), (('study',), cli.study)):
        context = click.Context(group)
        listed = ubcn(*path, '--help').output
        for name in group.lazy:
            line = group.get_command(context, name).help.strip().splitlines()[0]
            assert ' '.join((name, *line.split())) in ' '.join(listed.split())
            done = ubcn(*path, name, '--help')
            assert done.exit_code == 0 and f'Usage: main {" ".join((*path, name))} ' in done.output


def test_version_is_the_packages():
    assert __version__ in ubcn('--version').output


def test_a_missing_package_names_its_extra(monkeypatch):
    @click.command()
    def needy():
        raise ModuleNotFoundError("No module named 'lightning'", name='lightning.fabric')

    monkeypatch.setattr(cli.main, 'get_command', lambda context, name: needy)
    done = ubcn('needy')
    assert done.exit_code == 1 and "pip install 'ubcn_ros[train]'" in done.output


def test_derain_a_folder(tmp_path, folder, quick, tiny_engine):
    done = ubcn('derain', folder, tmp_path / 'out', '--labels', tmp_path / 'labels',
                '--overlay', tmp_path / 'overlay', *quick)
    assert done.exit_code == 0, done.output
    for name in ('out', 'labels', 'overlay'):
        assert names(tmp_path / name) == ['a.png', 'b.png']
    for stem, source in (('a', 'a.png'), ('b', 'b.jpg')):
        frame = tiny_engine(read_image(folder / source), iterations=2)
        assert np.array_equal(read_image(tmp_path / f'out/{stem}.png'), frame.derained)
        labels = cv2.imread(str(tmp_path / f'labels/{stem}.png'), cv2.IMREAD_UNCHANGED)
        assert labels.ndim == 2 and np.array_equal(labels, frame.labels)


def test_memory_that_is_short_once_does_not_end_derain(tmp_path, folder, quick, monkeypatch):
    first, calls = StagesBackend.first, []

    def short_once(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise MemoryError('of the second image')
        return first(*arguments, **options)

    monkeypatch.setattr(StagesBackend, 'first', short_once)
    done = ubcn('derain', folder, tmp_path / 'out', *quick)
    assert done.exit_code == 0, done.output
    assert names(tmp_path / 'out') == ['a.png', 'b.png'] and len(calls) == 3


@pytest.mark.parametrize('when', ['reading', 'twice', 'writing'])
def test_an_image_that_memory_does_not_suffice_for_is_named(tmp_path, folder, quick, monkeypatch,
                                                            when):
    """And the next one is derained."""
    where, name, times = {'reading': (files, 'read_image', 1),
                          'twice': (StagesBackend, 'first', 2),
                          'writing': (files, 'write_image', 1)}[when]
    function, calls = getattr(where, name), []

    def short(*arguments, **options):
        calls.append(1)
        if len(calls) <= times:
            raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 3 GiB')
        return function(*arguments, **options)

    monkeypatch.setattr(where, name, short)
    done = ubcn('derain', folder, tmp_path / 'out', *quick)
    assert done.exit_code == 1 and done.exception.code == 1
    assert f'Error: {folder}/a.png: not enough memory: CUDA out of memory. Tried' in done.output
    assert names(tmp_path / 'out') == ['b.png'] and '1 of 2 images written' in done.output


def test_a_result_that_cannot_be_written_ends_derain(tmp_path, folder, quick, monkeypatch):
    def full(path, image):
        raise files.ImageFileError(f'{path} cannot be written: Cannot allocate memory')

    monkeypatch.setattr(files, 'write_image', full)
    done = ubcn('derain', folder, tmp_path / 'out', *quick)
    assert done.exit_code == 1 and done.output.count('cannot be written') == 1


def test_json_names_images_in_utf_8(tmp_path, folder, quick):
    os.rename(folder / 'a.png', os.fsencode(folder) + b'/caf\xe9.png')
    done = ubcn('derain', folder, tmp_path / 'out', '--json', tmp_path / 'out.json', *quick)
    assert done.exit_code == 0, done.output
    said = json.loads((tmp_path / 'out.json').read_text())
    assert [*said['images']] == ['b.png', r'caf\udce9.png']


def test_masks_of_files_and_bags_leave_out_what_is_not_sure_enough(tmp_path, folder, quick,
                                                                   tiny_engine):
    image = read_image(folder / 'a.png')
    least = float(tiny_engine(image, 2, confidence=True).confidence.max()) / 255
    frame = tiny_engine(image, 2, min_confidence=least)
    assert 0 < frame.unlabeled < 1
    done = ubcn('derain', folder / 'a.png', tmp_path / 'out', '--labels', tmp_path / 'labels',
                '--min-confidence', least, *quick)
    assert done.exit_code == 0, done.output
    labels = cv2.imread(str(tmp_path / 'labels/a.png'), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(labels, frame.labels)
    create([image], tmp_path / 'bag')
    done = ubcn('bag', 'process', tmp_path / 'bag', tmp_path / 'processed', '--min-confidence',
                least, *quick)
    assert done.exit_code == 0, done.output
    (mask,) = read_images(tmp_path / 'processed', '/camera/labels/image_raw')
    assert np.array_equal(mask.image[..., 0], frame.labels)


@pytest.mark.parametrize('model', ['tiny_model', 'rain_model'])
def test_what_is_known_of_images_is_written(request, tmp_path, folder, quick, model):
    path = request.getfixturevalue(model)
    done = ubcn('derain', folder, tmp_path / 'out', '--json', tmp_path / 'facts.json',
                '--min-confidence', 0.5, *quick, '--model', path)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / 'facts.json').read_text())
    assert found['model'] == path.stem and found['images'].keys() == {'a.png', 'b.png'}
    frame = Engine.load(path, 'cpu', 'fp32')(read_image(folder / 'a.png'), 2, min_confidence=0.5)
    rate, visibility = frame.rain or (None, None)
    assert (model == 'rain_model') == (rate is not None)
    assert found['images']['a.png'] == {
        'iterations': 2, 'processing_size': '40x32', 'rain_rate_mm_h': pytest.approx(rate),
        'unlabeled': pytest.approx(frame.unlabeled), 'visibility_m': pytest.approx(visibility)}


def test_files_take_the_steps_that_change_them(tmp_path, folder, quick, tiny_engine):
    done = ubcn('derain', folder / 'a.png', tmp_path / 'out', '--convergence', 255, *quick)
    assert done.exit_code == 0, done.output
    expected = tiny_engine(read_image(folder / 'a.png'), 1).derained
    assert np.array_equal(read_image(tmp_path / 'out/a.png'), expected)


def test_derain_refuses_untrained_parts_unless_allowed(tmp_path, folder, quick, partial_model):
    command = ['derain', folder, tmp_path / 'out', *quick, '--model', partial_model]
    result = ubcn(*command)
    assert result.exit_code == 1 and not (tmp_path / 'out').exists()
    assert 'random numbers for derain and attention' in result.output.splitlines()[-1]
    result = ubcn(*command, '--allow-partial-model')
    assert result.exit_code == 0 and names(tmp_path / 'out') == ['a.png', 'b.png']
    assert result.output.splitlines()[0].startswith('Warning: ')


@pytest.mark.parametrize('output, written', [
    ('new.png', 'new.png'), ('results', 'results/a.png'), ('deep/er', 'deep/er/a.png'),
    ('new.BMP', 'new.BMP'), ('new.tiff', 'new.tiff'), ('new.webp', 'new.webp')])
def test_derain_a_file(tmp_path, folder, quick, tiny_engine, output, written):
    done = ubcn('derain', folder / 'a.png', tmp_path / output, '--labels', tmp_path / 'labels',
                *quick)
    assert done.exit_code == 0, done.output
    derained = tiny_engine(noise(1), iterations=2).derained
    assert np.array_equal(read_image(tmp_path / written), derained)
    assert names(tmp_path / 'labels') == [(tmp_path / written).stem + '.png']


@pytest.mark.parametrize('suffix', ['.bmp', '.webp', '.tif'])
def test_derain_reads_other_formats(tmp_path, folder, quick, suffix):
    write_image(folder / f'c{suffix}', noise(1))
    done = ubcn('derain', folder, tmp_path / 'out', *quick)
    assert done.exit_code == 0 and '3 of 3 images written' in done.output
    assert np.array_equal(read_image(tmp_path / 'out/c.png'), read_image(tmp_path / 'out/a.png'))


def test_broken_images_are_reported_and_the_rest_is_done(tmp_path, folder, quick):
    whole = (folder / 'a.png').read_bytes()
    (folder / 'broken.png').write_bytes(whole[:len(whole) // 2])
    (folder / 'lost.png').symlink_to(folder / 'nothing.png')
    write_image(folder / 'tiny.png', noise(height=8, width=8))
    done = ubcn('derain', folder, tmp_path / 'out', *quick)
    assert done.exit_code == 1
    errors = [line for line in done.output.splitlines() if line.startswith('Error: ')]
    assert [line.split('/')[-1].split(' ')[0].rstrip(':') for line in errors] == [
        'broken.png', 'lost.png', 'tiny.png']
    assert errors[0].endswith('end before its end marker: copy or download it again')
    assert done.output.splitlines()[-1] == '2 of 5 images written; skipped: 1 other file'
    assert names(tmp_path / 'out') == ['a.png', 'b.png']


@pytest.mark.parametrize('command', ['derain', 'rain', 'bag create'])
def test_what_is_not_read_of_images_is_told_once(tmp_path, folder, quick, command, caplog):
    cv2.imwritemulti(str(folder / 'c.tiff'), [noise(1), noise(2)])
    for name in ('d.jpg', 'e.jpg'):
        data = (folder / 'b.jpg').read_bytes()
        exif = b'Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0'
        (folder / name).write_bytes(data[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big')
                                    + exif + data[2:])
    done = ubcn(*command.split(), folder, tmp_path / 'out', *quick * (command == 'derain'))
    assert done.exit_code == 0, done.output
    said = [line.removeprefix('Warning: ') for line in done.stderr.splitlines()
            if line.startswith('Warning: ')] + caplog.messages
    assert [line[:17] for line in said] == ['1 image file hold', '2 images note an '], said


def test_json_of_an_earlier_run_stays_where_no_image_is_derained(tmp_path, folder, quick):
    (folder / 'a.png').write_bytes(b'broken')
    (tmp_path / 'out.json').write_text('earlier')
    done = ubcn('derain', folder / 'a.png', tmp_path / 'out', '--json', tmp_path / 'out.json',
                *quick)
    assert done.exit_code == 1 and (tmp_path / 'out.json').read_text() == 'earlier'


@pytest.mark.parametrize('command', ['derain', 'rain'])
def test_a_full_disk_ends_the_run(tmp_path, folder, quick, monkeypatch, command):
    asked = []

    def full(path, _data):
        asked.append(path.name)
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('ubcn_ros.images.files.write_whole', full)
    (folder / 'A.png').write_text('not an image')
    done = ubcn(command, folder, tmp_path / 'out', *(quick if command == 'derain' else ()))
    assert done.exit_code == 1 and asked == ['a.png']
    broken, ended = done.output.splitlines()
    assert 'A.png' in broken and ended.endswith(
        'a.png cannot be written: No space left on device: make room, or choose another place')


@pytest.mark.parametrize('command', ['derain', 'rain'])
@pytest.mark.parametrize('output, text', [
    ('/proc/ubcn/out', 'cannot be written'), ('notes.txt/out', 'is not a folder'),
    ('notes.txt', 'notes.txt is a file, but'), ('x' * 300, 'File name too long')])
def test_an_output_that_cannot_be_is_told_once_before_the_work(
        folder, monkeypatch, command, output, text):
    monkeypatch.chdir(folder)
    monkeypatch.setattr('ubcn_ros.runtime.Engine.load', lambda *_, **__: pytest.fail('loaded'))
    before = names(folder)
    for source in ('.', 'a.png'):
        result = ubcn(command, source, output)
        assert result.exit_code in (1, 2), result.output
        assert result.output.count('Error: ') == 1 and text in result.output, result.output
    assert names(folder) == before


@pytest.mark.parametrize('command, source, options', [
    ('rain', 'a.png', '--recursive'), ('rain', 'a.png', '--fps 5'),
    ('rain', 'a.png', '--variation 0'), ('rain', '.', '--variation 0'), ('rain', '.', '--fps 5'),
    ('rain', 'a.mp4', '--fps 5'), ('rain', 'a.mp4', '--sequence'), ('rain', 'a.mcap', '--fps 5'),
    ('rain', 'a.mcap', '--sequence'), ('rain', 'a.mcap', '--recursive'),
    ('rain', 'a.png', '--topic /front'), ('derain', 'a.mp4', '--fps 5'),
    ('derain', 'a.png', '--recursive'), ('derain', '.', '--fps 5')])
def test_options_that_would_change_nothing_are_refused(folder, monkeypatch, command, source,
                                                       options):
    monkeypatch.chdir(folder)
    if source == 'a.mp4':
        writer = pytest.importorskip('ubcn_ros.images.video_writer').VideoWriter
        with writer(source) as video:
            video.write(noise(), 0)
    elif source == 'a.mcap':
        Path(source).write_bytes(b'')
    done = ubcn(command, source, 'out', *options.split())
    assert done.exit_code == 2 and f': leave out {options.split()[0]}' in done.output, done.output
    assert not Path('out').exists()


def test_a_name_of_several_lines_is_told_on_one(tmp_path, folder):
    (folder / 'in\ntwo.png').write_text('not an image')
    result = ubcn('rain', folder, tmp_path / 'out')
    assert names(tmp_path / 'out') == ['a.png', 'b.png']
    said = result.output.splitlines()
    assert len(said) == 2 and said[0].startswith('Error: ') and 'in two.png: 12 bytes' in said[0]
    said = ubcn('rain', folder / 'in\ntwo.png', folder / 'in\ntwo.png').output.splitlines()
    assert len(said) == 1 and 'are the same' in said[0] and 'in two.png: ' in said[0]


@pytest.fixture
def tree(folder):
    """The folder with two images in sub-folders and what macOS leaves beside one."""
    write_image(folder / 'sub' / 'a.png', noise(3))
    write_image(folder / 'sub' / 'deep' / 'c.tiff', noise(4))
    (folder / 'sub' / '._a.png').write_bytes(b'\0\5\26\7Mac OS X')
    (folder / '._a.png').write_bytes(b'\0\5\26\7Mac OS X')
    return folder


def test_what_is_skipped_is_counted(tmp_path, tree):
    done = ubcn('rain', tree, tmp_path / 'out')
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == (
        '2 of 2 images written; skipped: 1 other file, 1 hidden name, 1 sub-folder '
        '(--recursive takes them in)')
    done = ubcn('rain', tree / 'sub' / 'deep', tmp_path / 'deep')
    assert done.output.splitlines()[-1] == '1 of 1 images written'


def test_derain_a_folder_with_its_sub_folders(tmp_path, tree, quick, tiny_engine):
    done = ubcn('derain', tree, tmp_path / 'out', '--recursive', '--labels', tmp_path / 'labels',
                '--overlay', tmp_path / 'overlay', *quick)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == (
        '4 of 4 images written; skipped: 1 other file, 2 hidden names')
    for name in ('out', 'labels', 'overlay'):
        written = sorted(str(path.relative_to(tmp_path / name))
                         for path in (tmp_path / name).rglob('*') if path.is_file())
        assert written == ['a.png', 'b.png', 'sub/a.png', 'sub/deep/c.png']
    frame = tiny_engine(noise(4), iterations=2)
    assert np.array_equal(read_image(tmp_path / 'out/sub/deep/c.png'), frame.derained)
    labels = cv2.imread(str(tmp_path / 'labels/sub/deep/c.png'), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(labels, frame.labels)


def test_what_is_written_inside_the_input_is_not_read_again(tree):
    for _ in range(2):
        done = ubcn('rain', tree, tree / 'out', '--recursive')
        assert done.exit_code == 0 and '4 of 4 images written' in done.output
    assert not (tree / 'out' / 'out').exists()


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, tree, monkeypatch):
    def guarded(self, iterdir=Path.iterdir):  # permissions do not stop root
        if self.name == 'deep':
            raise PermissionError(13, 'Permission denied')
        return iterdir(self)

    monkeypatch.setattr(Path, 'iterdir', guarded)
    done = ubcn('rain', tree, tmp_path / 'out', '--recursive')
    assert done.exit_code == 1 and '3 of 3 images written' in done.output
    assert f'Error: {tree}/sub/deep cannot be read: Permission denied' in done.output


def test_nothing_is_overwritten_unasked(tmp_path, folder, quick):
    before = (folder / 'a.png').read_bytes()
    assert 'overwrite its input' in ubcn('derain', folder / 'a.png', folder, *quick).output
    same = ubcn('derain', folder, tmp_path / 'out', '--labels', tmp_path / 'out', *quick)
    assert '--labels and OUTPUT are the same' in same.output
    for option in ('--labels', '--overlay'):
        into = ubcn('derain', folder, tmp_path / 'out', option, folder, *quick)
        assert into.exit_code == 1 and 'a folder of its own' in into.output
    write_image(folder / 'a.jpg', noise(3))
    done = ubcn('derain', folder, tmp_path / 'out', *quick)
    assert done.exit_code == 1 and 'rename one' in done.output
    assert (folder / 'a.png').read_bytes() == before and not (tmp_path / 'out').exists()


@pytest.mark.parametrize('command', ['derain', 'rain'])
def test_results_do_not_go_among_the_images(tmp_path, folder, quick, command):
    """Where none of them has the name of one, too."""
    (folder / 'a.png').unlink()
    (tmp_path / 'link').symlink_to(folder)
    for output in (folder, tmp_path / 'link'):
        done = ubcn(command, folder, output, *quick * (command == 'derain'))
        assert done.exit_code == 1 and f'{output} is INPUT' in done.output, done.output
    assert names(folder) == ['b.jpg', 'notes.txt']


@pytest.mark.parametrize('command', ['derain', 'rain'])
@pytest.mark.parametrize('link, to', [('out/b.png', 'in/a.png'), ('out/a.png', 'out/b.png')])
def test_links_to_other_files_are_not_written_through(tmp_path, folder, quick, command, link, to):
    write_image(tmp_path / 'out' / 'b.png', noise(4))
    (tmp_path / link).unlink(missing_ok=True)
    (tmp_path / link).symlink_to(tmp_path / to)
    before = (tmp_path / to).read_bytes()
    done = ubcn(command, folder, tmp_path / 'out', *quick * (command == 'derain'))
    assert done.exit_code == 1 and f'{tmp_path}/out/b.png would overwrite ' in done.output
    assert (tmp_path / to).read_bytes() == before


@pytest.mark.parametrize('option', ['--labels', '--overlay', '--json'])
def test_images_of_one_name_have_no_labels_beside_a_video(tmp_path, folder, quick, option):
    write_image(folder / 'a.jpg', noise(3))
    done = ubcn('derain', folder, tmp_path / 'o.mp4', option, tmp_path / 'facts.json', *quick)
    assert done.exit_code == 1 and not (tmp_path / 'o.mp4').exists()
    assert 'a.jpg and a.png would both be written to a.png: rename one' in done.output


def test_another_suffix_is_another_file(folder, quick):
    """Also where labels of that name go to the same folder as the image."""
    before, out = (folder / 'a.png').read_bytes(), folder / 'out'
    for target, options in ((folder / 'a.jpg', ()), (out / 'a.jpg', ('--labels', out))):
        done = ubcn('derain', folder / 'a.png', target, *options, *quick)
        assert done.exit_code == 0 and target.is_file(), done.output
    assert (out / 'a.png').is_file() and (folder / 'a.png').read_bytes() == before


def test_without_a_model_nothing_is_written(tmp_path, folder, quick):
    done = ubcn('derain', folder, tmp_path / 'out', *quick, '--model', 'no-such-model')
    assert done.exit_code == 1 and "no model 'no-such-model'" in done.output
    assert not (tmp_path / 'out').exists()


def test_a_folder_without_images_says_so(tmp_path, quick):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty' / '.a.png').write_bytes(b'')
    done = ubcn('derain', tmp_path / 'empty', tmp_path / 'out', *quick)
    assert done.exit_code == 1 and 'holds no images' in done.output
    write_image(tmp_path / 'empty' / 'sub' / 'a.png', noise())
    done = ubcn('derain', tmp_path / 'empty', tmp_path / 'out', *quick)
    assert done.exit_code == 1 and '1 sub-folder (--recursive takes them in)' in done.output
    assert not (tmp_path / 'out').exists()


def test_other_metadata_beside_images_makes_no_bag(tmp_path, folder):
    (folder / 'metadata.yaml').write_text('camera: front')
    done = ubcn('rain', folder, tmp_path / 'out')
    assert done.exit_code == 0 and '2 of 2 images written' in done.output, done.output
    (folder / 'metadata.yaml').write_text(
        '{rosbag2_bagfile_information: {topics_with_message_count: [], relative_file_paths: '
        '[a_0.mcap]}}')
    done = ubcn('rain', folder, tmp_path / 'bag')
    assert done.exit_code == 1 and 'names a_0.mcap in its metadata.yaml' in done.output


def test_rain_is_the_same_for_the_same_seed(tmp_path, folder):
    for out, seed in (('x', 4), ('y', 4), ('z', 5)):
        done = ubcn('rain', folder, tmp_path / out, '--rate', 150, '--seed', seed)
        assert done.exit_code == 0, done.output
    first, again, other = (read_image(tmp_path / out / 'a.png') for out in 'xyz')
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(first, add_rain(noise(1), 150, 4))
    assert not np.array_equal(first, noise(1))
    ubcn('rain', folder / 'a.png', tmp_path / 'dry.png', '--rate', 0)
    assert np.array_equal(read_image(tmp_path / 'dry.png'), noise(1))


def test_a_bag_is_made_and_processed(tmp_path, folder, quick, tiny_engine):
    made = ubcn('bag', 'create', folder, tmp_path / 'bag', '--topic', '/front', '--rate', 5,
                '--frame-id', 'front')
    assert made.exit_code == 0 and '2 images' in made.output
    done = ubcn('bag', 'process', tmp_path / 'bag', tmp_path / 'out', '--pictures', *quick)
    assert done.exit_code == 0, done.output
    sent = list(read_images(tmp_path / 'bag'))
    back = list(read_images(tmp_path / 'out', '/derained/image_raw'))
    assert [b.stamp_ns for b in back] == [s.stamp_ns for s in sent]
    assert {b.header.frame_id for b in back} == {'front'}
    assert np.array_equal(back[0].image, tiny_engine(noise(1), iterations=2).derained)
    with open_bag(tmp_path / 'out') as reader:
        assert {c.topic for c in reader.connections} == {
            '/front', '/derained/image_raw', '/labels/image_raw', '/labels/label_info',
            '/labels/color', '/overlay/image_raw'}


def test_bag_errors_are_one_line(tmp_path, folder, quick):
    create([noise()], tmp_path / 'bag')
    for arguments, text in (
            (('process', tmp_path / 'absent', tmp_path / 'out', *quick), 'no bag at'),
            (('process', tmp_path / 'bag', tmp_path / 'out', '--topic', '/x', *quick),
             '/camera/image_raw'),
            (('process', tmp_path / 'bag', tmp_path / 'bag', *quick), 'written into itself'),
            (('create', folder, tmp_path / 'bag'), 'cannot be written')):
        done = ubcn('bag', *arguments)
        assert done.exit_code == 1 and text in done.output, done.output
        assert isinstance(done.exception, SystemExit)

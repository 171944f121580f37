# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A processed bag as a Rerun recording, and as one with the original."""

import json
import subprocess
import sys

import numpy as np
import pytest
from bag_files import SECOND, file_limit
from command_line import ubcn
from drives import image, write_bag
from drives import processed as made
from random_images import noise

from ubcn_ros.bags import IMAGE, BagError, McapBagWriter, create, make_header, make_image
from ubcn_ros.bags.rerun_layer import recording_id, write_layer
from ubcn_ros.data.formats.camvid import CAMVID

TIMES = [1_700_000_000 * SECOND + n * SECOND // 10 for n in range(4)]
DERAINED, LABELS = '/camera/derained/image_raw', '/camera/labels/image_raw'


@pytest.fixture
def processed(tmp_path):
    """What `bag process` leaves: outputs with the stamps of their inputs, and process.json."""
    folder = tmp_path / 'processed'
    with McapBagWriter(folder) as writer:
        for number, time in enumerate(TIMES):
            header, later = make_header(time, 'c'), time + 5_000_000
            writer.write_message('/camera/image_raw', IMAGE, make_image(header, noise(number)),
                                 later)
            writer.write_message(DERAINED, IMAGE, make_image(header, 255 - noise(number)), later)
            mask = noise(number)[..., 0] % 11
            writer.write_message(LABELS, IMAGE, make_image(header, mask, 'mono8'), later)
    (folder / 'process.json').write_text(json.dumps({
        'finished': True, 'input': {'path': str(tmp_path / 'drive')},
        'model': {'label_set': CAMVID.to_dict()},
        'cameras': [{'topic': '/camera/image_raw', 'derained': DERAINED, 'labels': LABELS,
                     'confidence': None}]}))
    return folder


def chunks(path):
    """Rows and times by entity, of what is not static; what is; and the id of the recording."""
    from rerun.chunk import RrdReader
    reader = RrdReader(path)
    rows, static = {}, set()
    for chunk in reader.stream():
        if chunk.is_static:
            static.add(chunk.entity_path)
        else:
            rows.setdefault(chunk.entity_path, []).append(chunk.to_record_batch())
    recording, = reader.recordings()
    return rows, static, (recording.application_id, recording.recording_id)


def test_outputs_are_logged_at_their_times_with_the_names_of_the_classes(processed, tmp_path):
    pytest.importorskip('rerun')
    assert write_layer(processed, tmp_path / 'layer.rrd') == 8
    rows, static, ids = chunks(tmp_path / 'layer.rrd')
    assert ids == ('ubcn', 'drive') and LABELS in static
    assert rows.keys() == {DERAINED, LABELS}
    for batches in rows.values():
        for name, later in (('ros2_timestamp', 0), ('message_log_time', 5_000_000)):
            times = np.concatenate([batch.column(name).to_numpy() for batch in batches])
            assert sorted(times.astype(np.int64)) == [time + later for time in TIMES]
    masks = [np.frombuffer(bytes(value[0]), np.uint8) for batch in rows[LABELS]
             for value in batch.column('SegmentationImage:buffer').to_pylist()]
    assert np.array_equal(masks[2], (noise(2)[..., 0] % 11).reshape(-1))


def test_with_the_original_it_is_one_recording(processed, tmp_path):
    pytest.importorskip('rerun')
    create([noise(n) for n in range(3)], tmp_path / 'drive')
    write_layer(processed, tmp_path / 'layer.rrd')

    def rerun(*arguments):
        subprocess.run([sys.executable, '-m', 'rerun', *map(str, arguments)], check=True,
                       timeout=120, capture_output=True)

    source, = (tmp_path / 'drive').glob('*.mcap')
    rerun('mcap', 'convert', source, '--application-id', 'ubcn', '--recording-id', 'drive', '-o',
          tmp_path / 'drive.rrd')
    rerun('rrd', 'verify', tmp_path / 'layer.rrd')
    rerun('rrd', 'merge', tmp_path / 'drive.rrd', tmp_path / 'layer.rrd', '-o',
          tmp_path / 'both.rrd')
    rows, _, ids = chunks(tmp_path / 'both.rrd')
    assert rows.keys() == {'/camera/image_raw', DERAINED, LABELS} and ids == ('ubcn', 'drive')
    assert all('message_log_time' in batch.schema.names for batches in rows.values()
               for batch in batches)


def test_the_command_writes_it_beside_the_bag(tmp_path, tiny_model):
    pytest.importorskip('rerun')
    create([noise(n) for n in range(2)], tmp_path / 'drive', '/front/image_raw')
    done = ubcn('bag', 'process', tmp_path / 'drive', tmp_path / 'out', '--rrd',
                tmp_path / 'layer.rrd', '--model', tiny_model, '--device', 'cpu', '--iterations',
                1, '--compress', 'jpeg')
    assert done.exit_code == 0, done.output
    assert f'wrote {tmp_path}/layer.rrd' in done.output
    assert '--recording-id drive' in done.output
    rows, static, _ = chunks(tmp_path / 'layer.rrd')
    labels = '/front/labels/image_raw/compressed'
    assert rows.keys() == {'/front/derained/image_raw/compressed', labels} and labels in static
    assert all(sum(batch.num_rows for batch in batches) == 2 for batches in rows.values())


def test_times_that_rerun_cannot_hold_are_left_out(tmp_path):
    pytest.importorskip('rerun')
    records = [image('/front/image_raw', n, 1 + n)._replace(
        time_ns=2**63 + n, publish_ns=2**64 - 1) for n in range(2)]
    made(write_bag(tmp_path / 'in.mcap', records), tmp_path / 'out')
    assert write_layer(tmp_path / 'out', tmp_path / 'layer.rrd') == 4


@pytest.mark.parametrize('bag, name', [
    ('.', 'drive'), ('./', 'drive'), ('..', 'day'), ('../drive/', 'drive'), ('a.mcap', 'a')])
def test_a_bag_has_an_id_however_it_is_named(tmp_path, monkeypatch, bag, name):
    folder = tmp_path / 'day' / 'drive'
    write_bag(folder / 'a.mcap', [])
    monkeypatch.chdir(folder)
    assert recording_id(bag) == name


@pytest.mark.parametrize('size', [0, 200, 2000, 8000])  # in the middle of the blueprint, of data
def test_a_full_disk_is_told_and_leaves_no_cut_file(processed, tmp_path, size):
    pytest.importorskip('rerun')
    with (file_limit(size),
          pytest.raises(BagError, match='layer.rrd cannot be written: .*; make room, or')):
        write_layer(processed, tmp_path / 'layer.rrd')
    assert not (tmp_path / 'layer.rrd').exists()


def test_what_cannot_be_is_told(processed, tmp_path):
    pytest.importorskip('rerun')
    with pytest.raises(BagError, match='layer.rrd cannot be written: .*, or choose another place'):
        write_layer(processed, '/proc/none/layer.rrd')
    create([noise()], tmp_path / 'other')
    with pytest.raises(BagError, match='other has no process.json of .*: give a bag that'):
        write_layer(tmp_path / 'other', tmp_path / 'layer.rrd')


def test_without_rerun_the_remedy_is_told(processed, tmp_path, monkeypatch):
    import click

    from ubcn_ros.cli.commands import one_line
    monkeypatch.setitem(sys.modules, 'rerun', None)
    with pytest.raises(click.ClickException, match=r"pip install 'ubcn_ros\[rerun\]'"), one_line():
        write_layer(processed, tmp_path / 'layer.rrd')

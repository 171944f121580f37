# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""results.csv beside what is not."""

import pytest

from ubcn_ros.training.results import ResultsTable


@pytest.mark.parametrize('content', [
    b'mine', b'a,b\n1,2\n', b'\xff\xfe\x00', b'stage,step,loss\nderain,two,1\n',
    b'stage,step\n', b'step,stage,loss\n', b'stage,step,loss\nderain\n'])
def test_another_table_is_refused_and_kept(tmp_path, content):
    path = tmp_path / 'results.csv'
    path.write_bytes(content)
    for change in (lambda table: table.add('derain', 1, 0.5, {}),
                   lambda table: table.forget('derain')):
        with pytest.raises(ValueError, match='results.csv is not the table of a training run'):
            change(ResultsTable(path))
    assert path.read_bytes() == content


def test_rows_of_stages_with_other_figures(tmp_path):
    table = ResultsTable(tmp_path / 'results.csv')
    table.add('derain', 1, 0.5, {'psnr': 20})
    table.add('adapt', 2, float('nan'), {'miou': float('inf')})
    table.forget('derain', after=1)
    assert table.path.read_text() == ('stage,step,loss,psnr,miou\nderain,1,0.5,20.0000,\n'
                                      'adapt,2,nan,,inf\n')

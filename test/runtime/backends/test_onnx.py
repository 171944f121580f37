# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a cached export is found by."""

from ubcn_ros.runtime.backends.onnx import source_digest


def test_another_source_of_the_network_or_its_export_is_another_export(tmp_path):
    assert len(source_digest()) == 64, "this package's files are found"
    assert source_digest(tmp_path) == ''
    found = []
    for name in ('network/ubcn.py', 'network/segmentation/base.py', 'runtime/export/stages.py'):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        for text in ('a = 1\n', 'a = 2\n'):
            file.write_text(text)
            found.append(source_digest(tmp_path))
    assert len(set(found)) == 6

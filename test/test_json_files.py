# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""JSON files are JSON, whatever figures are in them."""

import json
import math

from ubcn_ros.json_files import write_json


def test_json_holds_no_infinity(tmp_path):
    path = tmp_path / 'new' / 'report.json'
    write_json(path, {'psnr': math.inf, 'ssim': 1.0, 'more': [math.nan, (1.5, math.inf)]})

    def refuse(name):
        raise AssertionError(f'{name} is not JSON')

    assert json.loads(path.read_text(), parse_constant=refuse) == {
        'psnr': None, 'ssim': 1.0, 'more': [None, [1.5, None]]}

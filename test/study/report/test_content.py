# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a report is made of."""

import re

from ubcn_ros.study.report.content import HeatMap


def brightness(color):
    red, green, blue = (int(part, 16) for part in re.findall('..', color[1:]))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_heat_maps_darken_with_the_value_and_can_be_read():
    values = tuple((float(v), None) for v in range(0, 101, 5))
    cells = [row[0] for row in HeatMap('', '', ('',) * 21, ('', ''), values, 0, 100).cells]
    grounds = [brightness(cell.ground) for cell in cells]
    assert grounds == sorted(grounds, reverse=True) and len(set(grounds)) == 21
    assert all(abs(brightness(cell.ink) - ground) > 90
               for cell, ground in zip(cells, grounds, strict=True))


def test_the_best_of_each_column_stands_out_and_gaps_do_not():
    heat_map = HeatMap('', '', ('a', 'b'), ('c', 'd', 'e'),
                       ((1.0, 5.0, None), (2.0, 5.0, None)), 1.0, 5.0)
    assert [[cell.best for cell in row] for row in heat_map.cells] == [
        [False, True, False], [True, True, False]]
    assert heat_map.cells[0][2].text == '–'
    one = HeatMap('', '', ('a',), ('c',), ((3.0,),), 3.0, 3.0)
    assert one.cells[0][0].text == '3.0', 'a scale of one value'

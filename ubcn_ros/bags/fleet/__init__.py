# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Many bags, on many processes or machines.

>>> from pathlib import Path
>>> from ubcn_ros.bags.fleet import Fleet, Workers, pair_outputs
>>> from ubcn_ros.bags.process import Options
>>> fleet = Fleet(pair_outputs([Path('drives')], Path('derained')), Options())
>>> with Workers(4) as workers:
...     fleet.run(workers)
"""

from ubcn_ros.bags.fleet.run import Fleet
from ubcn_ros.bags.fleet.tree import pair_outputs
from ubcn_ros.bags.fleet.workers import Workers

__all__ = ['Fleet', 'Workers', 'pair_outputs']

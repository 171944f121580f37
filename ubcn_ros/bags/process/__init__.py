# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Bags to bags: every camera through the engine, everything else as it was.

>>> from ubcn_ros.bags.process import Options, plan, run_job
>>> (job,) = plan('drive', 'derained', Options(iterations=2))
>>> result = run_job(job)
"""

from ubcn_ros.bags.process.jobs import plan
from ubcn_ros.bags.process.joining import join
from ubcn_ros.bags.process.options import Job, Options
from ubcn_ros.bags.process.run import Result, run_job
from ubcn_ros.bags.process.sidecar import Tally, read_sidecar, read_tally

__all__ = ['Job', 'Options', 'Result', 'Tally', 'join', 'plan', 'read_sidecar', 'read_tally',
           'run_job']

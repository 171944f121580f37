# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m ubcn_ros.cli` is `ubcn`."""

from ubcn_ros.cli import main

if __name__ == '__main__':  # processes that multiprocessing spawns import this file again
    main(prog_name='ubcn')

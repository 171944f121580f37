# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn train` in processes of its own, which PyTorch and Lightning are imported for only once."""

import multiprocessing
import os
import sys

_CONTEXT = multiprocessing.get_context('forkserver')


def start_training(arguments, log, folder='.', **environment):
    """
    Start a process that trains in a folder, and return it.

    It is forked from one that has imported what a training needs, and has computed nothing: that
    takes far longer than a tiny training.

    :param log: path of what it prints, appended to.
    :param environment: variables of its own.
    """
    _CONTEXT.set_forkserver_preload(['ubcn_ros.cli.train', 'ubcn_ros.training.run',
                                     'lightning.fabric', 'small_segmentation'])
    process = _CONTEXT.Process(target=_train, args=(
        [*map(str, arguments)], str(log), str(folder), {'OMP_NUM_THREADS': '1', **environment}))
    process.start()
    return process


def _train(arguments, log, folder, environment):
    with open(log, 'ab') as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ['ubcn', 'train', *arguments]
    from ubcn_ros.cli import main
    main()

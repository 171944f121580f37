# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ubcn train` in processes of its own, which PyTorch and Lightning are imported for only once."""

import multiprocessing
import os
import signal
import sys

_CONTEXT = multiprocessing.get_context('forkserver')


def start_training(arguments, log, folder='.', killed_in=None, **environment):
    """
    Start a process that trains in a folder, and return it.

    It is forked from one that has imported what a training needs, and has computed nothing: that
    takes far longer than a tiny training.

    :param log: path of what it prints, appended to.
    :param killed_in: stage in which it is killed, steps after its first checkpoint.
    :param environment: variables of its own.
    """
    _CONTEXT.set_forkserver_preload(['ubcn_ros.cli.train', 'ubcn_ros.training.train_run',
                                     'lightning.fabric', 'small_segmentation'])
    process = _CONTEXT.Process(target=_train, args=(
        [*map(str, arguments)], str(log), str(folder), killed_in,
        {'OMP_NUM_THREADS': '1', **environment}))
    process.start()
    return process


def _train(arguments, log, folder, killed_in, environment):
    with open(log, 'ab') as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.environ.update(environment)
    os.chdir(folder)
    if killed_in:
        _kill_in(killed_in)
    sys.argv = ['ubcn', 'train', *arguments]
    from ubcn_ros.cli import main
    main()


def _kill_in(stage):
    """Let the process be killed where it would write the second checkpoint of a stage."""
    from ubcn_ros.training import trainer
    save, saved = trainer.save_checkpoint, []

    def save_or_be_killed(fabric, path, state):
        if path.parent.name == stage and saved:
            os.kill(os.getpid(), signal.SIGKILL)
        save(fabric, path, state)
        if path.parent.name == stage:
            saved.append(path)

    trainer.save_checkpoint = save_or_be_killed

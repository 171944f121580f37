# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A scene in a module that a spawned process finds, which those of tests are not."""

import os
import signal

from ubcn_ros.data.scenes import Scene


class EndedScene(Scene):
    """A scene whose reader the system ends, once it has made the file of the labels."""

    def image(self):
        self.label_path.touch()
        os.kill(os.getpid(), signal.SIGKILL)

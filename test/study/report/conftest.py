# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The made-up studies beside the tests."""

import sys
from pathlib import Path

# helper modules beside the tests, whatever pytest's import mode
sys.path.insert(0, str(Path(__file__).parent))

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags that need not survive a power cut."""

import os

import pytest


@pytest.fixture(autouse=True)
def no_power_cut(monkeypatch):
    """Do not wait for the disk: tests write hundreds of checkpoints, each a flush of its cache."""
    monkeypatch.setattr(os, 'fsync', lambda file: None)

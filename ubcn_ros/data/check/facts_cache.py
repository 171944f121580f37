# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Facts of scenes kept between runs: a file a data set, rebuilt where it is damaged."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import astuple
from pathlib import Path

from ubcn_ros.data.check.facts import SceneFacts
from ubcn_ros.data.scenes import DataSet
from ubcn_ros.runtime.cache import cache_folder, digest
from ubcn_ros.whole_files import write_whole


def cache_path(dataset: DataSet) -> Path:
    """Return where the facts of a data set are kept; OSError where there is no cache folder."""
    key = digest(os.path.realpath(dataset.root), dataset.name, dataset.format)
    return cache_folder() / 'data' / f'{key}.json'


def load_facts(dataset: DataSet) -> dict[str, SceneFacts]:
    """Return facts by ``facts.state_of`` of their scene; none of a missing or damaged file."""
    try:
        checksum, _, text = cache_path(dataset).read_text('utf-8').partition('\n')
        if checksum != _checksum(text):
            return {}
        return {state: SceneFacts.from_list(values) for state, values in json.loads(text).items()}
    except (OSError, ValueError):
        return {}


def save_facts(dataset: DataSet, facts: dict[str, SceneFacts]) -> None:
    """Keep these facts instead of those before; where nothing can be written, keep none."""
    text = json.dumps({state: astuple(found) for state, found in facts.items()})
    with contextlib.suppress(OSError):
        write_whole(cache_path(dataset), f'{_checksum(text)}\n{text}'.encode())


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

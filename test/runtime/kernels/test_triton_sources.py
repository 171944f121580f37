# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What compilers of Triton crash on is not in the kernels' sources; this needs no Triton."""

import ast
from pathlib import Path

import pytest

from ubcn_ros.runtime import kernels

SOURCES = sorted(Path(kernels.__file__).parent.glob('triton_*.py'))


def names_set(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def names_set_again(source: str) -> set[str]:
    """Names set first in a loop within a ``while``, and again behind it, by no further loop."""
    found = set()
    for outer in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.While)):
        before = set()
        for i, statement in enumerate(outer.body):
            if isinstance(statement, ast.For | ast.While):
                behind = (names_set(other) for other in outer.body[i + 1:]
                          if not isinstance(other, ast.For | ast.While))
                found |= (names_set(statement) - before) & set().union(*behind)
            before |= names_set(statement)
    return found


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: path.stem)
def test_no_name_of_an_inner_loop_is_set_again_behind_it(path):
    # Triton 3.1 to 3.4 (PyTorch 2.5 to 2.8) take it as carried by the outer loop and abort
    assert names_set_again(path.read_text()) == set()


def test_such_names_are_found():
    assert names_set_again('while a:\n  b = 1\n  for c in d:\n    b = e = 1\n  e = 1') == {'e'}

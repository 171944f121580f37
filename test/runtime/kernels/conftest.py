# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Triton's kernels without a GPU: interpreted, or compiled and looked at."""

import contextlib
import importlib.util

import pytest


@pytest.fixture(autouse=True)
def _no_choices_of_before(tmp_path):
    """Keep choices in a folder of the test's own: on a GPU it tries all candidates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
        yield


@pytest.fixture
def load_kernels(monkeypatch):
    """Function to load a copy of a module whose kernels run on CPU tensors or can be compiled."""
    with contextlib.ExitStack() as stack:
        def load(name: str, interpret: bool):
            triton = pytest.importorskip('triton')
            if interpret:
                if tuple(map(int, triton.__version__.split('.')[:2])) < (3, 2):
                    pytest.skip('before Triton 3.2 its interpreter does not take tl.constexpr '
                                'from postponed annotations')
                stack.enter_context(_language_as_it_was())
            monkeypatch.setenv('TRITON_INTERPRET', str(int(interpret)))
            spec = importlib.util.find_spec(f'ubcn_ros.runtime.kernels.{name}')
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
        yield load


@contextlib.contextmanager
def _language_as_it_was():
    """Take back what the interpreter replaces, which old ones leave for the compiler to find."""
    from triton import language
    holders = [language, language.core, language.math,
               *(each for each in vars(language.core).values()
                 if isinstance(each, type) and each.__module__ == language.core.__name__)]
    before = [dict(vars(holder)) for holder in holders]
    yield
    for holder, names in zip(holders, before, strict=True):
        for name, value in [*vars(holder).items()]:
            if name not in names:
                delattr(holder, name)
            elif value is not names[name]:
                setattr(holder, name, names[name])


@pytest.fixture
def compile_kernel(load_kernels, monkeypatch, tmp_path):
    """
    Function to compile a kernel of a module for a compute capability, to its PTX.

    Arguments are fp16 pointers of 16 bytes' alignment but for constants, floats, pointers to
    integers and the _SIZES of the module. No GPU is needed to see that the compiler takes it, and
    uses the matrix units.
    """
    def compiled(name: str, kernel: str, constants: dict, capability: int, floats=(), integers=(),
                 **options):
        pytest.importorskip('triton', minversion='3.3')  # older ones take other arguments
        monkeypatch.setenv('TRITON_CACHE_DIR', str(tmp_path))
        module = load_kernels(name, False)
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource, compile
        function = getattr(module, kernel)
        names = function.arg_names
        signature = {name: 'constexpr' if name in constants else 'fp32' if name in floats else
                     '*i32' if name in integers else
                     'i32' if name in module._SIZES else '*fp16' for name in names}
        aligned = {(i,): [['tt.divisibility', 16]] for i, name in enumerate(names)
                   if signature[name] == '*fp16'}
        source = ASTSource(function, signature, {(names.index(name),): value
                                                 for name, value in constants.items()}, aligned)
        return compile(source, target=GPUTarget('cuda', capability, 32),
                       options=options).asm['ptx']
    return compiled

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A CUDA device simulated on the CPU: what CUDA would refuse is refused, and waits are noted.

Every tensor is the CPU's. A mark on its memory says that it lies on the GPU, which ``device``
tells; views share it, and results get it. Graphs are captured and replayed. What kernels compute,
autocast and streams are not simulated.
"""

import contextlib
import functools
import sys
import types
import weakref

import torch
import torch._dynamo  # noqa: F401 (a mode imports it, which has to see the true functions)
import torchmetrics.functional.image  # noqa: F401 (whose names are replaced, too)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CPU, GPU = torch.device('cpu'), torch.device('cuda', 0)
_ANY = 'any'  # of what C++ makes out of nothing: it goes with what it meets first
_FACTORIES = {
    torch: ('tensor', 'as_tensor', 'empty', 'empty_strided', 'zeros', 'ones', 'full', 'arange',
            'eye', 'linspace', 'rand', 'randn', 'randint', 'randperm', 'empty_like', 'zeros_like',
            'ones_like', 'full_like'),
    torch.Tensor: ('new_tensor', 'new_empty', 'new_zeros', 'new_ones', 'new_full')}
_aten = torch.ops.aten
_WAITING = {_aten._local_scalar_dense, _aten.nonzero, _aten.equal, _aten.masked_select,
            _aten.bincount, _aten._unique2}
_ACROSS = {_aten.copy_, _aten._to_copy, _aten.lift_fresh}  # from one device to the other
_INDEXED = {_aten.index, _aten.index_put, _aten.index_put_}
_WITH_SCALARS = {*_INDEXED, _aten.masked_fill, _aten.masked_fill_, _aten.fill_}
_native = types.SimpleNamespace(
    Generator=torch.Generator, group=torch._C._group_tensors_by_device_and_dtype,
    **{name: getattr(torch.Tensor, name) for name in ('to', 'numpy', '__array__', 'tolist')})


def _place(tensor):
    return getattr(tensor.untyped_storage(), 'place', None)


def _put(tensor, place, pinned=False):
    tensor.untyped_storage().place, tensor.untyped_storage().pinned = place, pinned
    return tensor


def on_gpu(tensor):
    """Whether a tensor lies on the simulated device."""
    return _place(tensor) == GPU


def _pinned(tensor):
    return getattr(tensor.untyped_storage(), 'pinned', False)


class Generator(torch.Generator):
    """A generator of either device."""

    made = weakref.WeakValueDictionary()
    device = None

    def __new__(cls, device='cpu'):
        new = super().__new__(cls)
        new.device = torch.device(device)
        cls.made[new._cdata] = new
        return new


class Autocast(torch.amp.autocast_mode.autocast):
    """Casts nothing: in bf16 the CPU's convolutions may end the process, see training.layout."""

    def __init__(self, *_options, **_named):
        super().__init__('cpu', enabled=False)


class SimulatedCuda(TorchDispatchMode):
    """``waits`` says what waited for the device, and where; use ``simulated_cuda``."""

    def __init__(self):
        super().__init__()
        self.waits, self.captured, self._in_factory = [], None, False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        packet, kwargs = func.overloadpacket, kwargs or {}
        leaves = tree_leaves((args, kwargs))
        tensors = [each for each in leaves if isinstance(each, torch.Tensor)]
        place = GPU if any(map(on_gpu, tensors)) else None
        if place is not None:
            self._check(packet, args, tensors, torch.Tag.pointwise in func.tags)
        elif not self._in_factory and all(_place(each) == _ANY for each in tensors):
            place = _ANY
        for each in leaves if tensors else ():
            if isinstance(each, _native.Generator):
                self.check_generator(each, place)
        result = func(*args, **kwargs)
        held = {each.untyped_storage()._cdata for each in tensors}
        for each in tree_leaves(result):
            if isinstance(each, torch.Tensor) and each.untyped_storage()._cdata not in held:
                _put(each, place)
        for each in tensors if place == GPU and packet not in _ACROSS else ():
            if _place(each) == _ANY:
                _put(each, GPU)
        if self.captured is not None:
            self.captured.append((func, args, kwargs, held, result))
        return result

    def _check(self, packet, args, tensors, pointwise):
        """Raise what CUDA would where a tensor is on the GPU, and note what waits for it."""
        if packet in _WAITING:
            self.wait(packet.__name__)
        if packet is _aten.copy_ and on_gpu(args[0]) != on_gpu(args[1]) and not (
                args[2:] == (True,) and any(map(_pinned, args[:2]))):
            self.wait('copy_')
        if packet in _INDEXED:
            tensors = [args[0], *args[2:3]]
            if not on_gpu(args[0]):
                raise RuntimeError('indices should be on the device of the indexed tensor (cpu)')
            if not all(on_gpu(i) and i.dtype != torch.bool for i in args[1] if i is not None):
                self.wait('indexing by a mask, or from the CPU')
        scalars = pointwise or packet in _WITH_SCALARS
        for each in tensors if packet not in _ACROSS else ():
            if _place(each) is None and not (scalars and each.ndim == 0):
                raise RuntimeError(f'{packet}: Expected all tensors to be on the same device, but '
                                   f'found cuda:0 and cpu, of {tuple(each.shape)}')

    @staticmethod
    def check_generator(generator, place):
        found = getattr(Generator.made.get(generator._cdata), 'device', CPU)
        if (found == CPU) != (place != GPU):
            raise RuntimeError(f"Expected a generator of another device than '{found.type}'")

    def wait(self, what):
        """Note that the host waits for the device, which no capture allows."""
        if self.captured is not None:
            raise RuntimeError(f'operation not permitted when stream is capturing: {what}')
        frame = sys._getframe(1)
        while frame and not frame.f_globals['__name__'].startswith('ubcn_ros.'):
            frame = frame.f_back
        self.waits.append((what, frame and f'{frame.f_globals["__name__"]}:{frame.f_lineno}'))

    def to(self, tensor, *args, **kwargs):
        if args and isinstance(args[0], torch.Tensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        elif args and isinstance(args[0], torch.dtype):
            args = (None, *args)
        asked = {**dict(zip(('device', 'dtype', 'non_blocking', 'copy'), args, strict=False)),
                 **kwargs}
        wanted = torch.device(asked.pop('device', None) or tensor.device)
        if wanted.type == tensor.device.type:
            return _native.to(tensor, **asked)
        # PyTorch takes pinned memory by itself for what comes back
        if not (asked.get('non_blocking') and (on_gpu(tensor) or _pinned(tensor))):
            self.wait(f'copy to {wanted}')
        return _put(_native.to(tensor, **{**asked, 'copy': True}), None if wanted == CPU else GPU)

    def factory(self, make):
        """Wrap a function of PyTorch's that makes a tensor."""
        @functools.wraps(make)
        def made(*args, device=None, pin_memory=False, **kwargs):
            like = args[0].device if args and isinstance(args[0], torch.Tensor) else CPU
            place = GPU if torch.device(device or like).type == 'cuda' else None
            if kwargs.get('generator') is not None:
                self.check_generator(kwargs['generator'], place)
            before, self._in_factory = self._in_factory, True
            try:
                result = make(*args, **kwargs)
            finally:
                self._in_factory = before
            if place == GPU and make.__name__.endswith('tensor'):  # of numbers, or an array
                self.wait(make.__name__)
                result = result.clone()
            return _put(result, place, pin_memory)
        return made

    @contextlib.contextmanager
    def capture(self, graph, **_options):
        self.captured = graph.work = []
        try:
            yield
        finally:
            self.captured = None


class Graph:
    """What was captured."""

    def pool(self):
        return 0, 1

    def register_generator_state(self, _generator):
        pass

    def replay(self):
        for func, args, kwargs, held, before in self.work:
            for old, new in zip(*map(tree_leaves, (before, func(*args, **kwargs))), strict=True):
                if isinstance(old, torch.Tensor) and old.untyped_storage()._cdata not in held:
                    old.copy_(new)


def _cuda(mode):
    """Return what takes the place of names of torch.cuda."""
    class Stream:  # an event, too
        def __init__(self, *_options, **_named):
            self.record = self.wait_stream = lambda *_: None
            self.elapsed_time = lambda _: 1.0
            self.synchronize = lambda: mode.wait('synchronize')

    return {'Event': Stream, 'Stream': Stream, 'CUDAGraph': Graph, 'graph': mode.capture,
            'stream': contextlib.nullcontext, 'device': contextlib.nullcontext,
            'current_stream': Stream, 'synchronize': lambda *_: mode.wait('synchronize'),
            'is_current_stream_capturing': lambda: mode.captured is not None,
            'is_available': lambda: True, 'device_count': lambda: 1, 'current_device': lambda: 0,
            'default_generators': [None],
            'get_device_name': lambda *_: 'simulated', 'get_device_capability': lambda *_: (9, 0),
            'get_device_properties': lambda *_: types.SimpleNamespace(
                major=9, multi_processor_count=132),
            'mem_get_info': lambda *_: (2**40, 2**40),
            **dict.fromkeys(('set_device', 'empty_cache'), lambda *_: None)}


@contextlib.contextmanager
def simulated_cuda(monkeypatch):
    """Let PyTorch have the device, in this thread; gives the ``SimulatedCuda``."""
    mode = SimulatedCuda()

    def of_host(name):
        def method(tensor, *args, **kwargs):
            if on_gpu(tensor):
                raise TypeError(f"can't convert cuda:0 device type tensor to numpy by {name}")
            return getattr(_native, name)(tensor, *args, **kwargs)
        return method

    def grouped(*args):
        return {(next(t for t in of[0][0] if t is not None).device, dtype): of
                for (_, dtype), of in _native.group(*args).items()}

    replaced = {torch.Tensor: {
        'to': lambda tensor, *args, **kwargs: mode.to(tensor, *args, **kwargs),
        'cpu': lambda tensor: mode.to(tensor, CPU), 'is_cuda': property(on_gpu),
        'device': property(lambda tensor: GPU if on_gpu(tensor) else CPU),
        'pin_memory': lambda tensor: _put(tensor.clone(), None, True),
        'numpy': of_host('numpy'), '__array__': of_host('__array__'),
        'tolist': lambda tensor: _native.tolist(tensor.cpu())},
        torch: {'Generator': Generator, 'autocast': Autocast}, torch.amp: {'autocast': Autocast},
        torch._C: {'_group_tensors_by_device_and_dtype': grouped}, torch.cuda: _cuda(mode),
        # where PyTorch was built for CUDA it looks for a device by this, from 2.6 on
        **({torch.accelerator: {'current_accelerator': lambda *_, **__: None}}
           if hasattr(torch, 'accelerator') else {}),
        # the CPU's waits for its numbers, to check them
        torch.nn.functional: {'one_hot': lambda ids, count: (
            ids[..., None] == torch.arange(count, device=ids.device)).long()}}
    for holder, names in _FACTORIES.items():
        for name in names:
            native = getattr(holder, name)
            for each in (holder, *(module for at, module in sys.modules.items()
                                   if at.startswith('torchmetrics')
                                   and vars(module).get(name) is native)):
                replaced.setdefault(each, {})[name] = mode.factory(native)
    with monkeypatch.context() as patch, mode:
        for holder, names in replaced.items():
            for name, value in names.items():
                patch.setattr(holder, name, value)
        yield mode

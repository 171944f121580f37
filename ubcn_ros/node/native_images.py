# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Take and publish images by rcl itself: rclpy copies their bytes several times.

rcl is given the message's C structure, as rclpy gives it: bytes to publish stay where they are,
and those that are taken stay where the middleware put them. ctypes lets Python's other threads run
meanwhile. The structure's layout is checked before it is used.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from typing import Any

import numpy as np
from rclpy.logging import get_logger
from rclpy.type_support import check_for_type_support
from sensor_msgs.msg import CompressedImage, Image

_NOTHING_TO_TAKE = 401  # rcl/types.h, RCL_RET_SUBSCRIPTION_TAKE_FAILED
_INFO = ('source_timestamp', 'received_timestamp', 'publication_sequence_number',
         'reception_sequence_number')
_UNSUPPORTED = 2**64 - 1  # of a sequence number, rmw/types.h


class _Sequence(ctypes.Structure):
    """A string, or a sequence of bytes: rosidl has the same fields for both."""

    _fields_ = [('data', ctypes.c_void_p), ('size', ctypes.c_size_t),
                ('capacity', ctypes.c_size_t)]


_HEADER = [('sec', ctypes.c_int32), ('nanosec', ctypes.c_uint32), ('frame_id', _Sequence)]


class _Image(ctypes.Structure):
    """What rosidl makes of sensor_msgs/msg/Image for C (image__struct.h)."""

    _fields_ = [*_HEADER, ('height', ctypes.c_uint32), ('width', ctypes.c_uint32),
                ('encoding', _Sequence), ('is_bigendian', ctypes.c_uint8),
                ('step', ctypes.c_uint32), ('data', _Sequence)]


class _CompressedImage(ctypes.Structure):
    """Likewise of sensor_msgs/msg/CompressedImage (compressed_image__struct.h)."""

    _fields_ = [*_HEADER, ('format', _Sequence), ('data', _Sequence)]


_STRUCTURES = {Image: _Image, CompressedImage: _CompressedImage}


class _Info(ctypes.Structure):
    """What rmw tells of a message (rmw_message_info_t), with room for what is not used of it."""

    _fields_ = [('source_timestamp', ctypes.c_int64), ('received_timestamp', ctypes.c_int64),
                ('publication_sequence_number', ctypes.c_uint64),
                ('reception_sequence_number', ctypes.c_uint64),
                ('publisher_implementation', ctypes.c_void_p),
                ('publisher_gid', ctypes.c_uint8 * 16), ('rest', ctypes.c_uint8 * 200)]


class _ErrorText(ctypes.Structure):
    _fields_ = [('text', ctypes.c_char * 1024)]


class _TypeSupport(ctypes.Structure):
    """The beginning of rosidl_message_type_support_t."""

    _fields_ = [('identifier', ctypes.c_char_p), ('data', ctypes.c_void_p)]


class _MessageMembers(ctypes.Structure):
    """The beginning of what introspection tells of a message (message_introspection.h)."""

    _fields_ = [('namespace', ctypes.c_char_p), ('name', ctypes.c_char_p),
                ('member_count', ctypes.c_uint32), ('size_of', ctypes.c_size_t)]


class TakenImage:
    """A message with all its fields; its ``data``, (N,) uint8, is where the middleware put it."""

    def __init__(self, message: Any, data: np.ndarray):
        """Stand for a message whose own data is empty."""
        self.data, self._message = data, message

    def __getattr__(self, name: str) -> Any:
        if name == '_message':  # as in a copy that is being made
            raise AttributeError(name)
        return getattr(self._message, name)


class _Data:
    """The data of a structure for NumPy, whose views all keep this, and this the structure."""

    def __init__(self, structure: Any):
        data = structure.data
        self._structure = structure
        self.__array_interface__ = {'version': 3, 'typestr': '|u1', 'shape': (data.size,),
                                    'data': (data.data, False)}


class NativeImages:
    """
    Publishes and takes images; thread-safe.

    Use `native_images`, which checks it first.

    :param message: sensor_msgs' Image or CompressedImage.
    :raises AttributeError, OSError: rclpy or rcl has not got what is needed.
    """

    def __init__(self, message: type) -> None:
        check_for_type_support(message)
        self._message, self._structure, support = message, _STRUCTURES[message], type(message)
        self._create = ctypes.CFUNCTYPE(ctypes.c_void_p)(_pointer(support._CREATE_ROS_MESSAGE))
        self._destroy = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(
            _pointer(support._DESTROY_ROS_MESSAGE))
        self._from_python = ctypes.PYFUNCTYPE(ctypes.c_bool, ctypes.py_object, ctypes.c_void_p)(
            _pointer(support._CONVERT_FROM_PY))
        self._to_python = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p)(
            _pointer(support._CONVERT_TO_PY))
        rcl, rcutils, rosidl = map(ctypes.CDLL, (
            'librcl.so', 'librcutils.so', 'librosidl_runtime_c.so'))
        self._publish, self._take = rcl.rcl_publish, rcl.rcl_take
        self._publish.argtypes = [ctypes.c_void_p] * 3
        self._take.argtypes = [ctypes.c_void_p] * 4
        self._error, self._reset_error = rcutils.rcutils_get_error_string, \
            rcutils.rcutils_reset_error
        self._error.restype = _ErrorText
        self._type_support = rosidl.get_message_typesupport_handle
        self._type_support.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._type_support.restype = ctypes.c_void_p

    def publish(self, publisher: Any, message: Any, pixels: np.ndarray) -> None:
        """
        Publish an image.

        :param message: without data.
        :param pixels: contiguous uint8, its data; the middleware has copied them on return.
        :raises RuntimeError: rcl cannot.
        """
        structure = self._filled(message)
        # The destruction of the structure frees its data, which these pixels are not.
        sent = self._structure.from_buffer_copy(structure)
        sent.data = _Sequence(pixels.ctypes.data, pixels.nbytes, pixels.nbytes)
        with publisher.handle:
            self._require(self._publish(publisher.handle.pointer, ctypes.addressof(sent), None))

    def take(self, subscription: Any) -> tuple[TakenImage, dict[str, Any]] | None:
        """
        Take the next image of a subscription.

        :return: it, and times and sequence numbers of rclpy's MessageInfo with the id of the
            publisher, `publisher_gid`; None where there is none.
        :raises RuntimeError: rcl cannot, as where it is not an image.
        """
        structure, info = self._created(), _Info()
        with subscription.handle:
            code = self._take(subscription.handle.pointer, ctypes.addressof(structure),
                              ctypes.addressof(info), None)
        if code == _NOTHING_TO_TAKE:
            self._reset_error()
            return None
        self._require(code)
        values = {name: getattr(info, name) for name in _INFO}
        return self.read(structure), {
            **{name: None if value == _UNSUPPORTED else value for name, value in values.items()},
            'publisher_gid': bytes(info.publisher_gid) if any(info.publisher_gid) else None}

    def read(self, structure: Any) -> TakenImage:
        """Read a structure, which lives until nobody refers to its data any more."""
        others = self._structure.from_buffer_copy(structure)
        others.data = _Sequence()  # only the other fields are for rclpy to copy
        message = self._to_python(ctypes.addressof(others))
        return TakenImage(message, np.asarray(_Data(structure)) if structure.data.size
                          else np.empty(0, np.uint8))

    def check(self) -> None:
        """Raise RuntimeError where the structure is not what this module takes it for."""
        name, size = self._message.__name__, self._size()
        if size != ctypes.sizeof(self._structure):
            raise RuntimeError(f'{name} has another layout than expected: {size} bytes instead of '
                               f'{ctypes.sizeof(self._structure)}')
        pixels = bytes(range(1, 8))
        message = self._message(data=pixels)
        message.header.frame_id, message.header.stamp.sec = 'camera', 5
        structure = self._filled(message)
        data = structure.data
        if (structure.sec, structure.frame_id.size, data.size) != (5, 6, 7) \
                or not data.size <= data.capacity < 2**16 \
                or ctypes.string_at(data.data, data.size) != pixels:
            raise RuntimeError(f'{name} has another layout than expected')

    def _size(self) -> int:
        """Return the bytes of the structure, as the message's introspection tells them."""
        support = self._type_support(_pointer(type(self._message)._TYPE_SUPPORT),
                                     b'rosidl_typesupport_introspection_c')
        if not support:
            self._reset_error()
            raise RuntimeError(f'{self._message.__name__} comes without introspection')
        return _MessageMembers.from_address(_TypeSupport.from_address(support).data).size_of

    def _created(self) -> Any:
        """Create a structure, which is destroyed once nobody refers to it any more."""
        address = self._create()
        if not address:
            raise MemoryError('no memory for an image')
        structure = self._structure.from_address(address)
        weakref.finalize(structure, self._destroy, address).atexit = False
        return structure

    def _filled(self, message: Any) -> Any:
        """Create a structure of a message."""
        structure = self._created()
        if not self._from_python(message, ctypes.addressof(structure)):
            raise RuntimeError('a message cannot be converted')
        return structure

    def _require(self, code: int) -> None:
        if code:
            text = self._error().text.decode(errors='replace')
            self._reset_error()
            raise RuntimeError(f'rcl: {text} ({code})')


def _pointer(capsule: Any) -> int:
    return _capsule_pointer(capsule, None)


_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = ctypes.c_void_p
_capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


@functools.cache
def native_images(message: type) -> NativeImages | None:
    """
    Return what publishes and takes images; None, with a warning, where it does not fit here.

    :param message: a type of messages; None for those that are not images.
    """
    if message not in _STRUCTURES:
        return None
    try:
        found = NativeImages(message)
        found.check()
    except (AttributeError, OSError, RuntimeError, ValueError) as error:
        get_logger('ubcn').warning(
            f'images go through rclpy, which takes milliseconds for each: {error}')
        return None
    return found

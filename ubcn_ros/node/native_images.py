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
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from rclpy.logging import get_logger
from rclpy.type_support import check_for_type_support
from sensor_msgs.msg import CompressedImage, Image

_NOTHING_TO_TAKE = 401  # rcl/types.h, RCL_RET_SUBSCRIPTION_TAKE_FAILED
_READ_AND_WRITE = 0x200  # PyBUF_WRITE of CPython's buffer protocol
_INFO = ('source_timestamp', 'received_timestamp', 'publication_sequence_number',
         'reception_sequence_number')
_UNSUPPORTED = 2**64 - 1  # of a sequence number, rmw/types.h


class _String(ctypes.Structure):
    _fields_ = [('data', ctypes.c_void_p), ('size', ctypes.c_size_t),
                ('capacity', ctypes.c_size_t)]


class _Bytes(ctypes.Structure):
    _fields_ = [('data', ctypes.c_void_p), ('size', ctypes.c_size_t),
                ('capacity', ctypes.c_size_t)]


_HEADER = [('sec', ctypes.c_int32), ('nanosec', ctypes.c_uint32), ('frame_id', _String)]


class _Image(ctypes.Structure):
    """What rosidl makes of sensor_msgs/msg/Image for C (image__struct.h)."""

    _fields_ = [*_HEADER, ('height', ctypes.c_uint32), ('width', ctypes.c_uint32),
                ('encoding', _String), ('is_bigendian', ctypes.c_uint8),
                ('step', ctypes.c_uint32), ('data', _Bytes)]


class _CompressedImage(ctypes.Structure):
    """Likewise of sensor_msgs/msg/CompressedImage (compressed_image__struct.h)."""

    _fields_ = [*_HEADER, ('format', _String), ('data', _Bytes)]


_STRUCTURES = {Image: _Image, CompressedImage: _CompressedImage}


class _Info(ctypes.Structure):
    """What rmw tells of a message (rmw_message_info_t), with room for what is not used of it."""

    _fields_ = [('source_timestamp', ctypes.c_int64), ('received_timestamp', ctypes.c_int64),
                ('publication_sequence_number', ctypes.c_uint64),
                ('reception_sequence_number', ctypes.c_uint64), ('rest', ctypes.c_uint8 * 224)]


class _ErrorText(ctypes.Structure):
    _fields_ = [('text', ctypes.c_char * 1024)]


class TakenImage:
    """A message with all its fields; its ``data``, (N,) uint8, is where the middleware put it."""

    def __init__(self, message: Any, data: np.ndarray):
        """Stand for a message whose own data is empty."""
        self.data, self._message = data, message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)


class NativeImages:
    """
    Publishes and takes images; thread-safe.

    Use `native_images`, which checks it first.

    :param message: sensor_msgs' Image or CompressedImage.
    :raises AttributeError, OSError: rclpy or rcl has not got what is needed.
    """

    def __init__(self, message: type) -> None:
        check_for_type_support(message)
        self._message, kind = message, type(message)
        self._create = ctypes.CFUNCTYPE(ctypes.c_void_p)(_pointer(kind._CREATE_ROS_MESSAGE))
        self._destroy = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(
            _pointer(kind._DESTROY_ROS_MESSAGE))
        self._from_python = ctypes.PYFUNCTYPE(ctypes.c_bool, ctypes.py_object, ctypes.c_void_p)(
            _pointer(kind._CONVERT_FROM_PY))
        self._to_python = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p)(
            _pointer(kind._CONVERT_TO_PY))
        rcl, rcutils = ctypes.CDLL('librcl.so'), ctypes.CDLL('librcutils.so')
        self._publish, self._take = rcl.rcl_publish, rcl.rcl_take
        self._publish.argtypes = [ctypes.c_void_p] * 3
        self._take.argtypes = [ctypes.c_void_p] * 4
        self._error, self._reset_error = rcutils.rcutils_get_error_string, \
            rcutils.rcutils_reset_error
        self._error.restype = _ErrorText

    def publish(self, publisher: Any, message: Any, pixels: np.ndarray) -> None:
        """
        Publish an image.

        :param message: without data.
        :param pixels: contiguous uint8, its data; the middleware has copied them on return.
        :raises RuntimeError: rcl cannot.
        """
        with self._structure() as (address, image):
            self._fill(message, address)
            image.data = _Bytes(pixels.ctypes.data, pixels.nbytes, pixels.nbytes)
            try:
                with publisher.handle:
                    self._require(self._publish(publisher.handle.pointer, address, None))
            finally:
                image.data = _Bytes()  # not rosidl's to free

    def take(self, subscription: Any) -> tuple[TakenImage, dict[str, int | None]] | None:
        """
        Take the next image of a subscription.

        :return: it, and rclpy's MessageInfo; None where there is none.
        :raises RuntimeError: rcl cannot, as where it is no image.
        """
        info, address, code = _Info(), self._create(), -1
        try:
            with subscription.handle:
                code = self._take(subscription.handle.pointer, address,
                                  ctypes.addressof(info), None)
        finally:
            if code:
                self._destroy(address)
        if code == _NOTHING_TO_TAKE:
            self._reset_error()
            return None
        self._require(code)
        found = self.read(address)
        values = {name: getattr(info, name) for name in _INFO}
        return found, {name: None if value == _UNSUPPORTED else value
                       for name, value in values.items()}

    def read(self, address: int) -> TakenImage:
        """Read a structure, which is destroyed once nobody refers to its data any more."""
        image = _STRUCTURES[self._message].from_address(address)
        size, data = image.data.size, np.empty(0, np.uint8)
        if size:
            data = np.frombuffer(_memory(image.data.data, size, _READ_AND_WRITE), np.uint8)
        kept = _Bytes(image.data.data, size, image.data.capacity)
        image.data = _Bytes()  # only the other fields are for rclpy to copy
        message = self._to_python(address)
        image.data = kept
        weakref.finalize(data, self._destroy, address).atexit = False
        return TakenImage(message, data)

    def check(self) -> None:
        """Raise RuntimeError where the structure is not what this module takes it for."""
        pixels = bytes(range(1, 8))
        message = self._message(data=pixels)
        message.header.frame_id, message.header.stamp.sec = 'camera', 5
        with self._structure() as (address, image):
            self._fill(message, address)
            data = image.data
            if (image.sec, image.frame_id.size, data.size) != (5, 6, 7) \
                    or not data.size <= data.capacity < 2**16 \
                    or ctypes.string_at(data.data, data.size) != pixels:
                raise RuntimeError(f'{self._message.__name__} has another layout than expected')

    @contextmanager
    def _structure(self) -> Iterator[tuple[int, Any]]:
        address = self._create()
        try:
            yield address, _STRUCTURES[self._message].from_address(address)
        finally:
            self._destroy(address)

    def _fill(self, message: Any, address: int) -> None:
        if not self._from_python(message, address):
            raise RuntimeError('a message cannot be converted')

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
_memory = ctypes.pythonapi.PyMemoryView_FromMemory
_memory.restype = ctypes.py_object
_memory.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int]


@functools.cache
def native_images(message: type) -> NativeImages | None:
    """
    Return what publishes and takes images; None, with a warning, where it does not fit here.

    :param message: a type of messages; None for those that are no images.
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

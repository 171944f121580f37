# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Bags without a ROS installation: mcap read and written, sqlite3 and ROS 1 read.

A bag from a folder of images, the images of a bag, and bag to bag: every frame through the
engine, each with its own stamp, however long it takes. Of a damaged bag, what is whole is read,
and what is missing is told.
"""

from ubcn_ros.bags.create import create
from ubcn_ros.bags.errors import BagError, MalformedMessage
from ubcn_ros.bags.frames import read_images
from ubcn_ros.bags.messages import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    decode,
    deserialize,
    make_compressed,
    make_header,
    make_image,
    stamp_ns,
)
from ubcn_ros.bags.storage.mcap_writer import McapBagWriter
from ubcn_ros.bags.storage.reader import BagReader, Connection, open_bag
from ubcn_ros.bags.storage.records import Channel, Record
from ubcn_ros.bags.topics import image_connection

__all__ = [
    'CAMERA_INFO',
    'COMPRESSED',
    'IMAGE',
    'BagError',
    'BagReader',
    'Channel',
    'Connection',
    'MalformedMessage',
    'McapBagWriter',
    'Record',
    'create',
    'decode',
    'deserialize',
    'image_connection',
    'make_compressed',
    'make_header',
    'make_image',
    'open_bag',
    'read_images',
    'stamp_ns',
]

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A COCO file of annotations, checked: a malformed one may make pycocotools write out of bounds.

Format: cocodataset.org/#format-data; compressed run lengths as of pycocotools' maskApi.c.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ubcn_ros.data.files import DataSetError
from ubcn_ros.images.malformed import MAX_PIXELS

Part = Any
"""Polygon, (2 N,) float64 x and y in turn; or run lengths, {'size': [h, w], 'counts': [...]}."""

_SHOWN = 80


@dataclass(frozen=True)
class CocoImage:
    """An image, and what it shows: category ids with the parts of their outlines."""

    file_name: str
    size: tuple[int, int]
    objects: tuple[tuple[int, tuple[Part, ...]], ...]


@dataclass(frozen=True)
class CocoFile:
    """
    What a file says.

    :param categories: names by id.
    :param above: names of the supercategories.
    :param problems: a line for everything that is wrong and left out, with the category that it
        is of, if any.
    """

    path: Path
    categories: Mapping[int, str]
    above: frozenset[str]
    images: tuple[CocoImage, ...]
    problems: tuple[tuple[int | None, str], ...]

    def used(self) -> set[str]:
        """Return the names of the categories that objects have."""
        return {self.categories[category] for image in self.images
                for category, _ in image.objects}


def read_coco(path: Path) -> CocoFile:
    """
    Read a file.

    :raises DataSetError: not readable, or without images, annotations and categories.
    """
    try:
        values = json.loads(path.read_bytes().decode('utf-8-sig'))
    except OSError as error:
        raise DataSetError(f'{path} cannot be read: {error.strerror or error}') from error
    except (ValueError, RecursionError) as error:
        raise DataSetError(f'{path} is not JSON ({error}): export it again') from error
    parts = [values.get(key) if isinstance(values, dict) else None
             for key in ('images', 'annotations', 'categories')]
    if not all(isinstance(part, list) for part in parts):
        raise DataSetError(f'{path} is not a file of COCO annotations: expected lists of images, '
                           'annotations and categories')
    images, annotations, categories = parts
    names = dict(_category(path, category) for category in categories)
    if len(names) < len(categories):
        raise DataSetError(f'{path} has two categories of one id: export it again')
    above = frozenset(category['supercategory'] for category in categories
                      if isinstance(category.get('supercategory'), str)
                      and category['supercategory'] != category['name'])
    of_images: list[str] = []
    frames = dict(_images(path, images, of_images))
    problems: list[tuple[int | None, str]] = [(None, line) for line in of_images]
    objects: dict[Any, list] = {key: [] for key in frames}
    for annotation in annotations:
        category = None
        try:
            image, category = _target(annotation, frames, names)
            if outline := _outline(annotation, *frames[image]):
                objects[image].append((category, outline))
        except ValueError as error:
            problems.append((category, f'{path}: {error}'))
    return CocoFile(path, names, above, tuple(
        CocoImage(name, size, tuple(objects[key])) for key, (name, size) in frames.items()),
        tuple(dict.fromkeys(problems)))


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, (list, dict)) else type(value).__name__
    return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_key(value: Any) -> bool:
    return _is_number(value) or isinstance(value, str)


def _category(path: Path, category: Any) -> tuple[int, str]:
    if not (isinstance(category, dict) and _is_number(category.get('id'))
            and isinstance(category.get('name'), str) and category['name'].strip()):
        raise DataSetError(f'{path} has a category without id or name: {_short(category)}: export '
                           'it again')
    return category['id'], category['name'].strip()


def _images(path: Path, images: list, problems: list[str]
            ) -> Iterator[tuple[Any, tuple[str, tuple[int, int]]]]:
    """Key, file name and size of each image; what is none is a problem."""
    seen = set()
    for image in images:
        values = image if isinstance(image, dict) else {}
        key, name, height, width = map(values.get, ('id', 'file_name', 'height', 'width'))
        if not (_is_key(key) and isinstance(name, str) and name.strip() and name.isprintable()):
            problems.append(f'{path} has an image without id or file_name: {_short(image)}')
        elif not (_is_number(height) and _is_number(width) and height > 0 and width > 0
                  and height * width <= MAX_PIXELS):
            problems.append(f'{path}: {name} has the height {_short(height)} and width '
                            f'{_short(width)}: expected whole numbers of pixels, at most '
                            f'{MAX_PIXELS} in all')
        elif key in seen:
            problems.append(f'{path} has two images of the id {_short(key)}')
        else:
            seen.add(key)
            yield key, (name, (height, width))


def _target(annotation: Any, frames: Mapping[Any, tuple[str, tuple[int, int]]],
            names: Mapping[int, str]) -> tuple[Any, int]:
    """Image and category of an annotation; ValueError if wrong."""
    if not isinstance(annotation, dict):
        raise ValueError(f'an annotation is {_short(annotation)}')
    image, category = annotation.get('image_id'), annotation.get('category_id')
    said = f'annotation {_short(annotation.get("id"))}'
    if not _is_key(image) or image not in frames:
        raise ValueError(f'{said} has the image_id {_short(image)}, which no image has')
    if not _is_number(category) or category not in names:
        raise ValueError(f'{said} of {frames[image][0]} has the category_id {_short(category)}, '
                         'which no category has')
    return image, category


def _outline(annotation: Mapping[str, Any], name: str, size: tuple[int, int]) -> tuple[Part, ...]:
    """Outline of an annotation, empty without area; ValueError if wrong."""
    said = f'annotation {_short(annotation.get("id"))} of {name}'
    outline = annotation.get('segmentation')
    if isinstance(outline, dict):
        return (_runs(said, outline, size),)
    if not isinstance(outline, list) or not outline:
        raise ValueError(f'annotations of {name} have no segmentation: export polygons, not '
                         'boxes alone')
    polygons = (_polygon(said, part, size) for part in outline)
    return tuple(part for part in polygons if part is not None)


def _polygon(said: str, part: Any, size: tuple[int, int]) -> np.ndarray | None:
    """Return a polygon's x and y, None where it has less than three points."""
    try:
        if not isinstance(part, list) or not all(
                isinstance(v, (int, float)) and not isinstance(v, bool) for v in part):
            raise ValueError
        values = np.array(part, np.float64)
    except (ValueError, OverflowError) as error:
        raise ValueError(f'{said} has a polygon that is not a list of numbers') from error
    if len(values) % 2:
        raise ValueError(f'{said} has a polygon of {len(values)} numbers: expected x and y in '
                         'turn')
    sizes = np.array([size[1], size[0]], np.float64)
    points = values.reshape(-1, 2)
    if not (np.isfinite(points).all() and (points >= -sizes).all()
            and (points <= 2 * sizes).all()):
        raise ValueError(f'{said} has a polygon far outside of its {size[1]}x{size[0]} pixels')
    return values if len(points) >= 3 else None


def _runs(said: str, outline: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Run lengths, decompressed, that cover the image exactly."""
    counts = outline.get('counts')
    if isinstance(counts, str):
        counts = _decompressed(counts)
    fits = (isinstance(counts, list) and outline.get('size') == list(size)
            and all(_is_number(count) and count >= 0 for count in counts)
            and sum(counts) == size[0] * size[1])
    if not fits:
        raise ValueError(f'{said} has run lengths that do not cover its {size[1]}x{size[0]} '
                         'pixels')
    return {'size': list(size), 'counts': counts}


def _decompressed(text: str) -> list[int] | None:
    """
    Run lengths of a compressed text, None where it is none.

    Characters from '0' on hold five bits each, the lowest first, and a sixth where more follow;
    from the fourth on the difference to the length before the last is what is stored.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return None if shift else counts

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One's own images and masks of the same names, which a YAML describes."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ubcn_ros.data.description import Description
from ubcn_ros.data.files import DataSetError, read_png
from ubcn_ros.data.formats import Format, Opened
from ubcn_ros.data.listing import (
    FileFinder,
    add_image,
    images_below,
    masks_among,
    text_lines,
    with_masks,
    without_masks,
    without_suffix,
)
from ubcn_ros.data.scenes import Listing, Scene
from ubcn_ros.images.files import is_image_name

_OF_MASKS = ('masks_dir', 'mask_suffix', 'label_mapping', 'ignore', 'colors', 'paths',
             'class_mapping')


@dataclass(frozen=True)
class OwnScene(Scene):
    """A frame whose depth, where present, is a 16-bit PNG."""

    depth_scale: float = 1.0

    def depth(self) -> np.ndarray | None:
        """Return (H, W) float32 metres, 0 where the file holds 0; None without a file."""
        if self.depth_path is None:
            return None
        return read_png(self.depth_path, 16, 'depth').astype(np.float32) / self.depth_scale


def _recognises(root: Path) -> bool:
    return (root / 'images').is_dir() and (root / 'masks').is_dir()


def _open(description: Description) -> Opened:
    d = description
    if not d.places:
        raise DataSetError(f'{d.source}: which images and classes there are is not said: give '
                           'train, val and names (a list) in a YAML file')
    for split, places in d.places.items():
        for place in places:
            _check_place(d, split, place)
    label_set, ids = None, {}
    if d.names is not None:
        label_set, ids = d.label_set(), d.ids()
    elif meant := [key for key in _OF_MASKS if key in d.given]:
        raise DataSetError(f'{d.source}: names is missing, which {meant[0]} needs: list the '
                           'classes, or leave both out for images without masks')
    return Opened(label_set, {split: partial(_list, d, places, ids)
                              for split, places in d.places.items()},
                  tuple(place for places in d.places.values() for place in places
                        if place.is_file()))


def _check_place(d: Description, split: str, place: Path) -> None:
    if os.path.isdir(place):
        if d.names is None and (inside := _beside(d, place, 'masks')) and os.path.isdir(inside):
            raise DataSetError(f'{d.source}: names is missing, but there are masks in {inside}: '
                               'list the classes, by id')
    elif not (os.path.isfile(place) and place.suffix.lower() == '.txt'):
        raise d.wrong(split, str(place), 'is not a folder or a .txt list of images: give one, '
                      f'relative to {d.root}')


def _list(d: Description, places: tuple[Path, ...], ids: dict[int, int]) -> Listing:
    images: dict[str, Path] = {}
    problems: list[str] = []

    @functools.cache
    def beside(folder: Path) -> bool:
        """Whether a folder of images is that of their masks."""
        return d.names is not None and os.path.abspath(folder) in map(
            os.path.abspath, _folders(d, folder, d.masks_dir))

    for place in places:
        found, wrong = (_listed(d, place) if place.is_file() else
                        images_below(place, d.image_suffix,
                                     without=partial(_not_of_images, d, place)))
        problems += wrong
        for mask in masks_among(found, d.mask_suffix):
            if beside(found[mask].parent):
                del found[mask]
        for name, path in found.items():
            if len(places) > 1:  # names of one folder may be those of another
                name = _name(d, path)
            add_image(images, problems, name, path)

    def place_of(folder: str, suffix: str) -> Callable[[Path], Path]:
        folders = functools.cache(lambda images: _folders(d, images, folder))
        files = FileFinder()
        return lambda image: _place(d, files, folders(image.parent), without_suffix(
            image, d.image_suffix).name + suffix, image)

    depth_of = place_of(d.depth_dir, '.png') if d.depth_dir else None
    scene = partial(OwnScene, depth_scale=d.depth_scale)
    if d.names is None:
        listing = without_masks(images, problems, depth_of, scene)
    else:
        listing = with_masks(images, problems, place_of(d.masks_dir, d.mask_suffix), ids, depth_of,
                             scene, f', or another masks_dir in {d.source}')
    if depth_of and listing.scenes and not any(s.depth_path for s in listing.scenes):
        first = depth_of(listing.scenes[0].image_path)
        return Listing(listing.scenes, (*listing.problems, f'no image has a depth: expected '
                                        f'{first} and the like, or no depth_dir in {d.source}'))
    return listing


def _not_of_images(d: Description, place: Path, folders: set[Path]) -> set[Path]:
    """Folders of these where the masks or the depth of the images in others are looked for."""
    found: set[Path] = set()
    for name in (d.masks_dir if d.names is not None else '', d.depth_dir or ''):
        inner = f'/{Path(name).as_posix()}/'
        called = {folder for folder in folders if Path(name).parts
                  and inner in f'/{folder.relative_to(place).as_posix()}/'}
        looked = {os.path.abspath(path) for folder in (folders - called if called else ())
                  for path in _folders(d, folder, name)}
        found |= {folder for folder in called
                  if any(os.path.abspath(path) in looked for path in (folder, *folder.parents))}
    return found


def _listed(d: Description, file: Path) -> tuple[dict[str, Path], list[str]]:
    """Images that a text file names, relative to the data set's folder or to the file's."""
    images: dict[str, Path] = {}
    problems, seen, files = [], set(), FileFinder()
    expected = 'one path with its suffix a line' + (
        '; the mask follows from masks_dir' if d.names is not None else '')
    lines = text_lines(file, 'paths of images, one a line')
    if not lines:
        problems.append(f'{file} names no image: give {expected}')
    for line in lines:
        path = files.existing(d.root / line, file.parent / line)
        if path is None or not is_image_name(path):
            problems.append(f'{file} names {line}, which is not an image below {d.root}: give '
                            f'{expected}')
        elif not path.name.lower().endswith(d.image_suffix.lower()):
            problems.append(f'{file} names {line}, which does not end with the image_suffix '
                            f'{d.image_suffix}: leave it out, or leave out image_suffix')
        elif path in seen:
            problems.append(f'{file} names {line} twice: leave one out')
        else:
            seen.add(path)
            add_image(images, problems, _name(d, path), path)
    return images, problems


def _name(d: Description, path: Path) -> str:
    """Name of an image that is not of one folder alone: the same wherever the data lies."""
    return without_suffix(Path(os.path.relpath(path, d.root)), d.image_suffix).as_posix()


def _beside(d: Description, folder: Path, name: str) -> Path:
    """
    Folder of what belongs to the images of a folder.

    It is the one whose path has this name in place of the last ``images``; where there is no
    ``images``, the one inside, or the same path below ROOT/NAME.
    """
    inner = _inner(d.root, folder)
    places = [i for i, part in enumerate(inner.parts) if part == 'images']
    base = d.root if not inner.is_absolute() else Path()
    if places:
        return base / Path(*inner.parts[:places[-1]], name, *inner.parts[places[-1] + 1:])
    if os.path.isdir(folder / name) or inner.is_absolute():
        return folder / name
    return d.root / name / inner


def _folders(d: Description, folder: Path, name: str) -> tuple[Path, ...]:
    """
    Folders where what belongs to the images of a folder may be, the one to expect first.

    It is that of ``_beside``. Where that is not there, it is one of those that are there whose
    path has this name in place of other folders, or between them, as KITTI, BDD100K and
    Cityscapes have them. Of several folders in a row the last one stays: it may be a split.
    With '.' for a name it is first that of the images, whatever it is called.
    """
    first = _beside(d, folder, name)
    if os.path.isdir(first) and Path(name).parts:
        return (first,)
    inner = _inner(d.root, folder)
    parts, names = inner.parts, Path(name).parts
    base = d.root
    if inner.is_absolute():
        base, parts = Path(inner.anchor), parts[1:]
    shared = len(os.path.commonprefix([parts, names]))  # the name is said from the root on
    base, parts, names = base.joinpath(*parts[:shared]), parts[shared:], names[shared:]
    runs = sorted(((start, end) for start in range(len(parts) + 1)
                   for end in range(start, len(parts) + 1)
                   if end <= start + 1 or end < len(parts)), key=lambda run: run[1] - run[0])
    others = (base.joinpath(*parts[:start], *names, *parts[end:]) for start, end in runs)
    return tuple(dict.fromkeys(path for path in others if os.path.isdir(path))) or (first,)


def _place(d: Description, files: FileFinder, folders: Sequence[Path], name: str, image: Path
           ) -> Path:
    """
    Return the file of this name in one of the folders; where it is in none, that in the first.

    :raises DataSetError: it is in several.
    """
    places = [folder / name for folder in folders]
    if len(places) == 1:  # as nearly always: whoever asks looks whether it is there
        return places[0]
    found = [path for path in places if files.existing(path)]
    if len(found) > 1:
        raise DataSetError(f'{d.source}: both {found[0]} and {found[1]} could belong to {image}: '
                           'rename one folder, or give the path of the one beside the images '
                           f'from {d.root} on')
    return found[0] if found else places[0]


def _inner(root: Path, path: Path) -> Path:
    """Path below the root, or in full where it is elsewhere."""
    path = Path(os.path.abspath(path))
    root = Path(os.path.abspath(root))
    return path.relative_to(root) if path.is_relative_to(root) else path


FORMAT = Format('own', 'your own: images/{train,val}/NAME.jpg (or .png) with '
                'masks/{train,val}/NAME.png, and a YAML file with path, train, val and names',
                frozenset({'train', 'val', 'test', 'masks_dir', 'image_suffix', 'mask_suffix',
                           'names', 'label_mapping', 'ignore', 'depth_dir', 'depth_scale'}),
                _recognises, _open)

# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Find the images of a split, and the mask of each; say everything that is missing."""

from __future__ import annotations

import functools
import itertools
import os
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ubcn_ros.data.files import DataSetError
from ubcn_ros.data.scenes import Listing, Scene
from ubcn_ros.images.files import SUFFIXES, ImageFileError, find_images
from ubcn_ros.text_table import counted

MASK_SUFFIX = '_mask.png'
"""End of a mask's name in exports that put masks beside their images."""


class NoMask(str):
    """The problem of images that have no mask."""


def images_below(folder: Path, suffix: str = '', recursive: bool = True,
                 without: Callable[[set[Path]], Collection[Path]] = lambda folders: ()
                 ) -> tuple[dict[str, Path], list[str]]:
    """
    Find the images of a folder; hidden files are none.

    :param suffix: of the images' names, in any case; '' for that of any image.
    :param recursive: whether images in sub-folders are taken; otherwise each of those that hold
        some is a problem.
    :param without: returns those to leave out, such as of masks, of the folders with images.
    :return: them by name, relative to the folder and without suffix, numbers in names counted as
        numbers; and a line for each that cannot be taken.
    """
    try:
        found = find_images(folder, recursive)
    except ImageFileError as error:
        return {}, [str(error)]
    images: dict[str, Path] = {}
    problems = [*found.unreadable, *(
        f'{inner} holds images, too, which are not read: move them into {folder}'
        for inner in found.folders if _holds_images(inner))]
    left_out = without({path.parent for path in found.images})
    for path in found.images:
        if path.name.lower().endswith(suffix.lower()) and path.parent not in left_out:
            inner = path.relative_to(folder)
            add_image(images, problems, str(without_suffix(inner, suffix).as_posix()), path)
    return images, problems


def _holds_images(folder: Path) -> bool:
    """Whether there are images in or below a folder, as far as it can be read."""
    try:
        return bool(find_images(folder, recursive=True).images)
    except ImageFileError:
        return False


def add_image(images: dict[str, Path], problems: list[str], name: str, path: Path) -> None:
    """Add an image by its name, or the problem that another one has it."""
    if name in images and os.path.abspath(images[name]) == os.path.abspath(path):
        problems.append(f'{path} is named twice: leave one out')
    elif name in images:
        other = images[name]
        kept = next((one.suffix for one, mask in ((other, path), (path, other))
                     if mask.suffix.lower() == '.png' != one.suffix.lower()), None)
        problems.append(f'{other} and {path.name} are two images of one name: remove one' + (
            f'; if the PNG is the mask, write a YAML with masks_dir: . and image_suffix: {kept}'
            if kept else ''))
    else:
        images[name] = path


def masks_among(images: Mapping[str, Path], suffix: str = MASK_SUFFIX) -> set[str]:
    """
    Return the names of the images that are masks of others: those end with the suffix.

    :param images: as of ``images_below``.
    """
    end = Path(suffix).stem
    return {name for name, path in images.items()
            if path.name.lower().endswith(suffix.lower()) and name.lower().endswith(end.lower())
            and name[:-len(end)] in images}


def _masks_taken_for_images(images: Mapping[str, Path]) -> tuple[str, ...]:
    """Say that there are masks among images that are to have none; nothing where there are not."""
    in_folders = {name for name in images for place in ('/', '/images/')
                  if '/masks/' in f'/{name}' and
                  f'/{name}'.replace('/masks/', place, 1)[1:] in images}
    masks = sorted(str(images[name]) for name in masks_among(images) | in_folders)
    if not masks:
        return ()
    return (f'{masks[0]} looks like the mask of an image beside it'
            f'{f", and so do {len(masks) - 1} more" if masks[1:] else ""}: to learn from them '
            'write a YAML with path, train, val and names (a list), for masks in the folders of '
            f'the images with masks_dir: . and mask_suffix: {MASK_SUFFIX}; otherwise move them '
            'elsewhere',)


def without_suffix(path: Path, suffix: str = '') -> Path:
    """Return the path without this end of its name, or without its suffix where none is given."""
    return path.with_name(path.name[:-len(suffix)] or path.name) if suffix else \
        path.with_suffix('')


def text_lines(file: Path, what: str) -> list[str]:
    """
    Read the lines of a text file that are not blank.

    :param what: they should be, for the error.
    :raises DataSetError: the file cannot be read as text.
    """
    try:
        lines = file.read_bytes().decode('utf-8-sig').splitlines()
    except OSError as error:
        raise DataSetError(f'{file} cannot be read: {error.strerror or error}') from error
    except ValueError as error:
        raise DataSetError(f'{file} is not a text in UTF-8 ({error}): expected {what}') from error
    return [line.strip() for line in lines if line.strip()]


def with_masks(images: Mapping[str, Path], problems: Iterable[str], mask_of: Callable[
        [Path], Path], ids: Mapping[int, int], depth_of: Callable[[Path], Path] | None = None,
        scene: Callable[..., Scene] = Scene, remedy: str = '') -> Listing:
    """
    Return scenes of the images that have masks; each of the others is a problem.

    Those whose masks' folder is not there are one problem together.

    :param problems: that are known already.
    :param mask_of: where an image's mask is expected, as a PNG.
    :param ids: class id of every number that a mask may store.
    :param depth_of: where an image's depth is, if it has one.
    :param remedy: what else can be done where a folder of masks is not there, for the error.
    """
    scenes, problems = [], list(problems)
    owners: dict[Path, Path] = {}
    without_folder: dict[Path, list[Path]] = {}
    is_there = functools.cache(lambda folder: any(map(os.path.isdir, _spellings(folder))))
    files = FileFinder()
    for name, image in images.items():
        expected = mask_of(image)
        mask = files.existing(expected)
        if mask is None:
            problem = _missing(image, expected, files)
            if isinstance(problem, NoMask) and not is_there(expected.parent):
                without_folder.setdefault(expected.parent, []).append(expected)
            else:
                problems.append(problem)
            continue
        if mask == image:
            problems.append(f'{image} would be its own mask: put masks into another folder, or '
                            'end their names otherwise')
            continue
        if (owner := owners.setdefault(mask, image)) != image:
            problems.append(f'{mask} would be the mask of {owner} and of {image}: give each a '
                            'mask of its own')
            continue
        depth = files.existing(depth_of(image)) if depth_of else None
        scenes.append(scene(name, image, mask, ids, depth))
    problems += [NoMask(f'no folder {folder}, of the masks of {counted(len(masks), "image")}: '
                        f'expected {masks[0]}{" and the like" if masks[1:] else ""}{remedy}')
                 for folder, masks in without_folder.items()]
    return Listing(tuple(scenes), tuple(dict.fromkeys(problems)))


def without_masks(images: Mapping[str, Path], problems: Iterable[str], depth_of: Callable[
        [Path], Path] | None = None, scene: Callable[..., Scene] = Scene) -> Listing:
    """Return scenes of images that have no masks; the parameters are those of ``with_masks``."""
    files = FileFinder()
    return Listing(tuple(
        scene(name, image, None, depth_path=files.existing(depth_of(image)) if depth_of else None)
        for name, image in images.items()), (*problems, *_masks_taken_for_images(images)))


class FileFinder:
    """
    Finds files, also where their paths are spelled otherwise.

    That is but for the case of the suffix; for how accents are stored: a Mac writes one's letter
    and accent apart, other systems as one character; or for Windows' backslashes between folders.
    Folders of files that are not there as asked for are read once.
    """

    def __init__(self) -> None:
        self._names: dict[Path, dict[str, str]] = {}

    def existing(self, *paths: Path) -> Path | None:
        """Return the first of these that is a file; where none is, the first spelled otherwise."""
        paths = (*paths, *(Path(str(path).replace('\\', '/')) for path in paths
                           if '\\' in str(path)))
        others = (self._spelled_otherwise(path) for path in paths)
        return next((path for path in itertools.chain(paths, others)
                     if path is not None and os.path.isfile(path)), None)

    def _spelled_otherwise(self, path: Path) -> Path | None:
        folder = path.parent
        if folder not in self._names:
            self._names[folder] = names = {}
            for spelled in _spellings(folder):
                # not there, not readable, or a name that none can have
                with suppress(OSError, ValueError), os.scandir(spelled) as entries:
                    for entry in entries:
                        names.setdefault(_plain_spelling(entry.name), entry.path)
        found = self._names[folder].get(_plain_spelling(path.name))
        return None if found is None else Path(found)


def _plain_spelling(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    return unicodedata.normalize('NFC', stem + suffix.lower())


def _spellings(folder: Path) -> Iterator[Path]:
    """Yield the folder, and its path with accents stored otherwise from some folder on."""
    yield folder
    for form in ('NFC', 'NFD'):
        for above in folder.parents:
            if not (inner := str(folder.relative_to(above))).isascii():
                yield above / unicodedata.normalize(form, inner)


def not_readable(folder: Path) -> str:
    """Say that a folder is there and may not be read; nothing where it may, or is not there."""
    if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):
        return f'{folder} cannot be read: change its rights'
    return ''


def _missing(image: Path, expected: Path, files: FileFinder) -> str:
    """Say that an image lacks its mask, and what is there instead."""
    if closed := not_readable(expected.parent):
        return closed
    if os.path.islink(expected):
        return (f'{expected} is a link to {os.readlink(expected)}, which is not there: fetch it, '
                'or leave out its image')
    other = files.existing(*(expected.with_suffix(suffix) for suffix in SUFFIXES))
    if other is not None and other != image:
        return f'{other}, the mask of {image.name}, is not a PNG: export it as one'
    return NoMask(f'{image} has no mask: expected {expected}')

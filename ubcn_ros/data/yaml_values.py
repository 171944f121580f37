# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The form of each value in a data set's YAML file; what it refers to is checked elsewhere."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ubcn_ros.data.files import DataSetError
from ubcn_ros.labels import MAX_CLASSES, UNLABELED, plain_name

IGNORE = 'ignore'
"""Word for 'unlabeled' where a class is expected."""

Color = tuple[int, int, int]

_INTEGER = re.compile('[-+]?(0|[1-9][0-9_]{0,17}|0x[0-9a-fA-F_]{1,15}|0b[01_]{1,63})')


class WrongValue(ValueError):
    """A value is not of its key's form; the text shows it and says the remedy."""


def _refuse(value: Any, text: str) -> NoReturn:
    raise WrongValue(f'{show(value)} {text}')


def show(value: Any) -> str:
    """Write a value in short: a YAML of a few lines can hold one that fills the memory."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    return short.repr(value)


class _Loader(yaml.SafeLoader):
    """
    Safe loader that refuses what YAML would take for something else without a word.

    That is a key that is there twice, however it is written; 010, which is 8 to YAML; and 1:40,
    which is 100.
    """

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if not _INTEGER.fullmatch(node.value):
            raise yaml.MarkedYAMLError(None, None, f'{show(node.value)} is not a plain number: '
                                       'write it without 0 in front and without colons, or in '
                                       'quotes if it is a text', node.start_mark)
        return super().construct_yaml_int(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if key.tag == 'tag:yaml.org,2002:merge':
                continue
            if isinstance(key, yaml.ScalarNode):
                if (value := self.construct_object(key)) in seen:
                    raise yaml.MarkedYAMLError(None, None, f'the key {key.value!r} is there '
                                               'twice: leave one out', key.start_mark)
                seen.add(value)
        return super().construct_mapping(node, deep)


_Loader.add_constructor('tag:yaml.org,2002:int', _Loader.construct_yaml_int)


def parse_yaml(file: Path) -> Any:
    """Read a YAML file, a recipe, too; OSError, or ValueError where it is none or ambiguous."""
    content = file.read_bytes()
    try:
        return yaml.load(content.decode('utf-8-sig'), _Loader)
    except UnicodeDecodeError as error:
        raise ValueError(f'{file} is not a text in UTF-8, as YAML is ({error}): save it as UTF-8'
                         ) from error
    except Exception as error:  # a dozen types: of the text, its tags, dates, numbers and depth
        said = re.sub(r'\s+', ' ', str(error))[:300] or type(error).__name__
        raise ValueError(f'{file} is not YAML ({said}): correct it') from error


def load_yaml(file: Path) -> dict[str, Any]:
    """Read a YAML of keys and values; DataSetError where it is none."""
    try:
        values = parse_yaml(file)
    except OSError as error:
        raise DataSetError(f'{file} cannot be read: {error.strerror or error}') from error
    except ValueError as error:
        raise DataSetError(str(error)) from error
    if not isinstance(values, dict):
        raise DataSetError(f'{file} holds {show(values)}: expected keys with values, such as '
                           f'path, train, val and names (of {", ".join(FORMS)})')
    return values


def unknown_key(key: Any) -> str:
    """Say what to do about a key that is none."""
    near = difflib.get_close_matches(str(key), FORMS, 1) if isinstance(key, str) else []
    hint = f'did you mean {near[0]}?' if near else f'leave it out, or choose from ' \
        f'{", ".join(FORMS)}'
    return f'unknown key {show(key)}: {hint}'


def _text(value: Any) -> str:
    if not isinstance(value, str):
        _refuse(value, 'is not a text: put it in quotes if it is meant as one')
    if not value.strip() or not value.isprintable():
        _refuse(value, 'is empty or has control characters: give a text')
    return value


def _folder_name(value: Any) -> str:
    if Path(_text(value)).is_absolute() or '..' in Path(value).parts:
        _refuse(value, 'is not the name of a folder: give one, such as masks')
    return Path(value).as_posix()


def _suffix(value: Any) -> str:
    if '/' in _text(value) or '.' not in value:
        _refuse(value, 'is not the end of file names: give one, such as _mask.png')
    return value


def _mask_suffix(value: Any) -> str:
    if not _suffix(value).lower().endswith('.png'):
        _refuse(value, 'is not that of PNG files: convert the masks to PNG')
    return value


def _license(value: Any) -> str:
    return ' '.join(value.split()) if isinstance(value, str) and value.strip() else _text(value)


def _one_or_several(value: Any, refusal: str) -> tuple[str, ...]:
    if isinstance(value, list) and value:
        return tuple(_text(part) for part in value)
    if not isinstance(value, str):
        _refuse(value, refusal)
    return (_text(value),)


def _places(value: Any) -> tuple[str, ...]:
    return _one_or_several(value, 'is not a folder, a .txt list of images, or a list of these')


def _places_or_fraction(value: Any) -> tuple[str, ...] | float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not 0 < value < 1:
            _refuse(value, 'is not between 0 and 1: give the share of train that validates '
                    '(0.2), or a folder')
        return float(value)
    return _places(value)


def _number(value: Any, what: str = 'a stored number') -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= UNLABELED:
        _refuse(value, f'is not {what}: give a whole number, 0 to {UNLABELED}')
    return value


def is_class_name(name: str) -> bool:
    """Return whether a class may have this name: a line with letters that is not IGNORE."""
    return name.isprintable() and plain_name(name) not in ('', IGNORE)


def _class_name(value: Any) -> str:
    name = _text(value)
    if not is_class_name(name):
        _refuse(value, f'is not a name for a class: give one with letters, other than {IGNORE}')
    return name


def _names(value: Any) -> dict[int, str]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict) or not 1 <= len(value) <= MAX_CLASSES:
        _refuse(value, f'are not 1 to {MAX_CLASSES} classes: list their names, or map stored '
                'numbers to names')
    names = {_number(number): _class_name(name) for number, name in value.items()}
    if UNLABELED in names:
        _refuse(UNLABELED, 'is always unlabeled: give the class another number, in the masks, too')
    _once(names.values(), 'give each class a name of its own')
    return names


def _label_mapping(value: Any) -> dict[int, int | str | None]:
    if not isinstance(value, dict) or not value:
        _refuse(value, f'is not a mapping: give stored number: class, or {IGNORE}')
    mapping: dict[int, int | str | None] = {}
    for stored, to in value.items():
        if isinstance(to, str):
            to = None if plain_name(_text(to)) == IGNORE else to
        else:
            to = _number(to, f'a class or {IGNORE}')
            to = None if to == UNLABELED else to
        mapping[_number(stored)] = to
        if stored == UNLABELED and to is not None:
            _refuse(stored, 'is always unlabeled: give the class another number, in the masks, '
                    'too')
    return mapping


def _ignore(value: Any) -> tuple[int, ...]:
    return tuple(_number(part) for part in (value if isinstance(value, list) else [value]))


def _color(value: Any) -> Color:
    if isinstance(value, str) and re.fullmatch(r'#?[0-9a-fA-F]{6}', value):
        return tuple(bytes.fromhex(value[-6:]))
    if not (isinstance(value, list) and len(value) == 3 and all(
            isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255
            for part in value)):
        _refuse(value, "is not a colour: give [red, green, blue], 0 to 255, or '#rrggbb' in "
                'quotes')
    return tuple(value)


def _colors(value: Any) -> tuple[Color, ...] | dict[str, Color]:
    if isinstance(value, list):
        return tuple(_color(part) for part in value)
    if not isinstance(value, dict):
        _refuse(value, 'are not colours: list one per class, or map names of classes to colours')
    _once(value)
    return {name: _color(color) for name, color in value.items()}


def _once(names: Iterable[Any], remedy: str = 'leave one out') -> None:
    """Refuse what is not the name of a class, or comes twice."""
    seen = set()
    for name in names:
        if plain_name(_text(name)) in seen:
            _refuse(name, f'is there twice (case, _, - and blanks do not count): {remedy}')
        seen.add(plain_name(name))


def _paths(value: Any) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, list) or not value:
        _refuse(value, 'are not paths: give a list of lists of names of classes')
    return tuple(_class_list(group) for group in value)


def _class_list(value: Any) -> tuple[str, ...]:
    return _one_or_several(value, 'is not the name of a class or a list of names')


def _class_mapping(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        _refuse(value, 'is not a mapping: give class of this set: class of the first set, a list '
                f'of several, or {IGNORE}')
    _once(value)
    mapping = {}
    for name, targets in value.items():
        targets = _class_list(targets)
        mapping[name] = () if [plain_name(to) for to in targets] == [IGNORE] else targets
    return mapping


def _scale(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1e-6 < value < 1e9:
        _refuse(value, 'is not the stored number of one metre: give 256 (KITTI), 1000 '
                '(millimetres) or another above 0')
    return float(value)


def _focal_length(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.1 <= value <= 100:
        _refuse(value, "is not a focal length in short sides of the camera's images, 0.1 to 100: "
                'divide k[4] of its CameraInfo, in pixels, by the smaller of height and width')
    return float(value)


FORMS: dict[str, Callable[[Any], Any]] = {
    'path': _text, 'train': _places, 'val': _places_or_fraction, 'test': _places,
    'masks_dir': _folder_name, 'image_suffix': _suffix, 'mask_suffix': _mask_suffix,
    'names': _names, 'label_mapping': _label_mapping, 'ignore': _ignore, 'colors': _colors,
    'paths': _paths, 'license': _license, 'format': _text, 'class_mapping': _class_mapping,
    'depth_dir': _folder_name, 'depth_scale': _scale, 'focal_length': _focal_length}
"""For each key a function that checks and converts its value, or raises WrongValue."""

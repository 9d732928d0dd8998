"""Stored pictures, videos and RGB-D frames as items that a task can be posed on: from plain folders and from rows.

Folders, searched to the bottom, in natural order:

- pictures: every picture;
- videos: every video file, and every folder that directly holds two or more pictures, which are its frames;
- RGB-D: `name.jpg` with `name_depth.png` or `.npy` beside it; `color/name.jpg` with `depth/name.png` or `.npy`, as ScanNet exports.

Rows, of any file or dataset that `readers` reads: a column of pictures (each is an item), `video` or `videos`, `frames`, or a picture
with `depth` or `points`; a mapping with `path` (and `points`), as Visual Jigsaw publishes its rows, stands for its path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vlmpost.config.schema import SourceConfig
from vlmpost.data import paths, readers, shapes
from vlmpost.data.ledger import RowFault
from vlmpost.errors import DataError
from vlmpost.media.depth import DEPTH_SUFFIXES
from vlmpost.media.videos import VIDEO_SUFFIXES, frame_files, natural_key
from vlmpost.records import ImageRef
from vlmpost.tasks.material import Item, Kind

_DEPTH_MARK = "_depth"
_DEPTH_FOLDER = "depth"
_COLOUR_FOLDERS = ("color", "colour", "rgb")
_COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    "images": shapes.IMAGE_COLUMNS,
    "videos": ("videos", "video_path", "video"),
    "rgbd": shapes.IMAGE_COLUMNS,
}
_MIN_FRAMES = 2
_SPLIT_FOLDERS = ("train", "validation", "val", "test")
"""A folder that has one of these has splits of its own."""


@dataclass(frozen=True, slots=True)
class Found:
    """One item, or what is wrong with it."""

    where: str
    open: Callable[[], Item]
    """Returns the item; raises `RowFault` where it cannot be used."""


def find_items(source: SourceConfig, kind: Kind, *, base_dir: Path | None, unseen: set[str]) -> tuple[Iterator[Found], bool]:
    """Returns the items of a source in order, and whether the source has splits of its own.

    Args:
        source: Its `path` is a folder, a file of rows, or a hub dataset.
        kind: What the items are.
        base_dir: What a relative path starts from. None: the working directory.
        unseen: Renamed columns; those that rows have are taken out.

    Raises:
        DataError: There is nothing to read at the path.
    """
    assert source.path is not None
    place = (base_dir or Path.cwd()).absolute() / Path(source.path).expanduser()
    if not place.is_dir() or readers.holds_rows(place, source.split):
        rows = readers.read(source.path, split=source.split, base_dir=base_dir)
        return _in_rows(rows, source, kind, base_dir=base_dir, unseen=unseen), readers.has_splits(place, source.split)
    own = [name for name in _SPLIT_FOLDERS if (place / name).is_dir()]
    if own and source.split not in own:
        raise DataError(f"{source.path}: it has the splits {', '.join(own)}; there is no split {source.split!r}.")
    finders = {"images": _pictures_in, "videos": _videos_in, "rgbd": _pairs_in}
    return finders[kind](place / source.split if own else place, source.allow_outside_root), bool(own)


# --- plain folders ---


def _files(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in readers.IMAGE_SUFFIXES


def _pictures_in(folder: Path, outside: bool) -> Iterator[Found]:
    pictures = [path for path in _files(folder) if _is_picture(path)]
    if not pictures:
        raise DataError(f"{folder}: no pictures here ({', '.join(readers.IMAGE_SUFFIXES)}), nor rows that name some.")
    for path in pictures:
        name = path.relative_to(folder).as_posix()
        yield Found(name, partial(_picture, name, name, folder, outside))


def _videos_in(folder: Path, outside: bool) -> Iterator[Found]:
    files = _files(folder)
    num_pictures = Counter(path.parent for path in files if _is_picture(path))
    videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    videos += [path for path, number in num_pictures.items() if number >= _MIN_FRAMES]
    if not videos:
        raise DataError(f"{folder}: no videos here ({', '.join(VIDEO_SUFFIXES)}, or folders of frames), nor rows that name some.")
    for path in sorted(videos, key=lambda path: natural_key(path.relative_to(folder).as_posix())):
        name = path.relative_to(folder).as_posix()
        yield Found(name, partial(_video, name, name, folder, outside))


def _pairs_in(folder: Path, outside: bool) -> Iterator[Found]:
    files = _files(folder)
    known = {path.relative_to(folder).as_posix() for path in files}
    pictures = [path for path in files if _is_picture(path) and not path.stem.endswith(_DEPTH_MARK) and path.parent.name != _DEPTH_FOLDER]
    if not pictures:
        raise DataError(f"{folder}: no pictures with depth maps here (name.jpg and name_depth.png, or color/ and depth/).")
    for path in pictures:
        name = path.relative_to(folder).as_posix()
        depth = next((other for other in _depth_names(path.relative_to(folder)) if other in known), None)
        yield Found(name, partial(_pair, name, name, folder, outside, depth=depth))


def _depth_names(picture: Path) -> Iterator[str]:
    for suffix in DEPTH_SUFFIXES:
        yield picture.with_name(f"{picture.stem}{_DEPTH_MARK}{suffix}").as_posix()
        if picture.parent.name.lower() in _COLOUR_FOLDERS:
            yield (picture.parent.parent / _DEPTH_FOLDER / f"{picture.stem}{suffix}").as_posix()


# --- rows ---


def _in_rows(
    rows: Iterator[readers.StoredRow], source: SourceConfig, kind: Kind, *, base_dir: Path | None, unseen: set[str]
) -> Iterator[Found]:
    shapes.check_renames(source.columns)
    root = None if source.image_root is None else (base_dir or Path.cwd()).absolute() / Path(source.image_root).expanduser()
    if root is not None and not root.is_dir():
        raise DataError(f"image_root {source.image_root}: there is no such folder (looked for {root}).")
    empty = True
    for row in rows:
        empty = False
        unseen.difference_update(row.values)
        columns = shapes.Columns(shapes.renamed(row.values, source.columns))
        yield from _in_row(row, columns, kind, root=root or row.root, outside=source.allow_outside_root)
    if empty:
        raise DataError(f"{source.path}: the dataset is empty (split {source.split!r}): it has no rows.")


def _in_row(row: readers.StoredRow, columns: shapes.Columns, kind: Kind, *, root: Path, outside: bool) -> Iterator[Found]:
    frames = columns.take("frames") if kind == "videos" else None
    values = columns.take(*_COLUMNS[kind])
    if row.fault is not None:
        yield Found(row.where, partial(_refused, row.fault))
    elif isinstance(frames, list | tuple):
        yield Found(row.where, partial(_film, row.where, frames, root, outside))
    elif values is None:
        yield Found(row.where, partial(_refused, RowFault(f"no column of {_COLUMNS[kind][0]}", f"columns {', '.join(row.values)}")))
    else:
        pair = partial(_pair, depth=columns.take("depth"), points=columns.take("points"))
        openers: Mapping[Kind, Callable[[str, object, Path, bool], Item]] = {"images": _picture, "videos": _video, "rgbd": pair}
        several = values if isinstance(values, list | tuple) else [values]
        for number, value in enumerate(several, start=1):
            where = row.where if len(several) == 1 else f"{row.where} #{number}"
            yield Found(where, partial(openers[kind], where, value, root, outside))


# --- values ---


def _image(value: object, root: Path, outside: bool) -> ImageRef:
    return paths.resolve(_path_of(value), root=root, allow_outside_root=outside)


def _path_of(value: object) -> object:
    """The value, with a list of one path in a mapping made that path."""
    path = value.get("path") if isinstance(value, Mapping) else None
    return {**value, "path": path[0]} if isinstance(value, Mapping) and isinstance(path, list) and len(path) == 1 else value


def _text_of(value: object, what: str) -> str:
    plain = _path_of(value)
    text = plain.get("path") if isinstance(plain, Mapping) else plain
    if not isinstance(text, str) or not text:
        raise RowFault(f"{what} value not understood", f"{type(value).__name__}; expected a path")
    return text


def _refused(fault: RowFault) -> Item:
    raise fault


def _picture(where: str, value: object, root: Path, outside: bool) -> Item:
    return Item(where, images=(_image(value, root, outside),))


def _film(where: str, frames: Sequence[object], root: Path, outside: bool) -> Item:
    return Item(where, images=tuple(_image(frame, root, outside) for frame in frames))


def _video(where: str, value: object, root: Path, outside: bool) -> Item:
    path = paths.place_under(_text_of(value, "video"), root=root, allow_outside_root=outside, what="video")
    if path.is_dir():
        return _film(where, [str(frame) for frame in frame_files(path, suffixes=readers.IMAGE_SUFFIXES)], root, outside)
    if not path.is_file():
        raise RowFault("video not found", str(path))
    return Item(where, video=str(path))


def _pair(where: str, value: object, root: Path, outside: bool, *, depth: object, points: object = None) -> Item:
    image = _image(value, root, outside)
    own = value.get("points", points) if isinstance(value, Mapping) else points
    if own is not None:
        return Item(where, images=(image,), points=_points(own))
    if depth is None:
        raise RowFault("no depth map", f"{where} has neither a depth map nor points")
    path = paths.place_under(_text_of(depth, "depth map"), root=root, allow_outside_root=outside, what="depth map")
    if not path.is_file():
        raise RowFault("depth map not found", str(path))
    return Item(where, images=(image,), depth=str(path))


def _points(given: object) -> tuple[tuple[int, int], ...]:
    pairs = [tuple(pair) if isinstance(pair, list | tuple) else () for pair in given] if isinstance(given, list | tuple) else []
    if not pairs or not all(len(pair) == 2 and all(type(place) is int for place in pair) for pair in pairs):
        raise RowFault("points not understood", f"{given!r:.80}; expected pairs of whole numbers, [row, column]")
    return tuple((pair[0], pair[1]) for pair in pairs)

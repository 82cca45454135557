# SPDX-License-Identifier: Apache-2.0
"""Stores, and what is made of them, on disk: safetensors files that can be mapped, of arrays under documented names.

What is saved is taken apart into parameters (JSON), arrays, and other objects that are saved; an array that several of them
share is written once. The description, with a CRC-32 of each array and one of itself, is the metadata entry "annkern":

    {"version": 1, "object": {"form": "store", "parameters": {...}, "arrays": {"codes": "codes"}, "objects": {...}},
     "arrays": {"codes": {"dtype": "U8", "shape": [n, 192], "crc32": "0123abcd"}}}

Arrays lie behind a header of a multiple of 64 bytes, those of a multiple of 64 bytes first: a mapped array is then aligned
as the kernels like it. The file is written here and not by the safetensors package, which would hold a second copy in
memory; that package judges what is read.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

import numpy as np

from ..arrays.libraries import aligned, numpy_dtype
from ..arrays.views import View, host_copy, view, with_adjacent_rows
from .atomic import named_path, replacing

VERSION = 1
ALIGNMENT = 64
PIECE = 64 << 20  # bytes read, written and summed at once
MOST_HEADER = 100 << 20  # as the safetensors package allows
CODES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int8": "I8", "uint8": "U8"}
CODES |= {"bool": "BOOL", "int32": "I32", "uint32": "U32", "int64": "I64"}
NAMES = {code: name for name, code in CODES.items()}
Array = np.ndarray[Any, np.dtype[Any]]


class Parts(NamedTuple):
    """What an object is made of."""

    parameters: dict[str, Any]  # what JSON can say
    arrays: dict[str, Any]
    objects: dict[str, Any]  # of registered types


def part_of(parts: Parts, name: str, expected: type, missing: Any = None) -> Any:
    """The object of that name, which must be of one type, or what stands for one that is not there."""
    found = parts.objects.get(name, missing)
    if found is not missing and type(found) is not expected:
        raise ValueError(f"expected {name} to be a {expected.__name__.lower()}, got a {type(found).__name__.lower()}")
    return found


class Form(NamedTuple):
    """How objects of one type are taken apart, and put together again: with ValueError where parts do not fit."""

    type: type
    parts: Callable[[Any], Parts]
    from_parts: Callable[[Parts], Any]


FORMS: dict[str, Form] = {}


def register(name: str, form: Form) -> None:
    """Lets `save` and `load` know one more type, under a name that files keep."""
    FORMS[name] = form


def save(saved: Any, path: Any) -> None:
    """Write `saved` to `path`: an object of a registered type. Device arrays are copied to the host one by one.

    The file appears complete or not at all: it is written without a name (or, where the file system cannot, under a
    temporary one), synced and renamed. A crash or a full disk leaves what was there before.
    """
    arrays: dict[str, View] = {}
    tree = _described(saved, "", arrays, {})
    order = sorted(arrays, key=lambda name: (_nbytes(arrays[name]) % ALIGNMENT != 0, -arrays[name].itemsize))
    sums = dict.fromkeys(order, 0)
    with replacing(path) as file:
        # The sums have a fixed width, so the header keeps its length when it is written again.
        file.write(_header(tree, arrays, order, sums))
        for name in order:
            for piece in _pieces(arrays[name]):
                sums[name] = zlib.crc32(piece, sums[name])
                file.write(piece)
        file.seek(0)
        file.write(_header(tree, arrays, order, sums))


def _described(saved: Any, path: str, arrays: dict[str, View], seen: dict[Any, str]) -> dict[str, Any]:
    """The object as JSON; its arrays are gathered in `arrays` under names that are paths: "primary.codes"."""
    name = next((name for name, form in FORMS.items() if type(saved) is form.type), None)
    if name is None:
        known = ", ".join(form.type.__name__ for form in FORMS.values())
        raise TypeError(f"save: expected an object of type {known}, got {type(saved).__name__}")
    parts = FORMS[name].parts(saved)
    named = {}
    for key, array in parts.arrays.items():
        x = with_adjacent_rows(view(key, array))
        identity = (x.device, x.address, x.shape, x.strides, x.dtype)
        named[key] = path + key if x.empty else seen.setdefault(identity, path + key)
        arrays.setdefault(named[key], x)
    objects = {key: _described(part, f"{path}{key}.", arrays, seen) for key, part in parts.objects.items()}
    return {"form": name, "parameters": parts.parameters, "arrays": named, "objects": objects}


def _header(tree: dict[str, Any], arrays: dict[str, View], order: list[str], sums: dict[str, int]) -> bytes:
    record = {
        name: {"dtype": CODES[arrays[name].dtype], "shape": list(arrays[name].shape), "crc32": f"{sums[name]:08x}"}
        for name in order
    }
    description = json.dumps({"version": VERSION, "object": tree, "arrays": record})
    header: dict[str, Any] = {"__metadata__": {"annkern": description, "annkern.crc32": _text_sum(description)}}
    at = 0
    for name in order:
        end = at + _nbytes(arrays[name])
        header[name] = {"dtype": record[name]["dtype"], "shape": record[name]["shape"], "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _text_sum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _nbytes(x: View) -> int:
    return int(np.prod(x.shape, dtype=np.int64)) * x.itemsize


def _pieces(x: View) -> Iterator[memoryview]:
    """The array's bytes in row-major order."""
    if x.empty:
        return
    rows = host_copy(x)
    step = max(1, PIECE // max(1, _nbytes(x) // len(rows)))
    for first in range(0, len(rows), step):
        yield memoryview(np.ascontiguousarray(rows[first : first + step]).data).cast("B")


def load(path: Any, mmap: bool = False, *, verify: bool | None = None) -> Any:
    """What was saved at `path`: a store, or an index.

    Parameters
    ----------
    path : str or path-like
        A file that `save` has written.
    mmap : bool
        Map the file instead of reading it: arrays are read-only, and read from the disk as they are used. The file may be
        replaced by `save` meanwhile, but must not be changed in place.
    verify : bool, optional
        Compare the CRC-32 of every array, which reads them all; by default where the file is read anyway, so not with
        `mmap`. Names, types, shapes and the file's size are always checked, and so is the CRC-32 of the description.

    Returns
    -------
    Store, or what else was saved
        Of NumPy arrays; ``load(path).convert(torch.from_numpy)`` makes them another library's.

    Raises
    ------
    ValueError
        Naming the path: a file that is damaged, truncated, or not annkern's.

    Examples
    --------
    >>> import os, tempfile, numpy as np, annkern as ak
    >>> store = ak.compress(np.eye(4, dtype=np.float32), "lvq8")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "store.safetensors")
    ...     store.save(path)
    ...     ak.load(path, mmap=True)
    Store('lvq8', n=4, d=4, 81 bytes a vector)
    """
    path = named_path(path)
    with open(path, "rb") as file:
        entries, start = _checked_header(path, file)
        with _described_by(path):
            description = _description(entries.pop("__metadata__", {}), entries)
        record = description["arrays"]
        mapped = np.asarray(np.memmap(file, np.uint8, "r")) if mmap else None
        arrays = {}
        for name, entry in entries.items():
            crc = None if not (verify or (verify is None and not mmap)) else record[name]["crc32"]
            arrays[name] = _array(f"{path}: array {name!r}", file, mapped, start, entry, crc)
    with _described_by(path):
        return _from_parts(description["object"], arrays)


@contextlib.contextmanager
def _described_by(path: str) -> Iterator[None]:
    """Whatever a description makes its readers raise is the file's fault, and one error."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except Exception as error:
        raise ValueError(f"{path}: its description is malformed ({error!r})") from None


def _checked_header(path: Any, file: IO[bytes]) -> tuple[dict[str, Any], int]:
    """The safetensors header, judged by that package, and where the arrays begin."""
    import safetensors

    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, MOST_HEADER):
        raise ValueError(f"{path}: expected a safetensors file, got one of {size} bytes whose header would take {length}")
    try:
        with safetensors.safe_open(path, framework="numpy"):
            pass
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{path}: expected a safetensors file, got a foreign or damaged one ({error})") from None
    with _described_by(path):
        return json.loads(file.read(length)), 8 + length


def _description(metadata: dict[str, str], entries: dict[str, Any]) -> dict[str, Any]:
    text = metadata.get("annkern")
    if text is None:
        raise ValueError("expected a file that annkern has saved, got a safetensors file without its description")
    if metadata.get("annkern.crc32") != _text_sum(text):
        raise ValueError("its description is damaged (CRC-32 differs)")
    description: dict[str, Any] = json.loads(text)
    version = description["version"]
    record = {name: (entry["dtype"], entry["shape"]) for name, entry in description["arrays"].items()}
    if type(version) is not int or version < 1:
        raise ValueError(f"expected format 1 to {VERSION}, got {version!r}")
    if version > VERSION:
        raise ValueError(f"expected format {VERSION} or older, got {version} of a newer annkern")
    if record != {name: (entry["dtype"], entry["shape"]) for name, entry in entries.items()}:
        raise ValueError("is damaged (header and description name different arrays)")
    unknown = {entry["dtype"] for entry in entries.values()} - set(NAMES)
    if unknown:
        raise ValueError(f"expected arrays of {', '.join(NAMES)}, got {', '.join(sorted(unknown))}")
    if any(type(entry["crc32"]) is not str for entry in description["arrays"].values()):
        raise ValueError("expected a CRC-32 of each array as text")
    return description


def _array(what: str, file: IO[bytes], mapped: Array | None, start: int, entry: dict[str, Any], crc: str | None) -> Array:
    dtype, shape = numpy_dtype(NAMES[entry["dtype"]]), tuple(entry["shape"])
    first, end = (start + offset for offset in entry["data_offsets"])
    if mapped is not None and first % dtype.itemsize == 0:
        memory = mapped[first:end]
    else:
        memory = aligned((end - first,), "uint8")
        file.seek(first)
        for at in range(0, len(memory), PIECE):
            piece = memory[at : at + PIECE]
            if file.readinto(piece) != len(piece):  # type: ignore[attr-defined]
                raise ValueError(f"{what} is truncated")
    found = 0
    for at in range(0, len(memory) if crc is not None else 0, PIECE):
        found = zlib.crc32(memory[at : at + PIECE].data, found)
    if crc is not None and crc != f"{found:08x}":
        raise ValueError(f"{what} is damaged (CRC-32 {found:08x}, expected {crc})")
    return memory.view(dtype).reshape(shape)


def _from_parts(tree: dict[str, Any], arrays: dict[str, Array]) -> Any:
    if tree["form"] not in FORMS:
        raise ValueError(f"expected one of {', '.join(FORMS)}, got {tree['form']!r}, which this annkern does not know")
    named = {key: arrays[name] for key, name in tree["arrays"].items()}
    objects = {key: _from_parts(part, arrays) for key, part in tree["objects"].items()}
    return FORMS[tree["form"]].from_parts(Parts(tree["parameters"], named, objects))

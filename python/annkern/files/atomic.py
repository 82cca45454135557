# SPDX-License-Identifier: Apache-2.0
"""Files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from typing import IO, Any


def named_path(path: Any) -> str:
    """The path as a string; a file's number is none."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise TypeError(f"path: expected a str or path-like, got {type(path).__name__}") from None


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _take_after(handle: int, before: os.stat_result) -> None:
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        with contextlib.suppress(PermissionError):
            os.fchown(handle, before.st_uid, before.st_gid)
    os.fchmod(handle, stat.S_IMODE(before.st_mode))


@contextlib.contextmanager
def replacing(path: Any) -> Iterator[IO[bytes]]:
    """A file to write that takes the place of `path` when it is complete and on the disk.

    A link is followed. The new file has the mode of the old one, and its owner where the system allows that. ValueError
    where `path` is something else than a file, such as a device or a pipe.
    """
    target = os.path.realpath(named_path(path))
    folder = os.path.dirname(target)
    before = _stat(target)
    if before is not None and not stat.S_ISREG(before.st_mode) and not stat.S_ISDIR(before.st_mode):
        raise ValueError(f"{os.fspath(path)}: expected a file or a new name, got a device, pipe or socket")
    temporary = os.path.join(folder, f".annkern.{secrets.token_hex(8)}")  # as short for a long name
    try:
        handle, unnamed = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o666), True
    except (OSError, AttributeError):
        handle, unnamed = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), False
    try:
        with open(handle, "wb") as file:
            yield file
            if before is not None:
                _take_after(handle, before)
            file.flush()
            os.fsync(handle)
            if unnamed:  # src_dir_fd says nothing of an absolute path, but makes Python follow the link to the file
                os.link(f"/proc/self/fd/{handle}", temporary, src_dir_fd=handle, follow_symlinks=True)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)

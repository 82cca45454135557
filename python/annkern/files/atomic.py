# SPDX-License-Identifier: Apache-2.0
"""Files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import IO, Any


def named_path(path: Any) -> str:
    """The path as a string; a file's number is none."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise TypeError(f"path: expected a str or path-like, got {type(path).__name__}") from None


@contextlib.contextmanager
def replacing(path: Any) -> Iterator[IO[bytes]]:
    """A file to write that takes the place of `path` when it is complete and on the disk."""
    target = os.path.realpath(named_path(path))
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(8)}")
    try:
        handle, unnamed = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o666), True
    except (OSError, AttributeError):
        handle, unnamed = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), False
    try:
        with open(handle, "wb") as file:
            yield file
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

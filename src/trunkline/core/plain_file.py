"""Files as people hand them over: only plain ones are read, because a pipe may keep silent for ever and a device never ends."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from trunkline.core.errors import BadFile


def open_plain(path: str | Path) -> BinaryIO:
    """Open the file at *path* to be read as bytes.

    Raises
    ------
    BadFile
        It is a pipe, a socket or a device.
    OSError
        As :func:`open`: it is not there, a folder, or may not be read.

    >>> with open_plain(__file__) as file:
    ...     file.read(1)
    b'"'
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # opening a pipe would wait for its writer
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise BadFile("This is a pipe or a device, not a file.", path=path, allowed="plain files", next_step="Write its content to a file first.")


def printable(path: str | Path) -> str:
    r"""The name of a file as text that can be kept: bytes that are no UTF-8 stand as escapes.

    >>> printable(os.fsdecode(b"Z\xfcrich.csv"))
    'Z\\udcfcrich.csv'
    """
    return str(path).encode("utf-8", "backslashreplace").decode()

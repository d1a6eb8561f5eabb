"""A file's bytes as text: what compression and encoding it has, and what is no text at all.

Operators send what their tools export: gzip with or without the ending, UTF-8 with a mark, UTF-16
from Excel, Latin-1 from an old probe, and now and then the login page of the export server saved
as ``.csv``. The content decides, never the file's ending.
"""

from __future__ import annotations

import codecs
import io
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from trunkline.core.errors import BadFile
from trunkline.core.plain_file import open_plain

GZIP, ZIP, PARQUET, OLE = b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"\xd0\xcf\x11\xe0"
MOST_BYTES = 512 << 20
"""The most bytes one file may hold once unpacked: reading takes some thirty times as much memory."""
_MOST_TIMES, _SMALL = 100, 128 << 20  # a gzip that unpacks to more than both holds a very large nothing; real tables shrink 5 to 50 times

_OTHER = (
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf", "7-Zip"),
    (b"%PDF", "PDF"),
    (b"\x89PNG", "PNG picture"),
    (b"SQLite format 3", "SQLite"),
)
_CONTROL = bytes(b for b in range(32) if b not in b"\t\n\r\f\x1a")
_CSV = "Export it again as CSV, UTF-8."


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainText:
    """What a file says, and how it was written.

    ``replaced`` is true where single bytes were no valid UTF-8: they stand as U+FFFD, and the lines
    that hold one are for the caller to set aside.
    """

    text: str
    encoding: str
    compressed: bool
    replaced: bool


def read_bytes(path: Path, *, most: int | None = None) -> tuple[bytes, bool]:
    """The bytes of *path* without its gzip, and whether there was one; the first *most* bytes where given.

    Raises
    ------
    BadFile
        It is a folder, not there, not readable, empty, half a gzip, a pipe or device, or larger than :data:`MOST_BYTES` once unpacked.
    """
    try:
        with open_plain(path) as file:
            # A gzip grows when unpacked, so as many packed bytes as wanted ones are always enough.
            raw = file.read(MOST_BYTES + 1 if most is None else most)
    except IsADirectoryError as folder:
        raise BadFile("This is a folder, not a file.", path=path, allowed="one file", next_step=f"Name its files, e.g. {path}/*") from folder
    except FileNotFoundError as missing:
        raise BadFile("There is no such file.", path=path, next_step="Check the name and the folder.") from missing
    except PermissionError as denied:
        raise BadFile("The file may not be read by this user.", path=path, allowed="a readable file", next_step=f"chmod u+r '{path}'") from denied
    except (OSError, ValueError) as failed:
        raise BadFile(f"The file cannot be read: {failed}.", path=path, next_step="Check the disk, or copy the file again.") from failed
    if not raw:
        raise BadFile("The file is empty.", path=path, allowed="at least a header and one line", next_step="Look whether the export or the transfer failed.")
    if len(raw) > MOST_BYTES:
        raise _too_large(path, f"The file holds more than {MOST_BYTES:,} bytes.")
    if not raw.startswith(GZIP):
        return raw, False
    return _unzip(raw, path, most), True


def _unzip(raw: bytes, path: Path, most: int | None) -> bytes:
    limit = min(MOST_BYTES, max(_SMALL, _MOST_TIMES * len(raw))) if most is None else most
    out = io.BytesIO()
    rest = raw
    while rest.startswith(GZIP):  # a gzip may hold several members one after the other
        stream = zlib.decompressobj(31)
        try:
            out.write(stream.decompress(rest, limit - out.tell() + 1))
        except zlib.error as broken:
            raise BadFile(f"The gzip is damaged: {broken}.", path=path, allowed="a whole gzip", next_step="Transfer the file again.") from broken
        if out.tell() > limit:
            if most is not None:
                return out.getvalue()[:most]
            times = "" if limit == MOST_BYTES else f", more than {_MOST_TIMES} times its size: it holds next to nothing, many times over"
            raise _too_large(path, f"The gzip unpacks to more than {limit:,} bytes{times}.")
        if not stream.eof:
            if most is not None:
                return out.getvalue()
            raise BadFile(
                f"The gzip ends too early: {out.tell():,} bytes unpack, then it breaks off.",
                path=path,
                allowed="a whole gzip; a cut one could end inside a number",
                next_step="Transfer the file again.",
            )
        rest = stream.unused_data
    if not out.tell():
        raise BadFile("The gzip holds an empty file.", path=path, next_step="Look whether the export or the transfer failed.")
    return out.getvalue()


def _too_large(path: Path, what: str) -> BadFile:
    return BadFile(what, path=path, allowed=f"at most {MOST_BYTES:,} bytes a file once unpacked", next_step="Split the file by day.")


def read_text(path: Path, *, encoding: str | None = None, most: int | None = None) -> PlainText:
    """The text of *path*; lines end in a line feed whatever they ended in.

    Raises
    ------
    BadFile
        As :func:`read_bytes`, and where the bytes are no text: a spreadsheet, an archive, a picture, a web page.
    """
    raw, compressed = read_bytes(path, most=most)
    _refuse_what_is_no_text(raw, path)
    found = encoding or _encoding(raw)
    replaced = False
    if found == "utf-8":
        text, replaced = _utf8(raw)
    else:
        try:
            text = raw.decode(found, errors="ignore" if most is not None else "strict")
        except (UnicodeDecodeError, LookupError) as wrong:
            raise BadFile(
                f"The bytes are not {found}: {wrong}.", path=path, allowed="UTF-8, UTF-16 or Latin-1", next_step="Correct `encoding` in the column map."
            ) from wrong
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    head = text[:4096].lstrip().lower()
    if head.startswith(("<!doctype html", "<html")):
        title = re.search(r"<title>(.*?)</title>", text[:20000], re.IGNORECASE | re.DOTALL)
        named = f" titled '{' '.join(title[1].split())[:80]}'" if title else ""
        raise BadFile(
            f"The file is a web page{named}, probably an error or login page saved under this name.",
            path=path,
            allowed="CSV, TSV or Parquet",
            next_step="Log in at the export server and download again.",
        )
    if not text.strip():
        raise BadFile("The file holds only blank lines.", path=path, allowed="at least a header and one line", next_step="Look whether the export failed.")
    return PlainText(text=text, encoding=found, compressed=compressed, replaced=replaced)


def _refuse_what_is_no_text(raw: bytes, path: Path) -> None:
    if raw.startswith(ZIP):
        what = "an Excel workbook (.xlsx)" if _is_workbook(raw) else "a ZIP archive"
        raise BadFile(
            f"The file is {what}, whatever its name says.",
            path=path,
            allowed="CSV, TSV or Parquet, also gzipped",
            next_step=_CSV if "Excel" in what else "Unpack it and name the files inside.",
        )
    if raw.startswith(OLE):
        raise BadFile("The file is an old Excel workbook (.xls), whatever its name says.", path=path, allowed="CSV, TSV or Parquet", next_step=_CSV)
    if raw.startswith(PARQUET):
        raise BadFile("The file is Parquet, not text.", path=path, allowed="CSV or TSV", next_step=_CSV)
    for magic, name in _OTHER:
        if raw.startswith(magic):
            raise BadFile(f"The file is {name}, not text.", path=path, allowed="CSV, TSV or Parquet, plain or gzipped", next_step="Unpack or convert it first.")
    head = raw[:65536]
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _utf16_without_mark(head):
        return
    control = len(head) - len(head.translate(None, _CONTROL))
    if control > 0.05 * len(head):
        raise BadFile(
            f"The file is binary: {control:,} of its first {len(head):,} bytes are no text.", path=path, allowed="CSV, TSV or Parquet", next_step=_CSV
        )


def _is_workbook(raw: bytes) -> bool:
    try:
        return any(name.startswith("xl/") for name in zipfile.ZipFile(io.BytesIO(raw)).namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return b"[Content_Types].xml" in raw[:4096]


def _utf16_without_mark(head: bytes) -> str:
    """Which UTF-16 it is that forgot its mark, "" if none: every other byte of Latin text is zero."""
    if len(head) < 8:
        return ""
    for name, start in (("utf-16-le", 1), ("utf-16-be", 0)):
        here, there = head[start::2], head[1 - start :: 2]
        if here.count(0) > 0.7 * len(here) and there.count(0) < 0.1 * len(there):
            return name
    return ""


def _encoding(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    without_mark = _utf16_without_mark(raw[:65536])
    if without_mark:
        return without_mark
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as wrong:
        if wrong.end == len(raw) and wrong.reason == "unexpected end of data":
            return "utf-8"
        if _has_valid_sequences(raw):
            return "utf-8"
        # Windows-1252 leaves five bytes undefined; a file that uses one is taken as ISO 8859-1, which has them all.
        return "latin-1" if any(b in raw for b in (0x81, 0x8D, 0x8F, 0x90, 0x9D)) else "cp1252"
    return "utf-8"


def _has_valid_sequences(raw: bytes) -> bool:
    """More right multi-byte UTF-8 sequences than wrong bytes: a UTF-8 file with damage, not another encoding."""
    right = len(re.findall(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}", raw))
    wrong = raw.decode("utf-8", errors="replace").count("\ufffd") - raw.count(b"\xef\xbf\xbd")
    return right > wrong


def _utf8(raw: bytes) -> tuple[str, bool]:
    try:
        return raw.decode("utf-8"), False
    except UnicodeDecodeError:
        return raw.decode("utf-8", errors="replace"), True

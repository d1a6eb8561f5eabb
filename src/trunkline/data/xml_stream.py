"""Bytes of an XML file, unpacked, bounded and if need be repaired, on their way to the parser.

Real measurement files break XML in a handful of ways that hurt nobody: a stylesheet line before the XML declaration,
an ``&`` that stands for itself, NUL bytes from a disk that filled up. Those are put right and said. Nothing that
could change a number is guessed: what cannot be read stays unreadable.
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from trunkline.core.errors import BadFile
from trunkline.core.plain_file import open_plain

if TYPE_CHECKING:
    from collections.abc import Iterable

CHUNK = 256 * 1024
LONGEST_TAG = 4 * 1024 * 1024  # expat scans an unfinished tag again with each chunk

GZIP = b"\x1f\x8b"
LARGE = 64 * 1024 * 1024
STRONGEST = 1000
"""Times that a file which unpacks to more than LARGE bytes may grow: measurements reach a hundred, what is made to fill a disk 1,032."""
_MOST_MEMBERS = 100_000
_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_CODECS = re.compile(r"utf_?8|ascii|iso8859_?\d+|latin_?1|cp125\d|windows_?125\d")
_START = re.compile(r"<(?=[A-Za-z_!?])")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_AMPERSAND = re.compile(r"&(?:#(\d{1,7});|#x([0-9A-Fa-f]{1,6});|(?:amp|lt|gt|quot|apos);)?")
_LONGEST_REFERENCE = 10


class Decompressor(Protocol):
    """The part of :func:`zlib.decompressobj` used here; the standard library does not name its type."""

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes: ...


class Bytes:
    """The bytes of *where*, chunk by chunk, unpacked if they are gzip, which their first bytes say and not their name.

    A file may be of several gzip members. After the last chunk ``cut`` says why the packing ended early (None: it did not), ``checksum_failed`` whether it
    unpacked to something other than what was packed, and ``notes`` what else was odd.

    Raises
    ------
    BadFile
        While iterating: the file cannot be opened, unpacks to more than *most* bytes, or to more than :data:`LARGE` bytes and
        :data:`STRONGEST` times its size.
    """

    def __init__(self, where: Path | bytes, *, name: str, most: int) -> None:
        self.where, self.name, self.most = where, name, most
        self._packed = 0
        self.cut: str | None = None
        self.checksum_failed = False
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[bytes]:
        self.cut, self.checksum_failed, self.notes = None, False, []
        total = self._packed = 0
        for chunk in self._unpacked():
            total += len(chunk)
            if total > LARGE and total > STRONGEST * self._packed:
                raise BadFile(
                    f"The file unpacks to more than {STRONGEST:,} times its size, which measurements do not.",
                    path=self.name,
                    allowed=f"gzip that holds at most {STRONGEST:,} times its size, or at most {LARGE:,} bytes",
                    next_step="Ask the sender what this file is; if it is meant, hand it over unpacked.",
                )
            if total > self.most:
                raise BadFile(
                    f"The file holds more than {self.most:,} bytes once unpacked.",
                    path=self.name,
                    allowed=f"at most {self.most:,} bytes",
                    next_step="Ask for files of fewer elements; from Python a trusted one can be read with a larger max_bytes.",
                )
            yield chunk

    def _unpacked(self) -> Iterator[bytes]:
        raw = self._raw()
        first = next(raw, b"")
        while len(first) < len(GZIP) and (more := next(raw, b"")):
            first += more
        if not first.startswith(GZIP):
            yield first
            yield from raw
            return
        yield from self._inflated(first, raw)

    def _raw(self) -> Iterator[bytes]:
        if isinstance(self.where, bytes):
            for start in range(0, len(self.where), CHUNK):
                self._packed += len(self.where[start : start + CHUNK])
                yield self.where[start : start + CHUNK]
            return
        try:
            with open_plain(self.where) as file:
                while piece := file.read(CHUNK):
                    self._packed += len(piece)
                    yield piece
        except OSError as cannot:
            raise BadFile(f"The file cannot be read: {cannot.strerror or cannot}.", path=self.name) from cannot

    def _inflated(self, first: bytes, raw: Iterator[bytes]) -> Iterator[bytes]:
        inflate = zlib.decompressobj(wbits=31)
        waiting, members = first, 1
        while True:
            before = inflate.copy()
            try:
                piece = inflate.decompress(waiting, CHUNK)
            except zlib.error as broken:
                self.checksum_failed = "check" in str(broken)
                self.cut = f"the gzip data are damaged ({broken})"
                yield _until_damage(before, waiting)
                return
            if piece:
                yield piece
            waiting = inflate.unconsumed_tail
            if inflate.eof:
                waiting = inflate.unused_data or next(raw, b"")
                if not waiting.startswith(GZIP):
                    if waiting.strip(b"\x00 \r\n"):
                        self.notes.append("bytes after the end of the gzip data were left out")
                    return
                members += 1
                if members > _MOST_MEMBERS:
                    self.cut = f"the gzip data are in more than {_MOST_MEMBERS:,} members"
                    return
                inflate = zlib.decompressobj(wbits=31)
            elif not waiting and not (waiting := next(raw, b"")) and not piece:
                self.cut = "the gzip data end early"
                return


def _until_damage(inflate: Decompressor, packed: bytes) -> bytes:
    """What unpacks before the damage: a failing call gives nothing back, so this goes byte by byte."""
    out: list[bytes] = []
    with suppress(zlib.error):
        out.extend(inflate.decompress(packed[at : at + 1]) for at in range(len(packed)))
    return b"".join(out)


class Repaired:
    """Chunks of XML made readable: always UTF-8, starting at the declaration, without stray ``&`` and control characters.

    ``line_offset`` is the number of lines left out before the first, ``notes`` what was put right.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks = chunks
        self.line_offset = 0
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[bytes]:
        self.line_offset, counts = 0, {"control": 0, "ampersand": 0, "undecodable": 0}
        held = ""
        for text in self._from_declaration(self._decoded(counts)):
            whole = _CONTROL.sub("\ufffd", held + text)
            counts["control"] += whole.count("\ufffd")
            cut = whole.rfind("&", max(0, len(whole) - _LONGEST_REFERENCE))
            whole, held = (whole[:cut], whole[cut:]) if cut >= 0 else (whole, "")
            yield _escaped(whole, counts).encode()
        yield _escaped(held, counts).encode()
        counts["control"] -= counts["undecodable"]
        self.notes += [
            text
            for count, text in (
                (counts["ampersand"], f"{counts['ampersand']} '&' that stood for themselves were escaped"),
                (counts["undecodable"], f"{counts['undecodable']} bytes that are no characters were replaced by U+FFFD"),
                (counts["control"], f"{counts['control']} control characters were replaced by U+FFFD"),
            )
            if count > 0
        ]

    def _decoded(self, counts: dict[str, int]) -> Iterator[str]:
        decoder: codecs.IncrementalDecoder | None = None
        for chunk in self.chunks:
            if decoder is None:
                decoder = codecs.getincrementaldecoder(_codec(chunk))("replace")
            text = decoder.decode(chunk)
            counts["undecodable"] += text.count("\ufffd")
            yield text
        if decoder is not None:
            yield decoder.decode(b"", final=True)

    def _from_declaration(self, texts: Iterator[str]) -> Iterator[str]:
        head = ""
        for text in texts:
            head += text
            if len(head) >= CHUNK:
                break
        declared = head.find("<?xml ")
        if declared > 0 and "<meas" not in head[:declared]:
            start, what = declared, "before the XML declaration"
        else:
            found = _START.search(head)
            start, what = (found.start() if found else 0), "before the first tag"
        if head[:start].strip("\ufeff \r\n\t\x00"):
            self.notes.append(f"{start:,} characters {what} were left out")
        self.line_offset = head.count("\n", 0, start)
        yield head[start:]
        yield from texts


def _codec(first: bytes) -> str:
    """What *first* is written in: by its mark, else as it declares, else UTF-8."""
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    declared = _DECLARED.search(first[:1024])
    name = declared[1].decode("ascii").lower().replace("-", "_") if declared else "utf_8"
    if not _CODECS.fullmatch(name):
        return "utf-8-sig"
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return "utf-8-sig"
    return "utf-8-sig" if found in {"utf-8", "ascii"} else found


def _escaped(text: str, counts: dict[str, int]) -> str:
    if "&" not in text:
        return text

    def put_right(found: re.Match[str]) -> str:
        code = int(found[1]) if found[1] else int(found[2], 16) if found[2] else None
        if (code is None and len(found[0]) > 1) or (code is not None and _is_character(code)):
            return found[0]
        counts["ampersand"] += 1
        return "&amp;" + found[0][1:]

    return _AMPERSAND.sub(put_right, text)


def _is_character(code: int) -> bool:
    """Whether XML 1.0 allows the character, production 2."""
    return code in {9, 10, 13} or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF

"""3GPP measurement files: from gzip to one frame of results, and from gzip to what rests (intake, blobs, lake).

The files have the shape of a real one (an Ericsson gNB: 158 KB, 35 measInfo, 2,667 results, 409 of them of many numbers), of
many nodes and quarters of an hour, every value drawn anew; where the real file is not beside the project, a simulated shape
stands in and the figure says so. Three mixes: all results by position; half of the measInfos as lists; every head of a
measInfo unlike any other, so that nothing can be remembered.

Peer: lxml's iterparse with one frame at the end, as one would write it. Its values are compared with ours first.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import tempfile
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

import trunkline
from benchmarks.measure import Figure, PeakOf, cpu, growth
from trunkline.data.distinguished_names import full_name
from trunkline.data.pm_files import Together
from trunkline.data.pm_xml import COUNTERS, read

REAL = Path(__file__).resolve().parents[2] / "shared/data/pm_xml/oran_ranpm/A20220418.1900-1915_seliitdus00487.xml"
Mix = Literal["all positional", "half lists", "every head unique"]
BARS: dict[Mix, float] = {"all positional": 4.0, "half lists": 2.0, "every head unique": 1.0}
_NODES = 16
_AT_ONCE = 64


def figures(*, quick: bool) -> Iterator[Figure]:
    """Each mix beside its peer and limit, then growth, then gzip to stored."""
    count = 24 if quick else 128
    shape = _shape()
    for mix, bar in BARS.items():
        packed, size = _files(shape, mix, count)
        assert_frame_equal(_ours(packed[:4]).select(_COMPARED), _peer(packed[:4]))
        ours = cpu(_ours, packed, repeat=5 if quick else 7)
        peer = cpu(_peer, packed, repeat=2)
        limit = cpu(_limit, packed, repeat=3)
        parser = cpu(_by_parser, packed[: count // 4], repeat=1)
        yield Figure(
            name=f"pm: gz to frame, {mix}, {count} files",
            value=peer.cpu_s / ours.cpu_s,
            unit="x lxml iterparse",
            bar=bar,
            peer="lxml.etree.iterparse, one Polars frame of all files (MB/s of XML)",
            peer_value=size / peer.cpu_s,
            limit=size / limit.cpu_s,
            limit_is="inflate each file and look at each byte once (MB/s of XML)",
            n=count,
            peak_mb=ours.peak_mb,
            note=f"{size / ours.cpu_s:,.0f} MB/s of XML per core; the full parser (expat) {size / 4 / parser.cpu_s:,.0f} MB/s; {_shape_told()}",
        )
    took: dict[int, float] = {}
    with PeakOf() as peak:
        for times in (1, 3, 10):
            packed, _ = _files(shape, "all positional", times * (8 if quick else 64))
            took[times] = cpu(_batches, packed, repeat=3).cpu_s
    yield Figure(
        name="pm: gz to frame, growth over 1x, 3x, 10x files",
        value=growth(took),
        unit="exponent",
        bar=1.1,
        better="lower",
        n=10 * (8 if quick else 64),
        peak_mb=peak.mb,
    )
    yield from _stored(shape, quick=quick)


def _stored(shape: bytes, *, quick: bool) -> Iterator[Figure]:
    took: dict[int, float] = {}
    for times in (1, 3, 10):
        count = times * (20 if quick else 80)
        packed, size = _files(shape, "all positional", count)
        with tempfile.TemporaryDirectory() as folder, PeakOf() as peak:
            timing = min((_load(packed, Path(folder) / str(n)) for n in range(2)), key=lambda one: one[0])
            limit = min(cpu(_kept, packed, Path(folder) / f"limit{n}", repeat=1).cpu_s for n in range(2))
        took[times], rows = timing
    yield Figure(
        name=f"pm: gz to stored, {count} files, {rows:,} records",
        value=size / took[10],
        unit="MB/s of XML per CPU-second",
        bar=100.0,
        limit=size / limit,
        limit_is="inflate, look at each byte, hash, write and sync each file",
        n=count,
        peak_mb=peak.mb,
        note=f"{limit / took[10]:.2f} of the limit; {rows / took[10] / 1e6:.1f} M records/s into the lake; a file is {size / count * 1000:.0f} KB of XML; {_shape_told()}",
    )
    yield Figure(name="pm: gz to stored, growth over 1x, 3x, 10x files", value=growth(took), unit="exponent", bar=1.1, better="lower", n=count)


# What is timed


def _ours(packed: list[bytes]) -> pl.DataFrame:
    together = Together()
    for number, one in enumerate(packed):
        together.add(one, source=str(number))
    return together.take()


def _batches(packed: list[bytes]) -> int:
    together, rows = Together(), 0
    for begin in range(0, len(packed), _AT_ONCE):
        for number, one in enumerate(packed[begin : begin + _AT_ONCE]):
            together.add(one, source=str(number))
        rows += together.take().height
    return rows


def _by_parser(packed: list[bytes]) -> pl.DataFrame:
    return pl.concat([read(one, source=str(number)).counters for number, one in enumerate(packed)])


def _limit(packed: list[bytes]) -> int:
    return sum(int(np.count_nonzero(np.frombuffer(zlib.decompress(one, 31), np.uint8) == 60)) for one in packed)


_COMPARED = ["source", "element", "counter", "value", "values", "suspect"]


def _peer(packed: list[bytes]) -> pl.DataFrame:
    """The same results as lists of one frame."""
    from lxml import etree

    columns: dict[str, list[Any]] = {name: [] for name in _COMPARED}
    add_source, add_element, add_counter, add_value, add_values, add_suspect = (columns[name].append for name in _COMPARED)
    wanted = ("fileHeader", "managedElement", "measType", "measTypes", "r", "measResults", "suspect", "measValue", "measInfo")
    for number, one in enumerate(packed):
        source, prefix, node = str(number), "", ""
        types: dict[str, str] = {}
        results: list[tuple[str, str]] = []
        is_suspect = False
        for _, tag in etree.iterparse(io.BytesIO(zlib.decompress(one, 31)), events=("end",), tag=[f"{{*}}{name}" for name in wanted]):
            name = tag.tag.rpartition("}")[2]
            if name == "r":
                results.append((types[tag.get("p")], (tag.text or "").strip()))
            elif name == "measType":
                types[tag.get("p")] = tag.text
            elif name == "measTypes":
                types = {str(place): text for place, text in enumerate(tag.text.split(), start=1)}
            elif name == "measResults":
                results = list(zip(types.values(), tag.text.split(), strict=True))
            elif name == "suspect":
                is_suspect = tag.text == "true"
            elif name == "measValue":
                element = full_name(prefix, node, tag.get("measObjLdn"))
                for counter, text in results:
                    several = "," in text
                    add_source(source)
                    add_element(element)
                    add_counter(counter)
                    add_value(None if several or not text or text == "NIL" else float(text))
                    add_values([float(part) if part.strip() else None for part in text.split(",")] if several else None)
                    add_suspect(is_suspect)
                results, is_suspect = [], False
                tag.clear()
            elif name == "measInfo":
                types = {}
                tag.clear()
            elif name == "managedElement":
                node = tag.get("localDn")
            else:
                prefix = tag.get("dnPrefix", "")
    return pl.DataFrame(columns, schema={name: COUNTERS[name] for name in _COMPARED})


def _load(packed: list[bytes], folder: Path) -> tuple[float, int]:
    (folder / "given").mkdir(parents=True)
    for number, one in enumerate(packed):
        (folder / f"given/A{number:05d}.xml.gz").write_bytes(one)
    before = os.environ.get("XDG_CONFIG_HOME")
    os.environ["XDG_CONFIG_HOME"] = str(folder / "config")
    try:
        with trunkline.create(folder / "workspace") as workspace:
            timing = cpu(workspace.data.load, [folder / "given"], repeat=1)
            rows = workspace.store.lake.read("measurements").select(pl.len()).collect().item()
    finally:
        if before is None:
            del os.environ["XDG_CONFIG_HOME"]
        else:
            os.environ["XDG_CONFIG_HOME"] = before
    assert rows == timing.result.rows
    return timing.cpu_s, rows


def _kept(packed: list[bytes], folder: Path) -> int:
    """What no way to store the files can do without."""
    folder.mkdir(parents=True)
    for one in packed:
        with (folder / sha256(one).hexdigest()).open("xb") as file:
            file.write(one)
            file.flush()
            os.fsync(file.fileno())
    return _limit(packed)


# Files


def _shape_told() -> str:
    return "the shape of a real file, values drawn anew" if REAL.is_file() else "a made-up shape: the real file is not beside the project"


def _shape() -> bytes:
    if REAL.is_file():
        return REAL.read_bytes()
    infos = []
    for info in range(35):
        types = "".join(f'\n      <measType p="{p}">pmSimulated{info}x{p}</measType>' for p in range(1, 24))
        results = "".join(f'\n        <r p="{p}">{"0," * 19 + "0" if p % 7 == 0 else "0"}</r>' for p in range(1, 24))
        values = "".join(
            f'\n      <measValue measObjLdn="ManagedElement=seliitdus00487,GNBDUFunction=1,NRCellDU={cell}">{results}\n      </measValue>' for cell in range(4)
        )
        period = '\n      <granPeriod duration="PT900S" endTime="2022-04-18T19:15:00+00:00"/>'
        infos.append(f'\n    <measInfo measInfoId="PM=1,PmGroup=G{info}">{period}{types}{values}\n    </measInfo>')
    head = '<fileHeader fileFormatVersion="32.435 V10.0" vendorName="Ericsson AB" dnPrefix="SubNetwork=G3"><fileSender localDn="seliitdus00487"/></fileHeader>'
    body = f'<measData><managedElement localDn="seliitdus00487" swVersion="1"/>{"".join(infos)}</measData>'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<measCollecFile xmlns="urn:measCollec">{head}{body}</measCollecFile>'.encode()


_RESULT = re.compile(rb"(<r p=\"\d+\">)([^<]*)(</r>)")
_INFO = re.compile(rb"<measInfo .*?</measInfo>", re.DOTALL)
_MEAS_TYPE = re.compile(rb"\s*<measType p=\"\d+\">([^<]*)</measType>")


def _files(shape: bytes, mix: Mix, count: int) -> tuple[list[bytes], float]:
    """*count* files, packed, and how many MB of XML they are."""
    dice = np.random.default_rng(7)
    packed, size = [], 0
    for number in range(count):
        quarter = number // _NODES
        drawn = iter(np.where(dice.random(20_000) < 0.7, 0, dice.geometric(0.005, 20_000)).tolist())

        def values(found: re.Match[bytes]) -> bytes:
            return found[1] + b",".join(b"%d" % next(drawn) if part.isdigit() else part for part in found[2].split(b",")) + found[3]  # noqa: B023 - used at once

        xml = _RESULT.sub(values, shape).replace(b"seliitdus00487", b"node%05d" % (number % _NODES))
        end = b"2022-04-%02dT%02d:%02d:00" % (1 + quarter // 96, quarter // 4 % 24, quarter % 4 * 15)
        xml = xml.replace(b"2022-04-18T19:15:00", end)
        if mix == "half lists":
            xml = _half_lists(xml)
        elif mix == "every head unique":
            xml = xml.replace(b'measInfoId="', b'measInfoId="F=%d,' % number)
            xml = re.sub(rb"(<measType p=\"1\">)", rb"\g<1>f%d_" % number, xml)
        size += len(xml)
        packed.append(gzip.compress(xml, 6))
    return packed, size / 1e6


def _half_lists(xml: bytes) -> bytes:
    infos = 0

    def listed(found: re.Match[bytes]) -> bytes:
        nonlocal infos
        infos += 1
        if infos % 2:
            return found[0]
        head, mark, values = found[0].partition(b"<measValue")
        types = _MEAS_TYPE.findall(head)
        head = _MEAS_TYPE.sub(b"", head) + b"<measTypes>" + b" ".join(types) + b"</measTypes>\n      "
        return head + re.sub(rb"(?:\s*<r p=\"\d+\">[^<]*</r>)+", _as_list, mark + values)

    return _INFO.sub(listed, xml)


def _as_list(results: re.Match[bytes]) -> bytes:
    return b"<measResults>" + b" ".join(found[2].replace(b" ", b"") or b"NIL" for found in _RESULT.finditer(results[0])) + b"</measResults>"

"""Measurement files as the simulated nodes write them: 3GPP TS 32.435 and TS 28.532 XML, gzipped.

Ericsson nodes write TS 32.435 with one numbered ``r`` per value; the others write TS 28.532, where
every second node gives its values by position (``measTypes`` and ``measResults``).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from trunkline.core.clock import zone as zone_of
from trunkline.data.counters import CounterMap, load_maps, write_values
from trunkline.simulator.measure import Counted
from trunkline.simulator.names import MEASUREMENTS
from trunkline.simulator.network import Network
from trunkline.simulator.sites import DN_PREFIX, Cell, Site
from trunkline.simulator.traffic import Grid

Value = float | tuple[float, ...]

_VENDOR_NAMES = {"ericsson": "Ericsson AB (simulated)", "3gpp": "Simulated Networks", "huawei": "Huawei (simulated)"}
_MAPS = {"LTE": "lte", "NR-SA": "nr", "NR-NSA": "nr"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementFile:
    """One node's measurements of one period, ready to be written."""

    site: Site
    slot: int
    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dialect:
    """The tags of one file format."""

    root: str
    namespace: str
    version: str
    sender: str
    collection: str
    entity: str


_TS_32435 = _Dialect(
    root="measCollecFile",
    namespace="http://www.3gpp.org/ftp/specs/archive/32_series/32.435#measCollec",
    version="32.435 V10.0",
    sender='fileSender localDn={dn} elementType="RadioNode"',
    collection="measCollec",
    entity="managedElement",
)
_TS_28532 = _Dialect(
    root="measDataFile",
    namespace="http://www.3gpp.org/ftp/specs/archive/28_series/28.532#measData",
    version="28.532 V17.0",
    sender='fileSender senderName={dn} senderType="RadioNode"',
    collection="measData",
    entity="measEntity",
)


def measurement_files(network: Network, counted: Counted) -> Iterator[MeasurementFile]:
    """The file of every node and period that is delivered, in order of time, then node.

    Same input, same bytes: gzip carries neither a name nor a time.
    """
    maps = load_maps()
    by_node = [(number, site, network.below(site.node)) for number, site in enumerate(network.sites)]
    for slot in range(counted.grid.slots):
        for number, site, cells in by_node:
            if counted.delivered[list(cells), slot].all():
                xml = _document(network, counted, maps, number, site, cells, slot)
                yield MeasurementFile(site=site, slot=slot, name=file_name(counted.grid, slot, site), content=gzip.compress(xml.encode(), 6, mtime=0))


def file_name(grid: Grid, slot: int, site: Site, *, repeat: int = 1) -> str:
    """The name of TS 32.432 6.1: type A (one node, one period), local begin and end, the node, a running count if repeated."""
    start = (grid.start + slot * grid.step).astimezone(zone_of(site.zone))
    end = (grid.start + (slot + 1) * grid.step).astimezone(zone_of(site.zone))
    date = "" if end.date() == start.date() else f"{end:%Y%m%d}."
    return f"A{start:%Y%m%d.%H%M%z}-{date}{end:%H%M%z}_{site.node}{'' if repeat == 1 else f'_-_{repeat}'}.xml.gz"


def _document(network: Network, counted: Counted, maps: Mapping[str, CounterMap], number: int, site: Site, cells: Sequence[int], slot: int) -> str:
    dialect = _TS_32435 if site.vendor == "ericsson" else _TS_28532
    there = zone_of(site.zone)
    start = (counted.grid.start + slot * counted.grid.step).astimezone(there)
    end = (counted.grid.start + (slot + 1) * counted.grid.step).astimezone(there)
    dn = quoteattr(f"ManagedElement={site.node}")
    vendor = quoteattr(_VENDOR_NAMES[site.vendor])
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<!-- simulated, seed {network.seed}: no real network -->",
        f'<{dialect.root} xmlns="{dialect.namespace}">',
        f'<fileHeader fileFormatVersion="{dialect.version}" vendorName={vendor} dnPrefix="{DN_PREFIX}">',
        f"<{dialect.sender.format(dn=dn)}/>",
        f'<{dialect.collection} beginTime="{start.isoformat()}"/>',
        "</fileHeader>",
        "<measData>",
        f'<{dialect.entity} localDn={dn} userLabel={quoteattr(site.name)} swVersion="simulated 1.0"/>',
    ]
    # Objects that keep different counters stand in different blocks: what a cell does not have is not said to be missing.
    blocks: dict[tuple[str, tuple[str, ...]], list[tuple[int, Cell, dict[str, Value]]]] = {}
    for i in cells:
        for object_class, values in _spoken(network.cells[i], counted, maps, i, slot).items():
            blocks.setdefault((object_class, tuple(values)), []).append((i, network.cells[i], values))
    for (object_class, counters), objects in blocks.items():
        lines += _measurements(object_class, counters, objects, counted, slot, start, end, by_position=dialect is _TS_28532 and number % 2 == 1)
    lines += ["</measData>", f'<fileFooter><{dialect.collection} endTime="{end.isoformat()}"/></fileFooter>', f"</{dialect.root}>", ""]
    return "\n".join(lines)


def _spoken(cell: Cell, counted: Counted, maps: Mapping[str, CounterMap], i: int, slot: int) -> dict[str, dict[str, Value]]:
    """What the cell's vendor calls and how it writes each value: counters by object class."""
    standard = {}
    for m in MEASUREMENTS[cell.layer.technology]:
        amount = float(counted.values[m.word][i, slot])
        if not np.isnan(amount):
            standard[m.name] = amount * m.factor
    found: dict[str, dict[str, Value]] = {}
    spoken = maps[f"{cell.site.vendor}-{_MAPS[cell.layer.technology]}"]
    written = write_values(spoken, standard, period_s=int(counted.grid.step / timedelta(seconds=1)))
    if cell.layer.technology != "LTE":
        written |= _cqi(spoken, counted, i, slot)
    for (object_class, counter), value in written.items():
        found.setdefault(object_class, {})[counter] = value
    return found


def _cqi(spoken: CounterMap, counted: Counted, i: int, slot: int) -> dict[tuple[str, str], Value]:
    """How often each channel quality (0 to 15) was reported: one counter of 16 numbers, where the dialect has it."""
    row = next((c for c in spoken.counters if c.name == "CARR.WBCQIDist"), None)
    if row is None:
        return {}
    share = np.exp(-0.5 * ((np.arange(16) - counted.values["cqi"][i, slot]) / 2.2) ** 2)
    reports = np.rint(share / share.sum() * counted.values["cqi_reports"][i, slot])
    return {(row.object_class, row.counter): tuple(float(r) for r in reports)}


def _measurements(
    object_class: str,
    counters: Sequence[str],
    objects: Sequence[tuple[int, Cell, dict[str, Value]]],
    counted: Counted,
    slot: int,
    start: datetime,
    end: datetime,
    *,
    by_position: bool,
) -> Iterator[str]:
    length = f"PT{int((end - start).total_seconds())}S"
    yield f'<measInfo measInfoId="{object_class}">'
    yield f'<job jobId="simulated"/><granPeriod duration="{length}" endTime="{end.isoformat()}"/><repPeriod duration="{length}"/>'
    if by_position:
        yield f"<measTypes>{escape(' '.join(counters))}</measTypes>"
    else:
        yield "".join(f'<measType p="{p}">{escape(c)}</measType>' for p, c in enumerate(counters, 1))
    for i, cell, values in objects:
        dn = next(dn for dn in cell.dns if f",{object_class}=" in dn)
        results = [_text(values[c]) for c in counters]
        yield f"<measValue measObjLdn={quoteattr(dn.removeprefix(f'{DN_PREFIX},'))}>"
        if by_position:
            yield f"<measResults>{' '.join(results)}</measResults>"
        else:
            yield "".join(f'<r p="{p}">{text}</r>' for p, text in enumerate(results, 1))
        if counted.suspect[i, slot]:
            yield "<suspect>true</suspect>"
        yield "</measValue>"
    yield "</measInfo>"


def _text(value: Value) -> str:
    if isinstance(value, tuple):
        return ",".join(_text(v) for v in value)
    whole = round(value)
    # The maps' factors are not exact in binary; a counter that counts is written as the whole number it is.
    return str(whole) if abs(value - whole) <= 1e-9 * max(1.0, abs(value)) else repr(float(value))

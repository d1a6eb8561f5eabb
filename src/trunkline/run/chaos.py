"""A copy of somebody's own files, spoilt as a bad feed spoils them, ready to be loaded; what was done is said and written beside.

Measurement files stay as they are and are lost, doubled, late (by their file time) and out of order as wholes. Series and
records become Parquet files in our own layout, because a CSV cannot say when a line of it came. Anything else is copied.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from trunkline.core.canonical import plain
from trunkline.core.errors import BadInput
from trunkline.core.frames import TIME
from trunkline.data import column_map, pm_xml, records, series, sniff
from trunkline.run.load import Options, paths_of
from trunkline.simulator.chaos import PERIOD, Chaos, fates, order, spoil

TOLD = ".chaos.json"
"""What was done, in the folder of the copy; hidden, so that loading the folder passes it over."""
PIECES = 200
"""Into so many files the records of one file are cut at most, in the order of their arrival."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done to a set of files."""

    folder: str
    seed: int
    files: int
    """Files that were read."""
    written: int
    periods: int
    """Messages a feed would have sent: one for each element and period of a series, or one measurement file."""
    lost: int
    late: int
    latest: str
    """How late the latest was."""
    duplicated: int
    out_of_order: int
    """Files handed over after one that came later."""
    as_they_were: tuple[str, ...]
    """Files that are no measurements: copied."""

    def __str__(self) -> str:
        return (
            f"Of {self.periods:,} periods {self.lost:,} were lost, {self.late:,} came late (the latest by {self.latest}), {self.duplicated:,} came twice; "
            f"{self.out_of_order:,} of {self.written:,} files are out of order (seed {self.seed})."
        )


@dataclass(slots=True)
class _Copy:
    """One file of the copy: when it came, what it is called, and what is in it."""

    came: datetime
    name: str
    source: Path | None = None
    frame: pl.DataFrame | None = None

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True)
        if self.frame is not None:
            self.frame.write_parquet(path)
        elif self.source is not None:
            shutil.copyfile(self.source, path)
        os.utime(path, (self.came.timestamp(), self.came.timestamp()))


@dataclass(slots=True)
class _Spoiling:
    chaos: Chaos
    options: Options
    delay: timedelta
    copies: list[_Copy] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    fate: list[pl.DataFrame] = field(default_factory=list)

    def measurements(self, paths: Sequence[Path]) -> None:
        """Whole files are lost, late and doubled."""
        ends: dict[Path, datetime] = {}
        for path in paths:
            end = _end(path, self.options.zone)
            if end is None:  # broken already
                self.others.append(path)
            else:
                ends[path] = end
        if not ends:
            return
        fate = fates(pl.DataFrame({"file": [str(path) for path in ends]}), self.chaos)
        told = {row["file"]: row for row in fate.to_dicts()}
        for path, end in ends.items():
            one = told[str(path)]
            if one["lost"]:
                continue
            came = end + self.delay + timedelta(seconds=one["late_s"])
            self.copies.append(_Copy(came, path.name, source=path))
            if one["again_s"] is not None:
                self.copies.append(_Copy(came + timedelta(seconds=one["again_s"]), path.name, source=path))
        self.fate.append(fate)

    def records(self, path: Path, frame: pl.DataFrame) -> None:
        """Periods of elements are lost, late and doubled; what comes near in time lies in one file."""
        fate = fates(frame.select(PERIOD), self.chaos)
        self.fate.append(fate)
        arrived = spoil(frame, fate)
        size = max(-(-arrived.height // PIECES), 1)
        for piece in arrived.iter_slices(size):
            came: Any = piece["known_at"].max()
            self.copies.append(_Copy(came, f"{path.stem}.parquet", frame=piece))


def chaos(
    files: Sequence[str | Path],
    out: str | Path,
    how: Chaos,
    *,
    options: Options | None = None,
    delay: timedelta = timedelta(minutes=10),
    dry_run: bool = False,
) -> Done:
    """Write a spoilt copy of *files* into the new folder *out*; each file lies in a numbered folder, in the order of handing over.

    Load it with ``trunkline data load OUT --file-time``: a measurement file came when its file time says.

    Parameters
    ----------
    how
        What is done to them.
    options
        How files are read that do not say themselves: zone, period, column map.
    delay
        How long after its end a measurement file comes that is not late.

    Raises
    ------
    BadInput
        *out* holds something already, or nothing was given that could be spoilt.
    """
    out, options, paths = Path(out), options or Options(), paths_of(files)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out} is there already.", where="--out", allowed="a new or empty folder")
    kinds = {path: sniff.kind(path) for path in paths}
    spoiling = _Spoiling(how, options, delay)
    spoiling.measurements([path for path, kind in kinds.items() if kind == "pm_xml"])
    for path, kind in kinds.items():
        if kind == "series":
            spoiling.records(path, _series(path, options))
        elif kind == "records":
            spoiling.records(path, records.read(path).records)
        elif kind != "pm_xml":
            spoiling.others.append(path)
    if not spoiling.fate:
        raise BadInput("Nothing of this is measurements.", where=", ".join(path.name for path in paths[:6]), allowed="measurement files, series, records")
    spoiling.copies.sort(key=lambda one: (one.came, one.name))
    handed = [spoiling.copies[place] for place in order(len(spoiling.copies), how)]
    done = _done(spoiling, handed, out, len(paths))
    if not dry_run:
        _write(handed, spoiling.others, out)
        fate = pl.concat([one.filter(pl.col("lost") | (pl.col("late_s") > 0) | pl.col("again_s").is_not_null()) for one in spoiling.fate], how="diagonal")
        told = {"what": asdict(done), "how": plain(how), "periods": [{name: plain(value) for name, value in row.items()} for row in fate.to_dicts()]}
        (out / TOLD).write_bytes(msgspec.json.format(msgspec.json.encode(told)))
    return done


def _series(path: Path, options: Options) -> pl.DataFrame:
    chosen = None if options.column_map is None else column_map.load(options.column_map)
    return series.read(path, chosen, assume_zone=options.zone or options.assume_zone).records


def _end(path: Path, zone: str | None) -> datetime | None:
    """When what a measurement file tells of ended; None where it cannot be read."""
    try:
        file = pm_xml.read(path, zone=zone)
    except BadInput:
        return None
    last: datetime | None = file.end or file.counters.select((pl.col("at") + pl.duration(seconds="period_s")).cast(TIME).max()).item()
    return last


def _done(spoiling: _Spoiling, handed: list[_Copy], out: Path, files: int) -> Done:
    fate = pl.concat([one.select("lost", "late_s", "again_s") for one in spoiling.fate])
    newest, behind = None, 0
    for one in handed:
        behind += newest is not None and one.came < newest
        newest = one.came if newest is None else max(newest, one.came)
    latest: Any = fate["late_s"].max()
    return Done(
        folder=str(out),
        seed=spoiling.chaos.seed,
        files=files,
        written=len(handed) + len(spoiling.others),
        periods=fate.height,
        lost=int(fate["lost"].sum()),
        late=int((fate["late_s"] > 0).sum()),
        latest=f"{(latest or 0) / 3600:.1f} h",
        duplicated=int(fate["again_s"].is_not_null().sum()),
        out_of_order=behind,
        as_they_were=tuple(path.name for path in spoiling.others),
    )


def _write(handed: list[_Copy], others: list[Path], out: Path) -> None:
    wide = len(str(len(handed)))
    for path in others:
        (out / "0").mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, out / "0" / path.name)
    for number, one in enumerate(handed, start=1):
        one.write(out / f"{number:0{wide}}" / one.name)

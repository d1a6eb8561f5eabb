"""What the standards call the simulated counters, and on which managed objects each stands.

Names and units are those of :mod:`trunkline.data.counters` (``measurements.toml``); the vendor's own
name for each comes from the same maps the parser reads, so a file that is written is read back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from trunkline.core.frames import RECORDS
from trunkline.simulator.measure import Counted
from trunkline.simulator.network import Network
from trunkline.simulator.sites import Technology


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One standard measurement: the word it is simulated under, and what a value of that word is worth in its unit."""

    name: str
    object_class: str
    word: str
    factor: float = 1.0


def _on(object_class: str, names: Mapping[str, str]) -> tuple[Measurement, ...]:
    return tuple(Measurement(name=n, object_class=object_class, word=w, factor=0.001 if n in _MBIT else 1.0) for n, w in names.items())


_MBIT = {"DRB.PdcpSduVolumeDL", "DRB.PdcpSduVolumeUL", "CA.ScellVolumeDL"}  # simulated in kbit
_RADIO = {
    "RRU.PrbUsedDl": "prb_used_dl",
    "RRU.PrbAvailDl": "prb_available_dl",
    "RRU.PrbUsedUl": "prb_used_ul",
    "RRU.PrbAvailUl": "prb_available_ul",
    "DRB.PdcpSduVolumeDL": "volume_dl_kbit",
    "DRB.PdcpSduVolumeUL": "volume_ul_kbit",
    "CA.ScellVolumeDL": "scell_volume_kbit",
    "RRU.CellUnavailableTime": "unavailable_s",
}
_ACCESS = {"RRC.ConnEstabAtt": "rrc_attempts", "RRC.ConnEstabSucc": "rrc_successes"}
_USERS = {"RRC.ConnMean": "users_mean"}
_ENDC = {"ENDC.SgNBAddAtt": "endc_attempts", "ENDC.SgNBAddSucc": "endc_successes"}
_LTE = _on(
    "EUtranCellFDD",
    {
        **_ACCESS,
        "ERAB.EstabInitAttNbr": "bearer_attempts",
        "ERAB.EstabInitSuccNbr": "bearer_successes",
        "ERAB.RelActNbr": "drops",
        "ERAB.SessionTimeUE": "session_s",
        "HO.ExeAtt": "handover_attempts",
        "HO.ExeSucc": "handover_successes",
        **_ENDC,
        **_USERS,
        **_RADIO,
        "DRB.IPVolDl": "throughput_volume_kbit",
        "DRB.IPTimeDl": "throughput_time_ms",
        "DRB.IPVolUl": "throughput_volume_ul_kbit",
        "DRB.IPTimeUl": "throughput_time_ul_ms",
    },
)
_NR = (
    *_on(
        "NRCellCU",
        {
            **_ACCESS,
            "DRB.EstabAtt": "bearer_attempts",
            "DRB.EstabSucc": "bearer_successes",
            "DRB.RelActNbr": "drops",
            "DRB.SessionTime": "session_s",
            "MM.HoExeIntraReq": "handover_attempts_inside",
            "MM.HoExeIntraSucc": "handover_successes_inside",
            "MM.HoExeInterReq": "handover_attempts_outside",
            "MM.HoExeInterSucc": "handover_successes_outside",
            **_ENDC,
            **_USERS,
        },
    ),
    *_on(
        "NRCellDU",
        {
            **_RADIO,
            "DRB.UEThpVolDl": "throughput_volume_kbit",
            "DRB.UEThpTimeDl": "throughput_time_ms",
            "DRB.UEThpVolUl": "throughput_volume_ul_kbit",
            "DRB.UEThpTimeUl": "throughput_time_ul_ms",
        },
    ),
)
MEASUREMENTS: Mapping[Technology, tuple[Measurement, ...]] = {"LTE": _LTE, "NR-SA": _NR, "NR-NSA": _NR}
"""What a cell of each technology counts. A counter that a cell does not have is NaN throughout and is not written."""


def records(network: Network, counted: Counted, *, source: str = "simulated", known_after_s: float | None = None) -> pl.DataFrame:
    """The counters as a RECORDS frame in standard names and units, dimension "", ordered by cell, name and time.

    Periods that a node did not deliver are absent, values it doubts are marked suspect.

    Parameters
    ----------
    source
        What the rows say they came from.
    known_after_s
        Seconds from the start of a period until it is known; one period and five minutes where not given.
    """
    grid = counted.grid
    at = grid.at
    after = timedelta(seconds=known_after_s) if known_after_s is not None else grid.step + timedelta(minutes=5)
    known = at.dt.offset_by(f"{after // timedelta(microseconds=1)}us")
    parts = []
    for i, cell in enumerate(network.cells):
        kept = np.flatnonzero(counted.delivered[i])
        own = [m for m in MEASUREMENTS[cell.layer.technology] if not np.isnan(counted.values[m.word][i]).all()]
        if not kept.size or not own:
            continue
        values = np.concatenate([counted.values[m.word][i, kept] * m.factor for m in own])
        rows = len(kept)
        parts.append(
            pl.DataFrame(
                {
                    "cell": np.full(rows * len(own), i, dtype=np.uint16),
                    "measurement": np.repeat(np.array([_ALL.index(m) for m in own], dtype=np.uint16), rows),
                    "slot": np.tile(kept, len(own)).astype(np.uint32),
                    "value": values,
                }
            )
        )
    if not parts:
        return pl.DataFrame(schema=dict(RECORDS))
    facts = pl.concat(parts)
    del parts
    cells = pl.Series([c.element for c in network.cells])
    suspect = counted.suspect[facts["cell"].to_numpy(), facts["slot"].to_numpy()]
    return pl.DataFrame(
        [
            cells.gather(facts["cell"]).alias("element"),
            pl.Series([m.object_class for m in _ALL]).gather(facts["measurement"]).alias("object_class"),
            pl.Series([m.name for m in _ALL]).gather(facts["measurement"]).alias("name"),
            pl.repeat("", len(facts), eager=True).alias("dimension"),
            at.gather(facts["slot"]).alias("at"),
            pl.repeat(int(grid.step.total_seconds()), len(facts), dtype=pl.Int32, eager=True).alias("period_s"),
            facts["value"].fill_nan(None),
            pl.Series("suspect", suspect),
            known.gather(facts["slot"]).alias("known_at"),
            pl.repeat(source, len(facts), eager=True).alias("source"),
        ]
    )


_ALL = (*_LTE, *_NR)

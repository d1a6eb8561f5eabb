"""How a release in shadow compares with the live one: on the same rows, about which did both speak, or one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from trunkline.core.errors import NotAllowed
from trunkline.run.standing import books
from trunkline.store import tallies
from trunkline.store.opened import Store
from trunkline.store.tallies import Tally

_COLUMNS = {
    "region": pl.String,
    "rows": pl.Int64,
    "both": pl.Int64,
    "live only": pl.Int64,
    "shadow only": pl.Int64,
    "missed": pl.Int64,
    "agreement": pl.Float64,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowReport:
    """What was added up while *shadow* stood beside *live*.

    Parameters
    ----------
    all
        Over all regions.
    by_region
        One row per region: ``region, rows, both, live only, shadow only, missed, agreement``.
    """

    workflow: str
    live: str
    shadow: str
    all: Tally
    by_region: pl.DataFrame

    @property
    def ms_per_batch(self) -> float | None:
        """How long the shadow took for one batch on average, in milliseconds of its own process."""
        return self.all.ms / self.all.batches if self.all.batches else None

    def plain(self) -> dict[str, Any]:
        """As plain values."""
        told = {name: getattr(self.all, name) for name in Tally.__slots__}
        named = {"workflow": self.workflow, "live": self.live, "shadow": self.shadow}
        return {**named, **told, "agreement": self.all.agreement, "regions": self.by_region.to_dicts()}

    def __str__(self) -> str:
        if not self.all.rows:
            return f"Release {self.shadow} in shadow and {self.live} live have judged no row together yet; {self.all.missed:,} missed."
        took = "" if self.ms_per_batch is None else f"; {self.ms_per_batch:.0f} ms a batch, at most {self.all.most_ms:.0f}"
        return (
            f"Release {self.shadow} in shadow agrees with {self.live} on {self.all.agreement:.2%} of {self.all.rows:,} rows: both spoke about {self.all.both:,}, "
            f"live alone about {self.all.live_only:,}, shadow alone about {self.all.shadow_only:,}; {self.all.missed:,} missed{took}."
        )


def shadow_report(store: Store, workflow: str) -> ShadowReport:
    """How the release in shadow compares with the one that is live, on all rows since both stand there.

    Raises
    ------
    NotAllowed
        There are not both.
    """
    told = books(store)
    live, shadow = (next(iter(told.of(workflow, state)), None) for state in ("live", "shadow"))
    if live is None or shadow is None:
        raise NotAllowed(
            f"'{workflow}' has no release {'live' if live is None else 'in shadow'} to compare.",
            allowed="one release live and one in shadow",
            next_step=f"trunkline workflow show {workflow}",
        )
    found = tallies.of(store.engine, workflow, live.release, shadow.release)
    lines = [(region, one.rows, one.both, one.live_only, one.shadow_only, one.missed, one.agreement) for region, one in found.items()]
    frame = pl.DataFrame(lines, schema=_COLUMNS, orient="row")
    return ShadowReport(workflow=workflow, live=live.release, shadow=shadow.release, all=sum(found.values(), Tally()), by_region=frame)

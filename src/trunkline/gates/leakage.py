"""Does something in the data give the answer away? The gate looks by itself; nobody has to name a suspect.

    a column alone      a column that predicts the label too well, or is a function of it
    a gap               a column whose missing values predict the label
    the order           rows without a time whose place in the file predicts the label
    the split           groups, or rows, that stand on both sides; training rows later than held-out ones
    one group           a label that only a few groups carry, and carry throughout
    time travel         a value known after the row it stands in

After S. Kaufman, S. Rosset, C. Perlich, "Leakage in data mining", 2012: what the data set tells that the live
service will not be told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import polars as pl

from trunkline.gates.duplicates import alike_elsewhere, twins
from trunkline.gates.giveaway import alone, bins, folds, gaps, neighbours, rate_at_least
from trunkline.gates.ground import FEWEST_POSITIVES, figure
from trunkline.gates.protocol import Array, Evidence, Finding, Part, Verdict, features

MOST_ROWS = 100_000
"""Rows the label tests look at; more would only take longer."""


@dataclass(frozen=True, slots=True)
class Leakage:
    """Nothing in the data gives the label away.

    Parameters
    ----------
    column_auc
        AUC from which one column alone is suspect. The best honest single signals we measured on network data reach .93.
    gap_auc
        AUC from which the pattern of missing values is suspect.
    order_auc
        AUC from which the place of a row in the file is suspect.
    across
        Share of held-out rows that may have an identical twin in the training part.
    honest
        Columns somebody has looked at and vouches for: they are known in time when the service asks.

    >>> Leakage(honest=("rsrp",)).honest
    ('rsrp',)
    """

    column_auc: float = field(default=0.95, kw_only=True)
    gap_auc: float = field(default=0.65, kw_only=True)
    order_auc: float = field(default=0.65, kw_only=True)
    across: float = field(default=0.02, kw_only=True)
    honest: tuple[str, ...] = field(default=(), kw_only=True)

    judges: ClassVar[Literal["rows"]] = "rows"

    def check(self, evidence: Evidence) -> Verdict:
        """Look for every kind of leak; findings come strongest first."""
        found = [*_split(evidence, self.across), *_time_travel(evidence)]
        if evidence.rows.height == 0:
            return self._verdict((), evidence, rows=0, labelled=False, enough=False)
        whole = _whole(evidence)
        truth = whole.labels > 0 if whole.labels is not None else None
        enough = truth is not None and min(int(truth.sum()), int((~truth).sum())) >= FEWEST_POSITIVES
        if truth is not None and enough:
            groups = whole.groups if whole.groups is not None else whole.rows["entity"].to_numpy()
            part = _sample(Part(whole.rows, labels=truth, groups=groups), evidence.seed)
            found += self._columns(part)
            found += self._gaps(part)
            found += _one_group(truth, whole.groups)
            found += self._order(evidence)
        found.sort(key=lambda f: -f.figure)
        return self._verdict(tuple(found), evidence, rows=whole.rows.height, labelled=truth is not None, enough=enough)

    def _columns(self, part: Part) -> Iterator[Finding]:
        truth, fold = _truth(part), folds(_truth(part), part.groups)
        for column in self._suspects(part.rows):
            strength = alone(bins(part.rows[column]), truth, fold)
            if strength >= 0.999:
                yield Finding(
                    column=column,
                    kind="function of the label",
                    figure=strength,
                    text=f"'{column}' alone gives the label (AUC {figure(strength)}): it is the answer, or made from it",
                )
            elif strength >= self.column_auc:
                yield Finding(
                    column=column,
                    kind="column",
                    figure=strength,
                    text=f"'{column}' alone predicts the label with AUC {figure(strength)}, more than the plausible {self.column_auc:g}",
                )

    def _gaps(self, part: Part) -> Iterator[Finding]:
        truth, columns = _truth(part), self._suspects(part.rows)
        missing = {c: gaps(part.rows[c]) for c in columns}
        missing = {c: m for c, m in missing.items() if m.any() and not m.all()}
        if not missing:
            return
        base = float(truth.mean())
        seen: dict[bytes, list[str]] = {}
        for column, gap in missing.items():
            seen.setdefault(np.packbits(gap).tobytes(), []).append(column)
        for alike in seen.values():
            gap = missing[alike[0]]
            rows, hits = int(gap.sum()), int(truth[gap].sum())
            names = f"'{alike[0]}'" + (f" (and with it {', '.join(alike[1:])})" if alike[1:] else "")
            for word, many, usual in (("positive", hits, base), ("negative", rows - hits, 1 - base)):
                sure = rate_at_least(many, rows)
                if sure >= 0.9 and sure >= usual + (1 - usual) / 2:
                    text = f"where {names} is missing, {many} of {rows} rows are {word} ({many / rows:.1%}, against {usual:.1%} of all rows)"
                    yield Finding(column=alike[0], kind="missingness", figure=many / rows, text=text)
        pattern = np.unique(np.stack(list(missing.values()), axis=1), axis=0, return_inverse=True)[1].ravel()
        strength = alone(pattern, truth, folds(truth, part.groups))
        if strength >= self.gap_auc:
            by_itself = {c: alone(m.astype(np.int64), truth, folds(truth, part.groups)) for c, m in missing.items()}
            first = max(by_itself, key=lambda c: by_itself[c])
            text = f"which values are missing predicts the label with AUC {figure(strength)}, without looking at any value; most of all '{first}' ({figure(by_itself[first])} alone)"
            yield Finding(column=first, kind="missingness", figure=strength, text=text)

    def _order(self, evidence: Evidence) -> Iterator[Finding]:
        sides = [Part(evidence.rows, labels=evidence.labels, groups=evidence.groups)] + ([evidence.train] if evidence.train is not None else [])
        side = max((s for s in sides if s.labels is not None), key=lambda s: s.rows.height, default=None)
        if side is None or side.labels is None or not _timeless(side.rows):
            return
        truth, place = side.labels > 0, np.arange(side.rows.height)
        if min(int(truth.sum()), int((~truth).sum())) < FEWEST_POSITIVES:
            return
        carriers = [c for c in self._suspects(side.rows) if _is_order(side.rows, c)]
        carried = f"; the order is in column {', '.join(repr(c) for c in carriers)}" if carriers else ""
        strength = alone(bins(pl.Series(place)), truth, place % 5)
        name = carriers[0] if carriers else "(order of rows)"
        if strength >= self.order_auc:
            yield Finding(
                column=name,
                kind="order",
                figure=strength,
                text=f"the place of a row in the file predicts its label with AUC {figure(strength)}, though the rows carry no time{carried}",
            )
        code = np.unique(side.rows["entity"].to_numpy() if side.groups is None else side.groups.astype(str), return_inverse=True)[1]
        share, sigmas = neighbours(truth, code, seed=evidence.seed)
        if share >= 0.1 and sigmas >= 5:
            text = f"rows next to each other within a group share their label: {share:.1%} fewer changes than in shuffled order ({sigmas:.1f} standard deviations){carried}"
            yield Finding(column=name, kind="order", figure=share, text=text)

    def _suspects(self, rows: pl.DataFrame) -> list[str]:
        return [c for c in features(rows) if c not in self.honest]

    def _verdict(self, found: tuple[Finding, ...], evidence: Evidence, *, rows: int, labelled: bool, enough: bool) -> Verdict:
        value = float(len(found))
        if found:
            more = f" And {len(found) - 4} more." if len(found) > 4 else ""
            why = f"{len(found)} leaks found in {rows} rows, 0 allowed: " + "; ".join(f.text for f in found[:4]) + "." + more
            next_step = "Drop these columns, give rows their true time, or split by group; vouch for an honest column with Leakage(honest=(…))."
            return Verdict(gate="Leakage", result="fail", value=value, bar=0.0, interval=(value, value), n=rows, why=why, next_step=next_step, findings=found)
        missing = [
            text
            for text, lacks in (
                ("there are no labels", not labelled),
                (f"fewer than {FEWEST_POSITIVES} rows are positive, or negative", labelled and not enough),
                ("the training part was not handed in", evidence.train is None),
            )
            if lacks
        ]
        if missing:
            why = f"0 leaks found in {rows} rows, 0 allowed, but {' and '.join(missing)}, so not every kind could be looked for."
            return Verdict(gate="Leakage", result="cannot tell", value=value, bar=0.0, n=rows, why=why, next_step="Hand in labels and train.")
        why = f"0 leaks found in {rows} rows, 0 allowed: no column, gap, order, group or repeated row gives the label away."
        return Verdict(gate="Leakage", result="pass", value=value, bar=0.0, interval=(value, value), n=rows, why=why)


def _truth(part: Part) -> Array:
    return part.labels if part.labels is not None else np.zeros(part.rows.height, dtype=bool)


def _whole(evidence: Evidence) -> Part:
    """Training and held-out part as one; the held-out part alone where training has no labels or other columns."""
    train = evidence.train
    alone_ = Part(evidence.rows, labels=evidence.labels, groups=evidence.groups)
    if train is None or train.labels is None or evidence.labels is None:
        return alone_
    shared = [c for c in evidence.rows.columns if c in train.rows.columns and train.rows.schema[c] == evidence.rows.schema[c]]
    groups = np.concatenate([train.groups.astype(str), evidence.groups.astype(str)]) if train.groups is not None and evidence.groups is not None else None
    return Part(
        pl.concat([train.rows.select(shared), evidence.rows.select(shared)]), labels=np.concatenate([train.labels > 0, evidence.labels > 0]), groups=groups
    )


def _sample(part: Part, seed: int) -> Part:
    if part.rows.height <= MOST_ROWS:
        return part
    keep = np.sort(np.random.default_rng([seed, 5]).choice(part.rows.height, MOST_ROWS, replace=False))
    return Part(part.rows[keep], labels=_truth(part)[keep], groups=None if part.groups is None else part.groups[keep])


def _split(evidence: Evidence, allowed: float) -> Iterator[Finding]:
    train = evidence.train
    if train is None or train.rows.height == 0 or evidence.rows.height == 0:
        return
    if evidence.split == "time":
        first, last = evidence.rows["at"].min(), train.rows["at"].max()
        late = train.rows.filter(pl.col("at") >= pl.lit(first)).height
        if late:
            text = f"{late} training rows are as late as the held-out part or later (it starts {first!s}, training ends {last!s})"
            yield Finding(column="at", kind="split", figure=late / train.rows.height, text=text)
    else:
        column = evidence.split.removeprefix("group:")
        own, other = _groups(evidence.rows, evidence.groups, column), _groups(train.rows, train.groups, column)
        both = np.intersect1d(own, other)
        if len(both):
            share = float(np.isin(own, both).mean())
            text = f"{len(both)} groups of '{column}' are on both sides of the split ({share:.1%} of the held-out rows), such as {both.tolist()[0]!r}"
            yield Finding(column=column, kind="split", figure=share, text=text)
    same, usual = float(twins(evidence.rows, train).mean()), alike_elsewhere(train)
    if same > allowed + usual:
        yield Finding(
            column="",
            kind="repeated rows",
            figure=same,
            text=f"{same:.1%} of the held-out rows are in the training part, every feature alike ({allowed:.1%} are allowed, and {usual:.1%} of the training rows have a twin in another training group)",
        )


def _groups(rows: pl.DataFrame, groups: Array | None, column: str) -> Array:
    if groups is not None:
        return groups.astype(str)
    return rows[column if column in rows.columns else "entity"].cast(pl.String).to_numpy().astype(str)


def _one_group(truth: Array, groups: Array | None) -> Iterator[Finding]:
    """A label carried throughout by fewer than 5 groups and by no row elsewhere: whoever knows the group knows the label."""
    if groups is None:
        return
    names, code = np.unique(groups.astype(str), return_inverse=True)
    rows, hits = np.bincount(code), np.bincount(code, weights=truth)
    carry = hits > 0
    if carry.sum() < 5 and (~carry).any() and bool((hits[carry] == rows[carry]).all()) and rows[carry].min() >= FEWEST_POSITIVES:
        text = f"every row of {', '.join(repr(str(n)) for n in names[carry])} is positive and no row of the other {int((~carry).sum())} groups: whoever recognises the group knows the label"
        yield Finding(column="(group)", kind="one group", figure=1.0, text=text)


def _time_travel(evidence: Evidence) -> Iterator[Finding]:
    rows = evidence.rows
    if rows.height == 0:
        return
    before = rows.filter(pl.col("known_at") < pl.col("at")).height
    if before:
        yield Finding(column="known_at", kind="time travel", figure=before / rows.height, text=f"{before} rows claim to be known before their slot begins")
    for column in rows.columns:
        if column in {"at", "known_at"} or not isinstance(rows.schema[column], pl.Datetime):
            continue
        late = int((rows[column].dt.replace_time_zone("UTC") > rows["known_at"]).sum())
        if late:
            text = f"'{column}' lies after the moment its row was known in {late} rows ({late / rows.height:.1%}): the live service will not have it"
            yield Finding(column=column, kind="time travel", figure=late / rows.height, text=text)


def _timeless(rows: pl.DataFrame) -> bool:
    """Whether the rows carry no time of their own: ``at`` repeats within entities, or is a mere row number.

    A row number shows in entities that come strictly one after the other. One row per entity and many times is
    a table of real moments.
    """
    if rows.height == 0:
        return False
    moments = rows.select(pl.struct("entity", "at").n_unique())[0, 0]
    if rows["at"].n_unique() == 1 or moments < rows.height / 2:
        return True
    entities = rows["entity"].n_unique()
    if entities < 5 or entities > rows.height / 2:
        return False
    by_time = rows.sort("at", maintain_order=True)["entity"]
    return int((by_time != by_time.shift(1)).sum()) == entities - 1


def _is_order(rows: pl.DataFrame, column: str) -> bool:
    """Whether *column* rises or falls with the order of rows, over the file or within every entity."""
    if not rows.schema[column].is_numeric() or rows[column].null_count():
        return False
    step = rows.select(all=pl.col(column).diff(), inside=pl.col(column).diff().over("entity"))
    for kind in ("all", "inside"):
        moves = step[kind].drop_nulls()
        if len(moves) >= rows.height / 4 and (bool((moves > 0).all()) or bool((moves < 0).all())):
            return True
    return False

"""The contract of a model, as checks anyone can run on theirs: ``check_model(MyModel())``.

Each check is one small function with one promise. A check that fails says what it saw.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.canonical import content_hash
from trunkline.core.errors import BadInput, Tampered, TrunklineError
from trunkline.models import onnx_export
from trunkline.models.portable import load, pack, parity, unpack
from trunkline.models.protocol import Context, Fitted, Floats, Model
from trunkline.models.rows import KEYS

HOUR = timedelta(hours=1)
_SAME = 1e-9  # scores that should be equal may differ in the last digits of a sum
_CHEAP_S = 0.25


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a model keeps one promise, and what was seen where it does not."""

    name: str
    passed: bool
    message: str = ""


def check_model(model: Model, *, rows: pl.DataFrame | None = None, labels: npt.NDArray[Any] | None = None, seed: int = 0) -> tuple[Finding, ...]:
    """What a model must keep to be scored, saved and explained by the rest of Trunkline; one finding for each promise.

    Parameters
    ----------
    model
        The hyper-parameters; only they are taken from you, everything is fitted here.
    rows
        Hourly rows to work on, a month of at least two entities; made up from *seed* where left out.
    labels
        One 0 or 1 for each row, for a model that learns from labels.

    Examples
    --------
    >>> from trunkline.models.harmonic import Harmonic
    >>> [f.name for f in check_model(Harmonic()) if not f.passed]
    []
    """
    if rows is None:
        rows, labels = sample_rows(seed=seed)
    bench = Bench(model=model, rows=rows, labels=labels, seed=seed)
    return tuple(_run(check, bench) for check in CHECKS)


def sample_rows(*, seed: int = 0, entities: int = 4, days: int = 35) -> tuple[pl.DataFrame, npt.NDArray[np.int64]]:
    """Made-up hourly rows of a few cells, and labels that are 1 in their outages.

    >>> rows, labels = sample_rows()
    >>> rows.columns, rows.height, int(labels.sum())
    (['entity', 'at', 'known_at', 'dl_volume', 'users', 'success_ratio', 'alarmed'], 3360, 64)
    """
    random = np.random.default_rng([seed, 5])
    first = datetime(2026, 3, 2, tzinfo=UTC)
    at = pl.datetime_range(first, first + timedelta(days=days) - HOUR, "1h", time_unit="us", eager=True)
    hour = np.arange(len(at)) % 24
    shape = 6.0 + 4.0 * np.sin((hour - 8) / 24 * 2 * np.pi) + 1.0 * (np.arange(len(at)) // 24 % 7 >= 5)
    frames, labels = [], []
    for e in range(entities):
        out = np.zeros(len(at), dtype=np.int64)
        for day in (5 + e, 16 + e, 23 + e, 30):
            out[day * 24 + 12 : day * 24 + 16] = 1
        load_of = shape * (1.0 + e) * random.lognormal(0.0, 0.1, len(at)) * np.where(out, 0.02, 1.0)
        users = shape * 10 * random.lognormal(0.0, 0.1, len(at)) * np.where(out, 0.05, 1.0)
        ratio = 1.0 - 0.01 * random.lognormal(0.0, 0.3, len(at)) * np.where(out, 30.0, 1.0)
        frames.append(
            pl.DataFrame(
                {
                    "entity": f"cell-{e}",
                    "at": at,
                    "known_at": at + HOUR + timedelta(minutes=10),
                    "dl_volume": load_of,
                    "users": users,
                    "success_ratio": np.maximum(ratio, 0.0),
                    "alarmed": random.random(len(at)) < np.where(out, 0.3, 0.02),
                }
            )
        )
        labels.append(out)
    return pl.concat(frames), np.concatenate(labels)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A model with rows to try it on, fitted once for all checks."""

    model: Model
    rows: pl.DataFrame
    labels: npt.NDArray[Any] | None
    seed: int
    context: Context = dataclasses.field(default_factory=lambda: Context(every=HOUR, words={"dl_volume": "downlink volume"}))

    @cached_property
    def fitted(self) -> Fitted:
        """The model fitted on all rows but the last five days."""
        past = self.past
        return self.fit(self.rows.filter(past), None if self.labels is None else self.labels[past.to_numpy()])

    @cached_property
    def past(self) -> pl.Series:
        """Which rows the model was fitted on."""
        end = self.rows["at"].max()
        return self.rows.select(pl.col("at") <= pl.lit(end) - timedelta(days=6)).to_series()

    @cached_property
    def scores(self) -> Floats:
        """The scores of all rows."""
        return self.fitted.score(self.rows)

    @property
    def features(self) -> list[str]:
        """The columns of the rows that are not keys."""
        return [c for c in self.rows.columns if c not in KEYS]

    def fit(self, rows: pl.DataFrame, labels: npt.NDArray[Any] | None) -> Fitted:
        """The model fitted on *rows*."""
        return self.model.fit(rows, labels=labels, context=self.context, seed=self.seed)


Check = Callable[[Bench], Iterator[str]]


def hyper_parameters_cannot_be_changed(bench: Bench) -> Iterator[str]:
    given: Any = bench.model
    if not dataclasses.is_dataclass(given):
        yield "The model is no dataclass."
        return
    fields = dataclasses.fields(given)
    if fields:
        try:
            setattr(bench.model, fields[0].name, getattr(bench.model, fields[0].name))
        except dataclasses.FrozenInstanceError:
            return
        yield f"'{fields[0].name}' could be set; write @dataclass(frozen=True)."


def its_hash_is_stable(bench: Bench) -> Iterator[str]:
    copy = dataclasses.replace(bench.model)  # type: ignore[type-var]
    if content_hash(bench.model) != content_hash(copy):
        yield "An equal model has another hash."


def fitting_leaves_the_rows_as_they_are(bench: Bench) -> Iterator[str]:
    before = bench.rows.clone()
    _ = bench.fitted, bench.scores
    if not before.equals(bench.rows):
        yield "The rows were changed."


def the_same_seed_gives_the_same_scores(bench: Bench) -> Iterator[str]:
    past = bench.past
    again = bench.fit(bench.rows.filter(past), None if bench.labels is None else bench.labels[past.to_numpy()])
    yield from _differ(again.score(bench.rows), bench.scores, "fitted twice", exactly=True)


def there_is_one_score_for_each_row(bench: Bench) -> Iterator[str]:
    if bench.scores.shape != (bench.rows.height,) or bench.scores.dtype != np.float64:
        yield f"{bench.rows.height} rows gave scores of shape {bench.scores.shape} and type {bench.scores.dtype}."


def scores_lie_between_zero_and_one(bench: Bench) -> Iterator[str]:
    known = bench.scores[~np.isnan(bench.scores)]
    if known.size == 0:
        yield "Every score is NaN."
    elif known.min() < 0.0 or known.max() > 1.0:
        yield f"Scores reach from {known.min():g} to {known.max():g}."


def an_outage_scores_higher_than_calm(bench: Bench) -> Iterator[str]:
    last = bench.rows.select(pl.col("at") > pl.lit(bench.rows["at"].max()) - timedelta(days=3)).to_series().to_numpy()
    hit = np.zeros(bench.rows.height, dtype=np.bool_)
    local = bench.rows["at"].dt.hour().to_numpy()
    hit[last] = np.isin(local[last], (12, 13, 14)) & (bench.rows["at"].dt.date() == bench.rows["at"].dt.date().max()).to_numpy()[last]
    volumes = [c for c in bench.features if bench.rows.schema[c].is_float()]
    down = bench.rows.with_columns([pl.when(pl.Series(hit)).then(0.0).otherwise(pl.col(c)).alias(c) for c in volumes])
    scores = bench.fitted.score(down)
    during, calm = np.nanmean(scores[hit]), np.nanmean(scores[last & ~hit])
    if not during > calm:
        yield f"The mean score is {during:.3f} in an outage and {calm:.3f} beside it."


def the_future_does_not_change_a_score(bench: Bench) -> Iterator[str]:
    until = bench.rows.select(pl.col("at") <= pl.lit(bench.rows["at"].max()) - timedelta(days=2)).to_series()
    yield from _differ(bench.fitted.score(bench.rows.filter(until)), bench.scores[until.to_numpy()], "without the last two days")


def one_row_with_its_lookback_scores_as_in_the_batch(bench: Bench) -> Iterator[str]:
    for index in np.linspace(0, bench.rows.height - 1, 12).astype(int):
        near = _near(bench, int(index))
        yield from _differ(bench.fitted.score(near)[-1:], bench.scores[index : index + 1], f"row {index} alone")


def the_order_of_columns_does_not_matter(bench: Bench) -> Iterator[str]:
    turned = bench.rows.select([*KEYS, *reversed(bench.features)] if "known_at" in bench.rows.columns else ["entity", "at", *reversed(bench.features)])
    yield from _differ(bench.fitted.score(turned), bench.scores, "with the columns turned round")


def the_order_of_entities_does_not_matter(bench: Bench) -> Iterator[str]:
    turned = bench.rows.with_columns(old=pl.Series(bench.scores)).sort("entity", "at", descending=[True, False])
    yield from _differ(bench.fitted.score(turned.drop("old")), turned["old"].to_numpy(), "with the entities turned round")


def missing_values_are_allowed(bench: Bench) -> Iterator[str]:
    gone = np.random.default_rng(bench.seed).random(bench.rows.height) < 0.2
    first = bench.features[0]
    holes = bench.rows.with_columns(pl.when(pl.Series(gone)).then(None).otherwise(pl.col(first)).alias(first))
    past = bench.past
    fitted = bench.fit(holes.filter(past), None if bench.labels is None else bench.labels[past.to_numpy()])
    scores = fitted.score(holes)
    if np.isnan(scores).mean() > np.isnan(bench.scores).mean() + 0.3:
        yield f"With a fifth of '{first}' missing, {np.isnan(scores).mean():.0%} of the rows have no score."


def a_row_without_values_has_no_score(bench: Bench) -> Iterator[str]:
    last = bench.rows.height - 1
    blank = (
        bench.rows.with_row_index("i").with_columns([pl.when(pl.col("i") == last).then(None).otherwise(pl.col(c)).alias(c) for c in bench.features]).drop("i")
    )
    score = bench.fitted.score(blank)[last]
    if not np.isnan(score):
        yield f"A row of nulls scores {score:g} instead of NaN."


def a_constant_series_breaks_nothing(bench: Bench) -> Iterator[str]:
    first = bench.features[0]
    flat = bench.rows.with_columns(pl.lit(3.0).alias(first))
    past = bench.past
    scores = bench.fit(flat.filter(past), None if bench.labels is None else bench.labels[past.to_numpy()]).score(flat)
    if bool(((scores < 0) | (scores > 1)).any()):
        yield f"With '{first}' constant, scores leave 0 to 1."


def an_entity_never_seen_breaks_nothing(bench: Bench) -> Iterator[str]:
    name = str(bench.rows["entity"][0])
    new = bench.rows.filter(pl.col("entity") == name).head(50).with_columns(entity=pl.lit("never-seen"))
    scores = bench.fitted.score(new)
    if scores.shape != (50,) or bool(((scores < 0) | (scores > 1)).any()):
        yield "An entity never seen gives neither NaN nor scores from 0 to 1."


def one_row_is_enough_to_score(bench: Bench) -> Iterator[str]:
    if bench.fitted.score(bench.rows.head(1)).shape != (1,):
        yield "One row does not give one score."


def no_rows_give_no_scores(bench: Bench) -> Iterator[str]:
    if bench.fitted.score(bench.rows.head(0)).shape != (0,):
        yield "An empty frame does not give an empty array."


def a_slot_given_twice_is_refused(bench: Bench) -> Iterator[str]:
    twice = pl.concat([bench.rows.head(5), bench.rows.slice(4, 5)])
    yield from _not_refused(lambda: bench.fitted.score(twice), BadInput, "A slot given twice")


def further_columns_are_ignored(bench: Bench) -> Iterator[str]:
    more = bench.rows.with_columns(further=pl.lit(7.0), remark=pl.lit("text"))
    yield from _differ(bench.fitted.score(more), bench.scores, "with two further columns")


def a_missing_column_is_refused_by_name(bench: Bench) -> Iterator[str]:
    gone = bench.fitted.columns[0]
    yield from _not_refused(lambda: bench.fitted.score(bench.rows.drop(gone)), BadInput, f"A frame without '{gone}'", naming=gone)


def infinite_values_are_never_silent(bench: Bench) -> Iterator[str]:
    column = next((c for c in bench.fitted.columns if bench.rows.schema[c].is_float()), None)
    if column is None:
        return
    last = bench.rows.height - 1
    wild = bench.rows.with_row_index("i").with_columns(pl.when(pl.col("i") == last).then(float("inf")).otherwise(pl.col(column)).alias(column)).drop("i")
    try:
        score = bench.fitted.score(wild)[last]
    except BadInput:
        return
    if not np.isnan(score):
        yield f"An infinite '{column}' scores {score:g}; refuse it or answer NaN."


def saved_and_loaded_it_scores_exactly_the_same(bench: Bench) -> Iterator[str]:
    again = load(unpack(pack(bench.fitted.save())))
    far = parity(bench.fitted, again, bench.rows)
    if far != 0.0:
        yield f"Scores differ by up to {far:g} after saving and loading."
    if tuple(again.columns) != tuple(bench.fitted.columns) or again.lookback != bench.fitted.lookback:
        yield "Columns or lookback differ after saving and loading."


def it_exports_and_answers_alike_or_says_why_not(bench: Bench) -> Iterator[str]:
    able = onnx_export.exports(bench.fitted)
    if able is not True:
        if not str(able).strip() or able is False:
            yield "It neither exports nor says why not; give the fitted model an attribute exports = 'why not'."
        return
    if onnx_export.is_installed():
        proof = onnx_export.prove(bench.fitted, onnx_export.Exported(onnx_export.graph_of(bench.fitted)), bench.rows, most=400)
        if not proof.apart <= onnx_export.BOUND:
            yield f"Exported it scores row {proof.worst} {proof.theirs:.9g} instead of {proof.ours:.9g}."


def saved_arrays_hold_no_objects(bench: Bench) -> Iterator[str]:
    for name, array in bench.fitted.save().arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.hasobject:
            yield f"'{name}' holds Python objects."


def a_changed_byte_is_refused(bench: Bench) -> Iterator[str]:
    content = bytearray(pack(bench.fitted.save()))
    content[len(content) // 2] ^= 1
    yield from _not_refused(lambda: unpack(bytes(content)), Tampered, "A changed byte")


def the_manifest_names_model_parameters_and_columns(bench: Bench) -> Iterator[str]:
    manifest = bench.fitted.save().manifest
    lacking = [k for k in ("model", "parameters", "columns") if k not in manifest]
    if lacking:
        yield f"The manifest lacks {', '.join(lacking)}."
    elif list(manifest["columns"]) != list(bench.fitted.columns):
        yield f"The manifest names the columns {manifest['columns']}, the model {list(bench.fitted.columns)}."


def the_columns_are_columns_of_the_rows(bench: Bench) -> Iterator[str]:
    unknown = sorted(set(bench.fitted.columns) - set(bench.features))
    if unknown or not bench.fitted.columns:
        yield f"It names the columns {unknown or 'none'}."


def a_reason_names_a_column_and_says_something(bench: Bench) -> Iterator[str]:
    index = _strangest(bench)
    reasons = bench.fitted.explain(_near(bench, index), -1 % _near(bench, index).height)
    if not reasons:
        yield f"Row {index}, the strangest, has no reason."
    for reason in reasons:
        if reason.column not in bench.fitted.columns:
            yield f"A reason speaks of '{reason.column}', which is no column of the model."
        if not reason.text.strip():
            yield f"The reason for '{reason.column}' has no text."


def reasons_come_with_the_weightiest_first(bench: Bench) -> Iterator[str]:
    near = _near(bench, _strangest(bench))
    weights = [r.weight for r in bench.fitted.explain(near, near.height - 1)]
    if weights != sorted(weights, reverse=True) or not all(np.isfinite(weights)):
        yield f"The weights are {weights}."


def a_reason_is_cheap(bench: Bench) -> Iterator[str]:
    near = _near(bench, _strangest(bench))
    bench.fitted.explain(near, near.height - 1)
    began = time.perf_counter()
    bench.fitted.explain(near, near.height - 1)
    took = time.perf_counter() - began
    if took > _CHEAP_S:
        yield f"Explaining one row took {took:.2f} s; more than {_CHEAP_S} s is too slow to do for every decision."


def the_unit_of_a_column_does_not_matter(bench: Bench) -> Iterator[str]:
    columns = [c for c in bench.features if bench.rows.schema[c].is_float() and bench.rows[c].max() > 1.0]  # type: ignore[operator]
    larger = bench.rows.with_columns([(pl.col(c) * 1000.0).alias(c) for c in columns])
    past = bench.past
    scores = bench.fit(larger.filter(past), None if bench.labels is None else bench.labels[past.to_numpy()]).score(larger)
    apart = float(np.nanmean(np.abs(scores - bench.scores)))
    if not apart < 0.01:
        yield f"In units a thousandth the size, scores differ by {apart:.3f} on average."


def without_labels_it_fits_or_says_so(bench: Bench) -> Iterator[str]:
    try:
        bench.fit(bench.rows.filter(bench.past), None)
    except TrunklineError as refused:
        if "label" not in str(refused):
            yield f"It refuses to fit without labels, but does not say so: {refused}"
    except Exception as wrong:  # noqa: BLE001 - whatever a stranger's model raises is a finding
        yield f"Without labels it fails with {type(wrong).__name__}: {wrong}"


def torch_is_not_loaded(bench: Bench) -> Iterator[str]:
    _ = bench.scores
    if "torch" in sys.modules:
        yield "torch was imported; a fitted model scores without it."


CHECKS: tuple[Check, ...] = (
    hyper_parameters_cannot_be_changed,
    its_hash_is_stable,
    fitting_leaves_the_rows_as_they_are,
    the_same_seed_gives_the_same_scores,
    there_is_one_score_for_each_row,
    scores_lie_between_zero_and_one,
    an_outage_scores_higher_than_calm,
    the_future_does_not_change_a_score,
    one_row_with_its_lookback_scores_as_in_the_batch,
    the_order_of_columns_does_not_matter,
    the_order_of_entities_does_not_matter,
    missing_values_are_allowed,
    a_row_without_values_has_no_score,
    a_constant_series_breaks_nothing,
    an_entity_never_seen_breaks_nothing,
    one_row_is_enough_to_score,
    no_rows_give_no_scores,
    a_slot_given_twice_is_refused,
    further_columns_are_ignored,
    a_missing_column_is_refused_by_name,
    infinite_values_are_never_silent,
    saved_and_loaded_it_scores_exactly_the_same,
    it_exports_and_answers_alike_or_says_why_not,
    saved_arrays_hold_no_objects,
    a_changed_byte_is_refused,
    the_manifest_names_model_parameters_and_columns,
    the_columns_are_columns_of_the_rows,
    a_reason_names_a_column_and_says_something,
    reasons_come_with_the_weightiest_first,
    a_reason_is_cheap,
    the_unit_of_a_column_does_not_matter,
    without_labels_it_fits_or_says_so,
    torch_is_not_loaded,
)
"""Every promise. Add one: write the function above and name it here."""


def _run(check: Check, bench: Bench) -> Finding:
    name = check.__name__.replace("_", " ")
    try:
        seen = list(check(bench))
    except Exception as broken:  # noqa: BLE001 - whatever a stranger's model raises is a finding
        seen = [f"{type(broken).__name__}: {broken}"]
    return Finding(name, not seen, "\n".join(seen))


def _near(bench: Bench, index: int) -> pl.DataFrame:
    """Row *index* and the past it needs, itself the last."""
    entity, at = bench.rows["entity"][index], bench.rows["at"][index]
    return bench.rows.filter((pl.col("entity") == entity) & (pl.col("at") <= at) & (pl.col("at") >= at - bench.fitted.lookback))


def _strangest(bench: Bench) -> int:
    return int(np.nanargmax(np.where(bench.past.to_numpy(), np.nan, bench.scores)))


def _differ(now: Floats, before: Floats, how: str, *, exactly: bool = False) -> Iterator[str]:
    if now.shape != before.shape:
        yield f"{how}: {len(now)} scores instead of {len(before)}."
    elif (np.isnan(now) != np.isnan(before)).any():
        yield f"{how}: NaN at other rows."
    else:
        apart = float(np.nanmax(np.abs(now - before), initial=0.0))
        if apart > (0.0 if exactly else _SAME):
            yield f"{how}: scores differ by up to {apart:g}."


def _not_refused(call: Callable[[], object], error: type[TrunklineError], what: str, *, naming: str = "") -> Iterator[str]:
    try:
        call()
    except error as refused:
        if naming not in str(refused):
            yield f"{what} is refused without naming '{naming}'."
        return
    except Exception as wrong:  # noqa: BLE001 - the wrong error is the finding
        yield f"{what} fails with {type(wrong).__name__} instead of {error.__name__}: {wrong}"
        return
    yield f"{what} is not refused."

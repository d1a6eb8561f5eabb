"""Make a release again from its record alone, in a process that knows nothing else, and say what came out the same.

    release ─ card ─ definition ─ versions of the tables ─► gather ─► train ─► same data? same model? same figures?

Nobody has to have logged anything: :mod:`trunkline.run.origin` is written by training.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from trunkline.core import config, errors
from trunkline.core.clock import duration
from trunkline.core.errors import NotAllowed, TrunklineError, UnknownName
from trunkline.run import definitions, large, origin, releases
from trunkline.run.standing import Standing, books
from trunkline.run.train import Candidate
from trunkline.store.opened import Store, open_store

TOLERANCE = 1e-6
"""Relative; on another machine sums may be taken in another order."""
IN_TIME = ("Latency",)
"""Gates whose figure is a time: measured anew, and never the same twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing compared: what the record says, and what came out this time."""

    what: str
    recorded: str
    again: str
    same: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """What came of making a release again."""

    release: str
    workflow: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    """What is other than it was and need not matter: versions, the machine, settings."""
    tolerance: float = TOLERANCE

    @property
    def is_same_data(self) -> bool:
        """Whether it was trained on exactly the same rows."""
        return self._same("data")

    @property
    def is_same_model(self) -> bool:
        """Whether the model came out the same to the last bit."""
        return self._same("model")

    @property
    def ok(self) -> bool:
        """The same rows and code; and the same model, or one whose gates say the same within the tolerance."""
        return all(one.same for one in self.checks if one.what != "model")

    @property
    def differing(self) -> tuple[Check, ...]:
        """What did not come out the same."""
        return tuple(one for one in self.checks if not one.same)

    def frame(self) -> pl.DataFrame:
        """One row for each thing that was compared."""
        return pl.DataFrame([asdict(one) for one in self.checks])

    def __str__(self) -> str:
        if self.ok:
            how = "to the last bit" if self.is_same_model else f"but for rounding: its gates say the same within {self.tolerance:g}"
            return f"Release {self.release} of '{self.workflow}' was made again from its record: the same {how}."
        return f"Release {self.release} of '{self.workflow}' did not come out the same: {', '.join(one.what for one in self.differing)}."

    def _same(self, what: str) -> bool:
        return all(one.same for one in self.checks if one.what == what)


def reproduce(store: Store, release: str) -> Reproduced:
    """Make *release* again in this process; :func:`in_clean_process` does it in one of its own.

    Raises
    ------
    NotAllowed
        Its record is not enough: it was trained by an older Trunkline, or with what only Python had in its hands.
    Tampered
        The record itself is not what the journal tells.
    """
    told = books(store)
    one = _standing(told.releases, release)
    releases.proven(store, told, one)
    card = releases.card(store, one.release)
    source = card.get("origin")
    if source is None:
        raise NotAllowed(
            f"Release {one.release} does not say what it was made from.",
            where=f"trained {one.trained_at:%Y-%m-%d %H:%M} UTC by a Trunkline that did not record it",
            next_step=f"Train again: trunkline workflow train {one.terms.get('called', one.workflow)}",
        )
    workflow = definitions.definition(store, one)
    every, until = source["every"], source["until"]
    found = large.gathered(
        store,
        workflow,
        every=None if every is None else duration(every),
        rename=source["rename"],
        until=None if until is None else datetime.fromisoformat(until),
        versions=source["versions"],
        partition=source.get("partition", 0),
    )
    again = large.trained(
        found,
        signer=store.signer,
        labels=origin.labels(store, source),
        contenders=origin.models(source),
        emitted_after=None if source["delay"] is None else duration(source["delay"]),
        seed=one.body["training"]["seed"],
        at=datetime.fromisoformat(card["made_at"]),
    )
    result = Reproduced(
        release=one.release,
        workflow=one.workflow,
        checks=tuple(_checks(one, card, source, again, origin.of_code(found.workflow.sources))),
        notes=tuple(_notes(store, one, source)),
    )
    store.journal.append(
        "model.reproduced", {"release": one.release, "workflow": one.workflow, "ok": result.ok, "differing": [check.what for check in result.differing]}
    )
    return result


def in_clean_process(store: Store, release: str) -> Reproduced:
    """Make *release* again in a new process, which is given the folder, the settings and the release, and nothing else."""
    release = _standing(books(store).releases, release).release
    flags = {one.name: str(getattr(store.configuration.settings, one.name)) for one in fields(config.Settings)}
    asked = json.dumps({"folder": str(store.folder), "flags": flags, "release": release})
    done = subprocess.run([sys.executable, "-m", "trunkline.run.reproduce"], input=asked, capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise TrunklineError(f"The process that made release {release} again ended with {done.returncode}: {last}.", next_step="Try again.") from None
    if "error" in answer:
        raise _raised(answer["error"])
    return Reproduced(**{**answer, "checks": tuple(Check(**one) for one in answer["checks"]), "notes": tuple(answer["notes"])})


def _standing(known: Mapping[str, Standing], release: str) -> Standing:
    found = [one for id_, one in known.items() if release and id_.startswith(release)]
    if len(found) != 1:
        raise UnknownName("release", release, list(known)[:12])
    return found[0]


def _checks(one: Standing, card: Mapping[str, Any], source: Mapping[str, Any], again: Candidate, code: Mapping[str, str]) -> Iterator[Check]:
    was, now = one.body["training"], again.release.training
    scored = again.winner.scored
    same_data = was["dataset"] == now["dataset"]
    yield Check(what="data", recorded=was["dataset"][:16], again=now["dataset"][:16], same=same_data, note=f"{was['rows']:,} rows, now {now['rows']:,}")
    if not same_data:
        yield from _which("column", source["columns"], origin.of_columns(scored))
        if source["elements"]:
            yield from _which("element", source["elements"], origin.of_elements(scored))
    yield from _which("code", source["code"], code)
    same_model = one.body["model"] == again.release.model
    yield Check(what="model", recorded=one.body["model"][:16], again=again.release.model[:16], same=same_model)
    yield _figure("level", one.body["policy"]["level"], again.release.policy["level"])
    for name, told in card["contenders"].items():
        new = {verdict["gate"]: verdict for verdict in again.card["contenders"][name]["gates"]}
        for verdict in told["gates"]:
            gate = verdict["gate"]
            what = f"{name}: {gate}"
            if gate in IN_TIME:
                yield Check(what=what, recorded=_text(verdict.get("value")), again=_text(new[gate].get("value")), same=True, note="a time, not compared")
            else:
                yield _figure(what, verdict.get("value"), new[gate].get("value"), verdict["result"], new[gate]["result"])


def _which(what: str, was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Check]:
    """Of hashes by name those that differ."""
    for name in sorted({*was, *now}):
        if was.get(name) != now.get(name):
            yield Check(what=f"{what} {name}", recorded=was.get(name, "not there")[:16], again=now.get(name, "not there")[:16], same=False)


def _figure(what: str, was: float | None, now: float | None, said: str = "", says: str = "") -> Check:
    same = said == says and (was == now if was is None or now is None else math.isclose(was, now, rel_tol=TOLERANCE, abs_tol=1e-12))
    return Check(what=what, recorded=f"{_text(was)} {said}".strip(), again=f"{_text(now)} {says}".strip(), same=same)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _notes(store: Store, one: Standing, source: Mapping[str, Any]) -> Iterator[str]:
    for name, was in one.body["versions"].items():
        now = _version(name)
        if was != now:
            yield f"It was trained with {name} {was}; here is {now}."
    if source["trunkline"] != origin.of_trunkline():
        yield "Trunkline's own source is not what it was trained by, though it may be of the same version."
    if source["zone"] != store.configuration.settings.zone:
        yield f"The setting 'zone' was {source['zone']} and is {store.configuration.settings.zone}."
    for table, fault in store.lake.damage():
        yield f"In table {table} {fault}."


def _version(name: str) -> str:
    if name == "python":
        return ".".join(map(str, sys.version_info[:3]))
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _raised(told: Mapping[str, str]) -> TrunklineError:
    kind = getattr(errors, told["kind"], TrunklineError)
    texts = {name: told[name] for name in ("where", "allowed", "next_step")}
    plain_kind = kind if isinstance(kind, type) and issubclass(kind, TrunklineError) and kind.__init__ is TrunklineError.__init__ else TrunklineError
    return plain_kind(told["what"], **texts)


def main() -> None:
    """Answer what standard input asks for, on standard output; whatever a model prints goes to standard error."""
    asked, answer_to = json.load(sys.stdin), sys.stdout
    sys.stdout = sys.stderr
    folder = Path(asked["folder"])
    try:
        store = open_store(folder, config.read(folder, flags=asked["flags"], environment={}))
        try:
            answer: dict[str, Any] = asdict(reproduce(store, asked["release"]))
        finally:
            store.close()
    except TrunklineError as failed:
        answer = {
            "error": {"kind": type(failed).__name__, "what": failed.what, "where": failed.where, "allowed": failed.allowed, "next_step": failed.next_step}
        }
    json.dump(answer, answer_to)


if __name__ == "__main__":
    main()

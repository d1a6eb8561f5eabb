"""Does the catalogue still say what the journal says it came to be?

The journal is signed, the catalogue is rows in a file: who can write that file could call a failed release live or an
open decision approved. Everything the catalogue may say follows from journal entries, so both are compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from trunkline.core.canonical import content_hash, plain
from trunkline.run import access, acting
from trunkline.store import catalogue, erasures, outbox
from trunkline.store.database import reading
from trunkline.store.entry import Entry
from trunkline.store.opened import Store

_OF_DECISION = ("workflow", "release", "mode", "action", "target", "confidence", "at", "known_at")
_STATE_AFTER = {
    "delivery.wanted": "waiting",
    "delivery.receipt": "delivered",
    "delivery.withdrawn": "withdrawn",
    "delivery.dead": "dead",
    "delivery.again": "waiting",
}
_STATE_AT_FIRST = {"shadow": "shadow", "replay": "replayed"}


@dataclass(slots=True)
class _Told:
    """What the journal tells: releases and decisions by id, each with its fields, and outcomes with how often."""

    releases: dict[str, dict[str, Any]] = field(default_factory=dict)
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: Counter[tuple[str, ...]] = field(default_factory=Counter)
    intents: dict[str, str] = field(default_factory=dict)
    """Key of what is to happen outside -> its state."""
    erasures: dict[str, int] = field(default_factory=dict)
    """Id of an erasure -> of how many arrivals it took the content."""


def disagreements(store: Store) -> list[tuple[str, str]]:
    """What of the catalogue does not follow from the journal: (what, what is wrong) for each fault; none where all is well.

    It is worth as much as the journal: verify that, too.
    """
    told = _told(store.journal.entries())
    return [
        *_releases(store, told),
        *_decisions(store, told),
        *_outcomes(store, told),
        *_intents(store, told),
        *_erasures(store, told),
        *access.disagreements(store),
    ]


def _told(entries: Iterable[Entry]) -> _Told:
    told = _Told()
    for entry in entries:
        body = entry.body
        if entry.kind == "release.trained":
            told.releases.setdefault(body["release"], {"body": _without(body, "release"), "workflow": body["workflow"], "state": "candidate", "waiver": None})
        elif entry.kind == "gates.verdict":
            # of the first training: what is kept is not judged again
            told.releases[body["release"]].setdefault("verdict", body["result"])
            told.releases[body["release"]].setdefault("card", body.get("card"))
        elif entry.kind.startswith("release."):
            _moved(told.releases, body)
        elif entry.kind == "decision":
            first = {
                **{name: body[name] for name in _OF_DECISION},
                "reasons": body["reasons"],
                "kept": body.get("kept"),
                "state": _STATE_AT_FIRST.get(body["mode"], "advised"),
            }
            told.decisions.setdefault(body["id"], first)
        elif entry.kind == "receipt":
            _proposed(told.decisions[body["decision"]], body)
        elif entry.kind == "decision.expire":
            told.decisions[body["decision"]]["state"] = "expired"
        elif entry.kind.startswith("decision."):
            told.decisions[body["decision"]]["state"] = body["to"]
        elif entry.kind == "outcome":
            told.outcomes[_outcome(body)] += 1
        elif entry.kind == "erasure":
            told.erasures[body["id"]] = body["arrivals"]
        elif entry.kind in _STATE_AFTER:
            told.intents |= dict.fromkeys(body["keys"] if "keys" in body else [body["key"]], _STATE_AFTER[entry.kind])
    return told


def _moved(releases: dict[str, dict[str, Any]], body: Mapping[str, Any]) -> None:
    if body["to"] == "live":
        for one in releases.values():
            if one["workflow"] == body["workflow"] and one["state"] == "live":
                one["state"] = "retired"
    moved = releases[body["release"]]
    moved["state"], moved["waiver"] = body["to"], body["waiver"] or moved["waiver"]


def _proposed(decision: dict[str, Any], receipt: Mapping[str, Any]) -> None:
    detail = receipt.get("detail", {})
    decision |= {"expires_at": detail.get("expires_at"), "route": str(detail.get("to", ""))}
    if receipt["state"] == "proposed":
        decision["state"] = "open"


def _releases(store: Store, told: _Told) -> Iterator[tuple[str, str]]:
    kept = {row["id"]: row for row in catalogue.rows(store.engine, catalogue.releases, order_by=catalogue.releases.c.id)}
    for id_, row in kept.items():
        what = f"release {id_}"
        if not isinstance(row["body"], dict) or content_hash(row["body"])[:16] != id_:
            yield what, "its fields were changed: they are not those its id was made of"
        if id_ not in told.releases:
            yield what, "the journal knows nothing of it"
            continue
        yield from _differing(what, row, told.releases[id_], ("workflow", "state", "verdict", "waiver", "body"))
        if told.releases[id_].get("card") not in {None, content_hash(row["card"])}:
            yield what, "what training recorded of it was changed"
    yield from ((f"release {id_}", "the journal tells of it, and it is gone") for id_ in told.releases.keys() - kept.keys())


def _decisions(store: Store, told: _Told) -> Iterator[tuple[str, str]]:
    kept = {row["id"]: row for row in catalogue.rows(store.engine, catalogue.decisions, order_by=catalogue.decisions.c.id)}
    for id_, row in kept.items():
        if id_ not in told.decisions:
            yield f"decision {id_}", "the journal knows nothing of it"
            continue
        given = {**row, "reasons": row["body"]["reasons"] if isinstance(row["body"], dict) else None}
        yield from _differing(f"decision {id_}", given, told.decisions[id_], (*_OF_DECISION, "state", "expires_at", "route", "reasons"))
        if isinstance(row["body"], dict) and told.decisions[id_]["kept"] not in {None, content_hash(_without(row["body"], "break_glass"))}:
            yield f"decision {id_}", "what was kept of it was changed: the row it was taken on, its receipt or its messages"
    yield from ((f"decision {id_}", "the journal tells of it, and it is gone") for id_ in told.decisions.keys() - kept.keys())


def _outcomes(store: Store, told: _Told) -> Iterator[tuple[str, str]]:
    kept = Counter(_outcome(row) for row in catalogue.rows(store.engine, catalogue.outcomes))
    for one in sorted((kept - told.outcomes).keys()):
        yield f"outcome of decision {one[0]}", f"the journal knows nothing of '{one[1]}' by {one[3]}"
    for one in sorted((told.outcomes - kept).keys()):
        yield f"outcome of decision {one[0]}", f"the journal tells of '{one[1]}' by {one[3]}, and it is gone"


def _intents(store: Store, told: _Told) -> Iterator[tuple[str, str]]:
    with reading(store.engine) as connection:
        kept = {row.key: outbox.Intent(**row._mapping) for row in connection.execute(select(outbox.outbox))}  # noqa: SLF001 - the library's public name
    for key, intent in kept.items():
        if key not in told.intents:
            yield f"message {key}", "the journal knows nothing of it"
        elif intent.state != told.intents[key]:
            yield f"message {key}", f"its state is {intent.state!r}, the journal says {told.intents[key]!r}"
        elif not acting.is_ours(store.signer, intent):
            yield f"message {key}", "it was changed after it was put into the outbox"
    yield from ((f"message {key}", "the journal tells of it, and it is gone") for key in told.intents.keys() - kept.keys())


def _erasures(store: Store, told: _Told) -> Iterator[tuple[str, str]]:
    """What is called erased is not looked for: so it has to be erased by somebody."""
    kept = {one.id: one for one in erasures.listed(store)}
    for one in kept.values():
        if told.erasures.get(one.id) != len(one.arrivals):
            yield f"erasure {one.id}", "the journal knows nothing of it, or of other contents"
    yield from ((f"erasure {id_}", "the journal tells of it, and it is gone") for id_ in told.erasures.keys() - kept.keys())
    gone = {content for one in kept.values() if one.id in told.erasures for content in one.arrivals}
    numbers = store.intake.erased()
    for arrival in store.intake.after(0) if numbers else ():
        if arrival.sequence in numbers and arrival.id not in gone:
            yield f"file {arrival.name}", "its content is called erased, and nobody erased it"


def _differing(what: str, given: Mapping[str, Any], told: Mapping[str, Any], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        here, there = _plain(given[name]), _plain(told.get(name))
        if here != there:
            long = name in {"body", "reasons"}
            yield what, f"its {name} was changed" if long else f"its {name} is {here!r}, the journal says {there!r}"


def _outcome(given: Mapping[str, Any]) -> tuple[str, ...]:
    return (*(str(_plain(given[name])) for name in ("decision", "verdict", "at", "by")), str(given.get("note", "")))


def _plain(value: Any) -> Any:
    return plain(value) if isinstance(value, datetime) else value


def _without(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}

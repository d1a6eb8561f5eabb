"""Figures of a workspace for a monitoring system: counted in the database when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Table, func, inspect, select

from trunkline.run.break_glass import KIND
from trunkline.store import catalogue, heartbeats, intake
from trunkline.store.alarms import platform_alarms
from trunkline.store.commands import commands
from trunkline.store.database import reading
from trunkline.store.journal_rows import entries as journal_entries
from trunkline.store.opened import Store

Figures = dict[str, tuple[str, tuple[str, ...], Mapping[tuple[str, ...], float]]]
"""Name -> what it is, the names of its labels, and the value for each set of labels."""


def metrics(store: Store) -> Figures:
    """Every figure; a table that nothing has used yet counts as empty."""
    kept = set(inspect(store.engine).get_table_names())
    at = store.clock()

    def count(table: Table, *by: Column[Any], where: tuple[Any, ...] = ()) -> dict[tuple[str, ...], float]:
        if table.name not in kept:
            return {}
        with reading(store.engine) as connection:
            found = connection.execute(select(*by, func.count()).where(*where).group_by(*by)).all()
        return {tuple(str(v) for v in row[:-1]): float(row[-1]) for row in found}

    d, r = catalogue.decisions.c, catalogue.releases.c
    silence: dict[tuple[str, ...], float] = {}
    errors: dict[tuple[str, ...], float] = {}
    if heartbeats.heartbeats.name in kept:
        for row in catalogue.rows(store.engine, heartbeats.heartbeats):
            errors[(row["workflow"],)] = float(row["errors"])
            if row["last_step_at"] is not None:
                silence[(row["workflow"],)] = (at - row["last_step_at"]).total_seconds()
    return {
        "decisions": ("Decisions by workflow, mode and state.", ("workflow", "mode", "state"), count(catalogue.decisions, d.workflow, d.mode, d.state)),
        "break_glass": ("Decisions that somebody let happen against a limit.", (), count(journal_entries, where=(journal_entries.c.kind == KIND,))),
        "outcomes": ("Outcomes said, by verdict.", ("verdict",), count(catalogue.outcomes, catalogue.outcomes.c.verdict)),
        "releases": ("Releases by workflow and state.", ("workflow", "state"), count(catalogue.releases, r.workflow, r.state)),
        "arrivals": ("Files taken in, by kind.", ("kind",), count(intake.arrivals, intake.arrivals.c.source)),
        "quarantined": ("Records put aside, by reason.", ("reason",), count(intake.quarantine, intake.quarantine.c.reason)),
        "commands": ("Commands by state.", ("state",), count(commands, commands.c.state)),
        "platform_alarms": (
            "Alarms of the platform that are on.",
            ("kind",),
            count(platform_alarms, platform_alarms.c.kind, where=(platform_alarms.c.cleared_at.is_(None),)),
        ),
        "workflow_silence_seconds": ("Since a workflow last looked.", ("workflow",), silence),
        "workflow_errors": ("Failed steps of a workflow.", ("workflow",), errors),
        "journal_entries": ("Entries of the journal.", (), {(): float(store.journal.size)}),
    }

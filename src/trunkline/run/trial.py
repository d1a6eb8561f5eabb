"""The steps of a canary over the data at hand: how long one lasts, whether it is worse, whether it may go on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from trunkline.core.errors import NotAllowed, TooLittleData, UnknownName
from trunkline.rollout.canary import Canary
from trunkline.rollout.plan import Next, percent
from trunkline.rollout.split import in_share
from trunkline.rollout.stop import DAYS, Compared, Length, Worse, compare, length, look_at
from trunkline.run import gather
from trunkline.run.standing import Standing
from trunkline.store import catalogue
from trunkline.store.opened import Store
from trunkline.workflow import Workflow

LONGEST = DAYS[-1]
"""Days over which looks are shared out where no length of the step would do."""


def values(store: Store, workflow: Workflow, rule: Worse) -> pl.DataFrame:
    """The KPI a rule watches, newest version of each slot: ``entity``, ``at``, ``value``, and ``attempts`` where it names them.

    Raises
    ------
    UnknownName
        The data have no such KPI.
    """
    found = gather.gather(store, workflow, rename=_rename(store, workflow))
    facts = found.facts
    wanted = [name for name in (rule.kpi, rule.attempts) if name]
    known = facts.kpis["kpi"].unique().to_list()
    for name in wanted:
        if name not in known:
            raise UnknownName("KPI", name, sorted(known), where=f"stop_if of the rollout of '{workflow.name}'")
    assert workflow.features is not None
    ours = facts.elements.filter(pl.col("kind") == workflow.features.entity)["element"]
    newest = (
        facts.kpis.filter(pl.col("kpi").is_in(wanted), pl.col("element").is_in(ours.implode())).sort("known_at").unique(["element", "kpi", "at"], keep="last")
    )
    measured = newest.filter(pl.col("status") == "ok").select(entity="element", at="at", kpi="kpi", value="value")
    told = measured.filter(pl.col("kpi") == rule.kpi).drop("kpi")
    if rule.attempts:
        counted = measured.filter(pl.col("kpi") == rule.attempts).select("entity", "at", attempts="value")
        told = told.join(counted, on=["entity", "at"])
    return told.sort("entity", "at")


def _rename(store: Store, workflow: Workflow) -> Mapping[str, str] | None:
    """What its KPIs are called in the data, as said at the last training."""
    newest = catalogue.rows(
        store.engine, catalogue.releases, catalogue.releases.c.workflow == workflow.name, order_by=catalogue.releases.c.made_at.desc(), limit=1
    )
    return (newest[0]["card"].get("rename") or None) if newest else None


def planned(store: Store, workflow: Workflow, share: float) -> Length | None:
    """How long a step at *share* lasts, from the past; None where the plan has no stop rule."""
    plan = workflow.rollout
    if not isinstance(plan, Canary) or plan.stop_if is None:
        return None
    try:
        return length(plan.stop_if, values(store, workflow, plan.stop_if), share=share, steps=len(plan.shares))
    except TooLittleData as nothing:
        return Length(says=f"Cannot tell yet: {nothing.what}", cells=0, others=0, days=None, smallest=None)


def plan(store: Store, workflow: Workflow) -> pl.DataFrame:
    """Every step of the plan: its share, its cells, its days, and what that says."""
    lines = []
    for number, share in enumerate(workflow.rollout.shares, 1):
        told = planned(store, workflow, share)
        lines.append(
            {
                "step": number,
                "share": share,
                "cells": None if told is None else told.cells,
                "days": None if told is None else told.days,
                "says": "No stop rule: a person says when it is over." if told is None else told.says,
            }
        )
    return pl.DataFrame(lines, schema={"step": pl.Int64, "share": pl.Float64, "cells": pl.Int64, "days": pl.Int64, "says": pl.String})


def begin(store: Store, workflow: Workflow, one: Standing, to: Next, *, waiver: str) -> dict[str, Any]:
    """What is written down of a step that is to begin; refused where it could never tell anything, unless somebody answers for it."""
    assert to.share is not None
    told = planned(store, workflow, to.share)
    if told is None:
        return {}
    if told.days is None and not waiver:
        raise NotAllowed(
            f"A canary at {percent(to.share)} could not be judged. {told.says}",
            where=f"release {one.release}, step {(to.step or 0) + 1} of {len(workflow.rollout.shares) + 1}",
            allowed="a step whose effect can be seen, or a named waiver",
            next_step="Larger steps or a larger effect in the workflow's rollout; or --waiver 'NAME: reason'",
        )
    return {"days": told.days, "cells": told.cells, "lasts": told.says}


def due(workflow: Workflow, one: Standing, at: datetime) -> timedelta | None:
    """How long after the begin of its step the look is that is due; None where none is, or the plan has no stop rule."""
    plan = workflow.rollout
    if not isinstance(plan, Canary) or plan.stop_if is None:
        return None
    found = look_at(at - one.since, planned=one.days or LONGEST, error=1 - plan.stop_if.confidence)
    return None if found is None else found.after


def look(store: Store, workflow: Workflow, one: Standing) -> Compared | None:
    """The look at a running canary that is due; None where the plan has no stop rule."""
    plan = workflow.rollout
    if not isinstance(plan, Canary) or plan.stop_if is None or one.share is None:
        return None
    share = one.share
    return compare(
        plan.stop_if,
        values(store, workflow, plan.stop_if),
        is_canary=lambda entity: in_share(entity, share, one.release),
        since=one.since,
        now=store.clock(),
        began=one.began,
        planned=one.days or LONGEST,
        steps=len(plan.shares),
    )


def done(store: Store, workflow: Workflow, one: Standing, *, waiver: str) -> None:
    """Refuse to go on from a step that is not over, or that is worse; "worse" is never waived."""
    told = look(store, workflow, one)
    if told is None or told.result == "not worse":
        return
    if told.result == "worse":
        raise NotAllowed(f"The canary is worse. {told.says}", next_step=f"trunkline workflow rollback {workflow.name} --reason 'worse'")
    if not waiver:
        raise NotAllowed(
            f"This step of the canary is not over. {told.says}",
            where=f"release {one.release} at {percent(one.share or 0)} since {one.since:%Y-%m-%d %H:%M} UTC",
            allowed="a step that lasted as long as was planned, or a named waiver",
            next_step="Wait; or --waiver 'NAME: reason'",
        )

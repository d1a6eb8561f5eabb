"""Capacity: a cell's busy hour fills up, and there is time to build before it is full."""

from __future__ import annotations

from datetime import timedelta

from trunkline import Decision, Guardrail, Outcome, Owner, Shadow, Workflow, actions, feedback, gates, models
from trunkline.core.values import Row
from trunkline.features import Features, each_kpi, hour, kpi

LIMIT = 80.0  # per cent of the PRBs in the busy hour, beyond which users feel it
HORIZON = timedelta(weeks=26)  # what planning and building a carrier takes
LOOK = 6  # local hour of the one look a day: the day before is complete, and people come to work

cells = Features(
    entity="cell",
    every="1h",
    columns={
        "prb": kpi("prb_utilisation_dl").busy_hour("cell"),
        "in_worst_hour": each_kpi(include=["dl_user_throughput"], optional=True).over("24h", "min"),
        "hour": hour(),
    },
)


def decide(row: Row, score: float) -> Decision | None:
    """Plan capacity where crossing within the horizon is likelier than not; one look a day."""
    is_daily = row["known_at"] - row["at"] > timedelta(hours=12)  # rows of a whole day come once a day anyway
    if row["hour"] != LOOK and not is_daily:
        return None
    if not score >= 0.5:  # also refuses NaN
        return None
    detail = {"limit_percent": LIMIT, "probability": round(score, 3), "crossed_before": (row["at"] + HORIZON).date().isoformat()}
    throughput = row.get("dl_user_throughput_in_worst_hour")
    if throughput is not None:
        detail["user_throughput_in_worst_hour"] = round(throughput, 3)
    return Decision("plan_capacity", target=row["cell"], confidence=score, because=("prb", "dl_user_throughput_in_worst_hour"), detail=detail)


workflow = Workflow(
    name="capacity",
    owner=Owner(team="radio-planning", oncall="radio-planning", runbook="runbooks/capacity.md"),
    purpose="capacity-planning",
    outcome=Outcome.target("cell_weeks_above_limit", baseline="last 26 weeks", at_least="-50 %"),
    control="approve",
    safe_default="no decision",
    data=("measurements", "elements"),
    features=cells,
    model=models.Crossing(column="prb", limit=LIMIT, horizon="26w", daily="usual"),
    gates=(gates.BeatsBaseline(), gates.Latency(p99_ms=50), gates.Parity()),
    rollout=Shadow(of="4w"),
    decide=decide,
    guardrail=Guardrail(items_per_shift=5, shift="1d", per_element_week=0.25, hold_off="4w", per_element_day=1, allowed=("plan_capacity",)),
    act=actions.Propose(to="radio-planning", expires="4w"),
    feedback=feedback.QueueOutcome(within="26w"),
)

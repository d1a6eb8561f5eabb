"""KPI anomaly: an element's KPIs are far from what is usual for them at this hour of this week."""

from __future__ import annotations

from trunkline import Decision, Guardrail, Outcome, Owner, Shadow, Workflow, actions, feedback, gates, models
from trunkline.core.values import Row
from trunkline.features import Features, each_kpi, state

# Counts that only restate another KPI would make every fault count several times.
restated = ("drops*", "bearer_attempts*", "handover_attempts*", "endc_attempts*", "scell_volume*")

elements = Features(
    entity="element",
    every="15m",
    columns={"kpis": each_kpi(exclude=restated), "excused": state("locked", "energy_saving", "planned_work")},
)


def decide(row: Row, score: float) -> Decision | None:
    """Ask for a look at what rarely happens by itself and nobody announced; the guardrail keeps to the shift's budget."""
    if score < 0.99 or row["excused"]:
        return None
    return Decision("investigate", target=row["element"], confidence=score)


workflow = Workflow(
    name="kpi-anomaly",
    owner=Owner(team="network-assurance", oncall="noc", runbook="runbooks/kpi-anomaly.md"),
    purpose="network-assurance",
    outcome=Outcome.target("hours_to_notice_degradation", baseline="last 8 weeks", at_least="-50 %"),
    control="approve",
    safe_default="no decision",
    data=("measurements", "events", "relations", "elements"),
    features=elements,
    model=models.Harmonic(),
    gates=(
        gates.BeatsBaseline(),
        gates.RecallAt(items_per_shift=20, least=0.3),
        gates.FalseAlarmsPer(element_week=1),
        gates.Latency(p99_ms=50),
        gates.Parity(),
        gates.Duplicates(),
    ),
    rollout=Shadow(of="7d"),
    decide=decide,
    guardrail=Guardrail(items_per_shift=20, per_element_week=0.5, hold_off="12h"),
    act=actions.Propose(to="noc", expires="8h"),
    feedback=feedback.QueueOutcome(within="3d"),
)

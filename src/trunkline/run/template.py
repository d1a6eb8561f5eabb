"""A workflow to start from: two short files that load as they are and say what to change."""

from __future__ import annotations

import re
from pathlib import Path

from trunkline.core.errors import BadInput

_WORKFLOW = '''"""{title}: say in one sentence what this notices, and why somebody should care."""

from __future__ import annotations

from trunkline import Decision, Guardrail, Outcome, Owner, Row, Shadow, Workflow, actions, feedback, gates, models
from trunkline.features import Features, each_kpi

# What it looks at. each_kpi() takes every KPI in your data; name single ones with kpi("dl_volume"), their past with
# kpi("dl_volume").hour_of_week(weeks=8), their neighbours with kpi("dl_volume").across("neighbours", "mean").
elements = Features(entity="element", every="1h", columns={{"kpis": each_kpi()}})


def decide(row: Row, score: float) -> Decision | None:
    """What to do about one element in one slot; None says nothing. score is 1 - how often so strange a row comes by itself."""
    if score < 0.99:
        return None
    return Decision("investigate", target=row["element"], confidence=score)


workflow = Workflow(
    name="{name}",
    owner=Owner(team="your-team", oncall="your-oncall", runbook="{name}.md"),
    purpose="network-assurance",
    outcome=Outcome.target("hours_to_notice", baseline="last 8 weeks", at_least="-50 %"),
    control="approve",  # "advise" says so, "approve" asks first, "auto" acts
    safe_default="no decision",
    data=("measurements", "elements"),
    features=elements,
    model=models.Harmonic(),
    gates=(gates.BeatsBaseline(), gates.FalseAlarmsPer(element_week=1), gates.Latency(p99_ms=50), gates.Parity()),
    rollout=Shadow(of="7d"),
    decide=decide,
    guardrail=Guardrail(items_per_shift=20, per_element_week=1.0, hold_off="12h"),
    act=actions.Propose(to="your-team", expires="8h"),
    feedback=feedback.QueueOutcome(within="3d"),
)
'''

_RUNBOOK = """# Runbook: {name}

**Owner:** your-team. **On call:** your-oncall.

## What an item says
Say what was noticed, in the words of the people who get it.

## What to do
1. `trunkline decision show ID`
2. `trunkline decision approve ID --reason "…"` or `trunkline decision reject ID --reason "…"`
3. `trunkline decision outcome ID confirmed --note "…"` when it is known how it turned out.

## When the workflow itself misbehaves
`trunkline workflow rollback {name} --reason "…"`
"""


def files(name: str, folder: Path) -> dict[Path, str]:
    """The files of a new workflow called *name*, by path.

    >>> sorted(str(path) for path in files("busy-cells", Path("w")))
    ['w/busy-cells.md', 'w/busy-cells.py']
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise BadInput(f"'{name}' is no name of a workflow.", allowed="lower-case words joined by '-', such as busy-cells")
    title = name.replace("-", " ").capitalize()
    return {folder / f"{name}.py": _WORKFLOW.format(name=name, title=title), folder / f"{name}.md": _RUNBOOK.format(name=name)}


def write(path: Path, text: str) -> None:
    """Write one of them; a file that is there already is left alone."""
    if path.exists():
        raise BadInput(f"{path} is there already.", next_step="Choose another name or folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")

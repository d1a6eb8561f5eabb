"""The Workflow: what an operator puts into production, and the Release: what exactly runs.

A workflow is not a model but a decision with an owner. It is a frozen value whose fields are its
life, from left to right::

    Workflow(name, owner, purpose, outcome, control, …   data, features, model, gates, rollout, decide, act, feedback)
             who answers, what for, which KPI            └──────────────── its life ─────────────────────────────────┘
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from trunkline.core.canonical import content_hash, plain
from trunkline.core.clock import duration
from trunkline.core.errors import BadInput, WorkflowError
from trunkline.core.source import is_foreign, source_of
from trunkline.core.values import Control, Decision, OutcomeTarget, Owner, Row
from trunkline.decisions.guardrail import Guardrail
from trunkline.features import Features
from trunkline.rollout.canary import Canary
from trunkline.rollout.plan import Plan, Shadow

FORMAT = 1
"""Raised when the meaning of a workflow's hash changes; a new optional field does not change it."""

USER_MODULE = "trunkline_user_"
"""How the modules of workflow files are called, so that they never meet a package of that name."""

Decide = Callable[[Row, float], Decision | None]
CONTROLS = ("advise", "approve", "auto")

# Field -> why it may not be left out, and a line that would do.
_NEEDED: Mapping[str, tuple[str, str]] = {
    "owner": ("somebody has to answer for it", "owner=Owner(team='ran-assurance', oncall='ran-oncall', runbook='runbooks/sleeping-cell.md')"),
    "purpose": ("data may only be used for a stated purpose", "purpose='network-assurance'"),
    "outcome": ("it must move an operational KPI", "outcome=Outcome.target('hours_of_lost_traffic', baseline='last 8 weeks', at_least='-50 %')"),
    "control": ("how far it may go alone must be said", "control='approve'"),
    "safe_default": ("it must be known what happens when it cannot judge", "safe_default='no decision'"),
    "data": ("it must say what it reads", "data=('measurements', 'events', 'elements')"),
    "features": ("it must say what it looks at", "features=Features(entity='cell', every='15m', columns={'traffic': kpi('dl_volume')})"),
    "model": ("it must say what scores", "model=models.Harmonic()"),
    "gates": ("no model goes live unproven", "gates=(gates.BeatsBaseline(), gates.Latency(p99_ms=50))"),
    "decide": ("a score is not a decision", "decide=decisions.Above(0.99, action='investigate')"),
    "act": ("a decision has to reach somebody", "act=actions.Propose(to='noc', expires='8h')"),
    "feedback": ("nothing is learned without the outcome", "feedback=feedback.QueueOutcome(within='3d')"),
}

# Field -> what it has to be, and that in words.
_KINDS: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "owner": (Owner, "an Owner"),
    "purpose": (str, "text"),
    "outcome": (OutcomeTarget, "what Outcome.target() makes"),
    "control": (str, "text"),
    "safe_default": (str, "text"),
    "data": ((tuple, list), "a tuple of names"),
    "features": (Features, "Features"),
    "gates": ((tuple, list), "a tuple of gates"),
    "rollout": ((Shadow, Canary), "a plan such as Shadow or Canary"),
    "guardrail": (Guardrail, "a Guardrail"),
    "regions": ((tuple, list), "a tuple of names"),
    "way_back": (str, "text"),
}
_LINES: Mapping[str, str] = {
    **{name: line for name, (_, line) in _NEEDED.items()},
    "rollout": "rollout=Shadow(of='7d')",
    "guardrail": "guardrail=Guardrail(items_per_shift=20)",
    "regions": "regions=('north',)",
    "way_back": "way_back='unlock the cell in the element manager'",
    "review_every": "review_every='26w'",
    "name": "name='sleeping-cell'",
}


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """One decision an operator runs, with everything that must not be left out.

    Parameters
    ----------
    name
        Lower-case words joined by '-'; what every command calls it.
    owner, purpose, outcome
        Who answers, what its data may be used for, which KPI it is there to move.
    control
        "advise" says so, "approve" asks first, "auto" acts.
    safe_default
        What happens when it cannot judge: data missing, model gone, score unknown.
    data
        Products it reads: "measurements", "events" (alarms, states, planned work), "relations", "elements".
        A view gives it those and nothing else.
    features, model, gates, rollout, decide, act, feedback
        Its life. ``decide(row, score)`` is plain and keeps no memory; what needs memory is declared
        in ``guardrail``.
    regions
        Regions whose data it may see; empty means the workspace's own.
    way_back
        How to undo what it did, where the action cannot undo itself.
    review_every
        How long it may run until somebody looks at it again.

    Raises
    ------
    WorkflowError
        Names every field that is missing or cannot be used, and shows a line that would do.
    """

    name: str
    owner: Owner | None = None
    purpose: str = ""
    outcome: OutcomeTarget | None = None
    control: Control | None = None
    safe_default: str = ""
    data: tuple[str, ...] = ()
    features: Features | None = None
    model: Any = None
    gates: tuple[Any, ...] = ()
    rollout: Plan = field(default_factory=Shadow)
    decide: Decide | None = None
    guardrail: Guardrail = field(default_factory=Guardrail)
    act: Any = None
    feedback: Any = None
    regions: tuple[str, ...] = ()
    way_back: str = ""
    review_every: str = "26w"

    def __post_init__(self) -> None:
        self.__dict__["_written_in"] = _folder_of_caller()
        problems = _problems(self)
        if problems:
            raise WorkflowError(
                f"The workflow '{self.name}' may not load: {len(problems)} thing{'s' * (len(problems) > 1)} left out or unusable.",
                where="\n    ".join(["", *(f"{name}: {why}" for name, why, _ in problems)]),
                next_step="\n    ".join(["write", *dict.fromkeys(f"{line}," if "=" in line.split("(")[0] else line for _, _, line in problems)]),
            )

    @cached_property
    def sources(self) -> Mapping[str, str]:
        """Source of ``decide``, of the user's own model, gates, action and feedback, and of every module they reach, by name."""
        assert self.decide is not None
        own = [type(part) for part in (self.model, *self.gates, self.act, self.feedback) if not is_foreign(type(part))]
        return source_of(self.decide, *own)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over format, the non-default fields and the sources: what this workflow is.

        A release is made for one hash; an edited helper module is another workflow.
        """
        return content_hash({"format": FORMAT, "fields": _identity(self), "sources": self.sources})

    @property
    def folder(self) -> Path:
        """Where the file that defines it lies: its runbook is looked for from there."""
        path = inspect.getsourcefile(self.decide) if inspect.isfunction(self.decide) else None
        if path and not path.startswith("<"):
            return Path(path).resolve().parent
        written_in: Path = self.__dict__["_written_in"]  # decide is a ready-made part
        return written_in

    @property
    def called(self) -> str:
        """What commands call it: its name where it is registered, the path of its file where it was loaded from one."""
        path = inspect.getsourcefile(self.decide) if inspect.isfunction(self.decide) else None
        if path is None or not getattr(self.decide, "__module__", "").startswith(USER_MODULE):
            return self.name
        here = Path(path).resolve()
        return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)

    @property
    def runbook(self) -> Path:
        """The runbook people work by."""
        assert self.owner is not None
        return self.folder / self.owner.runbook

    def on_grid(self, features: Features) -> Workflow:
        """The same workflow on a grid that the data at hand can fill; what it is, its hash, stays."""
        assert self.owner is not None
        fitted = dataclasses.replace(self, features=features, owner=dataclasses.replace(self.owner, runbook=str(self.runbook)))
        fitted.__dict__.update(hash=self.hash, sources=self.sources)
        return fitted

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        owner = self.owner.team if self.owner else "nobody"
        return f"<Workflow {self.name} of {owner}, control={self.control}, {self.hash[:12]}>"


def _identity(workflow: Workflow) -> dict[str, Any]:
    written = {}
    for one in dataclasses.fields(workflow):
        if one.name == "decide":
            continue  # its source stands for it
        value = getattr(workflow, one.name)
        default = one.default_factory() if one.default_factory is not dataclasses.MISSING else one.default
        if value != default:
            written[one.name] = plain(value)
    return written


def _problems(workflow: Workflow) -> list[tuple[str, str, str]]:
    """What is left out or cannot be used: (field, why, a line that would do)."""
    found = [(name, why, line) for name, (why, line) in _NEEDED.items() if not getattr(workflow, name)]
    given = {name: getattr(workflow, name) for name in _KINDS if getattr(workflow, name)}
    wrong = {name: f"it is {value!r}, not {_KINDS[name][1]}" for name, value in given.items() if not isinstance(value, _KINDS[name][0])}
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", str(workflow.name)):
        wrong["name"] = f"'{workflow.name}' is not lower-case words joined by '-'"
    if workflow.control and workflow.control not in CONTROLS:
        wrong["control"] = f"'{workflow.control}' is none of {', '.join(CONTROLS)}"
    decide: object = workflow.decide
    if decide and not callable(decide):
        wrong["decide"] = f"it is {decide!r}, not a function of row and score"
    try:
        duration(workflow.review_every)
    except (BadInput, TypeError):
        wrong["review_every"] = f"{workflow.review_every!r} is not a length of time"
    found += [(name, why, _LINES[name]) for name, why in wrong.items()]
    owner, outcome, features, plan = workflow.owner, workflow.outcome, workflow.features, workflow.rollout
    if isinstance(plan, Canary) and isinstance(features, Features) and plan.by != features.entity:
        found.append(("rollout", f"its canary goes by '{plan.by}', and the features are of '{features.entity}'", f"rollout=Canary(by='{features.entity}')"))
    if isinstance(owner, Owner):
        found += [(f"owner.{part}", "it is empty", _LINES["owner"]) for part in ("team", "oncall", "runbook") if not getattr(owner, part)]
        if owner.runbook and workflow.decide and not workflow.runbook.is_file():
            found.append(("owner.runbook", f"there is no file {workflow.runbook}", f"a runbook in {workflow.runbook}, or name one that exists"))
    if isinstance(outcome, OutcomeTarget):
        found += [(f"outcome.{part}", "it is empty", _LINES["outcome"]) for part in ("kpi", "baseline", "at_least") if not getattr(outcome, part)]
    if workflow.act and not getattr(workflow.act, "reversible", False) and not workflow.way_back:
        found.append(("way_back", f"{type(workflow.act).__name__} cannot undo itself", _LINES["way_back"]))
    return found


def _folder_of_caller() -> Path:
    """The folder of the file that is building a workflow; the present folder in a shell or a notebook."""
    frame = inspect.currentframe()
    while frame is not None and (frame.f_code.co_filename in {__file__, dataclasses.__file__} or frame.f_code.co_name == "__init__"):
        frame = frame.f_back
    path = Path(frame.f_code.co_filename) if frame is not None else None
    return path.resolve().parent if path is not None and path.is_file() else Path.cwd()


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What exactly runs: a workflow, a trained model, the data it saw, the limits, the versions.

    Every decision stores the release it was taken by. Two releases of equal content are the same
    release, whenever and wherever they were made.
    """

    workflow: str
    hash: str
    model: str
    """Content hash of the trained model."""
    training: Mapping[str, Any]
    """What it was trained on: data set hash, rows, entities, first and last slot, seed."""
    policy: Mapping[str, Any]
    """Limits fitted or declared: the level items are admitted at, control, purpose, gates."""
    versions: Mapping[str, str]
    """Trunkline and what it computes with."""
    format: int = FORMAT

    @property
    def id(self) -> str:
        """Sixteen hex digits of the content hash."""
        return content_hash({f.name: getattr(self, f.name) for f in dataclasses.fields(self)})[:16]


def diff(old: Release, new: Release) -> list[tuple[str, Any, Any]]:
    """What changed between two releases, field by field: (path, before, after).

    >>> a = Release(workflow="w", hash="1", model="m", training={"rows": 5}, policy={}, versions={})
    >>> diff(a, dataclasses.replace(a, training={"rows": 6}))
    [('training.rows', 5, 6)]
    """
    return list(
        _differences(
            plain({f.name: getattr(old, f.name) for f in dataclasses.fields(old)}), plain({f.name: getattr(new, f.name) for f in dataclasses.fields(new)}), ""
        )
    )


def _differences(old: Any, new: Any, path: str) -> list[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = sorted({*old, *new})
        return [change for key in keys for change in _differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))]
    return [] if old == new else [(path, old, new)]

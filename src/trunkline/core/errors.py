"""Every error Trunkline raises on purpose, as one tree.

    TrunklineError
    ├── WorkflowError        a workflow that must not load; names the field and shows a corrected line
    ├── BadInput             a file, column, record or flag that cannot be used as it is
    │   ├── BadFile          … a whole file; carries the path and, where known, the line
    │   └── UnknownName      … a name that is not one of the known ones; shows the closest
    ├── TooLittleData        the data are fine, there are not enough of them to judge
    ├── AccessDenied         a view was asked for something outside its purpose, region or workflow
    ├── Tampered             stored bytes do not match their hash or signature
    ├── NotAllowed           a step that policy refuses now: no verdict, wrong state, expired
    ├── WorkspaceError       a workspace that cannot be opened, or is of another format
    └── MissingExtra         an optional library is not installed; shows the pip line

A message answers four questions: what happened, where, what was allowed, what to do next.
The facts travel as attributes, so programs need not parse the text.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class TrunklineError(Exception):
    """The root of every error that Trunkline raises on purpose.

    Parameters
    ----------
    what
        What happened, in one sentence.
    where
        File, line, field or record.
    allowed
        What would have been accepted.
    next_step
        What to do now; a command where there is one.

    >>> print(TrunklineError("The period is negative.", where="a.xml, line 7", next_step="Drop the file."))
    The period is negative.
      Where: a.xml, line 7
      Next: Drop the file.
    """

    def __init__(self, what: str, *, where: str = "", allowed: str = "", next_step: str = "") -> None:
        self.what, self.where, self.allowed, self.next_step = what, where, allowed, next_step
        lines = [what]
        lines += [f"  {label}: {text}" for label, text in (("Where", where), ("Allowed", allowed), ("Next", next_step)) if text]
        super().__init__("\n".join(lines))


class WorkflowError(TrunklineError):
    """A workflow that must not load: a field is missing or cannot be used."""


class BadInput(TrunklineError):
    """Something the user gave cannot be used as it is."""


class BadFile(BadInput):
    """A file that cannot be read as what it was taken for."""

    def __init__(self, what: str, *, path: str | Path, line: int | None = None, allowed: str = "", next_step: str = "") -> None:
        self.path, self.line = str(path), line
        where = f"{path}, line {line}" if line is not None else str(path)
        super().__init__(what, where=where, allowed=allowed, next_step=next_step)


class UnknownName(BadInput):
    """A name that is none of the known ones; the message shows the closest.

    >>> print(UnknownName("workflow", "kpi-anomoly", ["kpi-anomaly", "capacity"]))
    There is no workflow 'kpi-anomoly'.
      Allowed: 'kpi-anomaly', 'capacity'
      Next: Did you mean 'kpi-anomaly'?
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str = "", next_step: str = "") -> None:
        self.kind, self.name, self.known = kind, name, list(known)
        close = get_close_matches(name, self.known, n=1)
        shown = ", ".join(f"'{k}'" for k in self.known[:12]) + (f" and {len(self.known) - 12} more" if len(self.known) > 12 else "")
        super().__init__(
            f"There is no {kind} '{name}'.",
            where=where,
            allowed=shown or "none is known",
            next_step=f"Did you mean '{close[0]}'?" if close else next_step,
        )


class TooLittleData(TrunklineError):
    """The data are fine; there are not enough of them to judge."""


class AccessDenied(TrunklineError):
    """A view was asked for something outside its purpose, region or workflow."""


class Tampered(TrunklineError):
    """Stored bytes do not match their hash or signature."""


class NotAllowed(TrunklineError):
    """A step that policy refuses now."""


class WorkspaceError(TrunklineError):
    """A workspace that cannot be opened."""


class MissingExtra(TrunklineError):
    """An optional library is not installed."""

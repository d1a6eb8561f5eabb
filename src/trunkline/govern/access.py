"""Who may do what: roles and the verbs they allow. What no role names is refused.

A role is a job, not a rank: who approves a release does not train it, who keeps the keys does not
decide for the network. One person may hold several roles; each step still records who took it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trunkline.core.errors import AccessDenied, UnknownName

_LOOK = frozenset(
    {
        "data.list",
        "data.quarantine",
        "data.show",
        "decision.labels",
        "decision.list",
        "decision.show",
        "decision.stream",
        "feature.check",
        "feature.show",
        "workflow.card",
        "workflow.compare",
        "workflow.diff",
        "workflow.list",
        "workflow.plan",
        "workflow.release",
        "workflow.releases",
        "workspace.alarms",
        "workspace.show",
    }
)

ROLES: Mapping[str, frozenset[str]] = {
    "viewer": _LOOK,
    "operator": _LOOK
    | {"decision.approve", "decision.break_glass", "decision.deliver", "decision.outcome", "decision.reject", "decision.resend", "decision.undo"},
    "engineer": _LOOK
    | {
        "data.compact",
        "data.load",
        "workflow.deploy",
        "workflow.replay",
        "workflow.reproduce",
        "workflow.rollback",
        "workflow.run",
        "workflow.step",
        "workflow.train",
    },
    "approver": _LOOK | {"workflow.approve", "workflow.freeze", "workflow.restore", "workflow.review", "workflow.rollback", "workflow.unfreeze"},
    "auditor": _LOOK | {"audit.export", "audit.list", "audit.prove", "audit.prove_since", "audit.verify", "workflow.reproduce", "workspace.check"},
    "privacy-officer": frozenset({"data.erase", "data.list"}),
    "administrator": frozenset(
        {"access.list", "access.new", "access.revoke", "audit.witness", "workspace.alarms", "workspace.check", "workspace.metrics", "workspace.show"}
    ),
    "monitor": frozenset({"workspace.metrics"}),
}
"""Role -> what it may do, as noun.verb of the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who is asking: a person or a system, known by a key, with its roles.

    >>> Principal(name="noc-desk", roles=("operator",)).may("decision.approve")
    True
    """

    name: str
    roles: tuple[str, ...]
    key: str = ""

    def may(self, verb: str) -> bool:
        """Whether one of its roles names *verb*."""
        return any(verb in ROLES.get(role, ()) for role in self.roles)

    def require(self, verb: str) -> None:
        """Refuse what no role of this principal names."""
        if not self.may(verb):
            able = sorted(role for role, verbs in ROLES.items() if verb in verbs)
            raise AccessDenied(
                f"{self.name} may not do '{verb}'.",
                where=f"roles {', '.join(self.roles) or 'none'}",
                allowed=f"to {' or '.join(able)}" if able else "to nobody over this interface",
                next_step="Ask an administrator for a key with that role: trunkline access new",
            )


def known_roles(given: Iterable[str]) -> tuple[str, ...]:
    """*given* if each is a role, in the order of the table and each once."""
    given = tuple(given)
    for one in given:
        if one not in ROLES:
            raise UnknownName("role", one, ROLES)
    return tuple(role for role in ROLES if role in given)

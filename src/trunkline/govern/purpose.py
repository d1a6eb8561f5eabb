"""What data may be used for.

Purpose limitation (GDPR, article 5(1)(b)): data are collected for named purposes and read for those
only. A purpose is a word; a product lists the ones it may serve, a workflow names the one it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trunkline.core.errors import UnknownName


@dataclass(frozen=True, slots=True)
class Purpose:
    """One thing data may be used for, and what that means in words people agree on."""

    name: str
    meaning: str


PURPOSES: Mapping[str, Purpose] = {
    purpose.name: purpose
    for purpose in (
        Purpose("network-assurance", "Find, explain and repair faults of the network."),
        Purpose("capacity-planning", "Forecast load and plan where to build."),
        Purpose("energy-saving", "Switch off what is not needed, and on again."),
        Purpose("field-operations", "Plan and follow work on site."),
        Purpose("fraud-prevention", "Detect and stop misuse of the network or of somebody's number."),
        Purpose("security", "Detect and answer attacks."),
        Purpose("customer-care", "Answer a customer who asked."),
        Purpose("customer-retention", "Understand why customers leave, and what keeps them."),
        Purpose("marketing", "Offer products."),
        Purpose("billing", "Charge for service, and settle with partners."),
        Purpose("regulatory-reporting", "Tell the regulator what must be told."),
        Purpose("research", "Study methods on data that name nobody."),
    )
}
"""The purposes Trunkline knows. An operator may use others; a mistyped one fits no product and so reads nothing."""


def check_purpose(name: str, known: Iterable[str] = PURPOSES) -> str:
    """*name* if it is a known purpose.

    Raises
    ------
    UnknownName
        It is none; the message shows the closest.

    >>> check_purpose("network-assurance")
    'network-assurance'
    """
    known = list(known)
    if name not in known:
        raise UnknownName("purpose", name, known)
    return name


def shared_purposes(*parents: Iterable[str]) -> tuple[str, ...]:
    """What something made from several products may be used for: only what every one of them may.

    >>> shared_purposes(["billing", "fraud-prevention"], ["fraud-prevention", "network-assurance"])
    ('fraud-prevention',)
    """
    if not parents:
        return ()
    return tuple(sorted(set.intersection(*(set(parent) for parent in parents))))

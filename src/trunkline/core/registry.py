"""Parts by name: our own register through the same entry points as a stranger's would.

Add one: an entry point in the group ``trunkline.<kind>`` of your own package, nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from trunkline.core.errors import TrunklineError, UnknownName


@cache
def names(kind: str) -> dict[str, EntryPoint]:
    """Every registered part of one *kind* ("models", "gates", "actions", "workflows"), by name.

    >>> "harmonic" in names("models")
    True
    """
    found: dict[str, set[str]] = defaultdict(set)
    points = {}
    for point in entry_points(group=f"trunkline.{kind}"):
        found[point.name].add(point.value)
        points[point.name] = point
    twice = {name: values for name, values in found.items() if len(values) > 1}
    if twice:
        told = "; ".join(f"'{name}' by {' and by '.join(sorted(values))}" for name, values in twice.items())
        raise TrunklineError(f"Two parts of one name in trunkline.{kind}: {told}.", next_step="Rename or uninstall one of them.")
    return dict(sorted(points.items()))


def load(kind: str, name: str) -> Any:
    """The part of this *kind* called *name*; an unknown name shows the closest known one."""
    known = names(kind)
    if name not in known:
        raise UnknownName(kind.rstrip("s"), name, known)
    try:
        return known[name].load()
    except (ImportError, AttributeError) as broken:
        raise TrunklineError(
            f"The {kind.rstrip('s')} '{name}' is registered and cannot be loaded: {broken}.",
            where=f"entry point {known[name].value} in trunkline.{kind}",
            next_step="Install the package that registers it again, or uninstall it.",
        ) from broken

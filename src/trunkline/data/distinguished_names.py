"""Distinguished names: where in the network a measured object stands, written ``Class=value,Class=value``."""

from __future__ import annotations

import re
from functools import lru_cache

_COMMA = re.compile(r"(?<!\\),")
_CELLS = {
    "NRCell": "NRCell", "NRCellCU": "NRCell", "NRCellDU": "NRCell",
    "EUtranCell": "EUtranCell", "EUtranCellFDD": "EUtranCell", "EUtranCellTDD": "EUtranCell", "EUtranGenericCell": "EUtranCell",
}  # fmt: skip
_LTE = re.compile(r"^(EUtran|ENB|ENodeB|eNodeB)", re.IGNORECASE)


def parts(name: str) -> list[str]:
    r"""The steps of a distinguished name, outermost first; a comma escaped with a backslash does not part.

    >>> parts(r"SubNetwork=G3, ManagedElement=a\,b")
    ['SubNetwork=G3', 'ManagedElement=a\\,b']
    """
    steps = _COMMA.split(name) if "\\" in name else name.split(",")
    return [part for step in steps if (part := step.strip())]


@lru_cache(maxsize=65536)
def full_name(prefix: str, managed_element: str, local: str) -> str:
    """The whole name of an object: prefix, managed element and the object's own name, no step said twice.

    Vendors repeat the managed element at the head of the object's name, or the prefix at the head of the managed
    element, or neither (TS 32.435 leaves it open). A managed element without ``=`` is taken as ``ManagedElement=…``.

    >>> full_name("SubNetwork=G3", "node7", "ManagedElement=node7,GNBDUFunction=1,NRCellDU=32")
    'SubNetwork=G3,ManagedElement=node7,GNBDUFunction=1,NRCellDU=32'
    >>> full_name("DC=a.com,SubNetwork=1", "SubNetwork=CountryNN,ManagedElement=RNC-1", "RncFunction=RF-1,UtranCell=Gbg-997")
    'DC=a.com,SubNetwork=1,SubNetwork=CountryNN,ManagedElement=RNC-1,RncFunction=RF-1,UtranCell=Gbg-997'
    """
    outer, element, own = parts(prefix), parts(managed_element), parts(local)
    if len(element) == 1 and "=" not in element[0]:
        element = [f"ManagedElement={element[0]}"]
    if element and element[-1] in own:
        cut = own.index(element[-1]) + 1
        head, own = own[:cut], own[cut:]
        element = element if element[-cut:] == head else head
    return ",".join(_joined(_joined(outer, element), own))


def _joined(head: list[str], tail: list[str]) -> list[str]:
    """*head* then *tail*; steps that end the one and begin the other stand once."""
    if tail[: len(head)] == head:
        return tail
    for overlap in range(min(len(head), len(tail)), 0, -1):
        if head[-overlap:] == tail[:overlap]:
            return head + tail[overlap:]
    return head + tail


@lru_cache(maxsize=65536)
def object_class(name: str) -> str:
    """The class of the object a name ends in; "" where the last step has none.

    >>> object_class("ManagedElement=node7,GNBDUFunction=1,NRCellDU=32")
    'NRCellDU'
    """
    steps = parts(name)
    if not steps or "=" not in steps[-1]:
        return ""
    return steps[-1].partition("=")[0].strip()


def last_value(name: str) -> str:
    """The value of the last step, often the name people use.

    >>> last_value("ManagedElement=node7,GNBDUFunction=1,NRCellDU=32")
    '32'
    """
    steps = parts(name)
    return steps[-1].partition("=")[2].strip() if steps else ""


@lru_cache(maxsize=65536)
def cell_name(name: str) -> str:
    """One name for a cell, however many objects carry its counters; other names stay as they are.

    The two halves of an NR cell (NRCellCU, NRCellDU) become ``NRCell``, the LTE cells ``EUtranCell``, and the
    function between node and cell falls away.

    >>> cell_name("SubNetwork=G3,ManagedElement=node7,GNBDUFunction=1,NRCellDU=32")
    'SubNetwork=G3,ManagedElement=node7,NRCell=32'
    """
    kind = _CELLS.get(object_class(name))
    if not kind:
        return name
    steps = [step for step in parts(name)[:-1] if not step.partition("=")[0].strip().endswith("Function")]
    return ",".join([*steps, f"{kind}={last_value(name)}"])


def technology(kind: str) -> str:
    """Which technology, "LTE" or "NR", by the class of the measured object; what is neither said nor LTE counts as NR.

    >>> technology("EUtranCellFDD"), technology("NRCellDU")
    ('LTE', 'NR')
    """
    return "LTE" if _LTE.match(kind) else "NR"

"""Sub-counters: the part of a counter's name that says which slice, network, bearer class or cause it counts."""

from __future__ import annotations

import re
from functools import lru_cache

# The families of TS 28.552 and TS 32.425. Only their names are split: a vendor's own dots mean something else.
_FAMILIES = frozenset(
    [
        "CARR",
        "DRB",
        "ERAB",
        "ENDC",
        "CA",
        "HO",
        "IP",
        "IRATHO",
        "L1M",
        "MM",
        "MR",
        "PAG",
        "PAR",
        "PEE",
        "PWR",
        "QF",
        "QosFlow",
        "RACH",
        "RRC",
        "RRU",
        "S1SIG",
        "SM",
        "TB",
        "UECNTX",
        "XnSIG",
        "NgSIG",
    ]
)
_LAST = {"sum", "all"}
_BEARER = re.compile(r"^(5QI|QCI|QoS)\.?(\d+)$", re.IGNORECASE)
_BIN = re.compile(r"^Bin(?:[A-Za-z]*?)(\d+)$")


@lru_cache(maxsize=65536)
def split(name: str) -> tuple[str, str]:
    """A counter's name and its dimension ("" for the total), by the suffixes of TS 28.552 clause 4 and TS 32.404.

    Two hexadecimal digits are a slice (SST), eight a slice with its differentiator (SST and SD), ``226F04`` a
    network (PLMN), ``5QI9`` or ``QCI9`` a bearer class, ``Bin3`` a bin; anything else is a cause.

    >>> split("DRB.EstabAtt.010003e8"), split("RRU.PrbUsedDl.226F04"), split("RRC.ConnEstabAtt.mo-Data")
    (('DRB.EstabAtt', 'snssai=01.0003e8'), ('RRU.PrbUsedDl', 'plmn=226F04'), ('RRC.ConnEstabAtt', 'cause=mo-Data'))
    >>> split("RRC.ConnEstabAtt.sum"), split("pmRrcConnEstabAtt"), split("L.Thrp.bits.DL.LastTTI")
    (('RRC.ConnEstabAtt', ''), ('pmRrcConnEstabAtt', ''), ('L.Thrp.bits.DL.LastTTI', ''))
    """
    family, _, rest = name.partition(".")
    if family not in _FAMILIES or not rest:
        return name, ""
    measurement, *suffixes = re.split(r"[._]", rest)
    return f"{family}.{measurement}", ",".join(d for d in (_dimension(family, token) for token in _tokens(suffixes)) if d)


def _tokens(suffixes: list[str]) -> list[str]:
    """Suffixes, with a bearer class parted from its number (``5QI.9``) put together again."""
    tokens: list[str] = []
    for suffix in suffixes:
        if tokens and tokens[-1].upper() in {"5QI", "QCI", "QOS"} and suffix.isdigit():
            tokens[-1] += suffix
        else:
            tokens.append(suffix)
    return [t for t in tokens if t]


def _dimension(family: str, token: str) -> str:
    if token.lower() in _LAST or token.upper() in {"5QI", "QCI", "QOS"}:
        return ""
    if bearer := _BEARER.match(token):
        return f"{'qci' if bearer[1].upper() == 'QCI' else '5qi'}={bearer[2]}"
    if bin_ := _BIN.match(token):
        return f"bin={bin_[1]}"
    if re.fullmatch(r"[0-9A-Fa-f]{8}", token):
        return f"snssai={token[:2]}.{token[2:]}"
    if re.fullmatch(r"\d{3}[0-9Ff]\d{2}|\d{5}", token):
        return f"plmn={token}"
    if re.fullmatch(r"[0-9A-Fa-f]{2}", token):
        return f"snssai={token}"
    if token.isdigit():
        return f"{ {'ERAB': 'qci', 'DRB': '5qi', 'QF': '5qi', 'QosFlow': '5qi'}.get(family, 'index') }={token}"
    return f"cause={token}"


def family(dimension: str) -> str:
    """Which way of dividing a total a dimension belongs to: its keys.

    >>> family("plmn=226F04,snssai=01"), family("")
    ('plmn,snssai', '')
    """
    return ",".join(step.partition("=")[0] for step in dimension.split(",")) if dimension else ""

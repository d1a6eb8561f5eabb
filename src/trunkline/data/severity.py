"""Alarm severities in the six words of X.733, from the words and numbers vendors write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_WORDS: Mapping[str, str] = {
    word: severity
    for severity, words in {
        "critical": "critical crit fatal emergency emerg p1 a1 *** sev1 kritisch critica crítica critique urgent disaster",
        "major": "major maj alert error err p2 a2 ** sev2 high schwerwiegend hauptalarm mayor majeure maggiore important",
        "minor": "minor min p3 a3 * sev3 medium average gering menor mineure minore",
        "warning": "warning warn p4 sev4 low warnung advertencia avertissement avviso",
        "indeterminate": "indeterminate unknown undetermined info information informational notice event debug",
        "cleared": "cleared clear clr closed ceased normal ok resolved terminated",
    }.items()
    for word in words.split()
}
_X721 = {0: "indeterminate", 1: "critical", 2: "major", 3: "minor", 4: "warning", 5: "cleared"}
"""ITU-T X.721 and 3GPP TS 32.111: the order most element managers export."""
_RFC3877 = {1: "cleared", 2: "indeterminate", 3: "critical", 4: "major", 5: "minor", 6: "warning"}
"""RFC 3877 (ItuPerceivedSeverity): the order of SNMP."""


def severity_of(word: str) -> str | None:
    """One word as X.733 severity, None if it is none.

    >>> severity_of("CRITICAL"), severity_of("Maj."), severity_of("**"), severity_of("purple")
    ('critical', 'major', 'major', None)
    """
    low = word.strip().lower()
    return _WORDS.get(low) or _WORDS.get(low.rstrip(".").removesuffix(" alarm"))


def severities(cells: Iterable[str | None]) -> tuple[dict[str, str | None], str]:
    """What each distinct severity of one file means, and by which scheme numbers were read.

    Numbers are read as X.721 (1 = critical … 5 = cleared) unless a 6 shows that they are RFC 3877.

    >>> severities(["1", "5"])[0], severities(["3", "6"])[0]
    ({'1': 'critical', '5': 'cleared'}, {'3': 'critical', '6': 'warning'})
    """
    seen = sorted({c.strip() for c in cells if c and c.strip()})
    digits = {int(c) for c in seen if c.isdecimal() and len(c) < 3}
    table = _RFC3877 if 6 in digits else _X721
    scheme = f"severity numbers were read as {'RFC 3877 (3 = critical, 6 = warning)' if 6 in digits else 'X.721 (1 = critical, 5 = cleared)'}" if digits else ""
    return {c: table.get(int(c)) if c.isdecimal() and len(c) < 3 else severity_of(c) for c in seen}, scheme

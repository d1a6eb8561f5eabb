"""Text that people type and that is kept: names, reasons, notes. It is shown on terminals and rests in databases for years."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.core.errors import BadInput

LONGEST = 20_000
"""So many characters one text may have: a long report, and no file."""
PATTERN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
"""What :func:`check_typed` lets through, as a regular expression: no control characters but tabs and line breaks."""
_FINE = frozenset("\n\t\r")


def check_typed(name: str, value: Any) -> None:
    r"""Refuse text that no database keeps, or that a terminal would obey.

    >>> check_typed("reason", "seen on site")
    >>> check_typed("reason", "\x1b[2J")
    Traceback (most recent call last):
    ...
    trunkline.core.errors.BadInput: The text holds the control character U+001B.
      Where: reason
      Allowed: letters, digits, signs, line breaks

    Raises
    ------
    BadInput
        A control character, half a character, or more than :data:`LONGEST`.
    """
    if isinstance(value, Mapping):
        for key, one in value.items():
            check_typed(name, key)
            check_typed(name, one)
    if not isinstance(value, str):
        return
    if len(value) > LONGEST:
        raise BadInput(f"The text has {len(value):,} characters.", where=name, allowed=f"{LONGEST:,}", next_step="Keep it elsewhere, and say where.")
    for sign in value:
        code = ord(sign)
        if (code < 0x20 and sign not in _FINE) or 0x7F <= code < 0xA0:
            raise BadInput(f"The text holds the control character U+{code:04X}.", where=name, allowed="letters, digits, signs, line breaks")
        if 0xD800 <= code < 0xE000:
            raise BadInput(f"The text holds half a character, U+{code:04X}: it is no UTF-8.", where=name, allowed="text in UTF-8")

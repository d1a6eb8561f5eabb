"""What people type is kept for years and shown on terminals: what cannot be kept, or would be obeyed, is refused."""

import pytest

from trunkline.core.errors import BadInput
from trunkline.core.typed import LONGEST, check_typed


@pytest.mark.parametrize("text", ["", "Störung, 東京", "two\nlines\tand a tab", "\N{PILE OF POO}", "a" * LONGEST])
def test_words_of_any_script_are_kept(text: str) -> None:
    check_typed("reason", text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a\x00b", r"U\+0000"),
        ("\x1b]0;title\x07", r"U\+001B"),
        ("\x9b2J", r"U\+009B"),
        ("\ud800", "half a character"),
        ("a" * (LONGEST + 1), "20,001 characters"),
    ],
)
def test_what_cannot_be_kept_or_would_be_obeyed_is_refused(text: str, says: str) -> None:
    for value in (text, {"element": text}, {text: "x"}):
        with pytest.raises(BadInput, match=says) as refused:
            check_typed("reason", value)
        assert refused.value.where == "reason"

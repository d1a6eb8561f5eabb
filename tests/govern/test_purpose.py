from __future__ import annotations

import pytest

from trunkline.core.errors import UnknownName
from trunkline.govern import PURPOSES, check_purpose, shared_purposes


def test_a_mistyped_purpose_is_refused_and_the_closest_named() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'marketing'"):
        check_purpose("markting")

    assert [check_purpose(name) for name in PURPOSES] == list(PURPOSES)


def test_an_operator_may_have_purposes_of_its_own() -> None:
    assert check_purpose("roaming-steering", [*PURPOSES, "roaming-steering"]) == "roaming-steering"


def test_what_is_made_from_several_products_serves_only_what_all_of_them_may() -> None:
    assert shared_purposes(["billing", "marketing"], ["marketing", "research"], ["research", "marketing"]) == ("marketing",)
    assert shared_purposes(["billing"], ["marketing"]) == ()
    assert shared_purposes() == ()

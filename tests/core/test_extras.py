from __future__ import annotations

import pytest

from trunkline.core.errors import MissingExtra
from trunkline.core.extras import need


def test_a_missing_library_names_the_line_that_installs_it() -> None:
    with pytest.raises(MissingExtra, match="needs the library 'a_library_nobody_wrote'") as refused:
        need("a_library_nobody_wrote.inner", extra="deep")

    assert refused.value.next_step == "pip install 'trunkline[deep]'"


def test_a_library_that_is_there_is_handed_out() -> None:
    assert need("json", extra="deep").dumps([1]) == "[1]"

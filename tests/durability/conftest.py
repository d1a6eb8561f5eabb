"""One harness for all tests here: steps are prepared, and done once without a fault, only when a test asks for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from tests.durability.killing import Harness


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    if sys.platform == "win32":
        pytest.skip("workers are forked, which Windows cannot do")
    made = Harness(tmp_path_factory.mktemp("durability"))
    yield made
    made.close()

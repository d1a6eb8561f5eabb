"""What tests share: where the real data are, and what happens where they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REQUIRE_ALL = bool(os.environ.get("TRUNKLINE_REQUIRE_ALL"))
ROOT = Path(__file__).resolve().parents[1]


def _beside(name: str) -> Path:
    found = ROOT.parent / "shared" / name
    if not found.is_dir():
        if REQUIRE_ALL:
            pytest.fail(f"TRUNKLINE_REQUIRE_ALL is set and {found} is not there")
        pytest.skip(f"real {name} are not beside the project ({found})")
    return found


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets beside the project."""
    return _beside("data")


@pytest.fixture(scope="session")
def real_specs() -> Path:
    """The folder of the standards' own files beside the project."""
    return _beside("specs")

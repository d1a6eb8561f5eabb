"""What tests share: where the real data are, and what happens where they are not."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

SOAK = int(os.environ.get("TRUNKLINE_SOAK") or 1)
"""How many times as many examples each property is tried with; `make soak` sets it."""
REQUIRE_ALL = bool(os.environ.get("TRUNKLINE_REQUIRE_ALL"))
ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every property its soak: hypothesis keeps a test's settings on the function it made of it."""
    for item in items if SOAK > 1 else ():
        test: Any = getattr(item, "obj", None)
        own = getattr(test, "_hypothesis_internal_use_settings", None)
        if own is not None:
            function: Any = getattr(test, "__func__", test)
            function._hypothesis_internal_use_settings = settings(own, max_examples=own.max_examples * SOAK, deadline=None)


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of an empty PostgreSQL database, dropped at the end; name a schema in it for each workspace."""
    server = os.environ.get("TRUNKLINE_TEST_POSTGRES", "postgresql://root@127.0.0.1:5432/postgres")
    name = f"trunkline_test_{os.getpid()}_{secrets.token_hex(3)}"
    try:
        psycopg = import_module("psycopg")
        connection = psycopg.connect(server, autocommit=True, connect_timeout=3)
    except Exception as absent:  # noqa: BLE001 - whatever keeps us from it
        if REQUIRE_ALL:
            pytest.fail(f"TRUNKLINE_REQUIRE_ALL is set and PostgreSQL cannot be used: {absent}")
        pytest.skip(f"no PostgreSQL to test with: {absent}")
    with connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield server.rpartition("/")[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

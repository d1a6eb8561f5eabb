from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from trunkline.store import Journal, SigningKey, open_database, open_key


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(tmp_path / "data" / "trunkline.db")
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return open_key(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def clock() -> Callable[[], datetime]:
    """A clock that goes on by one second whenever it is asked."""
    ticks = iter(range(10**9))
    return lambda: datetime(2026, 11, 20, 14, tzinfo=UTC) + timedelta(seconds=next(ticks))


@pytest.fixture
def journal(engine: Engine, signer: SigningKey, clock: Callable[[], datetime]) -> Journal:
    return Journal(engine, signer, clock)

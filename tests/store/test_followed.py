"""Books that are kept from the journal: whole, once, signed; and never from what somebody wrote by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, select, update

from trunkline.core.errors import Tampered
from trunkline.store import followed, open_database, open_key, prepare
from trunkline.store.database import together
from trunkline.store.entry import Entry
from trunkline.store.followed import Followed, kept_books
from trunkline.store.journal import Journal
from trunkline.store.journal_rows import entries
from trunkline.store.keys import SigningKey


@dataclass
class Notes:
    """The simplest books: what was noted."""

    texts: list[str] = field(default_factory=list)

    def take(self, entry: Entry) -> None:
        self.texts.append(entry.body["text"])

    def copy(self) -> Notes:
        return Notes([*self.texts])


@dataclass
class Written:
    """A journal and what reads it."""

    engine: Engine
    signer: SigningKey
    journal: Journal

    def note(self, *texts: str, kind: str = "note") -> None:
        self.journal.append_many([(kind, {"text": text, "kind": "note"}) for text in texts])

    def reader(self, signer: SigningKey | None = None) -> Followed[Notes]:
        return Followed(self.engine, signer or self.signer, ["note"], Notes, name="notes")


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Written]:
    engine, signer = open_database(tmp_path / "trunkline.db"), open_key(tmp_path / "keys")
    prepare(engine, kept_books)
    yield Written(engine, signer, Journal(engine, signer))
    engine.dispose()


@pytest.fixture
def long(it: Written, monkeypatch: pytest.MonkeyPatch) -> Written:
    """Books that are kept after three entries."""
    monkeypatch.setattr(followed, "LONG", 3)
    it.note("a", "b", "c")
    assert it.reader().books().texts == ["a", "b", "c"]
    return it


def test_each_entry_of_the_kind_is_taken_once_and_in_order(it: Written) -> None:
    reader = it.reader()
    assert reader.books().texts == []
    it.note("a", "b")
    it.note("not this", kind="another.note")
    assert reader.books().texts == ["a", "b"]
    it.note("c")

    assert reader.books().texts == reader.books().texts == it.reader().books().texts == ["a", "b", "c"]


def test_what_is_not_committed_is_seen_inside_and_not_remembered(it: Written) -> None:
    reader = it.reader()
    it.note("a")

    with pytest.raises(KeyboardInterrupt), together(it.engine):
        it.note("never")
        assert reader.books().texts == ["a", "never"]
        raise KeyboardInterrupt

    assert reader.books().texts == ["a"]
    it.note("b")
    assert reader.books().texts == ["a", "b"]


def test_long_books_are_kept_and_the_next_process_reads_only_what_came_since(long: Written) -> None:
    with long.engine.begin() as connection:
        connection.execute(update(entries).where(entries.c.seq == 0).values(entry=b"{}"))  # read again, it would be found out
    long.note("d")

    assert long.reader().books().texts == ["a", "b", "c", "d"]


@pytest.mark.parametrize("column", ["content", "signature"])
def test_kept_books_that_were_changed_are_made_anew(column: str, long: Written) -> None:
    with long.engine.begin() as connection:
        kept = bytes(connection.execute(select(kept_books.c[column])).scalar_one())
        connection.execute(update(kept_books).values({column: kept.replace(b'"b"', b'"x"') if column == "content" else b"x" * 64}))

    assert long.reader().books().texts == ["a", "b", "c"]


def test_kept_books_of_another_form_are_made_anew(long: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "FORMAT", 2)

    assert long.reader().books().texts == ["a", "b", "c"]


def test_kept_books_of_before_put_back_change_nothing(long: Written) -> None:
    with long.engine.begin() as connection:
        old = dict(connection.execute(select(kept_books)).mappings().one())
    long.note("d", "e", "f")
    assert len(long.reader().books().texts) == 6
    with long.engine.begin() as connection:
        connection.execute(update(kept_books).values(**old))

    assert len(long.reader().books().texts) == 6


def test_an_entry_that_is_gone_or_of_another_key_is_no_entry(it: Written, tmp_path: Path) -> None:
    it.note("a", "b")

    with pytest.raises(Tampered, match="is not signed by key"):
        it.reader(open_key(tmp_path / "other")).books()
    with it.engine.begin() as connection:
        connection.execute(delete(entries).where(entries.c.seq == 0))
    with pytest.raises(Tampered, match="an entry from 0 to 1 is missing"):
        it.reader().books()

"""Platform alarms: raised once, cleared once, raised again when it comes back."""

from __future__ import annotations

from pathlib import Path

from trunkline.core.clock import now
from trunkline.store import open_database, open_key, prepare
from trunkline.store.alarms import Alarms, platform_alarms
from trunkline.store.journal import Journal


def test_an_alarm_has_one_life_at_a_time_and_each_is_in_the_journal(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "trunkline.db")
    prepare(engine, platform_alarms)
    journal = Journal(engine, open_key(tmp_path / "keys"))
    alarms = Alarms(engine, journal, now)

    assert alarms.raise_("silence", about="a", text="3 h")
    assert alarms.raise_("silence", about="b", text="3 h")
    assert not alarms.raise_("silence", about="a", text="4 h")
    assert alarms.clear("silence", about="a")
    assert not alarms.clear("silence", about="a")
    assert not alarms.clear("owner-left", about="a")

    assert [row["about"] for row in alarms.active()] == ["b"]
    assert alarms.active("a") == []
    assert len(alarms.all()) == 2
    assert alarms.raise_("silence", about="a", text="5 h")
    assert [row["text"] for row in alarms.active("a")] == ["5 h"]
    assert [entry.kind for entry in journal.entries()] == ["alarm.raised", "alarm.raised", "alarm.cleared", "alarm.raised"]
    engine.dispose()

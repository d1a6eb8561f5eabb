from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from trunkline.core.config import FILE, TEMPLATE, Settings, read
from trunkline.core.errors import BadInput, TrunklineError, UnknownName


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / FILE).write_text('zone = "Europe/Rome"\ndelay = "20m"\noperator = "ann"\n', encoding="utf-8")
    return tmp_path


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(folder: Path) -> None:
    found = read(folder, flags={"zone": "Europe/Lisbon"}, environment={"TRUNKLINE_ZONE": "Asia/Tokyo", "TRUNKLINE_DELAY": "5m"})

    assert (found.settings.zone, found.origins["zone"]) == ("Europe/Lisbon", "flag")
    assert (found.settings.delay, found.origins["delay"]) == ("5m", "environment TRUNKLINE_DELAY")
    assert (found.settings.operator, found.origins["operator"]) == ("ann", str(folder / FILE))
    assert (found.settings.shift, found.origins["shift"]) == ("8h", "default")


def test_every_setting_has_an_origin_even_where_there_is_no_file(tmp_path: Path) -> None:
    found = read(tmp_path / "nowhere", environment={})

    assert found.settings == Settings()
    assert set(found.origins) == {one.name for one in fields(Settings)}
    assert set(found.origins.values()) == {"default"}


def test_a_misspelt_setting_is_refused_with_the_closest_one(folder: Path) -> None:
    (folder / FILE).write_text('zoen = "UTC"\n', encoding="utf-8")

    with pytest.raises(UnknownName, match="There is no setting 'zoen'") as refused:
        read(folder, environment={})

    assert refused.value.next_step == "Did you mean 'zone'?"
    assert refused.value.where == str(folder / FILE)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('zone = "Europe/Roma"', "There is no time zone 'Europe/Roma'."),
        ('delay = "soon"', "'soon' is not a length of time."),
        ('shift = "8"', "'8' is not a length of time."),
        ("delay = 10", "The setting 'delay' is 10."),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_and_says_where_it_was_given(folder: Path, text: str, what: str) -> None:
    (folder / FILE).write_text(text, encoding="utf-8")

    with pytest.raises(BadInput) as refused:
        read(folder, environment={})

    assert refused.value.what == what
    assert str(folder / FILE) in refused.value.where
    assert refused.value.allowed


def test_a_wrong_value_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        read(tmp_path, environment={"TRUNKLINE_SHIFT": "a while"})

    assert refused.value.where == "shift, from environment TRUNKLINE_SHIFT"


@pytest.mark.parametrize("content", [b"zone = ", b"\xff\xfe", b"[zone]\n[zone]"])
def test_a_file_that_is_no_toml_is_refused_by_its_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)

    with pytest.raises(TrunklineError) as refused:
        read(tmp_path, environment={})

    assert str(tmp_path / FILE) in str(refused.value)


def test_the_file_of_a_new_workspace_shows_every_setting_and_sets_none() -> None:
    assert tomllib.loads(TEMPLATE) == {}

    uncommented = tomllib.loads("\n".join(line.removeprefix("# ") for line in TEMPLATE.splitlines()[1:]))

    assert uncommented == {one.name: one.default for one in fields(Settings)}

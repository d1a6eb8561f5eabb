from __future__ import annotations

import os
import time
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import BadFile, BadInput, Tampered
from trunkline.store import Blobs


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@settings(deadline=None, max_examples=40)
@given(content=st.binary(max_size=3000))
def test_what_is_put_is_got_under_its_hash(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("blobs")
    blobs = Blobs(folder / "blobs")
    (folder / "file").write_bytes(content)

    blob = blobs.put(content)

    assert blob == sha256(content).hexdigest() == blobs.put(content) == blobs.put_file(folder / "file")
    assert blobs.get(blob) == blobs.path(blob).read_bytes() == content
    assert blob in blobs
    assert list((folder / "blobs" / "incoming").iterdir()) == []


def test_a_large_file_is_stored_piece_by_piece(blobs: Blobs, tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)

    assert blobs.get(blobs.put_file(tmp_path / "file")) == content


def test_a_changed_blob_is_named_and_not_returned(blobs: Blobs) -> None:
    blob = blobs.put(b"content")
    blobs.path(blob).write_bytes(b"contend")

    with pytest.raises(Tampered, match=blob):
        blobs.get(blob)


def test_a_blob_cut_short_is_written_again_when_it_is_put_again(blobs: Blobs) -> None:
    blob = blobs.put(b"content")
    blobs.path(blob).write_bytes(b"cont")

    blobs.put(b"content")

    assert blobs.get(blob) == b"content"


def test_what_is_not_there_is_said_so(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no blob"):
        blobs.get("0" * 64)
    with pytest.raises(BadFile, match="No such file"):
        blobs.put_file(tmp_path / "absent")

    assert "0" * 64 not in blobs


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 63 + "\n"])
def test_a_name_that_is_no_hash_reaches_no_file(blobs: Blobs, name: str) -> None:
    with pytest.raises(BadInput, match="no id of a blob"):
        blobs.get(name)


def test_what_a_killed_process_had_begun_to_write_is_taken_away_after_a_day(tmp_path: Path) -> None:
    incoming = Blobs(tmp_path).folder / "incoming"
    for name, hours in (("old", 25), ("new", 1)):
        (incoming / name).write_bytes(b"half")
        os.utime(incoming / name, (time.time() - hours * 3600,) * 2)

    Blobs(tmp_path)

    assert [path.name for path in incoming.iterdir()] == ["new"]


def test_contents_and_files_are_stored_together_each_once(tmp_path: Path) -> None:
    blobs, large = Blobs(tmp_path / "blobs"), tmp_path / "large"
    large.write_bytes(b"x" * 3_000_000)
    blobs.put(b"there before")

    stored = blobs.put_all([b"one", large, b"there before", b"one", large, b""])

    assert [size for _, size in stored] == [3, 3_000_000, 12, 3, 3_000_000, 0]
    assert [blobs.get(blob) for blob, _ in stored] == [b"one", large.read_bytes(), b"there before", b"one", large.read_bytes(), b""]
    assert len(list(blobs.ids())) == 4
    assert not list((tmp_path / "blobs/incoming").iterdir())


def test_a_group_in_which_one_cannot_be_read_leaves_nothing_behind(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")

    with pytest.raises(BadFile, match="cannot be read"):
        blobs.put_all([b"one", tmp_path / "not there"])

    assert list(blobs.ids()) == []
    assert not list((tmp_path / "blobs/incoming").iterdir())

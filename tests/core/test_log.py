from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from trunkline.core import log


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger(log.ROOT)
    before = (list(root.handlers), root.level, root.propagate)
    yield
    root.handlers[:], root.propagate = before[0], before[2]
    root.setLevel(before[1])


def told(level: str = "info", **how: Any) -> io.StringIO:
    stream = io.StringIO()
    log.set_up(level, stream=stream, **how)
    return stream


def test_a_machine_reads_one_object_a_line_with_what_it_is_about() -> None:
    stream = told()

    with log.about(workflow="capacity", release="3f"), log.about(decision="d1"):
        log.logger("serve").info("It decided %d rows.", 7, extra={"seconds": 0.5})

    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert found.pop("at").endswith("Z")
    assert found == {
        "level": "info",
        "part": "serve",
        "message": "It decided 7 rows.",
        "workflow": "capacity",
        "release": "3f",
        "decision": "d1",
        "seconds": 0.5,
    }


def test_a_person_reads_words() -> None:
    stream = told(as_json=False)

    with log.about(command="c1"):
        log.logger("serve").warning("It waits.")

    assert stream.getvalue().rstrip().endswith("WARNING: It waits.  command=c1")


def test_secrets_never() -> None:
    stream = told()

    try:
        raise ValueError("postgresql://ann:hunter2@db refused password=hunter2")  # noqa: TRY301 - a trace is what is looked at
    except ValueError:
        with log.about(api_key="hunter2", where="token: hunter2"):
            log.logger("serve").exception("Authorization: Bearer hunter2", extra={"password": "hunter2"})

    assert "hunter2" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


def test_what_is_below_the_level_is_not_told_and_a_second_setting_up_replaces_the_first() -> None:
    first, second = told("warning"), told("warning")

    log.logger("serve").info("nothing")
    log.logger("serve").error("something")

    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1

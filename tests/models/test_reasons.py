from __future__ import annotations

from datetime import timedelta

from trunkline.models.reasons import against_usual, over_usual


def test_a_value_many_times_the_usual_says_how_many_times() -> None:
    assert against_usual("dropped calls", 50.0, 2.0, "Monday 08:00") == "dropped calls 25 times its usual Monday 08:00 (50 against 2)"


def test_a_value_at_its_usual_says_so() -> None:
    assert against_usual("users", 10.0, 10.01, "Monday 08:00") == "users at its usual Monday 08:00 (10 against 10)"


def test_minutes_are_said_as_minutes() -> None:
    assert over_usual("users", 5.0, 10.0, timedelta(minutes=45)) == "users 50 % below its usual over the last 45 minutes (5 against 10)"

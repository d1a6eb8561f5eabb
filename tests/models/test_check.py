from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from trunkline.core.registry import names
from trunkline.models.check import CHECKS, Finding, check_model
from trunkline.models.dummies import Constant
from trunkline.models.envelope import Envelope
from trunkline.models.harmonic import Harmonic
from trunkline.models.portable import model_class
from trunkline.models.protocol import Context, Saved

FAST = ("harmonic", "envelope", "hour-of-week", "trees")
# A limit has a unit and a trend is no outage: the promises that apply to a forecast of a crossing are kept in test_crossing.py.
ELSEWHERE = ("crossing",)


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in names("models") if n not in ELSEWHERE])
def test_every_registered_model_keeps_the_contract(name: Any) -> None:
    model: Any = model_class(name)()

    assert [f for f in check_model(model) if not f.passed] == []


def test_there_are_many_promises_and_each_has_its_name() -> None:
    assert len(CHECKS) >= 25
    assert len({check.__name__ for check in CHECKS}) == len(CHECKS)


@dataclass(frozen=True)
class Broken:
    """A model that breaks one promise, named by the test."""

    how: str

    def fit(self, rows: pl.DataFrame, *, labels: npt.NDArray[Any] | None = None, context: Context, seed: int = 0) -> Any:
        del labels, seed
        return _Broken(self.how, Envelope().fit(rows, context=context))

    @classmethod
    def from_saved(cls, saved: Saved) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class _Broken:
    how: str
    inner: Any

    @property
    def columns(self) -> Any:
        return self.inner.columns

    @property
    def lookback(self) -> Any:
        return self.inner.lookback * 0 if self.how == "forgets its past" else self.inner.lookback

    def score(self, rows: pl.DataFrame) -> Any:
        scores = self.inner.score(rows)
        if self.how == "looks ahead":
            return np.maximum(scores, np.append(scores[1:], np.nan if len(scores) else []))
        if self.how == "leaves the scale":
            return scores * 3
        if self.how == "fills gaps":
            return np.nan_to_num(scores)
        return scores

    def explain(self, rows: pl.DataFrame, index: int) -> Any:
        reasons = self.inner.explain(rows, index)
        return tuple(reversed(reasons)) if self.how == "reasons upside down" else reasons

    def save(self) -> Saved:
        saved: Saved = self.inner.save()
        if self.how == "saves an object":
            return replace(saved, arrays={**saved.arrays, "bad": np.array([None], dtype=object)})
        return saved


@pytest.mark.parametrize(
    ("how", "promise"),
    [
        ("looks ahead", "the future does not change a score"),
        ("forgets its past", "one row with its lookback scores as in the batch"),
        ("leaves the scale", "scores lie between zero and one"),
        ("fills gaps", "a row without values has no score"),
        ("reasons upside down", "reasons come with the weightiest first"),
        ("saves an object", "saved arrays hold no objects"),
    ],
)
def test_a_broken_promise_is_found(how: Any, promise: Any) -> None:
    broken = {f.name for f in check_model(Broken(how)) if not f.passed}

    assert promise in broken


def test_no_skill_is_found() -> None:
    assert "an outage scores higher than calm" in {f.name for f in check_model(Constant()) if not f.passed}


def test_a_finding_says_what_was_seen() -> None:
    found = next(f for f in check_model(Broken("leaves the scale")) if f.name == "scores lie between zero and one")

    assert found == Finding("scores lie between zero and one", False, found.message)
    assert "2.9" in found.message


def test_checking_loads_no_torch() -> None:
    check_model(Harmonic())

    assert "torch" not in sys.modules

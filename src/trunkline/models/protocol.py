"""What a model is: hyper-parameters that fit, and something fitted that scores, explains and saves.

A :class:`Model` is a frozen dataclass of hyper-parameters only, so that it can be hashed as part of a
workflow. Fitting it gives a :class:`Fitted`, which holds arrays and nothing else: it is saved as flat
numbers (:class:`Saved`), never as a pickled object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.values import Reason

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a model must know beside the rows.

    Parameters
    ----------
    every
        Length of one slot of the grid.
    zones
        IANA time zone of each entity; an entity not named here lives in UTC.
    holidays
        ISO dates of public holidays by zone.
    words
        What people call a column: ``{"dl_volume": "downlink volume"}``.
    """

    every: timedelta
    zones: Mapping[str, str] = field(default_factory=dict)
    holidays: Mapping[str, frozenset[str]] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)

    def zone_of(self, entity: str) -> str:
        """The IANA zone *entity* lives in.

        >>> Context(every=timedelta(hours=1), zones={"cell-1": "Europe/Rome"}).zone_of("cell-2")
        'UTC'
        """
        return self.zones.get(entity, "UTC")

    def word(self, column: str) -> str:
        """What people call *column*; its name with spaces where nobody said.

        >>> Context(every=timedelta(hours=1)).word("dl_volume")
        'dl volume'
        """
        return self.words.get(column, column.replace("_", " "))


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A fitted model as plain JSON values and flat arrays.

    The manifest names at least ``model`` (its name in the entry-point group ``trunkline.models``),
    ``parameters`` (the hyper-parameters) and ``columns``. No array has the type object.
    """

    manifest: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]


@runtime_checkable
class Fitted(Protocol):
    """A model that has seen its past and judges new rows.

    One that cannot become an ONNX file says why in a text attribute ``exports``; see :func:`trunkline.models.onnx_export.exports`.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """The feature columns it reads; further columns of the rows are ignored."""
        ...

    @property
    def lookback(self) -> timedelta:
        """How much of each entity's past :meth:`score` needs before the rows of interest."""
        ...

    def score(self, rows: pl.DataFrame) -> Floats:
        """One score per row in [0, 1], NaN where it cannot judge.

        Causal: the score of a row depends on no later row. Rows are sorted by (entity, at).
        """
        ...

    def explain(self, rows: pl.DataFrame, index: int) -> tuple[Reason, ...]:
        """Why row *index* of *rows* (itself and its context) scores as it does, the weightiest first."""
        ...

    def save(self) -> Saved:
        """Everything :func:`trunkline.models.portable.load` needs to score the same."""
        ...


@runtime_checkable
class ExactlyExplained(Protocol):
    """A fitted model that can also tell, when asked and not before the answer, what each feature is exactly worth."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The feature columns it reads."""
        ...

    def exact(self, rows: pl.DataFrame, index: int) -> tuple[Reason, ...]:
        """The Shapley value of every column in the score of row *index*, the weightiest first; may take seconds."""
        ...


class Model(Protocol):
    """Hyper-parameters which, given rows, become a :class:`Fitted`.

    One that says ``by_element: ClassVar[bool] = True`` learns each element from its own past (and at most the rarest tails
    from others'), so that very many elements may be fitted some at a time; any other sees all of them at once.
    """

    def fit(self, rows: pl.DataFrame, *, labels: npt.NDArray[Any] | None = None, context: Context, seed: int = 0) -> Fitted:
        """Learn from *rows*, which stay as they are. *labels*, where given, hold one value per row."""
        ...

    @classmethod
    def from_saved(cls, saved: Saved) -> Fitted:
        """The fitted model *saved* holds; scores equal those before saving bit for bit."""
        ...


class Signer(Protocol):
    """A key that signs model files. Ed25519 in the store's ``keys``; anything with these two methods will do."""

    def sign(self, data: bytes) -> bytes:
        """The signature of *data*."""
        ...

    def verify(self, data: bytes, signature: bytes) -> bool | None:
        """False or an error where *signature* is not one of *data*."""
        ...


__all__ = ["Context", "ExactlyExplained", "Fitted", "Floats", "Model", "Saved", "Signer"]

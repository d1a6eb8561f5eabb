"""One fitted model made of several, each of which learned some of the elements: what comes of fitting very many in partitions.

Which model an element belongs to is part of it; an element that none of them learned is judged by the first, which
gives what that model gives of a stranger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trunkline.core.errors import BadInput
from trunkline.core.values import Reason
from trunkline.models.portable import load
from trunkline.models.protocol import Context, Fitted, Floats, Saved

NAME = "parts"


@dataclass(frozen=True, slots=True)
class FittedParts:
    """Fitted models and which elements each is for.

    Parameters
    ----------
    parts
        The models; all read the same columns.
    of
        The number of the model of each element.
    """

    parts: tuple[Fitted, ...]
    of: Mapping[str, int]

    @classmethod
    def joined(cls, parts: Sequence[tuple[Sequence[str], Fitted]]) -> Fitted:
        """The models of these elements as one; a single one stays what it is.

        Raises
        ------
        BadInput
            There is none, two read different columns, or two learned the same element.
        """
        if not parts:
            raise BadInput("There is no model to join.", allowed="one or more")
        if len(parts) == 1:
            return parts[0][1]
        of = {name: n for n, (names, _) in enumerate(parts) for name in names}
        if len(of) != sum(len(names) for names, _ in parts):
            raise BadInput("An element is in two of the models to join.", allowed="each in one")
        if len({fitted.columns for _, fitted in parts}) > 1:
            raise BadInput("The models to join read different columns.", allowed="the same columns")
        return cls(tuple(fitted for _, fitted in parts), of)

    @property
    def columns(self) -> tuple[str, ...]:
        """The feature columns all of them read."""
        return self.parts[0].columns

    @property
    def lookback(self) -> timedelta:
        """The longest of theirs."""
        return max(part.lookback for part in self.parts)

    @property
    def baseline_used(self) -> dict[Any, Any]:
        """What each series is compared with, where the models tell."""
        return {series: kind for part in self.parts for series, kind in getattr(part, "baseline_used", {}).items()}

    def score(self, rows: pl.DataFrame) -> Floats:
        """One score per row, each by its element's model."""
        if rows.height == 0:
            return np.zeros(0)
        number = self._numbers(rows)
        if (number == number[0]).all():
            return self.parts[int(number[0])].score(rows)
        scores = np.empty(rows.height)
        order = np.argsort(number, kind="stable")
        cuts = np.flatnonzero(np.diff(number[order])) + 1
        for some in np.split(order, cuts):
            scores[some] = self.parts[int(number[some[0]])].score(rows[some])
        return scores

    def explain(self, rows: pl.DataFrame, index: int) -> tuple[Reason, ...]:
        """Why row *index* scores as it does, by its element's model."""
        if not -rows.height <= index < rows.height:
            raise BadInput(f"There is no row {index}.", allowed=f"0 to {rows.height - 1}")
        index %= rows.height
        mine = (rows["entity"] == rows["entity"][index]).to_numpy()
        return self.parts[self.of.get(rows["entity"][index], 0)].explain(rows.filter(mine), int(mine[:index].sum()))

    def band(self, rows: pl.DataFrame, column: str, *, level: float) -> pl.DataFrame:
        """The usual band of one element's *column*; empty where its model draws none."""
        part = self.parts[self.of.get(rows["entity"][0], 0)] if rows.height else self.parts[0]
        return pl.DataFrame(part.band(rows, column, level=level)) if hasattr(part, "band") else pl.DataFrame()

    def save(self) -> Saved:
        """The models' own numbers beside one another."""
        saved = [part.save() for part in self.parts]
        arrays: dict[str, npt.NDArray[Any]] = {f"{n:05}.{name}": array for n, one in enumerate(saved) for name, array in one.arrays.items()}
        arrays |= {"of.element": np.array(list(self.of), dtype=np.str_), "of.part": np.array(list(self.of.values()), dtype=np.int32)}
        manifest = {"model": NAME, "parameters": {}, "columns": list(self.columns), "parts": [one.manifest for one in saved]}
        return Saved(manifest=manifest, arrays=arrays)

    def _numbers(self, rows: pl.DataFrame) -> npt.NDArray[np.int64]:
        names = rows["entity"].unique(maintain_order=True)
        numbers = [self.of.get(name, 0) for name in names.to_list()]
        return np.asarray(rows["entity"].replace_strict(names, numbers, return_dtype=pl.Int64).to_numpy())


class Parts:
    """The name under which a model in parts is found again; it is not fitted by itself."""

    def fit(self, rows: pl.DataFrame, *, labels: npt.NDArray[Any] | None = None, context: Context, seed: int = 0) -> Fitted:
        """Refused: fit the model that each of the parts is to be.

        Raises
        ------
        BadInput
            Always.
        """
        del rows, labels, context, seed
        raise BadInput("A model in parts is not fitted by itself.", next_step="Fit the model that each of the parts is to be.")

    @classmethod
    def from_saved(cls, saved: Saved) -> FittedParts:
        """The models *saved* holds."""
        manifests = saved.manifest["parts"]
        arrays: list[dict[str, npt.NDArray[Any]]] = [{} for _ in manifests]
        for name, array in saved.arrays.items():
            number, _, own = name.partition(".")
            if number != "of":
                arrays[int(number)][own] = array
        of = zip(saved.arrays["of.element"].tolist(), saved.arrays["of.part"].tolist(), strict=True)
        return FittedParts(tuple(load(Saved(manifest=m, arrays=a)) for m, a in zip(manifests, arrays, strict=True)), dict(of))


__all__ = ["FittedParts", "Parts"]

"""Every element there is, by number: its zone, whom it is related to, whether it has rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from trunkline.core.errors import UnknownName
from trunkline.core.frames import ELEMENTS, RELATIONS, check_frame
from trunkline.features.calendar import Ints
from trunkline.features.reduce import Floats
from trunkline.features.related import Related


class Inventory:
    """The elements a definition can speak of.

    Entities, those with rows, are the listed elements of kind *entity* and all bearers of KPIs that
    are not listed. An element without a zone, or not listed, lives in UTC.

    Parameters
    ----------
    bearers
        Elements that bring KPIs; those not listed join.
    """

    def __init__(self, entity: str, elements: pl.DataFrame, relations: pl.DataFrame, *, bearers: Iterable[str] = ()) -> None:
        listed = check_frame(elements, ELEMENTS, name="elements")
        self._relations = check_frame(relations, RELATIONS, name="relations")
        self._kinds = dict(listed.select("element", "kind").iter_rows())
        self._zones = {name: zone or "UTC" for name, zone in listed.select("element", "zone").iter_rows()}
        self._listed = listed
        self._entity = entity
        self.zone_names = ["UTC", *sorted(set(self._zones.values()) - {"UTC"})]
        self.names: list[str] = []
        self.index: dict[str, int] = {}
        joined = {*self._kinds, *self._relations["element"], *self._relations["other"]}
        self._unlisted = set[str]()
        self.zones: Ints = np.zeros(0, np.int64)
        self.entities: Ints = np.zeros(0, np.int64)
        self.related = Related([], self._relations)
        self._has: dict[tuple[str, tuple[str, ...], int], Floats] = {}
        self.add(bearers, also=joined)

    def has(self, column: str, values: tuple[str, ...]) -> Floats:
        """Per element: 1 where the inventory's *column* holds one of *values*, else 0."""
        if column not in self._listed.columns:
            raise UnknownName("column of the inventory", column, self._listed.columns)
        key = (column, values, len(self.names))
        if key not in self._has:
            chosen = set(self._listed.filter(pl.col(column).cast(pl.String).is_in(list(values)))["element"])
            self._has[key] = np.array([float(name in chosen) for name in self.names])
        return self._has[key]

    def add(self, bearers: Iterable[str], *, also: Iterable[str] = ()) -> None:
        """Take in elements that bring KPIs; numbers given before stay."""
        unlisted = {name for name in bearers if name not in self._kinds} - self._unlisted
        new = sorted((unlisted | set(also)) - set(self.index))
        if not unlisted and not new:
            return
        self._unlisted |= unlisted
        self.index |= {name: len(self.names) + place for place, name in enumerate(new)}
        self.names += new
        self.zones = np.array([self.zone_names.index(self._zones.get(name, "UTC")) for name in self.names], np.int64)
        found = {name for name, kind in self._kinds.items() if kind == self._entity} | self._unlisted
        self.entities = np.array([self.index[name] for name in sorted(found)], np.int64)
        self.related = Related(self.names, self._relations)

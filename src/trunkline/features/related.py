"""Who stands how to whom, as index arrays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trunkline.core.errors import UnknownName

Ints = NDArray[np.int64]

KNOWN = ("neighbours", "sector", "site", "node", "transport", "parent")


class Related:
    """The relations between the elements called *names*.

    Every table it returns has shape (elements, most related): row *i* holds the indexes of those
    related to element *i*, filled up with -1.
    """

    def __init__(self, names: Iterable[str], relations: pl.DataFrame) -> None:
        self._names = list(names)
        index = {name: place for place, name in enumerate(self._names)}
        self._others: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for element, relation, other in relations.select("element", "relation", "other").iter_rows():
            if element in index and other in index and element != other:
                self._others[relation][index[element]].add(index[other])
        self._tables: dict[tuple[str, ...], Ints] = {}

    def direct(self, relation: str) -> Ints:
        """Those that stand in *relation* to each element, each once and never the element itself."""
        if relation not in KNOWN and relation not in self._others:
            raise UnknownName("relation", relation, sorted({*KNOWN, *self._others}), where="across()")
        found = self._others.get(relation, {})
        return self._table(("direct", relation), lambda place: found.get(place, set()))

    def scope(self, words: tuple[str, ...]) -> Ints:
        """The union *words* describe: self, parents, and relations of the element or of its parents."""
        for word in words:
            if word not in ("self", "parents", *KNOWN) and word not in self._others:
                raise UnknownName("relation", word, sorted({"self", "parents", *KNOWN, *self._others}), where="the scope of alarms()")
        return self._table(words, lambda place: self._in_scope(place, words))

    def _in_scope(self, place: int, words: tuple[str, ...]) -> set[int]:
        above = self._above(place)
        found: set[int] = set()
        for word in words:
            if word == "self":
                found.add(place)
            elif word == "parents":
                found |= above
            else:
                others = self._others.get(word, {})
                found.update(*(others.get(one, set()) for one in (place, *above)))
        return found

    def _above(self, place: int) -> set[int]:
        parents, seen, open_ones = self._others.get("parent", {}), set[int](), [place]
        while open_ones:
            new = parents.get(open_ones.pop(), set()) - seen
            seen |= new
            open_ones += new
        return seen - {place}

    def _table(self, key: tuple[str, ...], find: Callable[[int], set[int]]) -> Ints:
        if key not in self._tables:
            found = [sorted(find(place)) for place in range(len(self._names))]
            table = np.full((len(found), max(map(len, found), default=0)), -1, np.int64)
            for place, others in enumerate(found):
                table[place, : len(others)] = others
            self._tables[key] = table
        return self._tables[key]

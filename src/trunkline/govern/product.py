"""A data product: a table with an owner, and the terms on which it may be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trunkline.core.errors import BadInput
from trunkline.core.values import Owner


@dataclass(frozen=True, slots=True)
class Product:
    """A table of the lake that an owner offers for named purposes.

    Parameters
    ----------
    name
        What views and workflows call it.
    table
        The table in the lake.
    owner
        Who answers for it: a team, or an Owner with its on-call route.
    purposes
        What it may be used for; at least one.
    region
        The column that says which region a row belongs to. A view limited to regions cannot read a product without one.
    columns
        The columns it offers; None offers all the table has.
    personal_columns
        Columns about people. They are handed out only to a view that names each of them.
    column_purposes
        Purposes of single columns where they are narrower than those of the whole: ``{"tariff": ("billing",)}``.

    >>> Product("cells", table="kpis", owner="ran-assurance", purposes=("network-assurance",)).purposes
    ('network-assurance',)
    """

    name: str
    table: str = field(kw_only=True)
    owner: Owner | str = field(kw_only=True)
    purposes: Sequence[str] = field(kw_only=True)
    region: str | None = field(default=None, kw_only=True)
    columns: tuple[str, ...] | None = field(default=None, kw_only=True)
    personal_columns: tuple[str, ...] = field(default=(), kw_only=True)
    column_purposes: Mapping[str, tuple[str, ...]] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        if not self.name or not self.owner or not self.purposes:
            lacking = ", ".join(what for what in ("name", "owner", "purposes") if not getattr(self, what))
            raise BadInput(
                f"The product '{self.name}' of table '{self.table}' has no {lacking}.", allowed="a name, an owner who answers for it, and at least one purpose"
            )
        if isinstance(self.purposes, str):
            raise BadInput(f"The purposes of product '{self.name}' are one text.", allowed=f"a list: ('{self.purposes}',)")
        wider = {
            column: sorted(set(purposes) - set(self.purposes)) for column, purposes in self.column_purposes.items() if not set(purposes) <= set(self.purposes)
        }
        if wider:
            raise BadInput(f"Columns of product '{self.name}' have purposes that the product has not: {wider}.", allowed=", ".join(self.purposes))

    def purposes_of(self, column: str) -> tuple[str, ...]:
        """What one column may be used for."""
        return tuple(self.column_purposes.get(column, self.purposes))

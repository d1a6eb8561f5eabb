"""The view: the store narrowed to what one workflow may see for its purpose.

Code above the store reads through a view or not at all. What a view may hand out is fixed when it is
made; what lies outside is refused and journaled. It fails closed: where the journal cannot be written,
nothing is read. A view prevents mistakes and leaves a trace of attempts; it is no prison for code that
digs in Python objects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn

import polars as pl

from trunkline.core.errors import AccessDenied, BadInput, WorkspaceError
from trunkline.govern.product import Product
from trunkline.store.lake import first_line

if TYPE_CHECKING:
    from trunkline.store.journal import Journal
    from trunkline.store.lake import Lake


class View:
    """A frozen door to declared products.

    Parameters
    ----------
    lake
        Where the tables are.
    workflow
        Who reads; it stands in the journal.
    purpose
        What for. A product, or a column, that may not serve it cannot be read.
    products
        The products this view may read, and no others.
    journal
        Where refusals, and the first read of each product, are written.
    regions
        Only rows of these regions; None where there is no such limit. Rows that name no region are outside.
    columns
        For a product's name, the columns this view may read; personal columns are handed out only if named here.
        Without it, all columns which the product offers but for the personal ones.

    Notes
    -----
    The journal takes the database's write lock: do not read through a view inside a transaction of your own.

    Examples
    --------
    ``view.read("cells", ["element", "at", "value"], as_known_at=then)``
    """

    __slots__ = ("_columns", "_journal", "_lake", "_products", "_reads", "purpose", "regions", "workflow")

    workflow: str
    purpose: str
    regions: frozenset[str] | None
    _lake: Lake
    _journal: Journal
    _products: Mapping[str, Product]
    _columns: Mapping[str, tuple[str, ...]]
    _reads: Counter[str]

    def __init__(
        self,
        lake: Lake,
        *,
        workflow: str,
        purpose: str,
        products: Iterable[Product],
        journal: Journal,
        regions: Collection[str] | None = None,
        columns: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        by_name = {product.name: product for product in products}
        stray = sorted(set(columns or ()) - set(by_name))
        if stray:
            raise BadInput(f"Columns are declared for products that this view has not: {', '.join(stray)}.", allowed=", ".join(by_name))
        if isinstance(regions, str):
            raise BadInput("The regions of a view are one text.", allowed=f"a list: ['{regions}']")
        given: dict[str, object] = {
            "workflow": workflow,
            "purpose": purpose,
            "regions": None if regions is None else frozenset(regions),
            "_lake": lake,
            "_journal": journal,
            "_products": by_name,
            "_columns": {name: tuple(declared) for name, declared in (columns or {}).items()},
            "_reads": Counter(),
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def read(
        self,
        product: str,
        columns: Sequence[str] | None = None,
        *,
        where: pl.Expr | None = None,
        regions: Collection[str] | None = None,
        version: int | None = None,
        as_known_at: datetime | None = None,
    ) -> pl.DataFrame:
        """Rows of *product*, within what this view may see.

        Parameters
        ----------
        product
            Its name.
        columns
            Which columns; all that this view may read where None.
        where
            Which rows: a Polars expression over columns this view may read, without Python functions.
        regions
            Only these of the view's regions.
        version, as_known_at
            The table as it was at a version, or as it was known at a time; see ``Lake.read``.

        Raises
        ------
        AccessDenied
            The product, a column, a region or the purpose is outside this view. The attempt is journaled.
        """
        wanted = self._check(product, columns, where, regions)
        may, chosen = self.columns(product), self._regions(regions)
        found = self._lake.read(self._products[product].table, version=version, as_known_at=as_known_at)
        region = self._products[product].region
        if chosen is not None and region is not None:
            found = found.filter(pl.col(region).is_in(sorted(chosen)))
        found = found.select(may)  # before `where`, so that no condition can ask about a column the view may not see
        if where is not None:
            found = found.filter(where)
        self._journal_read(product, wanted)
        return self._collected(product, found.select(wanted))

    def pieces(self, product: str, columns: Sequence[str] | None = None, *, where: pl.Expr | None = None, version: int) -> Iterator[pl.DataFrame]:
        """Rows of *product* as its table was at *version*, a piece at a time: for what is too much to be read at once. Else as :meth:`read`."""
        wanted, may = self._check(product, columns, where, None), self.columns(product)
        self._journal_read(product, wanted)
        region = self._products[product].region
        for piece in self._lake.pieces(self._products[product].table, version):
            within = piece if self.regions is None or region is None else piece.filter(pl.col(region).is_in(sorted(self.regions)))
            within = within.select(may)  # before `where`, as in `read`
            yield self._collected(product, (within if where is None else within.filter(where)).select(wanted))

    def since(self, product: str, version: int, until: int) -> pl.DataFrame | None:
        """Rows of *product* that its table gained after *version*, up to *until*, within what this view may see.

        None where the table cannot tell (see ``Lake.since``): read the whole then.
        """
        wanted = self._check(product, None, None, None)
        found = self._lake.since(self._products[product].table, version, until)
        if found is None:
            return None
        region = self._products[product].region
        if self.regions is not None and region is not None:
            found = found.filter(pl.col(region).is_in(sorted(self.regions)))
        self._journal_read(product, wanted)
        return found.select([c for c in wanted if c in found.columns])

    def columns(self, product: str) -> tuple[str, ...]:
        """The columns of *product* that this view may read, in the product's order."""
        if product not in self._products:
            self._deny(product, (), f"the product '{product}' is none of this view's", allowed=", ".join(sorted(self._products)) or "none")
        found = self._products[product]
        offered = found.columns if found.columns is not None else tuple(self._lake.read(found.table).collect_schema().names())
        named = self._columns.get(product)
        visible = [c for c in offered if (c not in found.personal_columns if named is None else c in named)]
        return tuple(c for c in visible if self.purpose in found.purposes_of(c))

    @property
    def products(self) -> tuple[str, ...]:
        """Names of the products this view may read."""
        return tuple(sorted(self._products))

    @property
    def reads(self) -> dict[str, int]:
        """How often each product was read through this view."""
        return dict(self._reads)

    def narrow(
        self, *, products: Collection[str] | None = None, regions: Collection[str] | None = None, columns: Mapping[str, Collection[str]] | None = None
    ) -> View:
        """A view that sees less; asking for more is refused as a read would be."""
        kept = self.products if products is None else tuple(products)
        for name in kept:
            self._check(name, tuple((columns or {}).get(name, ())) or None, None, regions)
        return View(
            self._lake,
            workflow=self.workflow,
            purpose=self.purpose,
            products=[self._products[name] for name in kept],
            journal=self._journal,
            regions=self._regions(regions),
            columns={name: tuple((columns or {}).get(name, self.columns(name))) for name in kept},
        )

    def _collected(self, product: str, found: pl.LazyFrame) -> pl.DataFrame:
        try:
            return found.collect()
        except (pl.exceptions.ComputeError, pl.exceptions.PanicException, OSError) as broken:
            raise WorkspaceError(
                f"'{product}' cannot be read: {first_line(broken)}.",
                where=f"table {self._products[product].table}",
                next_step="Look what is damaged and restore it from a backup: trunkline workspace check",
            ) from broken

    def _check(self, product: str, columns: Sequence[str] | None, where: pl.Expr | None, regions: Collection[str] | None) -> tuple[str, ...]:
        """The columns to hand out, where everything asked for lies inside this view."""
        if isinstance(columns, str):
            raise BadInput("The columns to read are one text.", allowed=f"a list: ['{columns}']")
        asked = () if columns is None else tuple(columns)
        may = self.columns(product)
        found = self._products[product]
        if self.purpose not in found.purposes:
            self._deny(
                product, asked, f"the purpose '{self.purpose}' is none that product '{product}' may serve", allowed=", ".join(found.purposes), owner=found
            )
        outside = [c for c in asked if c not in may]
        if outside:
            self._deny(product, asked, f"columns of '{product}' are outside this view: {', '.join(outside)}", allowed=", ".join(may) or "none", owner=found)
        if where is not None:
            tested = sorted(set(where.meta.root_names()) - set(may))
            if tested:
                self._deny(product, asked, f"the condition tests columns outside this view: {', '.join(tested)}", allowed=", ".join(may) or "none", owner=found)
            if "python_udf" in str(where):
                self._deny(
                    product, asked, "the condition calls a Python function, which could see rows outside this view", allowed="Polars expressions", owner=found
                )
        if self.regions is not None and found.region is None:
            self._deny(product, asked, f"product '{product}' does not say which region its rows are of", allowed="a product with a region column", owner=found)
        beyond = sorted(set(regions or ()) - (self.regions if self.regions is not None else set(regions or ())))
        if beyond:
            self._deny(product, asked, f"regions outside this view: {', '.join(beyond)}", allowed=", ".join(sorted(self.regions or ())), owner=found)
        if regions is not None and found.region is None:
            self._deny(product, asked, f"product '{product}' does not say which region its rows are of", allowed="a product with a region column", owner=found)
        return may if columns is None else asked

    def _regions(self, regions: Collection[str] | None) -> frozenset[str] | None:
        return self.regions if regions is None else frozenset(regions)

    def _deny(self, product: str, columns: Sequence[str], why: str, *, allowed: str, owner: Product | None = None) -> NoReturn:
        answers = "" if owner is None else f"Ask {owner.owner if isinstance(owner.owner, str) else owner.owner.team}, who own '{owner.name}'."
        denied = AccessDenied(f"Refused: {why}.", where=f"workflow '{self.workflow}', purpose '{self.purpose}'", allowed=allowed, next_step=answers)
        body = {"workflow": self.workflow, "purpose": self.purpose, "product": product, "columns": list(columns), "regions": self._regions_text(), "why": why}
        try:
            self._journal.append("view.denied", body)
        except Exception as unwritten:
            denied.add_note("The journal could not be written, so this refusal is not in it.")
            raise denied from unwritten
        raise denied

    def _journal_read(self, product: str, columns: Sequence[str]) -> None:
        if not self._reads[product]:
            body = {"workflow": self.workflow, "purpose": self.purpose, "product": product, "columns": list(columns), "regions": self._regions_text()}
            try:
                self._journal.append("view.read", body)
            except Exception as unwritten:
                raise AccessDenied(
                    f"Refused: the journal cannot be written, so '{product}' is not read. {unwritten}",
                    where=f"workflow '{self.workflow}', purpose '{self.purpose}'",
                    allowed="reads that leave a trace",
                    next_step="Make the journal writable: disk space, rights, and: trunkline audit verify",
                ) from unwritten
        self._reads[product] += 1

    def _regions_text(self) -> list[str] | None:
        return None if self.regions is None else sorted(self.regions)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"A view cannot be changed: {name}.")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"A view cannot be changed: {name}.")

    def __repr__(self) -> str:
        return f"View(workflow={self.workflow!r}, purpose={self.purpose!r}, products={list(self.products)!r}, regions={self._regions_text()!r})"

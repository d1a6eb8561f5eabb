"""One HTML file that can be mailed: what was said, beside what a dummy would have said, with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A titled table or text."""

    title: str
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    lines: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One finding or queue entry; ``figure`` is a PNG in base64."""

    id: str
    title: str
    when: str
    reasons: Sequence[str]
    tags: Sequence[str] = ()
    figure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a report holds, in the order it is read."""

    title: str
    subtitle: str
    says: Sequence[str]
    blocks: Sequence[Block] = ()
    items_title: str = "Findings"
    items: Sequence[Item] = ()
    items_first: bool = False
    """Items before blocks: a queue is read before its statistics."""
    more: str = ""
    notes: Sequence[str] = ()
    next_steps: Sequence[tuple[str, str]] = field(default=())


def html(report: Report) -> str:
    """*report* as one self-contained HTML page: no script, no outside file, light and dark.

    >>> "<h1>Replay &lt;b&gt;</h1>" in html(Report(title="Replay <b>", subtitle="", says=[]))
    True
    """
    from jinja2 import Environment, StrictUndefined

    text = resources.files("trunkline.run").joinpath("report.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(text)
    return template.render({name: getattr(report, name) for name in Report.__slots__})

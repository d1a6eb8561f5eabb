"""The parts of the reference that are made from the code, so that they cannot go stale.

    python docs/generate.py            writes every generated part anew
    python docs/generate.py --check    says which parts are stale, and fails if any is

A page marks where a part goes: ``<!-- made by docs/generate.py: NAME -->`` … ``<!-- end -->``.
Add a part: a function below, and its name in ``PARTS``. ``tests/test_docs.py`` checks every page.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MARK = re.compile(r"(<!-- made by docs/generate\.py: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ").strip()


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, by its words: (("workflow", "replay"), command)."""
    import click

    from trunkline.cli import trunkline

    context = click.Context(trunkline, info_name="trunkline")
    for noun in trunkline.list_commands(context):
        found = trunkline.get_command(context, noun)
        if isinstance(found, click.Group):
            yield from (((noun, verb), command) for verb, command in found.commands.items())
        else:
            yield (noun,), found


def _commands() -> str:
    from trunkline.cli import NOUNS

    blocks, seen = [], set()
    for words, command in commands():
        if words[0] not in seen:
            seen.add(words[0])
            blocks.append(f"## {words[0]}\n\n{NOUNS[words[0]]}")
        blocks.append(_command(words, command))
    return "\n\n".join(blocks)


def _command(words: tuple[str, ...], command: Any) -> str:
    import click

    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    usage = " ".join(["trunkline", *words, *(["[OPTIONS]"] if options else []), *(_argument(a) for a in arguments)])
    text = inspect.cleandoc(command.help or "").replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n\n")
    lines = [f"### trunkline {' '.join(words)}", "", text, "", f"    {usage}"]
    if options:
        lines += ["", *(f"* `{', '.join([*o.opts, *o.secondary_opts])}`{_metavar(o)}: {_help(o)}" for o in options)]
    return "\n".join(lines)


def _argument(argument: Any) -> str:
    name = "|".join(argument.type.choices) if hasattr(argument.type, "choices") else argument.name.upper()
    name += "…" if argument.nargs == -1 else ""
    return name if argument.required else f"[{name}]"


def _metavar(option: Any) -> str:
    if option.is_flag:
        return ""
    return f" `{'|'.join(option.type.choices)}`" if hasattr(option.type, "choices") else ""


def _help(option: Any) -> str:
    text = (option.help or "").strip()
    default = option.default
    shown = option.show_default and default is not None and not callable(default) and not option.is_flag
    parts = [text, "Required." if option.required else "", f"Default: `{default}`." if shown else "", "May be repeated." if option.multiple else ""]
    return " ".join(part for part in parts if part)


def _settings() -> str:
    from trunkline.core import config

    told = _told(config.Settings)
    rows = [
        (f"`{f.name}`", f"`TRUNKLINE_{f.name.upper()}`", f"`{f.default}`" if f.default else "empty", told[f.name]) for f in dataclasses.fields(config.Settings)
    ]
    return table(["setting", "environment", "default", "what for"], rows)


def _told(of: type) -> dict[str, str]:
    """The text below each field of a dataclass."""
    (tree,) = ast.parse(inspect.getsource(of)).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[ast.unparse(field.target)] = inspect.cleandoc(str(after.value.value))
    return found


def _kpis() -> str:
    from trunkline.data import load_sets

    sets = sorted(load_sets().values(), key=lambda s: s.technology, reverse=True)
    rows = []
    for name in dict.fromkeys(name for one in sets for name in one.kpis):
        having = [one for one in sets if name in one.kpis]
        kpi = having[0].kpis[name]
        only = "" if len(having) == len(sets) else f" ({having[0].technology} only)"
        better = {"higher": "higher is better", "lower": "lower is better", "none": ""}[kpi.better]
        clauses = "; ".join(dict.fromkeys(one.kpis[name].clause for one in having if one.kpis[name].clause))
        rows.append((kpi.group, f"`{name}`", kpi.words + only, kpi.unit, better, f"{kpi.least:g}" if kpi.least else "", clauses))
    return table(["group", "KPI", "in words", "unit", "direction", "least", "defined in"], rows)


def _formulas() -> str:
    from trunkline.data import load_sets

    blocks = []
    for one in sorted(load_sets().values(), key=lambda s: s.technology, reverse=True):
        rows = [(f"`{name}`", _or(_formula(formula, kpi.scale) for formula in kpi.formulas)) for name, kpi in one.kpis.items()]
        blocks.append(f"**{one.technology}**\n\n{table(['KPI', 'reckoned from'], rows)}")
    return "\n\n".join(blocks)


def _formula(formula: Any, scale: float) -> str:
    above = _sum(formula.parts)
    below = _sum(formula.over)
    text = f"{above} / {below}" if below else above
    return f"{scale:g} × {text}" if scale != 1 else text


def _sum(parts: Iterable[Any]) -> str:
    told = [(f"{p.scale:g}×" if p.scale != 1 else "") + f"`{p.name}`" for p in parts]
    return f"({' + '.join(told)})" if len(told) > 1 else "".join(told)


def _or(texts: Iterable[str]) -> str:
    return "; else ".join(texts)


def _measurements() -> str:
    from trunkline.data.measurements import measurements

    return table(["measurement", "unit", "over time", "from"], [(f"`{name}`", m.unit, m.over_time, m.clause) for name, m in measurements().items()])


def _maps() -> str:
    from trunkline.data import load_maps

    rows = []
    for name, one in load_maps().items():
        seen = sum(bool(c.attested) for c in one.counters)
        rows.append((f"`{name}`", ", ".join(f'"{v}"' for v in one.vendor_names) or "any other", len(one.counters), seen, len(one.counters) - seen))
    return table(["map", "vendor name begins with", "counters", "attested", "assumed"], rows)


def _layouts() -> str:
    from trunkline.core import frames

    source = Path(inspect.getsourcefile(frames) or "").read_text(encoding="utf-8")
    blocks = []
    for node in ast.parse(source).body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict)):
            continue
        name = ast.unparse(node.target)
        after = source.split("\n")[node.end_lineno or 0].strip().strip('"')
        rows = []
        for key in node.value.keys:
            assert isinstance(key, ast.Constant)
            line = source.split("\n")[key.lineno - 1]
            kind = str(getattr(frames, name)[key.value]).partition("(")[0]
            kind = {"Datetime": "time, UTC", "String": "text", "Boolean": "true or false"}.get(kind, kind)
            rows.append((f"`{key.value!s}`", kind, line.partition("#")[2].strip()))
        blocks.append(f"### {name}\n\n{after}\n\n{table(['column', 'type', 'what it holds'], rows)}")
    return "\n\n".join(blocks)


def _workflow_fields() -> str:
    from trunkline import workflow

    rows = []
    for f in dataclasses.fields(workflow.Workflow):
        why, line = workflow._NEEDED.get(f.name, ("", ""))  # noqa: SLF001 - the page shows what an error shows
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            why = "every command calls it by this"
        default = f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
        rows.append((f"`{f.name}`", f"yes: {why}" if why else "no", f"`{line}`" if line else "" if why else f"`{default!r}`"))
    return table(["field", "needed", "a line that would do, or the default"], rows)


def _parts(kind: str, word: str) -> str:
    from trunkline.core import registry

    rows = []
    for name, point in registry.names(kind).items():
        rows.append((f"`{name}`", f"`{point.value.rpartition(':')[2]}`", _first(point.load())))
    return table([word, "class", "what for"], rows)


def _first(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").strip().split("\n\n")[0].replace("\n", " ")


def _names() -> str:
    import trunkline

    rows = [(f"`trunkline.{name}`", _first(getattr(trunkline, name))) for name in trunkline.__all__]
    return table(["name", "what it is"], rows)


def _packages() -> str:
    from importlib import import_module

    blocks = []
    for name in ("features", "models", "gates", "decisions", "actions", "feedback", "rollout", "data"):
        module = import_module(f"trunkline.{name}")
        rows = [(f"`{one}`", _first(getattr(module, one))) for one in module.__all__ if callable(getattr(module, one))]
        blocks.append(f"### trunkline.{name}\n\n{table(['name', 'what it is'], rows)}")
    return "\n\n".join(blocks)


def _workspace() -> str:
    from trunkline import workspace

    holds = {"": workspace.Workspace, "data": workspace.Data, "features": workspace.FeatureRows, "workflows": workspace.Workflows}
    holds |= {"decisions": workspace.Decisions, "audit": workspace.Audit}
    rows = []
    for name, of in holds.items():
        for verb, function in vars(of).items():
            if verb.startswith("_") or not inspect.isfunction(function):
                continue
            given = [p.name if p.default is p.empty else f"{p.name}=…" for p in list(inspect.signature(function).parameters.values())[1:]]
            rows.append((f"`workspace{'.' if name else ''}{name}.{verb}({', '.join(given)})`", _first(function)))
    return table(["call", "what it does"], rows)


def _errors() -> str:
    from trunkline.core import errors

    doc = inspect.getdoc(errors) or ""
    tree = [line for line in doc.splitlines() if re.match(r"\s+(TrunklineError|[├│└])", line)]
    return "\n".join(["```text", *(line[4:] for line in tree), "```"])


PARTS: dict[str, Callable[[], str]] = {
    "commands": _commands,
    "settings": _settings,
    "kpis": _kpis,
    "formulas": _formulas,
    "measurements": _measurements,
    "maps": _maps,
    "layouts": _layouts,
    "workflow-fields": _workflow_fields,
    "models": lambda: _parts("models", "model"),
    "gates": lambda: _parts("gates", "gate"),
    "names": _names,
    "packages": _packages,
    "workspace": _workspace,
    "errors": _errors,
}


def fresh(text: str) -> str:
    """*text* of a page with every generated part as it should be."""
    return MARK.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[3]}", text)


def stale() -> list[Path]:
    """Pages of which some generated part is not as the code says."""
    return [page for page in sorted(HERE.rglob("*.md")) if fresh(text := page.read_text(encoding="utf-8")) != text]


def main() -> None:
    """Write, or with --check only tell."""
    for page in stale():
        print(page.relative_to(HERE.parent))
        if "--check" in sys.argv:
            continue
        page.write_text(fresh(page.read_text(encoding="utf-8")), encoding="utf-8")
    if "--check" in sys.argv and stale():
        sys.exit(1)


if __name__ == "__main__":
    main()

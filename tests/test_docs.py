"""The documentation does what it says: its commands run, its output is what comes, its tables are what the code says.

How a page is tested, by the first word of a fence:

    ```console          runs; each ``$`` line must exit 0, or as a comment says (``# exit 2``); the lines below it must
                        be among what it prints (digits, ids and days of the week may differ; … stands for anything)
    ```sh               is not run (it is long, or needs your files); its commands and options must exist
    ```python           runs, in the page's folder
    ```python file=X    is written to X; also toml, csv, md
    anything else       is only read

The blocks of a page share one empty folder and run from top to bottom. ID stands for the first decision in the queue,
RELEASE for the newest release.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(?P<word>\S+)?(?: +file=(?P<file>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
DAYS = re.compile(r"\b(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    word: str
    file: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(page, text.count("\n", 0, m.start()) + 1, m["word"] or "", m["file"] or "", m["text"]) for m in FENCE.finditer(text)]


def runs(page: Path) -> bool:
    return any(b.word == "console" or (b.word == "python" and not b.file) for b in blocks(page))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and nothing of the user's own settings or keys."""
    for name in [name for name in os.environ if name.startswith("TRUNKLINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "settings"))
    made = tmp_path / "here"
    made.mkdir()
    monkeypatch.chdir(made)
    return made


@pytest.mark.parametrize("page", [p for p in PAGES if runs(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_a_page_does_what_it_says(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = vars(as_module("page", monkeypatch))
    for block in blocks(page):
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.word == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block.text, block.where, "exec"), names)
        elif block.word == "console":
            for command, wanted in steps(block):
                check(block, command, wanted)


def as_module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module for a page's code to live in: dataclasses look theirs up."""
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def steps(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Each command with the output that is shown below it."""
    command, shown = "", list[str]()
    for line in block.text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:], []
        elif command.endswith("\\"):
            command = command[:-1].rstrip() + " " + line.strip()
        else:
            shown.append(line)
    if command:
        yield command, shown


def check(block: Block, line: str, shown: list[str]) -> None:
    command, _, comment = line.partition("  # ")
    wanted = int(found[1]) if (found := re.search(r"exit (\d)", comment)) else 0

    code, printed = run(command)

    assert code == wanted, f"{block.where}: `{command}` exits {code}, not {wanted}:\n{printed}"
    lines = {plain(one) for one in printed.splitlines()}
    for one in shown:
        parts = [part for part in plain(one).split("…") if part]
        there = any(all(part.strip() in other for part in parts) for other in lines)
        assert there or not parts, f"{block.where}: `{command}` does not print\n    {one}\nbut\n{printed}"


def plain(line: str) -> str:
    """A line without what may differ from run to run."""
    line = DAYS.sub("Day", line)
    line = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{6,}\b", "#", line)
    return re.sub(r"\s+", " ", re.sub(r"\d+(?:[.,]\d+)*|(?<![\w.])\.\d+", "#", line)).strip()


def run(line: str) -> tuple[int, str]:
    """Exit code, and all that is printed, of one command: ``NAME=value trunkline … [> file]``."""
    words = shlex.split(line)
    settings = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        settings[name] = value
    to = None
    if len(words) > 2 and words[-2] == ">":
        to, words = words[-1], words[:-2]
    assert words[0] == "trunkline", f"only trunkline is run in these pages, not {words[0]}"
    words = [stands_for(word) for word in words[1:]]
    out, told = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
        for name, value in settings.items():
            patched.setenv(name, value)
        patched.setattr(sys, "argv", ["trunkline", *words])
        code = called()
    if to:
        Path(to).write_text(out.getvalue(), encoding="utf-8")
    return code, told.getvalue() + out.getvalue()


def called() -> int:
    from trunkline.cli import main

    try:
        main()
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def stands_for(word: str) -> str:
    """The first decision for ID, the newest release for RELEASE."""
    if word == "ID":
        found = json.loads(run("trunkline decision list --state all --json")[1])
        assert found, "there is no decision that ID could stand for"
        return str(next((one for one in found if one["mode"] == "live"), found[0])["id"][:8])
    if word == "RELEASE":
        import trunkline

        with trunkline.open("trunkline-workspace") as workspace:
            names = workspace.workflows.list().filter(verdict="pass")["workflow"]
            return str(workspace.workflows.releases(names[0])["id"][0])
    return word


def written() -> Iterator[tuple[Block, list[str]]]:
    """Every trunkline and make command in a console or sh block, as words."""
    for page in PAGES:
        for block in blocks(page):
            if block.word not in {"console", "sh"}:
                continue
            for line in block.text.replace("\\\n", " ").splitlines():
                if block.word == "console" and not line.startswith("$ "):
                    continue
                for part in re.split(r"&&|\|\s", line.removeprefix("$ ").partition("  # ")[0]):
                    words = shlex.split(part)
                    while words and "=" in words[0]:
                        words.pop(0)
                    if words and words[0] in {"trunkline", "make"}:
                        yield block, words


def test_every_command_and_option_in_the_documentation_exists() -> None:
    from trunkline.cli import trunkline as top

    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for block, words in written():
        if words[0] == "make":
            assert set(words[1:]) <= targets, f"{block.where}: {words}"
            continue
        context = click.Context(top)
        command: Any = top
        rest = words[1:]
        options = known_options(command)
        while rest and isinstance(command, click.Group):
            word = rest.pop(0)
            if word in options:
                rest = rest[0 if options[word] else 1 :]
                continue
            found = command.get_command(context, word)
            assert found is not None, f"{block.where}: there is no `{word}` in `{' '.join(words)}`"
            command = found
            options = known_options(command)
        for word in rest:
            if word.startswith("-") and word not in {"-h", "--help"}:
                assert word.partition("=")[0] in options, f"{block.where}: `{' '.join(words)}` has no option {word}"


def known_options(command: Any) -> dict[str, bool]:
    """Every option of a command, and whether it is a flag."""
    options = [p for p in command.params if isinstance(p, click.Option)]
    return {name: o.is_flag for o in options for name in (*o.opts, *o.secondary_opts)} | {"--help": True, "-h": True}


@pytest.fixture(scope="module")
def made() -> Any:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_parts_are_what_the_code_says(made: Any) -> None:
    assert [str(page) for page in made.stale()] == [], "write them anew: python docs/generate.py"


def test_every_command_has_help_and_is_documented(made: Any) -> None:
    told = (DOCS / "reference" / "command-line.md").read_text(encoding="utf-8")

    for words, command in made.commands():
        assert command.help, words
        assert f"### trunkline {' '.join(words)}\n" in told
        for option in (p for p in command.params if isinstance(p, click.Option)):
            assert option.help or option.show_default, f"{words}: {option.opts} has no help"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if target.startswith(("http://", "https://", "mailto:")):
                continue
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            if path == DOCS / "images" / "demo.png":
                continue  # made by `trunkline demo` and put there with a release
            assert path.exists(), f"{page.relative_to(ROOT)}: {target}"
            if anchor:
                assert anchor in anchors(path), f"{page.relative_to(ROOT)}: {target}"


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def test_every_page_can_be_reached_from_the_map() -> None:
    told = (DOCS / "index.md").read_text(encoding="utf-8")

    for page in sorted(DOCS.rglob("*.md")):
        name = page.relative_to(DOCS).as_posix()
        assert name == "index.md" or f"({name})" in told, f"docs/index.md does not lead to {name}"


def test_no_page_holds_the_path_of_a_machine() -> None:
    for page in PAGES:
        assert not re.search(r"(?<![\w.])/(work|tmp|home|root|Users)/", page.read_text(encoding="utf-8")), page


def test_every_direct_dependency_is_explained() -> None:
    told = (DOCS / "dependencies.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]

    for one in needed:
        name = re.split(r"[<>=\[; ]", one)[0]
        assert f"| `{name}` |" in told, f"docs/dependencies.md says nothing about {name}"


def test_the_workflow_in_the_readme_is_whole_and_short(folder: Path) -> None:
    (block,) = [b for b in blocks(ROOT / "README.md") if b.file.endswith(".py")]
    (folder / block.file).write_text(block.text, encoding="utf-8")
    (folder / block.file).with_suffix(".md").write_text("# Runbook\n", encoding="utf-8")

    code, printed = run(f"trunkline workflow check {block.file}")

    assert code == 0, printed
    assert len(block.text.splitlines()) <= 40

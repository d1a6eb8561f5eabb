"""Whatever changes what ``decide`` does must change its sources. Each case writes two files that differ in one place."""

from __future__ import annotations

import importlib.util
import linecache
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trunkline.core.errors import WorkflowError
from trunkline.core.source import source_of

Load = Callable[..., Any]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Write files, import the first one afresh, and give back its ``decide``."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two versions of one file within a second
    names: set[str] = set()

    def run(main: str, *, newline: str = "\n", **files: str) -> Any:
        for name in names:
            sys.modules.pop(name, None)
        for name, text in {"main": main, **files}.items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.replace("\n", newline).encode())
            names.update({name.replace("/", "."), name.partition("/")[0]})
        linecache.clearcache()
        importlib.invalidate_caches()
        spec = importlib.util.spec_from_file_location("main", tmp_path / "main.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["main"] = module
        spec.loader.exec_module(module)
        return module.decide

    yield run
    for name in names:
        sys.modules.pop(name, None)


PLAIN = "def decide(row, score):\n    return score > 0.9\n"
CALLS = "from helper import is_high\n\ndef decide(row, score):\n    return is_high(score)\n"
HELPER = "LEVEL = 0.9\n\ndef is_high(score):\n    return score > LEVEL\n"

# What changes -> files before and after; "main" holds decide.
CHANGES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "decide itself": ({"main": PLAIN}, {"main": PLAIN.replace("0.9", "0.8")}),
    "a comment in decide": ({"main": PLAIN}, {"main": PLAIN.replace("0.9", "0.9  # why")}),
    "a function of the same file": (
        {"main": "def is_high(s):\n    return s > 0.9\n\ndef decide(row, score):\n    return is_high(score)\n"},
        {"main": "def is_high(s):\n    return s > 0.8\n\ndef decide(row, score):\n    return is_high(score)\n"},
    ),
    "a function that the function calls": (
        {"main": "def a(s):\n    return s > 0.9\n\ndef b(s):\n    return a(s)\n\ndef decide(row, score):\n    return b(score)\n"},
        {"main": "def a(s):\n    return s > 0.8\n\ndef b(s):\n    return a(s)\n\ndef decide(row, score):\n    return b(score)\n"},
    ),
    "a function imported from a helper": ({"main": CALLS, "helper": HELPER}, {"main": CALLS, "helper": HELPER.replace("score > LEVEL", "score >= LEVEL")}),
    "a constant the helper reads": ({"main": CALLS, "helper": HELPER}, {"main": CALLS, "helper": HELPER.replace("0.9", "0.8")}),
    "a helper used as a module": (
        {"main": "import helper\n\ndef decide(row, score):\n    return helper.is_high(score)\n", "helper": HELPER},
        {"main": "import helper\n\ndef decide(row, score):\n    return helper.is_high(score)\n", "helper": HELPER.replace("0.9", "0.8")},
    ),
    "a constant the helper module imports from another": (
        {"main": "import helper\n\ndef decide(row, score):\n    return helper.is_high(score)\n", "helper": HELPER.replace("LEVEL = 0.9", "from limits import LEVEL"), "limits": "LEVEL = 0.9\n"},
        {"main": "import helper\n\ndef decide(row, score):\n    return helper.is_high(score)\n", "helper": HELPER.replace("LEVEL = 0.9", "from limits import LEVEL"), "limits": "LEVEL = 0.8\n"},
    ),
    "a module of a package beside it": (
        {"main": "from rules import limits\n\ndef decide(row, score):\n    return score > limits.LEVEL\n", "rules/__init__": "", "rules/limits": "LEVEL = 0.9\n"},
        {"main": "from rules import limits\n\ndef decide(row, score):\n    return score > limits.LEVEL\n", "rules/__init__": "", "rules/limits": "LEVEL = 0.8\n"},
    ),
    "a module imported inside the function": (
        {"main": "def decide(row, score):\n    import helper\n    return helper.is_high(score)\n", "helper": HELPER},
        {"main": "def decide(row, score):\n    import helper\n    return helper.is_high(score)\n", "helper": HELPER.replace("0.9", "0.8")},
    ),
    "a constant": ({"main": "LEVEL = 0.9\n\ndef decide(row, score):\n    return score > LEVEL\n"}, {"main": "LEVEL = 0.8\n\ndef decide(row, score):\n    return score > LEVEL\n"}),
    "a constant read inside a comprehension": (
        {"main": "LEVELS = (0.9, 0.95)\n\ndef decide(row, score):\n    return any(score > one for one in LEVELS)\n"},
        {"main": "LEVELS = (0.9, 0.96)\n\ndef decide(row, score):\n    return any(score > one for one in LEVELS)\n"},
    ),
    "a pattern": (
        {"main": "import re\n\nNAME = re.compile('a+')\n\ndef decide(row, score):\n    return NAME.match(row['cell'])\n"},
        {"main": "import re\n\nNAME = re.compile('b+')\n\ndef decide(row, score):\n    return NAME.match(row['cell'])\n"},
    ),
    "a value in a closure": (
        {"main": "def above(level):\n    def decide(row, score):\n        return score > level\n    return decide\n\ndecide = above(0.9)\n"},
        {"main": "def above(level):\n    def decide(row, score):\n        return score > level\n    return decide\n\ndecide = above(0.8)\n"},
    ),
    "the second of two closures of one factory": (
        {"main": "def above(level):\n    def check(score):\n        return score > level\n    return check\n\na, b = above(0.1), above(0.9)\n\ndef decide(row, score):\n    return a(score) and b(score)\n"},
        {"main": "def above(level):\n    def check(score):\n        return score > level\n    return check\n\na, b = above(0.1), above(0.8)\n\ndef decide(row, score):\n    return a(score) and b(score)\n"},
    ),
    "a default": (
        {"main": "LEVEL = 0.9\n\ndef decide(row, score, level=LEVEL):\n    return score > level\n"},
        {"main": "LEVEL = 0.8\n\ndef decide(row, score, level=LEVEL):\n    return score > level\n"},
    ),
    "a keyword default": (
        {"main": "LEVEL = 0.9\n\ndef decide(row, score, *, level=LEVEL):\n    return score > level\n"},
        {"main": "LEVEL = 0.8\n\ndef decide(row, score, *, level=LEVEL):\n    return score > level\n"},
    ),
    "a field of a dataclass": (
        {"main": "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Rule:\n    level: float\n    def __call__(self, row, score):\n        return score > self.level\n\ndecide = Rule(0.9)\n"},
        {"main": "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Rule:\n    level: float\n    def __call__(self, row, score):\n        return score > self.level\n\ndecide = Rule(0.8)\n"},
    ),
    "the default of a field, a constant of another module": (
        {"main": "from rule import Rule\n\ndecide = Rule()\n", "rule": "from dataclasses import dataclass\nfrom limits import LEVEL\n\n@dataclass(frozen=True)\nclass Rule:\n    level: float = LEVEL\n    def __call__(self, row, score):\n        return score > self.level\n", "limits": "LEVEL = 0.9\n"},
        {"main": "from rule import Rule\n\ndecide = Rule()\n", "rule": "from dataclasses import dataclass\nfrom limits import LEVEL\n\n@dataclass(frozen=True)\nclass Rule:\n    level: float = LEVEL\n    def __call__(self, row, score):\n        return score > self.level\n", "limits": "LEVEL = 0.8\n"},
    ),
    "the method of a dataclass": (
        {"main": "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Rule:\n    level: float\n    def __call__(self, row, score):\n        return score > self.level\n\ndecide = Rule(0.9)\n"},
        {"main": "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Rule:\n    level: float\n    def __call__(self, row, score):\n        return score >= self.level\n\ndecide = Rule(0.9)\n"},
    ),
    "a function that a method calls": (
        {"main": "class Rule:\n    @staticmethod\n    def fits(score):\n        return is_high(score)\n\ndef is_high(s):\n    return s > 0.9\n\ndef decide(row, score):\n    return Rule.fits(score)\n"},
        {"main": "class Rule:\n    @staticmethod\n    def fits(score):\n        return is_high(score)\n\ndef is_high(s):\n    return s > 0.8\n\ndef decide(row, score):\n    return Rule.fits(score)\n"},
    ),
    "the base of a class": (
        {"main": "class Base:\n    level = 0.9\n\nclass Rule(Base):\n    pass\n\ndef decide(row, score):\n    return score > Rule.level\n"},
        {"main": "class Base:\n    level = 0.8\n\nclass Rule(Base):\n    pass\n\ndef decide(row, score):\n    return score > Rule.level\n"},
    ),
    "the object a method belongs to": (
        {"main": "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Rule:\n    level: float\n    def fits(self, row, score):\n        return score > self.level\n\ndecide = Rule(0.9).fits\n"},
        {"main": "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Rule:\n    level: float\n    def fits(self, row, score):\n        return score > self.level\n\ndecide = Rule(0.8).fits\n"},
    ),
    "what partial binds": (
        {"main": "from functools import partial\n\ndef above(row, score, level):\n    return score > level\n\ndecide = partial(above, level=0.9)\n"},
        {"main": "from functools import partial\n\ndef above(row, score, level):\n    return score > level\n\ndecide = partial(above, level=0.8)\n"},
    ),
    "the function that partial binds": (
        {"main": "from functools import partial\n\ndef above(row, score, level):\n    return score > level\n\ndecide = partial(above, level=0.9)\n"},
        {"main": "from functools import partial\n\ndef above(row, score, level):\n    return score >= level\n\ndecide = partial(above, level=0.9)\n"},
    ),
    "a function kept by a cache": (
        {"main": "from functools import cache\n\n@cache\ndef level():\n    return 0.9\n\ndef decide(row, score):\n    return score > level()\n"},
        {"main": "from functools import cache\n\n@cache\ndef level():\n    return 0.8\n\ndef decide(row, score):\n    return score > level()\n"},
    ),
    "a decorator": (
        {"main": "def shy(f):\n    def inner(row, score):\n        return f(row, score * 0.9)\n    return inner\n\n@shy\ndef decide(row, score):\n    return score > 0.9\n"},
        {"main": "def shy(f):\n    def inner(row, score):\n        return f(row, score * 0.8)\n    return inner\n\n@shy\ndef decide(row, score):\n    return score > 0.9\n"},
    ),
    "what a decorator holds": (
        {"main": "def shy(f):\n    def inner(row, score):\n        return f(row, score * 0.9)\n    return inner\n\n@shy\ndef decide(row, score):\n    return score > 0.9\n"},
        {"main": "def shy(f):\n    def inner(row, score):\n        return f(row, score * 0.9)\n    return inner\n\n@shy\ndef decide(row, score):\n    return score > 0.8\n"},
    ),
    "a module below a package that is used by its whole path": (
        {"main": "import rules.limits\n\ndef decide(row, score):\n    return score > rules.limits.LEVEL\n", "rules/__init__": "", "rules/limits": "LEVEL = 0.9\n"},
        {"main": "import rules.limits\n\ndef decide(row, score):\n    return score > rules.limits.LEVEL\n", "rules/__init__": "", "rules/limits": "LEVEL = 0.8\n"},
    ),
    "a constant of a class, of another module": (
        {"main": "from limits import LEVEL\n\nclass Rule:\n    level = LEVEL\n\ndef decide(row, score):\n    return score > Rule.level\n", "limits": "LEVEL = 0.9\n"},
        {"main": "from limits import LEVEL\n\nclass Rule:\n    level = LEVEL\n\ndef decide(row, score):\n    return score > Rule.level\n", "limits": "LEVEL = 0.8\n"},
    ),
    "a data file that a helper reads when it is loaded": (
        {"main": "import helper\n\ndef decide(row, score):\n    return score > helper.LEVEL\n", "helper": "from pathlib import Path\nLEVEL = len(Path(__file__).with_name('data.py').read_text())\n", "data": "1\n"},
        {"main": "import helper\n\ndef decide(row, score):\n    return score > helper.LEVEL\n", "helper": "from pathlib import Path\nLEVEL = len(Path(__file__).with_name('data.py').read_text())\n", "data": "123\n"},
    ),
    "an attribute of a function": (
        {"main": "from limits import LEVEL\n\ndef is_high(s):\n    return s > is_high.level\n\nis_high.level = LEVEL\n\ndef decide(row, score):\n    return is_high(score)\n", "limits": "LEVEL = 0.9\n"},
        {"main": "from limits import LEVEL\n\ndef is_high(s):\n    return s > is_high.level\n\nis_high.level = LEVEL\n\ndef decide(row, score):\n    return is_high(score)\n", "limits": "LEVEL = 0.8\n"},
    ),
    "a module imported by its name as text": (
        {"main": "from importlib import import_module\n\ndef decide(row, score):\n    return import_module('helper').is_high(score)\n", "helper": HELPER},
        {"main": "from importlib import import_module\n\ndef decide(row, score):\n    return import_module('helper').is_high(score)\n", "helper": HELPER.replace("0.9", "0.8")},
    ),
    "a module imported on one of two ways": (
        {"main": "try:\n    import faster as helper\nexcept ImportError:\n    import helper\n\ndef decide(row, score):\n    return helper.is_high(score)\n", "helper": HELPER},
        {"main": "try:\n    import faster as helper\nexcept ImportError:\n    import helper\n\ndef decide(row, score):\n    return helper.is_high(score)\n", "helper": HELPER.replace("0.9", "0.8")},
    ),
    "a function handed on as a value": (
        {"main": "from helper import is_high\n\ndef asked(rule, score):\n    return rule(score)\n\ndef decide(row, score):\n    return asked(is_high, score)\n", "helper": HELPER},
        {"main": "from helper import is_high\n\ndef asked(rule, score):\n    return rule(score)\n\ndef decide(row, score):\n    return asked(is_high, score)\n", "helper": HELPER.replace("score > LEVEL", "score >= LEVEL")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_seen_of(what: str, load: Load) -> None:
    before, after = CHANGES[what]

    first = source_of(load(**before))
    again = source_of(load(**before))
    changed = source_of(load(**after))

    assert first == again
    assert changed != first


def test_line_ends_do_not_matter(load: Load) -> None:
    here = source_of(load(CALLS, helper=HELPER, newline="\n"))
    elsewhere = source_of(load(CALLS, helper=HELPER, newline="\r\n"))
    module = "import helper\n\ndef decide(row, score):\n    return helper.is_high(score)\n"

    assert here == elsewhere
    assert source_of(load(module, helper=HELPER)) == source_of(load(module, helper=HELPER, newline="\r\n"))


def test_what_decide_does_not_reach_does_not_matter(load: Load) -> None:
    before = source_of(load(PLAIN + "\nUNUSED = 1\n\ndef other():\n    return UNUSED\n"))

    assert source_of(load(PLAIN + "\nUNUSED = 2\n\ndef other():\n    return 3\n")) == before


def test_installed_packages_and_the_standard_library_are_named_and_not_read(load: Load) -> None:
    found = source_of(
        load(
            "import math\nimport numpy as np\nfrom trunkline import Decision\n\ndef decide(row, score):\n    return Decision('a', target=str(np.log(math.e)), confidence=score)\n"
        )
    )

    assert {name for name, text in found.items() if text == "named"} == {"math", "numpy", "trunkline.core.values.Decision"}
    assert list(found) == ["main.decide", "math", "numpy", "trunkline.core.values.Decision"]


def test_functions_that_call_each_other_end(load: Load) -> None:
    found = source_of(load("def a(n):\n    return n and b(n - 1)\n\ndef b(n):\n    return n and a(n - 1)\n\ndef decide(row, score):\n    return a(3)\n"))

    assert list(found) == ["main.a", "main.b", "main.decide"]


def test_a_cell_of_a_notebook_has_source_and_text_without_any_is_refused() -> None:
    cell, scope = "def decide(row, score):\n    return score > 0.9\n", {"__name__": "__main__"}
    linecache.cache["<cell-1>"] = (len(cell), None, cell.splitlines(keepends=True), "<cell-1>")
    exec(compile(cell, "<cell-1>", "exec"), scope)  # as a notebook does
    bare: dict[str, Any] = {"__name__": "__main__"}
    exec("def decide(row, score):\n    return score > 0.9\n", bare)

    assert source_of(scope["decide"]) == {"__main__.decide": cell}  # type: ignore[arg-type]
    with pytest.raises(WorkflowError, match=r"The source of '__main__\.decide' cannot be read"):
        source_of(bare["decide"])


@pytest.mark.parametrize(
    ("main", "name"),
    [
        ("decide = lambda row, score: score > 0.9\n", "main.<lambda>"),
        ("is_high = lambda s: s > 0.9\n\ndef decide(row, score):\n    return is_high(score)\n", "main.<lambda>"),
        ("STATE = object()\n\ndef decide(row, score):\n    return STATE\n", "main.STATE"),
        ("import threading\n\nLOCK = threading.Lock()\n\ndef decide(row, score):\n    return LOCK\n", "main.LOCK"),
        ("import numpy as np\n\nLEVELS = np.zeros(3)\n\ndef decide(row, score):\n    return LEVELS\n", "main.LEVELS"),
        ("NOTHING = float('nan')\n\ndef decide(row, score):\n    return score > NOTHING\n", "main.NOTHING"),
        (
            "def made(state):\n    def decide(row, score):\n        return state\n    return decide\n\ndecide = made(object())\n",
            "main.made.<locals>.decide.<closure>.state",
        ),
        (
            "class Rule:\n    def __init__(self):\n        self.level = 0.9\n    def __call__(self, row, score):\n        return score > self.level\n\ndecide = Rule()\n",
            "main.Rule",
        ),
        ("class Rule:\n    level = 0.9\n    def fits(self, row, score):\n        return score > self.level\n\ndecide = Rule().fits\n", "main.Rule.fits.<self>"),
    ],
    ids=["lambda", "lambda-it-calls", "object", "lock", "array", "nan", "closure", "instance", "method-of-instance"],
)
def test_what_cannot_be_hashed_is_refused_by_its_name(main: str, name: str, load: Load) -> None:
    decide = load(main)

    with pytest.raises(WorkflowError) as refused:
        source_of(decide)

    assert f"'{name}'" in refused.value.what
    assert refused.value.where == f"decide reaches '{name}'"
    assert refused.value.allowed
    assert refused.value.next_step


def test_one_constant_that_two_functions_read_is_one_piece(load: Load) -> None:
    found = source_of(load("LEVEL = 0.9\n\ndef a(s):\n    return s > LEVEL\n\ndef decide(row, score):\n    return a(score) or score > LEVEL\n"))

    assert list(found) == ["main.LEVEL", "main.a", "main.decide"]
    assert found["main.LEVEL"] == "0.9"


@pytest.mark.parametrize(
    ("inside", "called"),
    [
        ("open('levels.txt').read()", "open"),
        ("__import__('pathlib').Path('levels.txt').read_text()", "read_text"),
        ("eval('0.9')", "eval"),
        ("exec('level = 0.9')", "exec"),
        ("__import__('hel' + 'per').LEVEL", "__import__"),
    ],
)
@pytest.mark.parametrize("where", ["itself", "helper", "module"])
def test_a_function_that_reads_what_could_change_unseen_is_refused(inside: str, called: str, where: str, load: Load) -> None:
    body = f"(row, score):\n    return score > {inside}\n"
    files = {
        "itself": {"main": f"def decide{body}"},
        "helper": {"main": "from helper import asked\n\ndef decide(row, score):\n    return asked(row, score)\n", "helper": f"def asked{body}"},
        "module": {"main": "import helper\n\ndef decide(row, score):\n    return helper.asked(row, score)\n", "helper": f"def asked{body}"},
    }

    with pytest.raises(WorkflowError, match=rf"calls {called}\(\): what it reads could change unseen"):
        source_of(load(**files[where]))


def test_functions_kept_in_a_table_are_refused_by_its_name(load: Load) -> None:
    with pytest.raises(WorkflowError, match=r"'main\.RULES' cannot be part of a workflow's identity"):
        source_of(load("from helper import is_high\n\nRULES = {'high': is_high}\n\ndef decide(row, score):\n    return RULES['high'](score)\n", helper=HELPER))


def test_compiling_a_pattern_is_no_reading(load: Load) -> None:
    assert source_of(load("import re\n\ndef decide(row, score):\n    return re.compile('a+').match(row['cell'])\n"))

from __future__ import annotations

import subprocess
import sys

import pytest

from trunkline import store


def test_importing_the_store_loads_nothing_heavy() -> None:
    code = "import sys, trunkline.store; print(sorted({'sqlalchemy', 'deltalake', 'cryptography', 'polars', 'numpy'} & set(sys.modules)))"

    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert said.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in store.__all__:
        assert getattr(store, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Cellar'"):
        store.Cellar  # noqa: B018 - reading the attribute is the test

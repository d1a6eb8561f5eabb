from __future__ import annotations

import pytest

from trunkline.core.errors import BadInput
from trunkline.govern import Product


@pytest.mark.parametrize(("given", "lacking"), [({"owner": ""}, "owner"), ({"purposes": ()}, "purposes"), ({"name": ""}, "name")])
def test_a_product_without_name_owner_or_purpose_is_refused(given: dict[str, object], lacking: str) -> None:
    fields: dict[str, object] = {"name": "cells", "table": "kpis", "owner": "ran-assurance", "purposes": ("network-assurance",)}

    with pytest.raises(BadInput, match=f"has no {lacking}"):
        Product(**{**fields, **given})  # type: ignore[arg-type]


def test_a_column_has_the_purposes_of_its_product_or_fewer() -> None:
    product = Product("calls", table="calls", owner="it", purposes=("billing", "marketing"), column_purposes={"tariff": ("billing",)})

    assert product.purposes_of("tariff") == ("billing",)
    assert product.purposes_of("seconds") == ("billing", "marketing")
    with pytest.raises(BadInput, match="that the product has not"):
        Product("calls", table="calls", owner="it", purposes=("billing",), column_purposes={"tariff": ("marketing",)})


def test_one_text_is_no_list_of_purposes() -> None:
    with pytest.raises(BadInput, match=r"\('billing',\)"):
        Product("calls", table="calls", owner="it", purposes="billing")

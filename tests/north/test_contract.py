"""The interface keeps its own description: made-up requests, the same ones every time, and no answer that is not described."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.conftest import SOAK
from tests.north.conftest import Served

from trunkline.north.routes import ROUTES

OTHERS = ("data_load", "health_live", "health_ready", "workspace_metrics")  # what streams or is an archive is tested by itself

# What no schema can say: such a request fits the description and is refused with 422 all the same.
MORE_THAN_A_SCHEMA = {
    "access_new": "how long a key lasts is a length of time",
    "audit_prove": "the journal has so many entries",
    "audit_prove_since": "the journal has so many entries",
    "data_erase": "a table has columns",
    "data_load": "a file has to be one of the kinds that are read",
    "data_show": "so many rows",
    "workflow_freeze": "a freeze is written as two dates",
}


@pytest.fixture(scope="package")
def operations(served: Served) -> dict[str, Any]:
    schema = schemathesis.openapi.from_url(f"{served.server.url}/openapi.json")
    found: list[Any] = [operation.ok() for operation in schema.get_all_operations()]  # type: ignore[union-attr]
    return {operation.definition.raw["operationId"]: operation for operation in found}


@pytest.mark.parametrize("name", [*(route.verb.replace(".", "_") for route in ROUTES), *OTHERS])
def test_every_answer_is_as_described(operations: dict[str, Any], served: Served, name: str) -> None:
    @settings(
        max_examples=6 * SOAK,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operations[name].as_strategy())
    def answers_as_described(case: Any) -> None:
        left_out = [positive_data_acceptance] if name in MORE_THAN_A_SCHEMA else []
        case.call_and_validate(headers={"Authorization": f"Bearer {served.keys['everything']}"}, excluded_checks=left_out)

    answers_as_described()

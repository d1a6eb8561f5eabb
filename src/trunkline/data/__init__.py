"""Bytes to Records, Events and KPIs: what networks export, read as it is, named in the standards' words.

Names are found where they live on first use, so that importing this package costs next to nothing.
Add a name of a new module to ``_HOME``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    # measurement files
    "PmBatch": "pm_files",
    "PmFile": "pm_xml",
    "read_pm": "pm_xml:read",
    "read_pm_many": "pm_files:read_many",
    # counters and their maps
    "CounterMap": "counter_maps",
    "check_counter_map": "counter_maps",
    "load_maps": "counter_maps",
    "map_counters": "counters",
    "write_name": "counter_names",
    "write_values": "counter_names",
    # series
    "ColumnMap": "column_map",
    "SeriesFile": "series",
    "ValueColumn": "column_map",
    "guess_series": "series:guess",
    "read_series": "series:read",
    # events and inventory
    "EventFile": "events",
    "read_alarms": "events",
    "read_states": "events",
    "read_works": "events",
    "read_elements": "inventory",
    "read_relations": "inventory",
    "relations_of": "inventory",
    # what is this file?
    "Sniffed": "sniff",
    "sniff_files": "sniff:files",
    "sniff_kind": "sniff:kind",
    # KPIs
    "Kpi": "kpi_definitions",
    "KpiSet": "kpi_definitions",
    "load_sets": "kpi_definitions",
    "compute_kpis": "kpis:compute",
    "rollup_kpis": "kpis:rollup",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - the list is the table above


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'trunkline.data' has no attribute '{name}'")
    home, _, inner = _HOME[name].partition(":")
    return getattr(import_module(f"trunkline.data.{home}"), inner or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})

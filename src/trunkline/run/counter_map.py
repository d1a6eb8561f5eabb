"""The counters of a measurement file that no map knows, as a map to be filled in by somebody who does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from trunkline.data import counters, pm_xml


def skeleton(path: Path) -> str:
    """A counter map in TOML with one entry for each unknown counter; nothing in it is guessed, the closest known is a comment.

    Entries are commented out until somebody says what they mean.
    """
    file, maps = pm_xml.read(path), counters.load_maps()
    unmapped = counters.closest_names(counters.map_counters(file.counters, maps).unmapped, maps)
    vendor = file.vendor or "unnamed"
    short = re.sub(r"[^a-z0-9]+", "", vendor.split()[0].lower()) or "unnamed"
    lines = [
        f"# Counters of {path.name} (vendor '{vendor}') that no map knows: {unmapped.height}.",
        "# Take the sign # away where you know what a counter is, say its standard name and unit, and put the file into the",
        f"# folder counter-maps of the workspace as {short}-nr.toml (or {short}-lte.toml).",
        "format = 1",
        f"vendor = {_quoted(short)}",
        'technology = "NR"  # or "LTE"',
        f"vendor_names = [{_quoted(vendor)}]",
    ]
    for (kind,), rows in unmapped.partition_by("object_class", as_dict=True, maintain_order=True).items():
        lines += ["", f"[counters.{_quoted(str(kind))}]"]
        for row in rows.iter_rows(named=True):
            close = f", closest known: {row['closest']}" if row["closest"] else ""
            lines.append(f'# {_quoted(row["counter"])} = {{ name = "", unit = "" }}  # {row["values"]} values{close}')
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """*text* as a TOML string: JSON writes the same escapes."""
    return json.dumps(text, ensure_ascii=False)

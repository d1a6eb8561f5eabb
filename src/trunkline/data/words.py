"""What the words in a header say: which unit, whether values add up, whether it is a measurement at all."""

from __future__ import annotations

import re

from trunkline.data.column_map import Aggregate

ELEMENT_WORDS = tuple(
    re.compile(p, re.IGNORECASE)
    for p in (
        r"(^|[^a-z])(ln|nr|w)cel[ _-]?(name|id)?([^a-z]|$)|(^|[^a-z])(nr|eutran|utran|gsm|lte|5g|4g)?[ _-]?cell[ _-]?(du|fdd|tdd)?[ _-]?(name|id|identity|ref)?([^a-z]|$)|cell_?(name|id)$|^zelle|^cella$|^celda$|^cellule$",
        r"(^|[^a-z])(sector|carrier|beam|interface|port|link|slice|snssai)[ _-]?(name|id)?([^a-z]|$)|^if_?(name|index)$",
        r"(^|[^a-z])(element|object|managed[ _-]?object|mo|dn|ldn|measobjldn|entity|resource|instance|device|target|sensor)[ _-]?(name|id)?$",
        r"(^|[^a-z])(gnb|enb|gnodeb|enodeb|nodeb|bts|ne|node|network[ _-]?element|managed[ _-]?element|host|hostname|router|switch|server)[ _-]?(du|cu)?[ _-]?(name|id)?$",
        r"(^|[^a-z])(site|station|standort|sito|sitio|cluster|region|area|market)[ _-]?(name|id)?$",
    )
)
"""Headers that name elements, the finest kind first: a cell before its site."""


def element_rank(header: str) -> int:
    """How finely a header names elements, 0 if it names none: a cell ranks above its site.

    >>> element_rank("Cell Name") > element_rank("eNodeB") > element_rank("site") > element_rank("volume") == 0
    True
    """
    return next((len(ELEMENT_WORDS) - i for i, pattern in enumerate(ELEMENT_WORDS) if pattern.search(header)), 0)


KPI_COLUMN = re.compile(r"^(kpi|counter|metric|measurement|indicator|parameter|meas_?type|variable|pm)([ _-]?(name|id|key))?$|^name$|^series$", re.IGNORECASE)
VALUE_COLUMN = re.compile(r"^(val|value|values|wert|valore|valor|valeur|measurement|reading|result|y)$", re.IGNORECASE)
UNTIL = re.compile(r"(^|[^a-z])(end|until|to|till|ende|bis|fine|fin|stop)([^a-z]|$)|end_?time|(?<=[a-z])End(Time)?$", re.IGNORECASE)
PERIOD = re.compile(r"granularity|period|duration|interval|^gp$|^rop$|resolution", re.IGNORECASE)
LABEL = re.compile(r"(^|[^a-z])(label|lab|anomal\w*|unusual|outlier|is_?fault|class|ground_?truth|target|incident)([^a-z]|$)", re.IGNORECASE)
INTEGRITY = re.compile(r"^(data[ _-]?)?(integrity|reliability|completeness)([ _-]?(%|rate))?$", re.IGNORECASE)
IDENTIFIER = re.compile(
    r"(^|[^a-z])(id|ids|pci|n?r?arfcn|earfcn|uarfcn|tac|lac|eci|nci|cgi|ecgi|mcc|mnc|plmn|rnti|oid|uuid|serial|lat|lon|long|latitude|longitude|azimuth|"
    r"height|postcode|zip|tag|version|year|month|week|weekday|day)([^a-z]|$)|(?<=[a-z])(ID|Id)$",
    re.IGNORECASE,
)

_UNIT_BRACKET = re.compile(r"^(?P<name>.*\S)\s*[(\[{]\s*(?P<unit>[^()\[\]{}]{1,16}?)\s*[)\]}]\s*$")
_UNIT_TAIL = re.compile(
    r"^(?P<name>.*[^\s_.-])[\s_.-]+(?P<unit>%|percent|pct|kbytes|mbytes|gbytes|bytes|kbit/s|mbit/s|gbit/s|kbps|mbps|gbps|bps|kb|mb|gb|tb|ms|dbm|db|erl|erlang|kwh|mhz|seconds|secs|sec)$",
    re.IGNORECASE,
)
_SAME_UNIT = {"percent": "%", "pct": "%", "none": "", "-": "", "n/a": ""}

# In this order: a "drop rate" is a rate, a "max throughput" a maximum, an "attempt" a count.
_RULES: tuple[tuple[Aggregate, re.Pattern[str], str], ...] = (
    ("max", re.compile(r"(^|[^a-z])(max|maximum|peak|busiest)|(?<=[a-z])Max", re.IGNORECASE), "a maximum stays one"),
    ("min", re.compile(r"(^|[^a-z])(min|minimum|lowest)([^a-z]|$)", re.IGNORECASE), "a minimum stays one"),
    (
        "mean",
        re.compile(
            r"rate|ratio|percent|pct|%|util|usage|share|avg|average|mean|median|throughput|thr(_|$)|thp|speed|latency|delay|rtt|jitter|occupancy|temperature|"
            r"power|(^|[^a-z])sr([^a-z]|$)|rsrp|rsrq|rssi|sinr|snr|cqi|mcs|rank|load|cpu|memory|availab|quality|level|efficiency|accessib|retainab|success(?!es|ful)|p\d\d$|score",
            re.IGNORECASE,
        ),
        "ratios, rates and levels are averaged",
    ),
    (
        "sum",
        re.compile(
            r"volume|(^|[^a-z])vol([^a-z]|$)|bytes|octets|packets|pkts|count|number|(^|[^a-z])(num|nbr|no|n)([^a-z]|$)|total|attempt|att([^a-z]|$)|succ|fail|drop|call|request|"
            r"handover|(^|[^a-z])ho([^a-z]|$)|event|error|session|setup|establish|release|alarm|ticket|traffic|network_?(in|out)|erl|minutes|lost|discard|retrans",
            re.IGNORECASE,
        ),
        "volumes and counts add up",
    ),
)
_BY_UNIT: dict[str, Aggregate] = {
    **dict.fromkeys(("%", "ms", "dbm", "db", "kbps", "mbps", "gbps", "bps", "kbit/s", "mbit/s", "gbit/s", "mhz", "c", "°c", "w", "v", "a"), "mean"),
    **dict.fromkeys(
        (
            "bit",
            "bits",
            "kbit",
            "mbit",
            "gbit",
            "byte",
            "kb",
            "mb",
            "gb",
            "tb",
            "bytes",
            "kbytes",
            "mbytes",
            "gbytes",
            "erl",
            "kwh",
            "wh",
            "count",
            "counts",
            "#",
            "number",
        ),
        "sum",
    ),
}


def name_and_unit(header: str) -> tuple[str, str]:
    """A header's KPI name and unit.

    >>> name_and_unit("DL Volume (MB)"), name_and_unit("PRB_Utilization_Percent"), name_and_unit("RRC attempts")
    (('DL Volume', 'MB'), ('PRB_Utilization', '%'), ('RRC attempts', ''))
    """
    for pattern in (_UNIT_BRACKET, _UNIT_TAIL):
        found = pattern.match(header.strip())
        if found and not re.fullmatch(r"[A-Za-z]*\d{2,}.*", found["unit"]):  # (M8020) is a counter group
            return found["name"].strip(), _SAME_UNIT.get(found["unit"].lower(), found["unit"])
    return header.strip(), ""


def aggregate_of(name: str, unit: str = "") -> tuple[Aggregate, str]:
    """How several values of one slot become one, and why.

    >>> [aggregate_of(n)[0] for n in ("drop rate", "dropped calls", "Data_Volume", "maxUE_DL", "temperature", "value")]
    ['mean', 'sum', 'sum', 'max', 'mean', 'mean']
    """
    for kind, pattern, why in _RULES[:2]:
        if pattern.search(name):
            return kind, why
    if unit.lower() in _BY_UNIT:
        kind = _BY_UNIT[unit.lower()]
        return kind, f"values in {unit} are {'added up' if kind == 'sum' else 'averaged'}"
    for kind, pattern, why in _RULES[2:]:
        if pattern.search(name):
            return kind, why
    return "mean", "the name says nothing of a count or a volume, so values are averaged"


def speaks_of_kpi(header: str) -> bool:
    """Whether a header's words are those of a measurement.

    >>> speaks_of_kpi("PRB usage 2"), speaks_of_kpi("cell_0017")
    (True, False)
    """
    return any(p.search(header) for _, p, _ in _RULES) or bool(re.search(r"kpi|counter|prb|meas|value", header, re.IGNORECASE))

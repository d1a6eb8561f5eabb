"""The byte scan gives what the full parser gives, or leaves the file to it: on every real file, on files of every kind, on files broken anywhere."""

from __future__ import annotations

import gzip
import random
import zlib
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

pytest.importorskip("numba")

from tests.conftest import SOAK

from trunkline.core.errors import BadFile
from trunkline.data import pm_kernel
from trunkline.data.pm_files import Together, read_many
from trunkline.data.pm_xml import COUNTERS, PmFile, read

ARRIVED = datetime(2026, 11, 20, 11, tzinfo=UTC)
PLAIN = """<?xml version="1.0" encoding="UTF-8"?>
<?xml-stylesheet type="text/xsl" href="MeasDataCollection.xsl"?>
<measCollecFile xmlns="http://www.3gpp.org/ftp/specs/archive/32_series/32.435#measCollec">
<fileHeader fileFormatVersion="V1" vendorName="Acme" dnPrefix="SubNetwork=1"><fileSender localDn="n"/><measCollec beginTime="2026-11-20T10:00:00Z"/></fileHeader>
<measData><managedElement localDn="n" swVersion="1"/>
<measInfo measInfoId="a"><granPeriod duration="PT900S" endTime="2026-11-20T10:15:00Z"/>
<measType p="1">x</measType><measType p="2">y</measType>
<measValue measObjLdn="Cell=1"><r p="1">1</r><r p="2">1.5,,NIL</r></measValue>
<measValue measObjLdn="Cell=2"><r p="2">-0.25</r><suspect>true</suspect></measValue>
</measInfo>
<measInfo measInfoId="b"><granPeriod duration="PT900S" endTime="2026-11-20T10:15:00Z"/><measTypes>u v</measTypes>
<measValue measObjLdn="Cell=1"><measResults>7 1,2,3</measResults></measValue></measInfo>
</measData><fileFooter><measCollec endTime="2026-11-20T10:15:00Z"/></fileFooter></measCollecFile>"""


def both(content: bytes, *, zone: str | None = None) -> bool:
    """Read *content* in both ways, see that they agree, and tell whether the scan read it."""
    together = Together(zone=zone)
    try:
        wanted: PmFile | BadFile = read(content, source="s", received_at=ARRIVED, zone=zone)
    except BadFile as refused:
        wanted = refused
    try:
        found: PmFile | BadFile = together.add(content, source="s", received_at=ARRIVED)
    except BadFile as refused:
        found = refused
    if isinstance(wanted, BadFile) or isinstance(found, BadFile):
        assert str(found) == str(wanted)
        assert together.take().is_empty()
        return False
    assert_frame_equal(together.take(), wanted.counters)
    for field in fields(PmFile):
        if field.name != "counters":
            assert getattr(found, field.name) == getattr(wanted, field.name), field.name
    return together.by_scan == 1


def test_a_plain_file_is_read_by_the_scan() -> None:
    assert both(PLAIN.encode())
    assert both(gzip.compress(PLAIN.encode()))


@pytest.mark.real
def test_every_real_file_reads_the_same_in_both_ways(real_data: Path) -> None:
    paths = sorted((real_data / "pm_xml").rglob("*.xml"))

    scanned = [path.name for path in paths if both(path.read_bytes())]

    assert len(paths) > 60
    assert len(scanned) > 50


# Files of every kind: each choice is one that some file in the world makes, or a fault.

space = st.sampled_from(["", "", " ", "\n", "\r\n", "\t "])
quote = st.sampled_from(['"', '"', "'"])
number = st.one_of(
    st.integers(-(10**22), 10**22).map(str),
    st.integers(0, 60000).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(0, 1e6).map(lambda x: f"{x:.3f}"),
    st.sampled_from(["NIL", "", "null", "NaN", "n/a", "None", "+5", "5.", ".5", "0012", "1e3", "1E-7", "-0", "0.0", "1e22", "1e23", "9007199254740993"]),
)
odd = st.sampled_from(
    ["inf", "1e400", "0x10", "1 2", "1_000", "--1", "1e", ".", "+", "&#49;", "<!-- 1 -->1", "<![CDATA[5]]>", "٣", "]]>", "1;2", "\x01", "<b>1</b>"]
)
rare = st.integers(0, 30).map(lambda n: n == 0)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    new = draw(st.booleans())
    prefix = "x:" if draw(rare) else ""
    blank = draw(space)

    def tag(name: str, attributes: dict[str, str], inner: str | None = None) -> str:
        given = list(attributes.items())
        if draw(rare):
            given.reverse()
        if draw(rare):
            given.append(("further", "1"))
        written = "".join(f" {blank}{key}{draw(space) if draw(rare) else ''}={(q := draw(quote))}{text}{q}" for key, text in given)
        end = draw(space)
        return f"<{prefix}{name}{written}{end}/>" if inner is None else f"<{prefix}{name}{written}{end}>{inner}</{prefix}{name}{end}>"

    def text() -> str:
        return draw(odd if draw(rare) else st.one_of(number, number, st.lists(number, min_size=2, max_size=5).map(",".join)))

    def value(places: list[str]) -> str:
        chosen = [p for p in places if not draw(rare)]
        if draw(rare):
            chosen.append(draw(st.sampled_from(["1", "99", "01", "", "x", "-1"])))
        if draw(rare):
            chosen.reverse()
        if draw(st.booleans()):
            inner = blank.join(tag("r", {"p": p}, draw(space) + text() + draw(space)) for p in chosen)
        else:
            inner = tag("measResults", {}, draw(space) + (draw(space) or " ").join(text() or "0" for _ in places) + draw(space))
        if draw(rare):
            inner += tag("r", {"p": "1"})
        if draw(st.booleans()):
            flag = draw(st.sampled_from(["true", "false", "TRUE", " 1 ", "0", "maybe", ""] if draw(rare) else ["true", "false"]))
            inner += blank + tag("suspect", {}, flag)
        name = draw(st.sampled_from(["Cell=1", "ManagedElement=n,Cell=2", "", "Zelle=Zürich", "a\\,b=1", "Cell=1&amp;2", "A = 1 , B=2"]))
        return tag("measValue", {} if draw(rare) else {"measObjLdn": name}, blank + inner + blank)

    def info() -> str:
        names = draw(st.lists(st.sampled_from(["pmA", "pmB", "RRC.ConnEstabAtt.01", "x&lt;y", "pmC"]), min_size=0, max_size=4, unique=not draw(rare)))
        places = [str(n) for n in range(1, len(names) + 1)]
        if draw(rare):
            places.reverse()
        period = {"duration": draw(st.sampled_from(["PT900S", "P1D", "", "PT0S"] if draw(rare) else ["PT900S"]))}
        period["endTime"] = draw(st.sampled_from(["2026-11-20T10:15:00", "2026-13-01T00:00:00Z"] if draw(rare) else ["2026-11-20T10:15:00+01:00"]))
        typed = (
            blank.join(tag("measType", {"p": p}, n) for p, n in zip(places, names, strict=True))
            if draw(st.booleans())
            else tag("measTypes", {}, " ".join(names))
        )
        head = blank + tag("job", {"jobId": "j"}) + tag("granPeriod", period) + blank + typed + blank
        values = blank.join(value(places) for _ in range(draw(st.integers(0, 3))))
        after = tag("measType", {"p": "9"}, "late") if draw(rare) else ""
        return tag("measInfo", {"measInfoId": draw(st.sampled_from(["a", "PM=1"]))}, head + values + after + blank)

    def data() -> str:
        element = (
            "" if draw(rare) else tag("measEntity" if new else "managedElement", {"localDn": "n", "swVersion": "1"} if not draw(rare) else {"localDn": "m"})
        )
        between = draw(st.sampled_from(["<!-- c -->", "<?pi?>", "text", "<r p='1'>1</r>", "<suspect>true</suspect>"])) if draw(rare) else blank
        return tag("measData", {}, blank + element + between.join(info() for _ in range(draw(st.integers(0, 3)))) + blank)

    header = "" if draw(rare) else tag("fileHeader", {"vendorName": "Acme &amp; Sons" if draw(st.booleans()) else "Ä", "dnPrefix": "SubNetwork=1"}, "")
    root = "measDataFile" if new else "measCollecFile"
    xmlns = f' xmlns{":x" if prefix else ""}="urn:x"'
    start = draw(
        st.sampled_from(
            ['<?xml version="1.0" encoding="UTF-8"?>\n', "", "<?xml version='1.0'?>", '<?xml version="1.0"?><?a b?>']
            + (['<?a?><?xml version="1.0"?>', '<?xml version="1.0" encoding="ISO-8859-1"?>', "<!DOCTYPE a>", "\ufeff", "<!-- c -->"] if draw(rare) else [])
        )
    )
    body = header + "".join(data() for _ in range(draw(st.integers(0, 2))))
    return f"{start}<{prefix}{root}{xmlns}>{body}</{prefix}{root}>{draw(space)}".encode()


@given(documents())
@settings(max_examples=60, deadline=None)
def test_files_of_every_kind_read_the_same_in_both_ways(content: bytes) -> None:
    both(content)


@given(documents(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_broken_anywhere_reads_the_same_in_both_ways(content: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(content) - 1))
    other = data.draw(st.sampled_from([b"", b"<", b">", b"&", b'"', b"\x00", b"\xff", b" ", b"]]>", b"<!--", b"9", b"/", b"</measValue>", b"<measInfo>"]))
    length = data.draw(st.sampled_from([0, 1, 1, 5, 100_000]))

    both(content[:at] + other + content[at + length :])


@pytest.mark.real
def test_a_real_file_with_any_byte_changed_reads_the_same_in_both_ways(real_data: Path) -> None:
    content = (real_data / "pm_xml/oran_ranpm/A20220418.1900-1915_seliitdus00487.xml").read_bytes()
    first, last = content.index(b"<measInfo "), content.index(b"</measInfo>", 30_000)
    small = content[:first] + content[content.rindex(b"<measInfo ", 0, last) : last + len(b"</measInfo>")] + content[content.index(b"</measData>") :]
    dice = random.Random(7)

    for _ in range(50 * SOAK):
        changed = bytearray(small)
        for _ in range(dice.choice([1, 1, 2])):
            changed[dice.randrange(len(changed))] = dice.choice(b"<>/\"'= &;!?-.,0123456789eEpr\n\t\r\x00\x80\xc3abN")
        both(bytes(changed))


@given(st.lists(documents(), max_size=5))
@settings(max_examples=20, deadline=None)
def test_files_read_together_are_the_files_read_one_by_one(contents: list[bytes]) -> None:
    together, wanted = Together(), []
    for number, content in enumerate(contents):
        try:
            wanted.append(read(content, source=str(number)).counters)
        except BadFile:
            with pytest.raises(BadFile):
                together.add(content, source=str(number))
        else:
            together.add(content, source=str(number))

    assert_frame_equal(together.take(), pl.concat([pl.DataFrame(schema=dict(COUNTERS)), *wanted]))
    assert together.take().is_empty()


# Numbers


@given(
    st.one_of(
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.integers(-(10**25), 10**25).map(str),
        st.decimals(allow_nan=False, allow_infinity=False, places=6).map(str),
        st.from_regex(r"[+-]?([0-9]{1,25}(\.[0-9]{0,25})?|\.[0-9]{1,25})([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    )
)
@example("9007199254740993")
@example("1e23")
@example("0.1e-21")
@example("-0")
@example("18446744073709551616")
@example("0000000000000000000000000000001")
@settings(max_examples=300, deadline=None)
def test_a_number_is_rounded_as_python_rounds_it(text: str) -> None:
    raw = np.frombuffer(text.encode(), np.uint8)

    kind, found = pm_kernel.read_number(raw, 0, len(raw))

    if kind == pm_kernel.EXACT:
        assert (found, np.signbit(found)) == (float(text), np.signbit(float(text)))
    else:
        assert kind == pm_kernel.OPEN


@given(st.text(alphabet="0123456789+-.eE nilNaA/ulL", max_size=8))
@settings(max_examples=100, deadline=None)
def test_what_is_a_number_is_what_the_full_parser_takes_for_one(text: str) -> None:
    both(PLAIN.replace("-0.25", text).encode())


def test_the_plainest_numbers_are_settled_at_once() -> None:
    for text in ("0", "17", "60000", "0.125", "99.9", "-3", "1e6", "123456789012345"):
        raw = np.frombuffer(text.encode(), np.uint8)
        assert pm_kernel.read_number(raw, 0, len(raw)) == (pm_kernel.EXACT, float(text))


# What is not plain is the full parser's

NOT_PLAIN = {
    "a comment": ("<measValue", "<!-- -->\n<measValue"),
    "a prefix": ("<suspect>true</suspect>", "<x:suspect xmlns:x='u'>true</x:suspect>"),
    "an entity": (">-0.25<", ">&#45;0.25<"),
    "a section": (">-0.25<", "><![CDATA[1]]><"),
    "a doctype": ("<?xml-stylesheet", "<!DOCTYPE a>\n<?xml-stylesheet"),
    "another encoding": ('encoding="UTF-8"', 'encoding="ISO-8859-1"'),
    "a further attribute": ('<r p="1">', '<r p="1" q="2">'),
    "a tag inside a result": (">-0.25<", "><b>1</b><"),
    "a result without a type": ('<r p="2">-0.25', '<r p="3">-0.25'),
    "a result twice": ('<r p="2">-0.25</r>', '<r p="2">-0.25</r><r p="2">7</r>'),
    "no number": ("-0.25", "many"),
    "too long a list": ("7 1,2,3", "7 1,2,3 4"),
    "too large a number": ("-0.25", "1e999"),
    "a type after the values": ("</measInfo>", "<measType p='7'>z</measType></measInfo>"),
    "a flag of another kind": (">true<", ">perhaps<"),
    "a value without a name": (' measObjLdn="Cell=1"', ""),
    "no zone": ("10:15:00Z", "10:15:00"),
    "a mark of ours": ("<measData>", '<measData><measInfo from="0" to="2"/>'),
    "a broken end": ("</measCollecFile>", ""),
    "text after the end": ("</measCollecFile>", "</measCollecFile>x"),
    "a deep nest": ("<measType p=", "<a>" * 70 + "</a>" * 70 + "<measType p="),
    "white space without end": ('<r p="2">-0.25', "<r" + " " * 100_000 + 'p="2">-0.25'),
}


@pytest.mark.parametrize("fault", NOT_PLAIN)
def test_what_is_not_plain_goes_to_the_full_parser_as_a_whole(fault: str) -> None:
    before, after = NOT_PLAIN[fault]
    assert before in PLAIN

    assert not both(PLAIN.replace(before, after).encode())


def test_characters_beyond_ascii_are_plain_unless_xml_forbids_them() -> None:
    assert both(PLAIN.replace("Cell=1", "Cell=Zürich").encode())
    assert not both(PLAIN.replace("Cell=1", "Cell=\uffff").encode())
    assert not both(PLAIN.replace("Cell=1", "Cell=Z\xfcrich").encode("latin-1"))


# gzip


def test_gzip_that_is_not_whole_members_and_nothing_else_goes_to_the_full_parser() -> None:
    packed, half = gzip.compress(PLAIN.encode()), len(PLAIN) // 2
    first, second = gzip.compress(PLAIN[:half].encode()), gzip.compress(PLAIN[half:].encode())

    assert both(packed)
    assert both(first + second)
    assert both(first + gzip.compress(b"") + second)
    assert not both(first + second[:-20])
    assert not both(first + second + bytes(512))
    assert not both(gzip.compress(b"") * 200 + packed)
    assert not both(packed[:-20])
    assert not both(packed[:-6] + b"\x00\x00" + packed[-4:])
    assert not both(packed + b"and more")
    assert not both(b"")
    assert not both(gzip.compress(b""))


def test_a_small_file_that_unpacks_without_end_is_refused_and_takes_little_memory(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, wbits=31)
    head, _, _ = PLAIN.partition("</measInfo>")
    bomb = packer.compress(head.encode()) + b"".join(packer.compress(b"<job/>" * 200_000) for _ in range(20)) + packer.flush()
    path = tmp_path / "bomb.xml.gz"
    path.write_bytes(bomb)

    (batch,) = read_many([path], max_bytes=1 << 22)

    assert len(bomb) < 150_000
    assert "holds more than" in str(batch.refused[0])


def test_without_the_compiled_kernel_the_full_parser_reads_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_FAST", "0")
    together = Together()
    together.add(PLAIN.encode(), source="s")

    assert (together.by_scan, together.by_parser) == (0, 1)
    assert_frame_equal(together.take(), read(PLAIN.encode(), source="s").counters)

"""Measurement files: what is written is read, what is broken is named, and nothing else happens."""

from __future__ import annotations

import gzip
import random
import re
import time
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import SOAK

from trunkline.core.errors import BadFile, BadInput
from trunkline.core.frames import check_frame
from trunkline.data import xml_stream
from trunkline.data.pm_files import read_many
from trunkline.data.pm_xml import COUNTERS, PmFile, read

END = datetime(2026, 11, 20, 10, 15, tzinfo=UTC)


# A writer of its own for the tests: every variant the standards allow.


@dataclass
class Info:
    types: list[str]
    values: list[tuple[str, list[str], str | None]]  # object, result texts, suspect flag
    seconds: int = 900
    end: datetime = END
    id: str = "PM=1"


@dataclass
class Element:
    name: str
    infos: list[Info] = field(default_factory=list)


def write(
    elements: list[Element], *, new: bool, typed_list: bool, listed: bool, offset_h: int = 0, prefix: str = "", shuffle: random.Random | None = None
) -> str:
    """XML of TS 28.532 (*new*) or TS 32.435, types and results as lists or with positions."""
    root, ns = ("measDataFile", "28_series/28.532#measData") if new else ("measCollecFile", "32_series/32.435#measCollec")
    head, tag = ("measData", "measEntity") if new else ("measCollec", "managedElement")
    sender = "senderName" if new else "localDn"
    p = f"{prefix}:" if prefix else ""
    xmlns = f"xmlns{':' + prefix if prefix else ''}"

    def stamp(at: datetime) -> str:
        local = at.astimezone(UTC) + timedelta(hours=offset_h)
        return local.strftime("%Y-%m-%dT%H:%M:%S") + (f"{'+' if offset_h >= 0 else '-'}{abs(offset_h):02d}:00" if offset_h else "Z")

    out = ['<?xml version="1.0" encoding="UTF-8"?>', f'<{p}{root} {xmlns}="http://www.3gpp.org/ftp/specs/archive/{ns}">']
    out.append(f'<{p}fileHeader fileFormatVersion="V1" vendorName="Acme &amp; Sons" dnPrefix="SubNetwork=1"><{p}fileSender {sender}="DC=x"/>')
    out.append(f'<{p}{head} beginTime="{stamp(END - timedelta(minutes=15))}"/></{p}fileHeader>')
    for element in elements:
        out.append(f'<{p}measData><{p}{tag} localDn={quoteattr(element.name)} swVersion="1"/>')
        for info in element.infos:
            out.append(f'<{p}measInfo measInfoId={quoteattr(info.id)}><{p}granPeriod duration="PT{info.seconds}S" endTime="{stamp(info.end)}"/>')
            if typed_list:
                out.append(f"<{p}measTypes>{escape(' '.join(info.types))}</{p}measTypes>")
            else:
                order = list(enumerate(info.types, start=1))
                if shuffle and not listed:
                    shuffle.shuffle(order)
                out += [f'<{p}measType p="{n}">{escape(t)}</{p}measType>' for n, t in order]
            for name, texts, suspect in info.values:
                out.append(f"<{p}measValue measObjLdn={quoteattr(name)}>")
                if listed:
                    out.append(f"<{p}measResults>{' '.join(texts)}</{p}measResults>")
                else:
                    results = [f'<{p}r p="{n}">{text}</{p}r>' for n, text in enumerate(texts, start=1)]
                    if shuffle:
                        shuffle.shuffle(results)
                    out += results
                out += [f"<{p}suspect>{suspect}</{p}suspect>"] if suspect else []
                out.append(f"</{p}measValue>")
            out.append(f"</{p}measInfo>")
        out.append(f"</{p}measData>")
    out.append(f'<{p}fileFooter><{p}{head} endTime="{stamp(END)}"/></{p}fileFooter></{p}{root}>')
    return "\n".join(out)


def expected(elements: list[Element]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for element in elements:
        for info in element.infos:
            for name, texts, suspect in info.values:
                for counter, text in zip(info.types, texts, strict=True):
                    many = [None if t == "NIL" else float(t) for t in text.split(",")]
                    value, values = (many[0], None) if len(many) == 1 else (None, many)
                    full = f"SubNetwork=1,ManagedElement={element.name},{name}"
                    rows.append(
                        (
                            full,
                            name.rpartition(",")[2].partition("=")[0],
                            counter,
                            info.end - timedelta(seconds=info.seconds),
                            info.seconds,
                            value,
                            values,
                            suspect == "true",
                            info.id,
                        )
                    )
    return rows


def got(file: PmFile) -> list[tuple[object, ...]]:
    return file.counters.select("element", "object_class", "counter", "at", "period_s", "value", "values", "suspect", "meas_info_id").rows()


number = st.one_of(
    st.integers(-(10**15), 10**15).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.just("NIL"),
    st.sampled_from(["+5", "5.", ".5", "0012", "1e3"]),
)
result = st.one_of(number, st.lists(number, min_size=2, max_size=6).map(",".join))
counter = st.from_regex(r"pm[A-Z][A-Za-z0-9]{1,12}(&<)?", fullmatch=True)


@st.composite
def files(draw: st.DrawFn) -> list[Element]:
    elements = []
    for n in range(draw(st.integers(0, 3))):
        infos = []
        for m in range(draw(st.integers(0, 3))):
            types = draw(st.lists(counter, min_size=1, max_size=5, unique=True))
            objects = draw(st.lists(st.integers(1, 99), max_size=4, unique=True))
            values = [
                (
                    f"GNBDUFunction=1,NRCellDU={o}",
                    draw(st.lists(result, min_size=len(types), max_size=len(types))),
                    draw(st.sampled_from([None, "true", "false"])),
                )
                for o in objects
            ]
            infos.append(
                Info(types, values, draw(st.sampled_from([300, 900, 3600])), END + timedelta(minutes=draw(st.integers(-500, 500))), f"group {m} \"'<&")
            )
        elements.append(Element(f"node{n}", infos))
    return elements


@settings(deadline=None, max_examples=60)
@given(elements=files(), new=st.booleans(), typed_list=st.booleans(), listed=st.booleans(), offset_h=st.integers(-11, 13), prefix=st.sampled_from(["", "pm"]), seed=st.integers(0, 9), packed=st.booleans())  # fmt: skip
def test_what_is_written_in_any_variant_is_exactly_what_is_read(
    elements: list[Element], new: bool, typed_list: bool, listed: bool, offset_h: int, prefix: str, seed: int, packed: bool
) -> None:
    text = write(elements, new=new, typed_list=typed_list, listed=listed, offset_h=offset_h, prefix=prefix, shuffle=random.Random(seed)).encode()

    file = read(gzip.compress(text) if packed else text, source="a.xml")

    check_frame(file.counters, COUNTERS, name="counters")
    assert sorted(got(file), key=repr) == sorted(expected(elements), key=repr)
    assert file.quarantine == ()
    assert (file.format, file.vendor, file.dn_prefix, file.begin, file.end) == (
        "TS 28.532" if new else "TS 32.435", "Acme & Sons", "SubNetwork=1", END - timedelta(minutes=15), END,
    )  # fmt: skip


CELL = "GNBDUFunction=1,NRCellDU=1"


def small(**changes: str) -> str:
    """A sound file of two cells and two counters; *changes* replaces text in it."""
    info = Info(["pmA", "pmB"], [(CELL, ["1", "2"], None), ("GNBDUFunction=1,NRCellDU=2", ["3", "4"], None)])
    text = write([Element("n1", [info])], new=False, typed_list=False, listed=False)
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def changed(old: str, new: str, count: int = -1) -> bytes:
    text = small()
    assert old in text
    return text.replace(old, new, count).encode()


def reasons(file: PmFile) -> str:
    return " | ".join(f"{q.line}: {q.reason}" for q in file.quarantine)


def test_rows_are_known_at_arrival_or_a_delay_after_the_period() -> None:
    arrived = datetime(2026, 11, 20, 16, tzinfo=UTC)

    assert read(small().encode()).counters["known_at"].unique().to_list() == [END + timedelta(minutes=10)]
    assert read(small().encode(), delay="1h").counters["known_at"].unique().to_list() == [END + timedelta(hours=1)]
    assert read(small().encode(), received_at=arrived).counters["known_at"].unique().to_list() == [arrived]


def test_a_period_starts_its_length_before_its_end() -> None:
    for text, seconds in (("PT5M", 300), ("PT15M", 900), ("PT1H", 3600), ("PT0H15M0S", 900), ("P1D", 86400), ("PT900.0S", 900)):
        file = read(changed("PT900S", text))

        assert file.counters["period_s"].unique().to_list() == [seconds], text
        assert file.counters["at"].unique().to_list() == [END - timedelta(seconds=seconds)]


def test_midnight_written_as_hour_24_is_the_next_day() -> None:
    file = read(changed("2026-11-20T10:15:00Z", "2026-11-19T24:00:00Z"))

    assert file.counters["at"].unique().to_list() == [datetime(2026, 11, 19, 23, 45, tzinfo=UTC)]


def test_a_time_without_a_zone_is_refused_unless_the_caller_names_one() -> None:
    text = changed("10:15:00Z", "10:15:00")

    assert read(text).lost == 4
    assert "names no zone" in reasons(read(text))
    assert read(text, zone="Europe/Rome").counters["at"].unique().to_list() == [datetime(2026, 11, 20, 9, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('endTime="2026-11-20T10:15:00Z"/>\n<measType ', 'endTime="soon"/>\n<measType ', "the time 'soon' cannot be read"),
        ("PT900S", "-PT900S", "is not positive"),
        ("PT900S", "PT0S", "is not positive"),
        ("PT900S", "some duration", "cannot be read"),
        ("PT900S", "P99D", "at most 31 days"),
        ("PT900S", "PT0.5S", "whole number"),
        ('endTime="2026', 'endTime="1026', "makes no sense"),
        ('endTime="2026-11-20', 'endTime="2026-02-30', "does not exist"),
    ],
)
def test_values_of_an_absurd_period_are_refused_together_with_the_reason(old: str, new: str, reason: str) -> None:
    file = read(changed(old, new))

    assert file.counters.is_empty()
    assert file.lost == 4
    assert reason in reasons(file)
    assert file.quarantine[0].line == 6


@pytest.mark.parametrize("text", ["", " ", "NIL", "NULL", "nan"])
def test_no_value_is_null(text: str) -> None:
    file = read(changed(">1</r>", f">{text}</r>", 1))

    assert file.counters["value"].to_list() == [None, 2.0, 3.0, 4.0]
    assert file.quarantine == ()


@pytest.mark.parametrize("text", ["abc", "1 2", "0x10", "1_000", "1e999", "inf", "١", "1,x", "--1"])
def test_what_is_no_number_is_refused_alone_with_its_line(text: str) -> None:
    file = read(changed(">1</r>", f">{text}</r>", 1))

    assert file.counters["value"].to_list() == [2.0, 3.0, 4.0]
    assert [(q.line, q.values) for q in file.quarantine] == [(9, 1)]
    assert "is no number" in reasons(file)
    assert CELL in file.quarantine[0].excerpt


def test_a_number_that_a_comment_or_a_character_reference_parts_is_still_one_number() -> None:
    assert read(changed(">1</r>", "><!-- a -->1<!-- b -->7</r>", 1)).counters["value"][0] == 17.0
    assert read(changed(">1</r>", ">&#49;<![CDATA[8]]></r>", 1)).counters["value"][0] == 18.0


def test_a_number_that_a_tag_parts_is_none() -> None:
    file = read(changed(">1</r>", ">1<b/>7</r>", 1))

    assert file.counters["value"].to_list() == [2.0, 3.0, 4.0]
    assert file.lost == 1


def test_suspect_in_any_spelling_marks_the_whole_value() -> None:
    for text, flag in (("true", True), ("1", True), ("TRUE", True), ("false", False), ("0", False), ("perhaps", True)):
        file = read(changed("</measValue>", f"<suspect> {text} </suspect></measValue>", 1))
        assert file.counters["suspect"].to_list() == [flag, flag, False, False], text
    assert "perhaps" in " ".join(file.notes)


def test_more_results_than_types_in_a_list_refuse_that_value_only() -> None:
    text = write(
        [Element("n1", [Info(["pmA", "pmB"], [(CELL, ["1", "2", "9"], None), ("NRCellDU=2", ["3", "4"], None)])])], new=True, typed_list=True, listed=True
    )

    file = read(text.encode())

    assert file.counters["value"].to_list() == [3.0, 4.0]
    assert "3 results for 2 types" in reasons(file)
    assert file.lost == 3


def test_unknown_and_repeated_positions_refuse_only_what_they_make_doubtful() -> None:
    unknown = read(changed('<r p="2">2</r>', '<r p="7">2</r>', 1))
    twice = read(changed('<r p="2">2</r>', '<r p="1">5</r><r p="2">2</r>', 1))
    again = read(changed('<r p="2">2</r>', '<r p="1">1</r><r p="2">2</r>', 1))
    clash = read(changed('<measType p="2">pmB', '<measType p="1">pmC</measType><measType p="2">pmB'))

    assert unknown.counters["value"].to_list() == [1.0, 3.0, 4.0]
    assert "p='7' has no measType" in reasons(unknown)
    assert twice.counters["value"].to_list() == [2.0, 3.0, 4.0]
    assert twice.lost == 2
    assert again.counters["value"].to_list() == [1.0, 2.0, 3.0, 4.0]
    assert "counts once" in " ".join(again.notes)
    assert clash.counters["value"].to_list() == [2.0, 4.0]
    assert "cannot be told apart" in reasons(clash)


def test_a_file_without_header_element_or_version_is_read_and_the_lack_said() -> None:
    text = small()
    no_header = read(re.sub(r"<fileHeader.*?</fileHeader>", "", text, flags=re.DOTALL).encode())
    no_element = read(re.sub(r"<managedElement[^>]*/>", "", text).encode())
    no_version = read(text.replace(' swVersion="1"', "").encode())

    assert (no_header.vendor, no_header.counters.height) == ("", 4)
    assert "no header" in " ".join(no_header.notes)
    assert no_element.counters["element"][0] == "SubNetwork=1,DC=x,GNBDUFunction=1,NRCellDU=1"
    assert "no managed element" in " ".join(no_element.notes)
    assert "no software version" in " ".join(no_version.notes)
    assert no_version.counters.height == 4


def test_empty_measurement_data_are_legal_and_give_no_rows() -> None:
    for elements in ([], [Element("n1")], [Element("n1", [Info(["pmA"], [])])]):
        file = read(write(elements, new=False, typed_list=False, listed=False).encode())

        check_frame(file.counters, COUNTERS, name="counters")
        assert file.counters.is_empty()
        assert file.quarantine == ()


def test_junk_and_a_stylesheet_before_the_declaration_are_left_out_and_said() -> None:
    file = read(b'<?xml-stylesheet type="text/xsl" href="a.xsl"?>\n' + changed(">1</r>", ">x</r>", 1))

    assert file.counters.height == 3
    assert file.quarantine[0].line == 10  # of the file as it is, not as repaired
    assert "before the XML declaration were left out" in " ".join(file.notes)
    assert read(b"\xef\xbb\xbf" + small().encode()).notes == ()
    assert read(b"\n\n\r\n" + small().encode()).counters.height == 4
    assert read(b"garbage \x00 line\n" + small().encode()).counters.height == 4


def test_a_stray_ampersand_stands_for_itself() -> None:
    file = read(changed("pmA", "pmA&B &foo;").replace(b"Acme &amp; Sons", b"Acme & Sons"))

    assert file.vendor == "Acme & Sons"
    assert file.counters["counter"].unique(maintain_order=True).to_list() == ["pmA&B &foo;", "pmB"]
    assert "stood for themselves" in " ".join(file.notes)


def test_control_characters_never_change_a_number() -> None:
    file = read(changed(">1</r>", ">1\x007</r>", 1).replace(b"pmB", b"pm\x01B"))

    assert file.counters["value"].to_list() == [2.0, 3.0, 4.0]
    assert file.lost == 1
    assert "control characters" in " ".join(file.notes)
    assert read(small().encode() + b"\x00" * 700).counters.height == 4


def test_bytes_that_are_no_utf_8_are_replaced_and_said_and_other_encodings_are_read() -> None:
    latin = small().replace("Acme &amp; Sons", "Açme").encode("latin-1")

    assert read(latin).vendor == "A\ufffdme"
    assert read(latin.replace(b'encoding="UTF-8"', b'encoding="ISO-8859-1"')).vendor == "Açme"
    assert read(small().replace("UTF-8", "UTF-16").encode("utf-16")).counters.height == 4
    for nonsense in ("TF-8", "utf-7", "base64", "shift_jis", "punycode"):
        assert read(small().replace("UTF-8", nonsense).encode()).counters.height == 4, nonsense


def test_a_file_that_breaks_off_keeps_each_complete_value_and_says_where_it_ends() -> None:
    text = small().encode()
    whole = read(text).counters
    seen = set()
    for cut in range(text.index(b"<measData>"), len(text), 3 if SOAK == 1 else 1):
        file = read(text[:cut])

        complete = text[:cut].count(b"</measValue>")
        assert file.counters.height == 2 * complete
        assert file.counters.equals(whole.head(2 * complete))
        assert any("breaks off" in q.reason for q in file.quarantine)
        seen.add(complete)
    assert seen == {0, 1, 2}


def test_half_a_gzip_keeps_what_unpacks() -> None:
    cells: list[tuple[str, list[str], str | None]] = [(f"GNBDUFunction=1,NRCellDU={n}", [str(n), str(n * 7919 % 1000003)], None) for n in range(4000)]
    text = write([Element("n1", [Info(["pmA", "pmB"], cells)])], new=False, typed_list=False, listed=False).encode()
    packed = gzip.compress(text)

    file = read(packed[: len(packed) // 2])

    assert 1000 < file.counters.height < 8000
    assert file.counters.equals(read(text).counters.head(file.counters.height))
    assert "gzip data end early" in reasons(file)


def test_a_gzip_with_a_wrong_checksum_makes_every_value_suspect() -> None:
    packed = bytearray(gzip.compress(small().encode()))
    packed[-8] ^= 1

    file = read(bytes(packed))

    assert file.counters["suspect"].to_list() == [True] * 4
    assert "checksum" in " ".join(file.notes)


def test_gzip_is_told_by_its_first_bytes_and_several_parts_are_one_file(tmp_path: Path) -> None:
    text = small().encode()
    path = tmp_path / "plain.xml"  # not called .gz
    path.write_bytes(gzip.compress(text[:300]) + gzip.compress(text[300:]))

    assert read(path).counters.drop("source").equals(read(text).counters.drop("source"))
    assert read(path).counters["source"].unique().to_list() == ["plain.xml"]


def bomb(size: int) -> bytes:
    """A measurement file that is nearly all white space, as gzip, without holding it unpacked."""
    begin, end, _ = small().encode().rpartition(b"</measCollecFile>")
    packer = zlib.compressobj(9, wbits=31)
    spaces = b" " * (1 << 20)
    return packer.compress(begin) + b"".join(packer.compress(spaces) for _ in range(size >> 20)) + packer.compress(end) + packer.flush()


def test_a_gzip_that_unpacks_to_too_much_is_refused_while_it_unpacks() -> None:
    with pytest.raises(BadFile, match="more than 8,000,000 bytes"):
        read(bomb(20 << 20), max_bytes=8_000_000)


def test_a_large_gzip_that_grows_a_thousandfold_is_refused_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_stream, "LARGE", 4 << 20)
    made_to_fill = bomb(20 << 20)

    with pytest.raises(BadFile, match="unpacks to more than 1,000 times its size") as refused:
        read(made_to_fill)

    assert "hand it over unpacked" in str(refused.value)
    assert read(bomb(3 << 20)).counters.height == 4


def test_a_gzip_of_many_members_is_one_file_and_of_too_many_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    text = small().encode()
    members = b"".join(gzip.compress(text[at : at + 40]) for at in range(0, len(text), 40))

    assert read(members).counters.equals(read(text).counters)
    monkeypatch.setattr(xml_stream, "_MOST_MEMBERS", 12)
    assert "more than 12 members" in reasons(read(members))


def test_entities_are_refused_before_they_grow() -> None:
    laughs = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(f'<!ENTITY a{n} "{"&a" + str(n - 1) + ";" if n else "&a;"}">' for n in range(9)) + "]>"
    text = small().replace("\n<measCollecFile", f"\n{laughs}<measCollecFile").encode()

    with pytest.raises(BadFile, match="declares the entity 'a'"):
        read(text)
    with pytest.raises(BadFile, match="declares the entity"):
        read(text.replace(b'<!ENTITY a "ha">', b'<!ENTITY a SYSTEM "file:///etc/passwd">'))


def test_one_endless_tag_stops_the_reading_and_keeps_what_came_before() -> None:
    before = time.perf_counter()
    file = read(small().encode().replace(b"<fileFooter>", b"<fileFooter x='" + b"y" * 30_000_000 + b"'>"))

    assert file.counters.height == 4
    assert "longer than" in reasons(file)
    assert time.perf_counter() - before < 5


def test_endless_text_and_endless_depth_do_no_harm() -> None:
    long = read(changed(">1</r>", ">" + "1" * 3_000_000 + "</r>", 1))
    deep = read(small().encode().replace(b"<fileFooter>", b"<a>" * 100_000))

    assert long.lost == 1
    assert max(len(q.excerpt) + len(q.reason) for q in long.quarantine) < 400
    assert deep.counters.height == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"", "no measurement file"), (b"{}", "no measurement file"), (b"<html><body/></html>", "starts with <html>"), (b"\x00\x01\x02", "no measurement file"), (b"PK\x03\x04", "no measurement file")],
)  # fmt: skip
def test_what_is_no_measurement_file_is_refused_with_what_is_allowed(text: bytes, message: str) -> None:
    with pytest.raises(BadFile, match=message) as refused:
        read(text, source="x.xml")

    assert "measCollecFile" in refused.value.allowed
    assert refused.value.path == "x.xml"


def test_a_file_that_is_not_there_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="cannot be read") as refused:
        read(tmp_path / "none.xml")

    assert refused.value.path.endswith("none.xml")


def test_an_unknown_zone_is_said_at_once() -> None:
    with pytest.raises(BadInput, match="no time zone"):
        read(small().encode(), zone="Europe/Atlantis")


def test_sub_counters_become_dimensions() -> None:
    names = [
        "DRB.EstabAtt",
        "DRB.EstabAtt.01",
        "DRB.EstabAtt.010003e8",
        "DRB.EstabAtt.226F04",
        "ERAB.EstabInitAttNbr.QCI9",
        "RRC.ConnEstabAtt.mo-Data",
        "L.Thrp.bits.DL.LastTTI",
    ]
    text = write([Element("n1", [Info(names, [(CELL, ["1"] * 7, None)])])], new=True, typed_list=False, listed=False)

    rows = read(text.encode()).counters.select("counter", "dimension").rows()

    assert rows == [
        ("DRB.EstabAtt", ""), ("DRB.EstabAtt", "snssai=01"), ("DRB.EstabAtt", "snssai=01.0003e8"), ("DRB.EstabAtt", "plmn=226F04"),
        ("ERAB.EstabInitAttNbr", "qci=9"), ("RRC.ConnEstabAtt", "cause=mo-Data"), ("L.Thrp.bits.DL.LastTTI", ""),
    ]  # fmt: skip


def test_many_files_come_in_batches_and_a_bad_one_stops_none(tmp_path: Path) -> None:
    for n in range(5):
        (tmp_path / f"{n}.xml").write_bytes(small().encode())
    (tmp_path / "3.xml").write_bytes(b"nonsense")
    seen: list[int] = []

    batches = list(read_many(sorted(tmp_path.glob("*.xml")), batch=2, progress=seen.append))

    assert [len(b.files) + len(b.refused) for b in batches] == [2, 2, 1]
    assert seen == [1, 2, 3, 4, 5]
    assert [Path(bad.path).name for b in batches for bad in b.refused] == ["3.xml"]
    assert pl.concat([b.counters for b in batches])["source"].unique(maintain_order=True).to_list() == ["0.xml", "1.xml", "2.xml", "4.xml"]
    assert all(f.counters.is_empty() for b in batches for f in b.files)


REAL_SHAPED = write(
    [
        Element(
            "n1",
            [Info(["pmA", "pmDistr"], [(CELL, ["1", "2,3,4"], "false"), ("NRCellDU=2", ["NIL", "0"], "true")]), Info(["ifOctets"], [("Port=1", ["7"], None)])],
        )
    ],
    new=False,
    typed_list=False,
    listed=False,
).encode()


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_whatever_happens_to_the_bytes_the_answer_is_a_file_or_a_refusal(data: st.DataObject) -> None:
    text = bytearray(REAL_SHAPED)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(text)))
        piece = data.draw(
            st.one_of(
                st.binary(max_size=4),
                st.sampled_from([b"<", b">", b"&", b'"', b"</r>", b"<measValue>", b"<!--", b"]]>", b"<measInfo>", b"\x00", b"<r p='1'>9</r>"]),
            )
        )
        text[at : at + data.draw(st.integers(0, 12))] = piece
    packed = bytes(text) if data.draw(st.booleans()) else gzip.compress(bytes(text))
    if data.draw(st.booleans()):
        packed = packed[: data.draw(st.integers(0, len(packed)))]

    try:
        file = read(packed, max_bytes=10_000_000)
    except BadFile:
        return

    check_frame(file.counters, COUNTERS, name="counters")
    assert file.counters.select(pl.col("element", "counter", "at", "period_s", "known_at", "suspect").null_count()).row(0) == (0,) * 6
    assert all(q.line >= 0 and q.reason for q in file.quarantine)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300))
def test_random_bytes_are_never_more_than_refused(text: bytes) -> None:
    with pytest.raises(BadFile):
        read(text)


# Real files


@pytest.mark.real
def test_the_real_gnb_file_loses_nothing(real_data: Path) -> None:
    path = real_data / "pm_xml/oran_ranpm/A20220418.1900-1915_seliitdus00487.xml"
    text = path.read_text()

    file = read(path)

    assert text.count("<r p=") == file.counters.height == 2667
    assert file.counters["values"].is_not_null().sum() == 409
    assert file.counters["counter"].n_unique() == 810
    assert file.counters.filter("suspect").select("element", "meas_info_id").n_unique() == 2
    assert file.quarantine == ()
    assert (file.vendor, file.dn_prefix, file.sender, file.software) == ("Ericsson AB", "SubNetwork=G3", "seliitdus00487", ("CXP2010174_1 R44B17",))
    cell = file.counters.filter((pl.col("counter") == "pmMacRBSymAvailDl") & pl.col("element").str.ends_with("NRCellDU=32"))
    assert cell["value"].to_list() == [3032642268.0]
    assert cell["element"][0] == "SubNetwork=G3,ManagedElement=seliitdus00487,GNBDUFunction=1,NRCellDU=32"
    assert cell["at"].to_list() == [datetime(2022, 4, 18, 19, tzinfo=UTC)]


@pytest.mark.real
def test_every_real_file_is_read_or_refused_and_every_result_is_accounted_for(real_data: Path) -> None:
    paths = sorted((real_data / "pm_xml").rglob("*.xml"))
    assert len(paths) > 40

    for path in paths:
        text = path.read_text()
        results = text.count("<r p=") + sum(len(r.split()) for r in re.findall(r"<measResults>(.*?)</measResults>", text, re.DOTALL))

        file = read(path)

        assert file.counters.height + file.lost == results, path


@pytest.mark.real
def test_the_broken_real_files_say_what_they_lack(real_data: Path) -> None:
    folder = real_data / "pm_xml/onap_pmmapper_test/xml_validator_test/test_data"
    template = read(real_data / "pm_xml/oransc_template/pm-template.xml")

    assert "no header" in " ".join(read(folder / "lte/no_file_header/test.xml").notes)
    assert "no managed element" in " ".join(read(folder / "nr/no_measured_entity/test.xml").notes)
    assert "'some duration' cannot be read" in reasons(read(folder / "nr/no_measured_entity/test.xml"))
    assert read(folder / "lte/no_measdata/test.xml").counters.is_empty()
    assert template.counters.is_empty()
    assert "the time 'ENDTIME' cannot be read" in reasons(template)
    for other in (real_data / "pm_xml").rglob("*.json"):
        with pytest.raises(BadFile):
            read(other)

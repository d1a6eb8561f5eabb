from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from trunkline.run.report import Block, Item, Report, html

NASTY = "<script>alert(1)</script> & \"quotes\" 'single' ☎"
FULL = Report(
    title=NASTY,
    subtitle=NASTY,
    says=[NASTY],
    blocks=[Block(title=NASTY, text=NASTY, columns=[NASTY, "b"], rows=[[NASTY, "1"]], lines=[NASTY])],
    items=[Item(id="abc", title=NASTY, when=NASTY, reasons=[NASTY], tags=[NASTY], figure="iVBORw0KGgo=")],
    more=NASTY,
    notes=[NASTY],
    next_steps=[(NASTY, NASTY)],
)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "img", "br", "link", "hr", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def tags() -> _Tags:
    parser = _Tags()
    parser.feed(html(FULL))
    return parser


def test_every_tag_that_is_opened_is_closed(tags: _Tags) -> None:
    assert tags.open == []


def test_a_report_is_one_file_without_script_and_without_anything_from_elsewhere(tags: _Tags) -> None:
    assert "script" not in tags.seen
    assert "link" not in tags.seen
    assert all(source.startswith(("data:", "#")) for source in tags.sources), tags.sources
    assert not re.search(r"url\(|@import|https?://", html(FULL))


def test_what_comes_from_files_is_text_and_never_markup() -> None:
    page = html(FULL)

    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 10


def test_a_report_with_nothing_in_it_is_a_page() -> None:
    page = html(Report(title="Replay", subtitle="", says=[]))

    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "<h1>Replay</h1>" in page
    assert "lang=" in page


def test_a_picture_says_in_words_what_it_shows() -> None:
    assert all('alt="' in image for image in re.findall(r"<img[^>]*>", html(FULL)))


def test_it_is_light_and_dark() -> None:
    assert "prefers-color-scheme: dark" in html(FULL)

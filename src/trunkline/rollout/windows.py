"""When something may go live: windows of every week, and freezes by date. Going back is never asked for either."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from trunkline.core.clock import utc
from trunkline.core.errors import BadInput, NotAllowed

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WINDOW = re.compile(r"(?P<first>[A-Z][a-z]{2})(?:-(?P<last>[A-Z][a-z]{2}))? (?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d)")
_FREEZE = re.compile(r"(?P<first>\d{4}-\d\d-\d\d)/(?P<last>\d{4}-\d\d-\d\d)(?:\s*:\s*(?P<why>.+))?")
_LONG = 400
"""So many days ahead a window is looked for."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch that comes back every week, in local time; one that ends before it begins ends on the next day.

    >>> window = Window.read("Tue-Thu 22:00-04:00")
    >>> window.holds(datetime(2026, 11, 18, 3, tzinfo=UTC), ZoneInfo("UTC"))
    True
    """

    days: tuple[int, ...]
    begin: time
    end: time

    @classmethod
    def read(cls, text: str) -> Window:
        """A window from days and times, such as ``"Tue-Thu 22:00-04:00"`` or ``"Sat 01:00-05:00"``."""
        found = _WINDOW.fullmatch(text.strip())
        first, last = (DAYS.index(found[name] or found["first"]) if found and (found[name] or found["first"]) in DAYS else -1 for name in ("first", "last"))
        begin, end = (_time(found[name]) if found else None for name in ("begin", "end"))
        if first < 0 or last < 0 or begin is None or end is None:
            raise BadInput(f"'{text}' is no change window.", allowed="days and times such as 'Tue-Thu 22:00-04:00' or 'Sat 01:00-05:00'")
        return cls(tuple((first + n) % 7 for n in range((last - first) % 7 + 1)), begin, end)

    def on(self, day: date, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
        """Begin and end, in UTC, of the one that begins on *day*; None where none does.

        The wall clock counts: on the nights when it is changed a window is an hour longer or shorter.
        """
        if day.weekday() not in self.days:
            return None
        until = day if self.end > self.begin else day + timedelta(days=1)
        begin, end = datetime.combine(day, self.begin, zone), datetime.combine(until, self.end, zone)
        return begin.astimezone(UTC), end.replace(fold=1).astimezone(UTC)

    def holds(self, at: datetime, zone: ZoneInfo) -> bool:
        """Whether it is open at *at*."""
        today = utc(at).astimezone(zone).date()
        stretches = (self.on(today - timedelta(days=back), zone) for back in (0, 1))
        return any(one is not None and one[0] <= at < one[1] for one in stretches)

    def __str__(self) -> str:
        names = DAYS[self.days[0]] if len(self.days) == 1 else f"{DAYS[self.days[0]]}-{DAYS[self.days[-1]]}"
        return f"{names} {self.begin:%H:%M}-{self.end:%H:%M}"


@dataclass(frozen=True, slots=True)
class Freeze:
    """From the begin of one local day to the end of another nothing goes live; of one workflow, or of all.

    >>> Freeze.read("2026-12-20/2027-01-06: Christmas").why
    'Christmas'
    """

    first: date
    last: date
    why: str = ""
    workflow: str = ""
    """Empty: all."""

    @classmethod
    def read(cls, text: str, *, workflow: str = "") -> Freeze:
        """A freeze from two dates and a reason."""
        found = _FREEZE.fullmatch(text.strip())
        first, last = (_date(found[name]) if found else None for name in ("first", "last"))
        if found is None or first is None or last is None or last < first:
            raise BadInput(
                f"'{text}' is no freeze.",
                allowed="first and last day: '2026-12-20/2027-01-06'; in a file with why, after a colon: '2026-12-20/2027-01-06: Christmas'",
            )
        return cls(first, last, found["why"] or "", workflow)

    def holds(self, at: datetime, zone: ZoneInfo) -> bool:
        """Whether *at* lies in it."""
        return self.first <= utc(at).astimezone(zone).date() <= self.last

    def __str__(self) -> str:
        return f"{self.first}/{self.last}" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True, slots=True)
class Calendar:
    """All windows and freezes of a workspace, in its zone. Without windows every time is open, but for freezes."""

    zone: ZoneInfo
    windows: tuple[Window, ...] = ()
    freezes: tuple[Freeze, ...] = ()

    def check(self, at: datetime, *, workflow: str, what: str) -> None:
        """Refuse *what* outside of a window or in a freeze; says when the next window opens.

        Raises
        ------
        NotAllowed
            Nothing may go live now.
        """
        frozen = self.frozen(at, workflow)
        if frozen is not None:
            self._refuse(at, workflow, f"{what} has to wait: it is frozen, {frozen}.", "none in a freeze")
        if self.windows and not any(window.holds(at, self.zone) for window in self.windows):
            self._refuse(at, workflow, f"{what} has to wait for a change window.", ", ".join(map(str, self.windows)) + f" ({self.zone.key})")

    def frozen(self, at: datetime, workflow: str) -> Freeze | None:
        """The freeze that *at* lies in."""
        return next((one for one in self.freezes if one.workflow in ("", workflow) and one.holds(at, self.zone)), None)

    def next_open(self, at: datetime, workflow: str) -> datetime | None:
        """When something may go live next, at *at* or later; None where nothing opens within a year."""
        local = utc(at).astimezone(self.zone)
        for ahead in range(-1, _LONG):
            day = local.date() + timedelta(days=ahead)
            if not self.windows:
                stretches: Iterable[tuple[datetime, datetime]] = [_whole(day, self.zone)]
            else:
                stretches = sorted(one for one in (window.on(day, self.zone) for window in self.windows) if one is not None)
            for begin, end in stretches:
                opens = self._unfrozen(max(begin, at), workflow)
                if opens < end:
                    return opens
        return None

    def _unfrozen(self, at: datetime, workflow: str) -> datetime:
        frozen = self.frozen(at, workflow)
        while frozen is not None:
            at = _whole(frozen.last, self.zone)[1]
            frozen = self.frozen(at, workflow)
        return at

    def _refuse(self, at: datetime, workflow: str, what: str, allowed: str) -> None:
        opens = self.next_open(at, workflow)
        where = f"it is {utc(at).astimezone(self.zone):%A %Y-%m-%d %H:%M} in {self.zone.key}"
        later = f"The next window opens {opens.astimezone(self.zone):%A %Y-%m-%d %H:%M} ({self.zone.key})." if opens else "No window opens within a year."
        raise NotAllowed(what, where=where, allowed=allowed, next_step=f"{later} A rollback needs none.")


def read_windows(text: str) -> tuple[Window, ...]:
    """Windows from one text, by commas.

    >>> [str(window) for window in read_windows("Tue-Thu 22:00-04:00, Sat 01:00-05:00")]
    ['Tue-Thu 22:00-04:00', 'Sat 01:00-05:00']
    """
    return tuple(Window.read(one) for one in text.split(",") if one.strip())


def read_freezes(text: str) -> tuple[Freeze, ...]:
    """Freezes from one text, by semicolons."""
    return tuple(Freeze.read(one) for one in text.split(";") if one.strip())


def _time(text: str) -> time | None:
    try:
        return time(0) if text == "24:00" else time.fromisoformat(text)
    except ValueError:
        return None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _whole(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    return datetime.combine(day, time(0), zone).astimezone(UTC), datetime.combine(day + timedelta(days=1), time(0), zone).astimezone(UTC)

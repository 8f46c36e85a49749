"""A stream of reports: several series as they were known, week by week."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, final

import polars as pl

from ...errors import FittingError, unknown
from .feed import Feed
from .reports import read_reports


@dataclass(frozen=True)
class Datum:
    """A report as it is used.

    Attributes:
        feed: name of its series.
        end: last row of its period, counted from 0.
        value: what was reported.
        shares: how much of each row of the period was known.
    """

    feed: str
    end: int
    value: float
    shares: tuple[float, ...]


@final
@dataclass(frozen=True, eq=False)
class Stream:
    """Reports, and on which days they became known.

    A report has `series` (a name among the feeds), `date` (the last day of its period), `value`
    (null where missing) and `as_of`: the day on which it was known, the date itself where there is
    no such column. Reported again with a later `as_of`, it is revised. Other columns are ignored.

    Attributes:
        reports: a polars frame, a CSV or parquet file, or a folder of them, read in order of name.
        feeds: how each series comes about.
        start: the day of the first row of the run; with rows of several days, their first.
        days: days of a row.
        update: rows between two updates, a week by default.
        until: the day up to which things are known; by default the latest `as_of`. Updates are
            made at the end of each whole week up to then.
        frame: the reports, sorted by as_of, series and date.

    Raises:
        FittingError: no such file or column, series without a feed, values that are negative or
            not finite, dates that do not increase, do not match the frequency of their series or
            lie before the run, an `as_of` before its date, two values of one day, or no whole week.
    """

    reports: Any
    feeds: Mapping[str, Feed]
    start: date
    days: int = 1
    update: int = 7
    until: date | None = None
    frame: pl.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        if not self.feeds or self.days < 1 or self.update < 1:
            raise FittingError(
                f"a stream has {len(self.feeds)} feeds, {self.days} days a row and {self.update} "
                "rows between updates; give at least 1 of each"
            )
        frame = read_reports(self.reports)
        strangers = sorted(set(frame["series"]) - set(self.feeds))
        if strangers:
            raise FittingError(unknown("the stream's feeds", "series", strangers, self.feeds))
        for (name,), part in frame.group_by("series", maintain_order=True):
            self._check_dates(str(name), part)
        frame = frame.sort("as_of", "series", "date", maintain_order=True)
        object.__setattr__(self, "frame", frame)
        if self.until is None:
            object.__setattr__(self, "until", frame["as_of"].max())
        if self.weeks < 1:
            raise FittingError(
                f"the stream starts on {self.start} and is known until {self.until}: no update of "
                f"{self.update * self.days} days is complete; wait, or give a shorter update"
            )

    @property
    def weeks(self) -> int:
        """Updates that are complete."""
        assert self.until is not None
        return ((self.until - self.start).days + 1) // (self.days * self.update)

    def day(self, row: int) -> date:
        """The last day of a row."""
        return self.start + timedelta(days=self.days * (row + 1) - 1)

    def at(self, week: int) -> date:
        """The last day of a week, counted from 1: the day of its update."""
        return self.day(week * self.update - 1)

    def row(self, day: date) -> int:
        """The last row that is complete on a day."""
        return ((day - self.start).days + 1) // self.days - 1

    def known(self, week: int) -> dict[int, tuple[Datum, ...]]:
        """Reports as known at the update of a week, by the week in which their periods end."""
        latest = self.until_week(week).unique(["series", "date"], keep="last", maintain_order=True)
        found: dict[int, list[Datum]] = defaultdict(list)
        for name, day, value, as_of in latest.sort("date", "series").iter_rows():
            end = self.row(day)
            if value is None or end >= week * self.update:
                continue
            shares = self.feeds[name].shares(end, self.row(as_of))
            found[end // self.update + 1].append(Datum(name, end, float(value), shares))
        return {number: tuple(data) for number, data in found.items()}

    def phase(self, name: str, week: int) -> int:
        """The last row of some period of a series; that of the week where nothing is known yet."""
        days = self.until_week(week).filter(pl.col("series") == name)["date"]
        first = days.min()
        return self.row(first) if isinstance(first, date) else week * self.update - 1

    def until_week(self, week: int) -> pl.DataFrame:
        """The part of the frame that was known at the update of a week."""
        return self.frame.filter(pl.col("as_of") <= self.at(week))

    def _check_dates(self, name: str, part: pl.DataFrame) -> None:
        """Refuse dates that no period of the series can have."""
        span = self.feeds[name].window * self.days
        first = part["date"].min()
        assert isinstance(first, date)
        for day in part["date"].unique().sort():
            if (day - self.start).days + 1 < span:
                raise FittingError(
                    f"the period of {name!r} to {day} began before the run, which starts on "
                    f"{self.start}; start earlier, or leave it out"
                )
            if ((day - self.start).days + 1) % self.days or (day - first).days % span:
                raise FittingError(
                    f"{name!r} has a period every {span} days, but one ends on {first} and one on "
                    f"{day}, {(day - first).days} days later, in a run of rows of {self.days} days "
                    f"from {self.start}; set the feed's window, or mend the date"
                )

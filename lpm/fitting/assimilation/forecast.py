"""What an ensemble says of now and of the weeks ahead: draws, and their quantiles as a frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np
import polars as pl
from jaxtyping import Float, Int

from ...population.seeds import Generator
from ..chance import generator_for
from ..noise import NegativeBinomial, Poisson
from .evidence import draw_reports
from .feed import FAR, Feed
from .members import Members, Rows, Runs
from .stream import Datum, Stream

# Those of the American forecast hubs.
LEVELS = (0.01, 0.025, *(round(0.05 * i, 2) for i in range(1, 20)), 0.975, 0.99)


@dataclass(frozen=True)
class Outlook:
    """Numbers as they will finally be reported, drawn by each member.

    Attributes:
        feeds: of each number, by place among the names of the stream's feeds.
        ends: last row of its period.
        horizons: periods ahead; 0 and below for periods that have ended but are incomplete.
        draws: the numbers.
    """

    feeds: Int[np.ndarray, " number"]
    ends: Int[np.ndarray, " number"]
    horizons: Int[np.ndarray, " number"]
    draws: Float[np.ndarray, "member number"]

    def frame(self, stream: Stream) -> pl.DataFrame:
        """Quantiles in long form: date (last of the period), target, horizon, quantile, value."""
        names = list(stream.feeds)
        return quantile_frame(
            [stream.day(int(end)) for end in self.ends],
            [names[i] for i in self.feeds],
            self.horizons,
            self.draws,
        )


def quantile_frame(
    days: Sequence[object],
    targets: Sequence[str],
    horizons: Sequence[int] | Int[np.ndarray, " number"],
    draws: Float[np.ndarray, "member number"],
) -> pl.DataFrame:
    """Quantiles of several numbers in long form."""
    count = len(LEVELS)
    values = np.quantile(draws, LEVELS, axis=0) if len(targets) else np.zeros((count, 0))
    return pl.DataFrame(
        {
            "date": pl.Series(np.repeat(np.arange(len(days)), count).tolist(), dtype=pl.Int64),
            "target": np.repeat(np.asarray(targets, dtype=object), count).tolist(),
            "horizon": np.repeat(np.asarray(horizons, np.int64), count),
            "quantile": list(LEVELS) * len(targets),
            "value": values.T.ravel(),
        },
        schema_overrides={"target": pl.String, "quantile": pl.Float64},
    ).with_columns(pl.Series("date", [day for day in days for _ in LEVELS], dtype=pl.Date))


def look_ahead(
    runs: Runs,
    members: Members,
    rows: Rows,
    stream: Stream,
    known: Mapping[int, Sequence[Datum]],
    week: int,
    ahead: int,
) -> Outlook:
    """What will be reported of incomplete periods, and of those that end in the weeks ahead.

    Members go on as they are, with the luck that they have in the next weeks.
    """
    parts = [_incomplete(runs, rows, stream, known, week)]
    last = week * stream.update - 1
    for later in range(week + 1, week + ahead + 1):
        members, rows = runs.advance(members, later)
        first = (later - 1) * stream.update
        numbers, expected = [], []
        for place, (name, feed) in enumerate(stream.feeds.items()):
            phase = stream.phase(name, week)
            for end in range(first, first + stream.update):
                if (end - phase) % feed.window == 0:
                    passed = (last - phase) // feed.window
                    numbers.append((place, end, (end - phase) // feed.window - passed))
                    expected.append(_read(runs, feed, rows, end, later))
        parts.append(_gather(runs, stream, numbers, expected, f"reports of {later} from {week}"))
    return Outlook(
        np.concatenate([part.feeds for part in parts]),
        np.concatenate([part.ends for part in parts]),
        np.concatenate([part.horizons for part in parts]),
        np.concatenate([part.draws for part in parts], axis=1),
    )


def _read(runs: Runs, feed: Feed, rows: Rows, end: int, week: int) -> np.ndarray:
    """What members expect to be reported of a period in the end."""
    seen = rows[feed.observable]
    weights = feed.functional(end, feed.shares(end, FAR), runs.first_row(week), seen.shape[1])
    return feed.read(seen, weights[None])[:, 0]


def _gather(runs: Runs, stream: Stream, numbers: list, expected: list, purpose: str) -> Outlook:
    feeds, ends, horizons = np.array(numbers, int).reshape(-1, 3).T
    members = runs.setting.particles
    means = np.stack(expected, axis=1) if expected else np.zeros((members, 0))
    of_each = [list(stream.feeds.values())[i] for i in feeds]
    return Outlook(feeds, ends, horizons, draw_reports(of_each, means, runs.words, purpose))


def _incomplete(
    runs: Runs, rows: Rows, stream: Stream, known: Mapping[int, Sequence[Datum]], week: int
) -> Outlook:
    """Periods that have ended, of which more will be reported."""
    last = week * stream.update - 1
    reported = {(one.feed, one.end): one for data in known.values() for one in data}
    rng = generator_for(runs.words[None], f"incomplete reports in week {week}")
    numbers, draws = [], []
    for place, (name, feed) in enumerate(stream.feeds.items()):
        phase = stream.phase(name, week)
        newest = last - (last - phase) % feed.window
        for back in range(1 + (len(feed.delay) - 1) // feed.window):
            end = newest - back * feed.window
            if end - feed.window + 1 < 0 or min(feed.shares(end, last)) >= 1:
                break
            whole = _read(runs, feed, rows, end, week)
            numbers.append((place, end, -back))
            datum = reported.get((name, end))
            if datum is None or not isinstance(feed.noise, NegativeBinomial | Poisson):
                purpose = f"all of {name} to {end} in {week}"
                draws.append(draw_reports([feed], whole[:, None], runs.words, purpose)[:, 0])
            else:
                draws.append(_complete(runs, feed, rows, datum, whole, week, rng))
    feeds, ends, horizons = np.array(numbers, int).reshape(-1, 3).T
    members = runs.setting.particles
    return Outlook(
        feeds, ends, horizons, np.stack(draws, axis=1) if draws else np.zeros((members, 0))
    )


def _complete(
    runs: Runs,
    feed: Feed,
    rows: Rows,
    datum: Datum,
    whole: np.ndarray,
    week: int,
    rng: Generator,
) -> np.ndarray:
    """What is known of a period and, given that, what is still to come."""
    seen = rows[feed.observable]
    weights = feed.functional(datum.end, datum.shares, runs.first_row(week), seen.shape[1])
    part = feed.read(seen, weights[None])[:, 0]
    rate = np.maximum(whole - part, 0.0)
    if isinstance(feed.noise, NegativeBinomial):
        # Its gamma-distributed mean is shared by what is known and what is to come.
        k = feed.noise.dispersion
        rate = rate * rng.gamma(k + datum.value, 1 / (k + part))
    return datum.value + rng.poisson(rate)


def now(rows: Rows, names: Sequence[str]) -> Float[np.ndarray, "member observable"]:
    """Observables of each member in the last row."""
    return np.stack([np.asarray(rows[name][:, -1], np.float64) for name in names], axis=1)


def pick_rows(rows: Rows, chosen: Int[np.ndarray, " member"]) -> Rows:
    """The rows of some members."""
    return jax.tree.map(lambda x: x[chosen], rows)

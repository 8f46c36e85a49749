"""COVID-19 in New York City: transmission, fatality and reporting from weekly counts by borough.

python -m calibration.new_york_covid --out DIR                  fit the first 30 weeks
python -m calibration.new_york_covid --data FILE --weeks 40     further weeks or boroughs
python -m calibration.new_york_covid --table DAILY --to FILE    make such a file from daily counts

All five boroughs are simulated (`scenarios/covid.py`) by a sample of the city's people; those that
the file has are fitted. Reproduction by knot, hazard by borough, fatality and the reported share
are free; hospital admissions by age are as published, for a factor on them could not be told from
the reported share. DIR holds the journal, from which an interrupted fit resumes, and the result.

The file has a row per week and borough: week (its first day), borough, cases, admissions, deaths;
an empty cell is missing. The one that comes along is `calibration/data/new_york_covid.csv`.
"""

import argparse
import os
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import jax
import numpy as np
import polars as pl
from scipy import stats

import lpm
from lpm.analysis.picture import COLOURS, INK, SMALL, Picture, make_plain
from lpm.fitting import Fit, NegativeBinomial, Normal, Series, together
from lpm.fitting.losses import Together
from lpm.population import Population, new_york
from scenarios.covid import Params, smooth as scenario

TABLE = Path(__file__).parent / "data" / "new_york_covid.csv"
BOROUGHS = ("Bronx", "Brooklyn", "Manhattan", "Queens", "Staten Island")
TARGETS = ("cases", "admissions", "deaths")
FIELDS = ("reproduction", "relative", "seeded", "lethality", "reported")
# Days from infection to each report, mean and standard deviation of a gamma law: incubation of 5
# (Lauer et al. 2020), then 4 to a test, 6 to admission, 16 to death (Linton et al. 2020), rounded.
DELAYS = {"cases": (9.0, 4.0), "admissions": (11.0, 5.0), "deaths": (21.0, 9.0)}
# Of single weeks of a borough, about a smooth course: some 15 to 20 per cent.
DISPERSION = {"cases": 25.0, "admissions": 50.0, "deaths": 30.0}
UNFITTED = 2  # First weeks, whose patients were infected before the simulation begins.
_KNOTS = np.array([0, 8, 15, 22, 30, 42, 60, 85, 110, 140, 175, 210], np.float32)
# Schools and offices closed between 15 and 22 March 2020; elsewhere transmission drifts.
_DRIFT = np.array([1, 0.5, 0.5, 1, 0.5, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3], np.float32)
_REPORTED = ([18, 42, 95, 180], [0.08, 0.08, 0.25, 0.4])  # Days, and shares to begin from.
_STAGES = ([45, 95], [1.0, 0.6])


@dataclass(frozen=True, eq=False)
class Weekly:
    """Counts by target, [week, borough], nan where missing, and the first day of the first week."""

    counts: dict[str, np.ndarray]
    start: date

    @property
    def weeks(self) -> int:
        """How many."""
        return len(self.counts["cases"])

    def until(self, weeks: int, since: int = 0) -> "Weekly":
        """The same weeks, with only those from `since` to before `weeks` known."""
        kept = {}
        for name, table in self.counts.items():
            kept[name] = np.where(
                ((np.arange(len(table)) >= since) & (np.arange(len(table)) < weeks))[:, None],
                table,
                np.nan,
            )
        return Weekly(kept, self.start)

    def first(self, weeks: int) -> "Weekly":
        """The first weeks alone."""
        return Weekly({name: table[:weeks] for name, table in self.counts.items()}, self.start)


def read(path: Path = TABLE) -> Weekly:
    """The weeks of a file.

    Raises:
        DataError: a column or week is missing, a borough is unknown or twice in a week, or a
            count is negative.
    """
    frame = pl.read_csv(path, schema_overrides={"week": pl.String})
    wanted = ("week", "borough", *TARGETS)
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise lpm.DataError(f"{path} has no column {missing}; it needs {list(wanted)}")
    strange = sorted(set(frame["borough"]) - set(BOROUGHS))
    if strange:
        raise lpm.DataError(f"{path} has boroughs {strange}; New York has {list(BOROUGHS)}")
    days = frame["week"].str.to_date(strict=False)
    if days.null_count() or frame.select("week", "borough").is_duplicated().any():
        raise lpm.DataError(f"{path}: give one row per week (2020-02-29) and borough")
    start = min(days.to_list())
    number = np.array([(day - start).days for day in days.to_list()])
    if (number % 7).any() or len(np.unique(number)) != number.max() // 7 + 1:
        raise lpm.DataError(f"{path}: weeks must follow each other, each seven days on")
    where = [BOROUGHS.index(name) for name in frame["borough"]]
    counts = {}
    for name in TARGETS:
        table = np.full((number.max() // 7 + 1, len(BOROUGHS)), np.nan)
        table[number // 7, where] = frame[name].cast(pl.Float64).to_numpy()
        if (table < 0).any():
            raise lpm.DataError(f"{path}: {name} has a negative count")
        counts[name] = table
    return Weekly(counts, start)


def make_table(daily: Path) -> pl.DataFrame:
    """Whole weeks from daily counts, of the boroughs in the file alone."""
    frame = pl.read_csv(daily, try_parse_dates=True)
    start = frame["date"].min()
    week = (pl.col("date") - pl.lit(start)).dt.total_days() // 7
    names = {"cases": "case_count", "admissions": "hospitalized_count", "deaths": "death_count"}
    return (
        frame.group_by(week.alias("number"), "borough")
        .agg(pl.len(), *(pl.col(old).sum().alias(new) for new, old in names.items()))
        .filter(pl.col("len") == 7)
        .with_columns((pl.lit(start) + pl.duration(days=7 * pl.col("number"))).alias("week"))
        .sort("week", "borough")
        .select("week", "borough", *TARGETS)
    )


def delay(target: str, longest: int = 60) -> tuple[float, ...]:
    """Share reported so many days after infection."""
    mean, sd = DELAYS[target]
    law = stats.gamma((mean / sd) ** 2, scale=sd**2 / mean)
    shares = np.diff(law.cdf(np.arange(longest + 1)))
    return tuple((shares / shares.sum()).tolist())


def losses(data: Weekly, beliefs: tuple[str, ...] = ("changes", "differences")) -> Together:
    """The published series, and what is believed before them of how transmission moves."""
    series = [
        Series(
            name,
            data.counts[name],
            noise=NegativeBinomial(DISPERSION[name]),
            window=7,
            delay=delay(name),
            background=1.0,
        )
        for name in TARGETS
    ]
    # Boroughs differ in their hazard by a fifth or so, and the city's knots drift.
    sizes = {"changes": len(_KNOTS) - 1, "differences": len(BOROUGHS)}
    spread = {"changes": 1.0, "differences": 0.2}
    for name in beliefs:
        none = np.zeros((1, sizes[name]))
        series.append(Series(name, none, noise=Normal(spread[name]), background=0.0))
    return together(*series)


def start_params(data: Weekly, population: Population) -> Params:
    """Where a fit begins: reproduction numbers that give about the admissions seen.

    Infections are admissions of the fitted boroughs, moved back by the mean delay and divided by
    the share admitted; a few runs say how the scenario's growth answers to its reproduction number.
    """
    params = scenario.params.replace(
        reproduction=np.ones(len(_KNOTS)), knots=_KNOTS, drift=_DRIFT, seeded=5e-3,
        stages=np.array(_STAGES[0]), lethality=np.array(_STAGES[1]),
        moments=np.array(_REPORTED[0]), reported=np.array(_REPORTED[1]),
    )  # fmt: skip
    seen = data.counts["admissions"]
    fitted = np.isfinite(seen).any(axis=0)
    people = np.asarray(params.people, float)
    share = np.nansum(seen, axis=1)[UNFITTED:] / people[fitted].sum() / 7
    centre = 7 * np.arange(UNFITTED, data.weeks) + 3.5 - DELAYS["admissions"][0]
    days, reproduction = np.arange(7 * data.weeks), np.linspace(3, 1, len(_KNOTS))
    for _ in range(8):
        now = params.replace(reproduction=reproduction)
        run = lpm.simulate(
            scenario, population, key=0, params=now, steps=len(days), progress=False, devices=1
        )
        made = np.asarray(run.observed["infections"], float).sum(axis=1) / people.sum()
        admitted = np.asarray(run.observed["admissions"], float).sum(axis=1) / people.sum()
        wanted = np.log((share + 1e-8) * made.sum() / admitted.sum())
        wanted = np.exp(np.interp(days, centre, wanted))
        params = params.replace(seeded=float(np.clip(6 * wanted[0], 1e-4, 0.05)))
        ratio = _growth(wanted) / _growth(made)
        reproduction = np.clip(np.interp(_KNOTS, days, ratio) ** 0.6 * reproduction, 0.5, 5)
    return params.replace(reproduction=reproduction)


def _growth(infections: np.ndarray) -> np.ndarray:
    """Infections by those of a week before, per susceptible, over two weeks: as reproduction is."""
    smooth = np.convolve(np.pad(infections, 7, mode="edge"), np.ones(15) / 15, mode="valid")
    smooth = np.maximum(smooth, 1e-7)
    before = np.r_[np.full(5, smooth[0]), smooth[:-5]]
    return smooth / before / np.maximum(1 - np.cumsum(infections), 0.05)


def fit(
    data: Weekly,
    *,
    agents: int = 10_000,
    keys: int = 1,
    budget: int = 600,
    out: str | None = None,
    params: Params | None = None,
) -> Fit:
    """Transmission, fatality and reporting that explain the weeks."""
    city = new_york(agents)
    return lpm.calibrate(
        scenario,
        city,
        losses(data.until(data.weeks, since=UNFITTED)),
        keys=jax.random.split(jax.random.key(0), keys),
        fields=FIELDS,
        params=start_params(data, city) if params is None else params,
        steps=7 * data.weeks,
        budget=budget,
        starts=1,
        out=out,
    )


def plot_fit(found: Fit, data: Weekly) -> Picture:
    """Observed and expected weeks, by target and borough."""
    rows = found.residuals()
    shown = [i for i in range(len(BOROUGHS)) if np.isfinite(data.counts["admissions"][:, i]).any()]
    picture = Picture(figsize=(9, 5.4), layout="constrained")
    grid = picture.subplots(len(TARGETS), len(shown), sharex=True, squeeze=False)
    days = [data.start + timedelta(days=7 * week) for week in range(data.weeks)]
    for line, target in zip(grid, TARGETS, strict=True):
        for ax, borough in zip(line, shown, strict=True):
            one = rows.filter((pl.col("series") == target) & (pl.col("class") == borough))
            one = one.sort("period")
            ax.fill_between(days, one["low"], one["high"], color=COLOURS[0], alpha=0.2, lw=0)
            ax.plot(days, one["expected"], color=COLOURS[0], lw=1.4)
            ax.plot(days, one["observed"].to_numpy(), "o", color=INK, ms=2)
            make_plain(ax, small=True)
            ax.tick_params(axis="x", rotation=45)
            if ax in grid[0]:
                ax.set_title(BOROUGHS[borough], fontsize=SMALL, color=INK)
        line[0].set_ylabel(f"{target} a week", fontsize=SMALL, color=INK)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=TABLE, help="weekly counts by borough")
    parser.add_argument("--weeks", type=int, default=30, help="first weeks of the file to fit")
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=1, help="runs at each point")
    parser.add_argument("--budget", type=int, default=600, help="runs in all")
    parser.add_argument("--out", help="folder for journal, result and figure; resumes from it")
    parser.add_argument("--table", type=Path, help="daily counts to add up to weeks, and no fit")
    parser.add_argument("--to", type=Path, help="where to write them")
    arguments = parser.parse_args()
    if arguments.table is not None:
        if arguments.to is None or os.path.exists(arguments.to):
            raise SystemExit("name a new file by --to")
        make_table(arguments.table).write_csv(arguments.to)
        return
    data = read(arguments.data).first(arguments.weeks)
    found = fit(
        data,
        agents=arguments.agents,
        keys=arguments.keys,
        budget=arguments.budget,
        out=arguments.out,
    )
    print(found)
    if arguments.out:
        (Path(arguments.out) / "fit.png").write_bytes(plot_fit(found, data).png())


if __name__ == "__main__":
    main()

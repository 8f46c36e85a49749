"""Numbers by state for `scenarios/covid_economy.py`, and the weight of health they reveal.

python -m calibration.covid_economy               what the shipped table says, in the scenario
python -m calibration.covid_economy --data DIR    fit again, and write the table

From 22 March to 27 December 2020, ten periods of 28 days, before vaccines. Stringency is the mean
of Oxford's index in each. Transmission (level, slope, share infected at the start) is fitted to the
weekly confirmed deaths of a state by least squares of square roots, through the very equations of
the scenario, in double precision. Unemployment is fitted to the fall in employment of the cities of
the Economic Tracker: weights of either sign on five time constants that are ours, held back a
little; employment that falls by one per cent counts as a point of unemployment, as if whoever
leaves work were unemployed. States without such a city have the weights of all cities together.
Unemployment before is taken as 3.5 %.

What it is not: deaths that were not confirmed do not count, a straight line of one index is all
that moves transmission, and with 2 % dying, infections are what confirmed deaths over 0.02 are.
"""

import argparse
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import optimize

import lpm
from lpm.economics import revealed_tradeoff
from scenarios.covid_economy import scenario

TABLE = Path(__file__).parent / "data" / "covid_economy.csv"
START, PERIODS, PERIOD, LAG = date(2020, 3, 22), 10, 28, 29
DAYS = PERIODS * PERIOD
CONSTANTS = np.array([10.0, 30.0, 90.0, 270.0, 810.0])
HELD = 0.01  # per weight: a penalty that keeps weights of much the same filters from parting
BEFORE = 3.5  # per cent unemployed before, assumed
FATALITY, INFECTIOUS = 0.02, 14.0
FITTED = ("intercept", "slope", "seeded")
WEIGHTS = tuple(f"filter_{k}" for k in range(1, 6))
LEVELS = tuple(f"stringency_{k}" for k in range(1, PERIODS + 1))


@dataclass(frozen=True)
class Observed:
    """What is known of a state.

    Attributes:
        early: mean stringency from a lag before the start to the start, in [0, 1].
        stringency: mean of each period.
        deaths: confirmed in each week.
        fallen: employment below January's, in per cent, of weeks with data.
        weeks: last day of those weeks, counted from the start.
    """

    state: str
    people: float
    early: float
    stringency: Float[np.ndarray, " period"]
    deaths: Float[np.ndarray, " week"]
    fallen: Float[np.ndarray, " seen"]
    weeks: Float[np.ndarray, " seen"]


def read(folder: Path) -> list[Observed]:
    """All states, from the folders named in calibration/data/README.md."""
    policy = pl.read_parquet(folder / "oxcgrt_us_policy" / "state_daily.parquet")
    people = pl.read_csv(folder / "flusight_admissions" / "locations.csv")
    held = dict(zip(people["abbreviation"], people["population"], strict=True))
    jobs = read_jobs(folder / "oi_economic_tracker")
    found = []
    for code in sorted(policy["region_code"].unique()):
        state, daily = code.removeprefix("US_"), policy.filter(pl.col("region_code") == code)
        daily = daily.sort("date").fill_null(strategy="forward")
        dates = daily["date"].to_list()
        first = dates.index(START)
        level = daily["stringency_index"].to_numpy().astype(float) / 100
        dead = daily["confirmed_deaths"].fill_null(0).to_numpy().astype(float)
        weekly = dead[first - 1 : first + DAYS : 7]
        found.append(
            Observed(
                state,
                float(held[state]),
                float(level[first - LAG : first].mean()),
                level[first : first + DAYS].reshape(PERIODS, PERIOD).mean(axis=1),
                # Corrections downwards are not deaths.
                np.maximum(np.diff(weekly), 0),
                *jobs.get(state, (np.zeros(0), np.zeros(0))),
            )
        )
    return found


def read_jobs(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Fall of employment in per cent, and its days, by state: the mean of its cities by people."""
    cities = pl.read_csv(folder / "city_ids.csv")
    weeks = pl.read_parquet(folder / "employment_city_weekly.parquet").join(cities, on="cityid")
    weeks = weeks.with_columns(date=pl.date("year", "month", "day_endofweek"))
    last = START + timedelta(days=DAYS)
    weeks = weeks.filter(pl.col("date").is_between(START, last, closed="left"))
    weeks = weeks.filter(pl.col("emp").is_not_null())
    mean = (pl.col("emp") * pl.col("city_pop2019")).sum() / pl.col("city_pop2019").sum()
    table = weeks.group_by("stateabbrev", "date").agg(fallen=-100 * mean).sort("date")
    return {
        str(name): (
            part["fallen"].to_numpy(),
            np.array([(day - START).days for day in part["date"]], float),
        )
        for (name,), part in table.group_by("stateabbrev", maintain_order=True)
    }


def deaths_of(x: np.ndarray, of: Observed) -> Float[np.ndarray, " week"]:
    """Deaths of each week by the equations of the scenario: level, slope, log of share infected."""
    infected = np.exp(x[2])
    susceptible, dead, found = 1 - infected, 0.0, [0.0]
    for t in range(DAYS):
        then = t - LAG
        level = of.early if then < 0 else of.stringency[then // PERIOD]
        hazard = max(x[0] + x[1] * level, 0.0) * infected
        new, ending = -susceptible * np.expm1(-hazard), infected / INFECTIOUS
        susceptible, infected = susceptible - new, infected + new - ending
        dead += FATALITY * ending
        if t % 7 == 6:
            found.append(dead)
    return np.diff(found) * of.people


def fit_transmission(of: Observed) -> tuple[np.ndarray, float]:
    """Level, slope and share infected, and the share of the variance of roots that they explain."""
    seen = np.sqrt(of.deaths)
    low, high = [0.0, -2.0, np.log(1e-7)], [2.0, 2.0, np.log(0.2)]

    def misses(x: np.ndarray) -> np.ndarray:
        return np.sqrt(deaths_of(x, of)) - seen

    best = None
    for level, slope in ((0.15, -0.1), (0.25, -0.25), (0.1, 0.0)):
        start = np.array([level, slope, np.log(1e-4)])
        found = optimize.least_squares(misses, start, bounds=(low, high), x_scale=[0.1, 0.1, 1])
        best = found if best is None or found.cost < best.cost else best
    assert best is not None
    explained = 1 - 2 * best.cost / max(((seen - seen.mean()) ** 2).sum(), 1e-30)
    return np.array([best.x[0], best.x[1], np.exp(best.x[2])]), float(explained)


def filtered(of: Observed) -> Float[np.ndarray, "seen filter"]:
    """Filtered changes of stringency on the days with employment."""
    steps = np.diff(np.concatenate([[of.early], of.stringency]))
    ages = of.weeks[:, None] - PERIOD * np.arange(PERIODS)
    past = np.exp(-np.maximum(ages, 0)[:, :, None] / CONSTANTS) * (ages >= 0)[:, :, None]
    return np.einsum("p,wpk->wk", steps, past)


def fit_unemployment(of: list[Observed]) -> tuple[np.ndarray, float]:
    """Weights of the filters for these states together, and the share of variance explained."""
    by, fallen = np.concatenate([filtered(x) for x in of]), np.concatenate([x.fallen for x in of])

    def misses(w: np.ndarray) -> np.ndarray:
        return np.logaddexp(0, by @ w) - np.log(2) - fallen

    found = optimize.least_squares(
        lambda w: np.concatenate([misses(w), HELD * w]), np.array([0.0, 4.0, 4.0, 4.0, 20.0])
    )
    left, spread = (misses(found.x) ** 2).sum(), ((fallen - fallen.mean()) ** 2).sum()
    return found.x, float(1 - left / spread)


def fit(states: list[Observed]) -> pl.DataFrame:
    """A row per state."""
    together, _ = fit_unemployment([x for x in states if x.fallen.size])
    rows = []
    for of in states:
        moved, deaths = fit_transmission(of)
        own = of.fallen.size > 0
        weights, jobs = fit_unemployment([of]) if own else (together, float("nan"))
        rows.append(
            {"state": of.state, "people": of.people, "early": of.early}
            | dict(zip(FITTED, moved, strict=True))
            | {"deaths_explained": deaths, "jobs_explained": jobs if own else None}
            | dict(zip(WEIGHTS, weights, strict=True))
            | dict(zip(LEVELS, of.stringency, strict=True))
        )
    return pl.DataFrame(rows)


def states_of(table: pl.DataFrame) -> tuple[lpm.Scenario, lpm.Population]:
    """The scenario with the states of a table for its regions, and a row of people for each."""
    params = scenario.params.replace(
        stringency=table.select(LEVELS).to_numpy().T,
        subsidy=np.zeros(6),
        filters=table.select(WEIGHTS).to_numpy().T,
        level=np.full(table.height, BEFORE - np.log(2)),
        early=table["early"].to_numpy(),
        governor=np.full(table.height, 0.5),
        constants=CONSTANTS,
        **{name: table[name].to_numpy() for name in FITTED},
    )
    people = lpm.Population(
        {"region": np.arange(table.height), "people": table["people"].to_numpy()},
        provenance=("calibration/data/README.md: covid_economy.csv",),
    )
    fitted = scenario.replace(
        params=params, steps=DAYS, baseline={}, population=lambda *_, **__: people
    )
    return fitted, people


def slopes_of(table: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """How health and the economy of each state move with its stringency, [period, state]."""
    fitted, people = states_of(table)

    def outcome(stringency: jax.Array, name: str) -> jax.Array:
        params = fitted.params.replace(stringency=stringency)
        run = lpm.simulate(fitted, people, key=0, params=params, devices=1)
        return run.observed[name][-1].sum()  # A state moves with its own schedule alone.

    at = jnp.asarray(fitted.params.stringency)
    slope = jax.jit(jax.grad(outcome), static_argnums=1)
    return np.asarray(slope(at, "health")), np.asarray(slope(at, "economy"))


def reveal(table: pl.DataFrame) -> pl.DataFrame:
    """The weight of health under which each state's schedule is nearest to its best."""
    health, economy = slopes_of(table)
    # What is done in the last period saves nobody before the end, and is not judged.
    free = np.broadcast_to(np.arange(PERIODS)[:, None] < PERIODS - 2, health.shape)
    found = [revealed_tradeoff(health[:, r], economy[:, r], free[:, r]) for r in range(len(table))]
    return table.select("state").with_columns(
        weight=np.array([x.weight for x in found]), misfit=np.array([x.misfit for x in found])
    )


def tell(table: pl.DataFrame) -> None:
    """Print what the table says, and what the scenario makes of it."""
    fitted, people = states_of(table)
    run = lpm.simulate(fitted, people, key=0, devices=1)
    dead = np.asarray(run.observed["dead"])[-1]
    print(f"deaths by the scenario to day {DAYS}: {dead.sum():,.0f} in {table.height} states")
    print(f"slopes below 0: {(table['slope'] < 0).sum()} of {table.height}")
    reproduction = INFECTIOUS * table["intercept"]
    quarters = [float(reproduction.quantile(q) or 0) for q in (0.25, 0.5, 0.75)]
    print("infections by one without measures, quartiles:", np.round(quarters, 2))
    for name in ("deaths_explained", "jobs_explained"):
        print(
            f"{name}, median of states: {table[name].median():.3f}, least {table[name].min():.3f}"
        )
    print(f"states with employment: {table['jobs_explained'].drop_nulls().len()}")
    found = reveal(table)
    told = found.filter(pl.col("weight").is_not_nan())
    near = told.filter(pl.col("misfit") < 0.5)
    for name, some in (("opposed", told), ("misfit below 0.5", near)):
        if some.height:
            low, middle, high = (some["weight"].quantile(q) for q in (0.0, 0.5, 1.0))
            print(
                f"weight of health, {some.height} states {name}: {low:.4f} {middle:.4f} {high:.4f}"
            )
    print(found.sort("misfit").head(5), f"median misfit {found['misfit'].median():.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of the public files; fits again")
    arguments = parser.parse_args()
    if arguments.data:
        table = fit(read(arguments.data))
        numbers = [name for name, kind in table.schema.items() if kind == pl.Float64]
        table.with_columns(pl.col(numbers).round_sig_figs(5)).write_csv(TABLE)
    tell(pl.read_csv(TABLE))


if __name__ == "__main__":
    main()

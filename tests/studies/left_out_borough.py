"""Three boroughs of New York, and then the fourth: a network against persistence on hospital data.

Weekly admissions with COVID-19 of four boroughs from August 2020 to April 2021. A network learns
the weekly reproduction number from the state's policies and from mobility in three of them; the
fourth is predicted from its population and covariates alone. Run with

    python -m tests.studies.left_out_borough --data ../shared/data --out tests/studies

The data stay where they are: NYC Health (admissions, populations), the Oxford COVID-19 Government
Response Tracker (CC BY 4.0), and Google's mobility by neighbourhood as AgentTorch gathered it.
"""

import argparse
import datetime
import json
import platform
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

import lpm
from lpm import Array, Float, Scalar
from lpm.fitting import NegativeBinomial, RegionalFit, Series, calibrate_regions
from lpm.provenance import commit

FIRST, WEEKS = datetime.date(2020, 8, 8), 37  # Weeks end on Saturdays; the tracker ends in April.
AGENTS = 40_000
ADMITTED = 0.03  # Admissions for each infection.
IMMUNE = 0.25  # Infected in the first wave, by serology.
COUNTIES = {
    "Brooklyn": "Kings County",
    "Manhattan": "New York County",
    "Queens": "Queens County",
    "Staten Island": "Richmond County",
}
POLICIES = ("stringency_index", "c1_school_closing", "c2_workplace_closing")
MOBILITY = ("retail_and_recreation_change_week", "workplaces_change_week")


class Params(lpm.Params):
    """What moves an epidemic whose generations are weeks."""

    R: Float[Array, " week"] = lpm.parameter(np.full(WEEKS, 1.1), within=(0, 6))
    seeded: Scalar = lpm.parameter(1e-3, within=(0, 0.05), unit="share of agents")
    immune: Scalar = lpm.constant(IMMUNE, unit="share of agents")


class State(lpm.State):
    """Who can be infected, and who was in the last week."""

    everyone: lpm.Mixing
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    infectious: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def init(population, params, draw):
    """Some are immune, few infectious."""
    infectious = draw.bernoulli(params.seeded, "agent")
    immune = draw.bernoulli(params.immune, "agent")
    return State.of(
        population,
        everyone=lpm.Mixing(jnp.where(population.alive, 0, -1), [[1.0]]),
        susceptible=(1 - infectious) * (1 - immune),
        infectious=infectious,
    )


def spread(state, params, draw):
    """A week: those infected in the last one infect, and recover."""
    contacts = [(state.everyone, params.R[state.t], state.infectious)]
    infected = lpm.infections(draw, state.susceptible, contacts)
    return state.replace(susceptible=state.susceptible - infected, infectious=infected)


def observe(state, params):
    """New infections of the week."""
    return {"infections": lpm.count(state.infectious)}


scenario = lpm.Scenario(init, (spread,), observe, Params(), steps=WEEKS, unit="week")


def read_weeks(data: Path) -> tuple[dict[str, np.ndarray], dict[str, float], np.ndarray]:
    """Admissions by borough and week, people by borough, and covariates."""
    ends = [FIRST + datetime.timedelta(weeks=w) for w in range(WEEKS)]
    daily = pl.read_csv(data / "nyc_covid_boroughs/daily_by_borough.csv", try_parse_dates=True)
    people = pl.read_csv(data / "nyc_covid_boroughs/modzcta_population.csv")
    counts = dict(people.group_by("BOROUGH_GROUP").agg(pl.col("POP_DENOMINATOR").sum()).iter_rows())
    tracker = pl.read_parquet(data / "oxcgrt_us_policy/state_daily.parquet")
    state = tracker.filter(pl.col("region_code") == "US_NY").sort("date")
    state = state.filter(pl.col("jurisdiction") == "STATE_TOTAL")
    mobility = pl.read_csv(data / "nyc_nta_covid_mobility/nta_weekly.csv")
    mobility = mobility.with_columns(pl.col("date").str.to_date("%Y/%m/%d"))
    city = mobility.group_by("date").agg(pl.col(MOBILITY).mean()).sort("date")
    admissions, rows = {}, []
    for borough, county in COUNTIES.items():
        here = daily.filter(pl.col("borough") == borough)
        local = mobility.filter(pl.col("county") == county)
        local = local.group_by("date").agg(pl.col(MOBILITY).mean()).sort("date")
        local = local if local.height else city
        target, week = [], []
        for end in ends:
            days = pl.col("date").is_between(end - datetime.timedelta(days=6), end)
            target.append(float(here.filter(days)["hospitalized_count"].sum()))
            # Admissions follow infections by about a week, and those follow what people do.
            early = pl.col("date").is_between(
                end - datetime.timedelta(days=13), end - datetime.timedelta(days=7)
            )
            policy = state.filter(early).select(POLICIES).mean().row(0)
            moves = local.filter(pl.col("date") <= end).tail(1)
            week.append([*policy, *moves.select(MOBILITY).row(0)])
        admissions[borough] = np.array(target)
        rows.append(week)
    return admissions, {k: float(v) for k, v in counts.items()}, np.array(rows, float)


def run(data: Path, left_out: str, *, budget: int, members: int, out: Path | None) -> RegionalFit:
    """The fit to three boroughs, which predicts the fourth."""
    admissions, people, covariates = read_weeks(data)
    town = lpm.Population.toy(AGENTS)
    series = [
        Series(
            "infections",
            admissions[borough] * AGENTS / people[borough] / ADMITTED,
            noise=NegativeBinomial(20.0),
            background=0.5,
        )
        for borough in COUNTIES
    ]
    return calibrate_regions(
        scenario,
        town,
        series,
        covariates,
        keys=jax.random.split(jax.random.key(20), 2),
        regions=tuple(COUNTIES),
        labels=(*POLICIES, *MOBILITY),
        left_out=left_out,
        members=members,
        budget=budget,
        horizons=(12,),
        out=out,
    )


def summarise(fit: RegionalFit, left_out: str) -> dict:
    """The verdict on the borough left out: a lower score is hoped for, and 80 to 97 % inside."""
    table = fit.table.filter(pl.col("left_out"))
    rows = {row["fit"]: row for row in table.to_dicts()}
    mine, stays = rows["network"], rows["persistence"]
    return {
        "left_out": left_out,
        "score": mine["score"],
        "score_of_persistence": stays["score"],
        "inside_90": mine["inside"],
        "better_than_persistence": bool(mine["score"] < stays["score"]),
        "covered": bool(0.80 <= mine["inside"] <= 0.97),
        "table": fit.table.to_dicts(),
        "contests": [str(x) for x in fit.contests],
        "notes": list(fit.notes),
        "runs": fit.runs,
    }


def main() -> None:
    """Run for the boroughs named, and write what came of it."""
    parser = argparse.ArgumentParser(description="Three boroughs, and then the fourth.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--left-out", nargs="*", default=list(COUNTIES), choices=list(COUNTIES))
    parser.add_argument("--budget", type=int, default=6000)
    parser.add_argument("--members", type=int, default=3)
    chosen = parser.parse_args()
    path = chosen.out / "left_out_borough.json"
    if path.exists():
        raise SystemExit(f"{path} is there already; move it first")
    found = []
    for borough in chosen.left_out:
        fit = run(chosen.data, borough, budget=chosen.budget, members=chosen.members, out=None)
        print(fit, flush=True)
        found.append(summarise(fit, borough))
    about = {
        "commit": commit(),
        "key": 20,
        "machine": f"{platform.machine()}, {jax.devices()[0].device_kind} x 1",
        "budget": chosen.budget,
        "members": chosen.members,
        "units": "infections among 40,000 agents",
        "boroughs": found,
    }
    path.write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()

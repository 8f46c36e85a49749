"""A season watched as it goes on: influenza in a town, from late and revised reports.

python calibration/nowcast.py --out A                     a made-up season, filed week by week
python calibration/nowcast.py --out A --weeks 10          and more of it: goes on from the last week
python calibration/nowcast.py --reports DIR --start 2026-09-28 --out B         your own reports

`scenarios/winter.py` is the town. Each week three series come in: daily hospital admissions, dated
by the day of admission and known only after some days; a fortnightly survey of who is infectious;
and weekly counts of the vaccinated. Hazards in schools and among friends are learnt from them, the
second while it changes. DIR holds CSV files with the columns series (admissions, survey, doses),
date, value and as_of. A is given the reports, a table of parameters, nowcasts and forecasts as
quantiles, in the columns that `lpm.analysis` scores, and what an interrupted watch needs to go on.
"""

import argparse
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpyro.distributions as dist
import polars as pl

import lpm
from lpm import Scalar
from lpm.fitting import BetaBinomial, Feed, NegativeBinomial, Normal, Stream, assimilate
from scenarios import winter

START = date(2026, 9, 28)
DELAY = (0.25, 0.3, 0.2, 0.1, 0.1, 0.05)  # share of admissions known 0, 1, ... days later
SWABS = 400
FEEDS = {
    "admissions": Feed("admitted", NegativeBinomial(20.0), over="rise", delay=DELAY),
    "survey": Feed("prevalence", BetaBinomial(float(SWABS)), window=14, over="last"),
    "doses": Feed("vaccinated", Normal(0.01), window=7, over="last"),
}
TRUTH = {"school": 0.016, "friends": 0.016}


class Params(winter.Params):
    """The town's, with what is thought of two hazards before the season: to within half or so."""

    school: Scalar = lpm.parameter(
        0.012, within=(0, 5), unit="1/contact/day", prior=dist.LogNormal(np.log(0.012), 0.5)
    )
    friends: Scalar = lpm.parameter(
        0.012, within=(0, 5), unit="1/contact/day", prior=dist.LogNormal(np.log(0.012), 0.5)
    )


scenario = winter.scenario.replace(params=Params())


def made_up_reports(town: lpm.Population, days: int, key: int) -> pl.DataFrame:
    """What would have been filed of a season with other hazards, by the day it was known."""
    season = lpm.simulate(scenario, town, key=key, params=scenario.params.replace(**TRUTH))
    rng = np.random.default_rng(key)  # noqa: TID251 - reports from outside the model
    admitted = np.diff(np.asarray(season.observed["admitted"]), prepend=0).round().astype(int)
    rows = []
    for day in range(days):
        when = START + timedelta(days=day)
        came = rng.multinomial(admitted[day], DELAY).cumsum()
        for age in range(len(DELAY)):
            rows.append(("admissions", when, float(came[age]), when + timedelta(days=age)))
        if day % 14 == 13:
            found = rng.binomial(SWABS, float(season.observed["prevalence"][day]))
            rows.append(("survey", when, float(found), when))
        if day % 7 == 6:
            share = float(season.observed["vaccinated"][day]) + 0.01 * rng.normal()
            rows.append(("doses", when, max(share, 0.0), when + timedelta(days=3)))
    names = ["series", "date", "value", "as_of"]
    last = START + timedelta(days=days - 1)
    return pl.DataFrame(rows, schema=names, orient="row").filter(pl.col("as_of") <= last)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reports", help="a folder of your own; else a season is made up")
    parser.add_argument("--start", type=date.fromisoformat, default=START, help="its first day")
    parser.add_argument("--weeks", type=int, default=8, help="of the made-up season")
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--agents", type=int, default=2000)
    parser.add_argument("--ahead", type=int, default=3, help="weeks of forecasts")
    parser.add_argument("--key", type=int, default=1)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    town = scenario.population(arguments.agents, seed=0)
    folder = Path(arguments.out)
    reports = arguments.reports
    if reports is None:
        reports = made_up_reports(town, 7 * arguments.weeks, key=1000 + arguments.key)
    found = assimilate(
        scenario,
        town,
        Stream(reports, FEEDS, start=arguments.start),
        fields=["school", "friends"],
        walk={"friends": 0.1},
        members=arguments.members,
        ahead=arguments.ahead,
        key=arguments.key,
        out=folder / "watch",
    )
    print(found)
    print(found.diagnostics)
    for name in ("table", "nowcasts", "forecasts", "diagnostics"):
        getattr(found, name).write_csv(folder / f"{name}-{len(found):02d}.csv")


if __name__ == "__main__":
    main()

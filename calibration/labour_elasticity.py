"""The elasticity of hours in `scenarios/labour_tax.py`, from taxes and hours of seven countries.

python -m calibration.labour_elasticity                  what each kind of data says
python -m calibration.labour_elasticity --recovery 20    what comes back from made-up data

In the model everybody works (1 - tax) ** elasticity of the hours of a world without the tax. So
only hours under different taxes tell the elasticity, and only if what else moved hours is known:

- the same countries before and after a change of taxes: the hours of each without the tax may be
  what they are; told is how hours changed where taxes did (`within`);
- different countries at one time: told only if all would work alike without taxes (`across`);
- a place whose taxes did not change: nothing. More hours without the tax and a stronger answer to
  it are the same (`one place`). For the same reason hours by wage under one flat tax, such as in a
  survey, say nothing in this model; and under a graduated one, people who differ in wage differ in
  taste as well.

The data (calibration/data/README.md) are of whole economies: hours per person of 15 to 64, whether
because fewer work or because they work less. What is found is the answer of hours in the long run
on both margins, everything that changed beside the tax included; it is no response of one person.
Beside it: Chetty, Guren, Manoli & Weber (2011), NBER working paper 16729, find 0.3 for how long and
0.25 for whether people work in quasi-experiments. The scenario's default is 0.3.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

import lpm
from lpm import Array, Draw, Float, Int, Population, Scalar
from lpm.fitting import Fit, Normal, Series
from scenarios import labour_tax

TABLE = Path(__file__).parent / "data" / "labour_elasticity.csv"
COLUMNS = ("country", "period", "tax_rate", "hours")
PEOPLE = 200  # Everybody answers alike, so that few people say it all.


class Params(lpm.Params):
    elasticity: Scalar = lpm.parameter(0.3, within=(0.05, 3), unit="of hours")
    untaxed: Scalar = lpm.parameter(30.0, within=(5, 120), unit="hours/week without the tax")
    habit: Float[Array, " country"] = lpm.parameter([1.0], within=(0.2, 5), unit="of untaxed")
    tax_rate: Float[Array, " case"] = lpm.constant([0.3], unit="share of income")
    place: Int[Array, " case"] = lpm.constant([0])


class State(labour_tax.State):
    untaxed: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="EUR/year")


def init(population: Population, params: Params, draw: Draw) -> State:
    start = labour_tax.init(population, labour_tax.Params(), draw)
    parts = {name: getattr(start, name) for name in ("home", "age", "skill")}
    return State.of(population, **parts, disposable=0, wealth=0, untaxed=0)


def earn(state: State, params: Params, draw: Draw) -> State:
    """A case is a step: the scenario's own rule under the case's tax, and under none."""
    tax = params.tax_rate[state.t]
    rule = labour_tax.Params().replace(elasticity=params.elasticity, tax_rate=tax, skill_shock=0.0)
    taxed = labour_tax.earn(state, rule, draw)
    free = labour_tax.earn(state, rule.replace(tax_rate=0.0), draw)
    return state.replace(disposable=taxed.disposable, untaxed=free.disposable)


def observe(state: State, params: Params) -> dict[str, Scalar]:
    # The tax is handed back to all, so that the mean disposable income is the mean income.
    worked = jnp.sum(state.disposable) / jnp.sum(state.untaxed)
    case = jnp.maximum(state.t - 1, 0)
    return {"hours": params.untaxed * params.habit[params.place[case]] * worked}


scenario = lpm.Scenario(init, (earn,), observe, Params(), steps=1, unit="case")


@dataclass(frozen=True)
class Reading:
    """What one kind of data says.

    Attributes:
        fit: its errors are for a noise of one hour.
        noise: standard deviation of hours about the fit, after which the errors are scaled.
        told: false where no elasticity comes out.
    """

    name: str
    cases: int
    fit: Fit
    noise: float
    told: bool

    @property
    def elasticity(self) -> tuple[float, float]:
        """Estimate and standard error."""
        row = self.fit.table.row(0, named=True)
        return row["estimate"], row["standard_error"] * self.noise


def read(path: Path = TABLE) -> pl.DataFrame:
    """A row per country and period.

    Raises:
        DataError: a column is missing, or a number that is no tax rate or no hours of a week.
    """
    frame = pl.read_csv(path)
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise lpm.DataError(f"{path} has no columns {missing}; it has {frame.columns}")
    for name, low, high in (("tax_rate", 0, 1), ("hours", 0, 168)):
        values = frame[name].cast(pl.Float64).to_numpy()
        bad = np.flatnonzero(~((values > low) & (values < high)))
        if bad.size:
            raise lpm.DataError(
                f"{path}, column {name}, row {bad[0] + 2}: {values[bad[0]]} is not between {low} "
                f"and {high}"
            )
    return frame


def params_of(frame: pl.DataFrame, **changes: Any) -> Params:
    """Params whose cases are the rows of a table."""
    places = frame["country"].unique(maintain_order=True).to_list()
    return Params().replace(
        habit=np.ones(len(places)),
        tax_rate=frame["tax_rate"].to_numpy(),
        place=np.array([places.index(name) for name in frame["country"]]),
        **changes,
    )


def fit(frame: pl.DataFrame, fields: Sequence[str], name: str, budget: int = 600) -> Reading:
    """Least squares of hours."""
    found = lpm.calibrate(
        scenario.replace(params=params_of(frame), steps=frame.height),
        lpm.Population.toy(PEOPLE),
        Series("hours", frame["hours"].to_numpy(), noise=Normal(1.0)),
        keys=[0, 1],
        fields=fields,
        budget=budget,
    )
    assert found.curvature is not None
    misses = found.residuals()["residual"].to_numpy()
    values = np.sort(found.curvature.eigenvalues)
    free = frame.height - len(values)
    noise = float(np.sqrt((misses**2).sum() / free)) if free > 0 else float("nan")
    told = bool(values[0] > 1e-3 * values[-1])
    return Reading(name, frame.height, found, noise, told)


def readings(frame: pl.DataFrame) -> list[Reading]:
    """The same question to different parts of the data."""
    late = frame.filter(pl.col("period") == frame["period"][0])
    level = ("elasticity", "untaxed")
    own = ("elasticity", "habit")
    return [
        fit(frame, own, "within countries", budget=1500),
        fit(frame.filter(pl.col("country") != "Italy"), own, "within, but Italy", budget=1500),
        fit(frame, level, "within and across"),
        fit(late, level, f"across, {late['period'][0]}"),
        fit(frame.filter(pl.col("country") == "United States"), level, "one place, same tax"),
    ]


def recover(
    frame: pl.DataFrame, truths: int, noise: float, seed: int = 0, budget: int = 1500
) -> pl.DataFrame:
    """Hours made up under known elasticities, with noise, and what `within` says of them."""
    keys = jax.random.split(jax.random.key(seed), truths)
    town = lpm.Population.toy(PEOPLE)
    rows = []
    for i, key in enumerate(keys):
        truth = 0.1 + 0.9 * (i + 0.5) / truths
        params = params_of(frame, elasticity=truth)
        run = lpm.simulate(scenario, town, key=0, params=params, steps=frame.height)
        errors = noise * np.asarray(jax.random.normal(key, (frame.height,)))
        hours = np.asarray(run.observed["hours"], np.float64) + errors
        made = frame.with_columns(hours=hours)
        value, error = fit(made, ("elasticity", "habit"), "made up", budget).elasticity
        rows.append({"truth": truth, "estimate": value, "standard_error": error})
    frame = pl.DataFrame(rows)
    return frame.with_columns(z=(pl.col("estimate") - pl.col("truth")) / pl.col("standard_error"))


def tell(found: Sequence[Reading]) -> None:
    """Print what each part of the data says."""
    print(f"{'':<22}{'cases':>6}{'elasticity':>20}{'noise, hours':>14}")
    for one in found:
        value, error = one.elasticity
        said = f"{value:.2f} ({error:.2f})" if one.told else "not told"
        print(f"{one.name:<22}{one.cases:>6}{said:>20}{one.noise:>14.2f}")
        for sentence in () if one.told else one.fit.trade_offs:
            print(f"    {sentence}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=TABLE, help="a file of the same form")
    parser.add_argument("--recovery", type=int, metavar="N", help="made-up data sets to fit")
    parser.add_argument("--noise", type=float, default=1.5, help="of made-up hours")
    arguments = parser.parse_args()
    frame = read(arguments.data)
    if not arguments.recovery:
        tell(readings(frame))
        return
    found = recover(frame, arguments.recovery, arguments.noise)
    print(found)
    inside = float((found["z"].abs() < 1.96).mean())  # pyright: ignore[reportArgumentType]
    print(f"{inside:.0%} of {found.height} truths within 1.96 standard errors")


if __name__ == "__main__":
    main()

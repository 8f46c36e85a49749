"""Influenza in a boarding school, January 1978: transmission and recovery from boys in bed.

The 763 boys mix fully; a boy is in bed while he is infectious. `least_squares` fits the equations
of Kermack & McKendrick (1927) by a large school and a short step; solving and fitting them by other
code gives transmission 1.79 and recovery 0.456 a day. `stochastic` fits the epidemic of 763 boys.

The counts are those of the British Medical Journal of 4 March 1978, page 587, as a file with the
columns `date` and `in_bed`, one row a day: `python calibration/boarding_school.py --data FILE`.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

import lpm
from lpm import Array, Draw, Float, Population, Scalar
from lpm.fitting import Fit, NegativeBinomial, Normal, Series

BOYS = 763
FINE = 24  # Steps a day for the equations; coarse ones show in the third digit.
LARGE = 64  # Times the school, for the equations: its luck is an eighth.


class Params(lpm.Params):
    transmission: Scalar = lpm.parameter(1.0, within=(0, 10), unit="1/day")
    recovery: Scalar = lpm.parameter(0.3, within=(0.01, 3), unit="1/day")
    first: Scalar = lpm.parameter(2.0, within=(0, 40), unit="boys in bed at the start")
    day: Scalar = lpm.constant(1.0, unit="day/step")


class State(lpm.State):
    school: lpm.Mixing
    susceptible: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    in_bed: Float[Array, " agent"] = lpm.variable(within=(0, 1))


def init(population: Population, params: Params, draw: Draw) -> State:
    in_bed = draw.bernoulli(params.first / BOYS, "agent")
    school = lpm.Mixing(jnp.where(population.alive, 0, -1), [[1.0]])
    return State.of(population, school=school, susceptible=1 - in_bed, in_bed=in_bed)


def spread(state: State, params: Params, draw: Draw) -> State:
    contacts = [(state.school, params.transmission * params.day, state.in_bed)]
    infected = lpm.infections(draw, state.susceptible, contacts)
    recovered = draw.bernoulli(state.in_bed * -jnp.expm1(-params.recovery * params.day))
    return state.replace(
        susceptible=state.susceptible - infected, in_bed=state.in_bed + infected - recovered
    )


def observe(state: State, params: Params) -> dict[str, Scalar]:
    return {"in_bed": BOYS * lpm.share(state.in_bed, state.alive)}


scenario = lpm.Scenario(init, (spread,), observe, Params(), steps=13, unit="day")


def read(path: Path) -> np.ndarray:
    """Boys in bed by day.

    Raises:
        DataError: the file lacks the column or has other numbers than counts of boys.
    """
    frame = pl.read_csv(path)
    if "in_bed" not in frame.columns:
        raise lpm.DataError(f"{path} has no column 'in_bed'; it has {frame.columns}")
    counts = frame["in_bed"].cast(pl.Float64).to_numpy()
    if not ((counts >= 0) & (counts <= BOYS)).all():
        raise lpm.DataError(f"{path}: in_bed must be counts from 0 to {BOYS}")
    return counts


def least_squares(counts: np.ndarray, budget: int = 300) -> Fit:
    """The equations, as a school so large that its luck is small, fitted by least squares."""
    series = Series("in_bed", counts[1:], noise=Normal(10.0))
    fine = scenario.replace(
        params=Params().replace(day=1 / FINE, first=3.0), steps=FINE * (len(counts) - 1)
    )
    return lpm.calibrate(
        fine,
        lpm.Population.toy(LARGE * BOYS),
        series,
        keys=[0],
        budget=budget,
        every=FINE,
        combine="mean",
    )


def stochastic(counts: np.ndarray, runs: int = 16, budget: int = 2000) -> Fit:
    """The epidemic of 763 boys: its luck is in the errors."""
    series = Series("in_bed", counts[1:], noise=NegativeBinomial(200.0))
    keys = jax.random.split(jax.random.key(0), runs)
    return lpm.calibrate(
        scenario.replace(params=Params().replace(first=3.0), steps=len(counts) - 1),
        lpm.Population.toy(BOYS),
        series,
        keys=keys,
        budget=budget,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="CSV with date and in_bed")
    counts = read(parser.parse_args().data)
    print(least_squares(counts))
    print(stochastic(counts))


if __name__ == "__main__":
    main()

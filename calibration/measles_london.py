"""Measles in London, 1950 to 1963: the likelihood at the published estimates, and a search for it.

python calibration/measles_london.py --data DIR likelihood --particles 5000 --filters 4 --out A
python calibration/measles_london.py --data DIR search --out B    a quarter of an hour or two

Model and estimates: He, Ionides & King (2010), J. R. Soc. Interface 7, 271; the log-likelihood that
belongs to them is -3804.9 (standard error 0.16). The search starts a fifth away. Its parameters
step every week, and steps of 730 weeks add up to 27 times one: with 0.02 a single pass forgets
where it came from, and a hundred end 17 below, on a ridge of R0 above 100.

DIR, or the environment variable LPM_DATA, is the folder that holds `measles_uk_prevaccine`:
cases_by_town.csv (weekly from 7 January 1944), pop_by_town.csv and births_by_town.csv (yearly from
1944) and published_mles.csv.
"""

import argparse
import csv
import json
import os
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import make_smoothing_spline

import lpm
from lpm.fitting.filtering import particle_filter
from lpm.fitting.iterated import iterated_filtering
from scenarios.measles import Params, calendar, scenario

PUBLISHED = -3804.9
FIELDS = (
    "R0", "sigma", "gamma", "alpha", "iota", "rho", "psi", "sigma_se", "cohort", "amplitude",
    "S_0", "E_0", "I_0",
)  # fmt: skip
INITIAL = ("S_0", "E_0", "I_0")
_FIRST, _LAST = date(1950, 1, 6), date(1963, 12, 27)
_DELAY = 4  # years from birth to school
# The week to 26 August 1955 is 0 in the file, between 82 and 58; the paper's series has 76.
_MENDED = (date(1955, 8, 26), 76.0)


@dataclass(frozen=True, eq=False)
class Reported:
    """Weekly reports: a normal of the scenario's mean and variance, rounded and held at 0."""

    target: np.ndarray
    observables: tuple[str, ...] = ("reports", "variance")
    window: int = 1
    first: int = 0

    def expected(self, rows: dict[str, jax.Array]) -> jax.Array:
        """Mean of the week's reports."""
        return rows["reports"][0]

    def log_density(self, rows: dict[str, jax.Array], target: jax.Array) -> jax.Array:
        """Log-probability of the week's reports."""
        mean, sd = rows["reports"][0], jnp.sqrt(rows["variance"][0]) + 1e-6
        # On the side where both tails are small their difference keeps its digits.
        side = jnp.where(target > mean, -1.0, 1.0)
        ends = [side * (target + half - mean) / sd for half in (-0.5, 0.5)]
        below, above = (
            jax.scipy.stats.norm.cdf(z) for z in (jnp.minimum(*ends), jnp.maximum(*ends))
        )
        at_zero = jax.scipy.stats.norm.cdf((0.5 - mean) / sd)
        # The paper's least density, which bounds what a single week can say.
        return jnp.log(jnp.where(target > 0, above - below, at_zero) + 1e-18)


def find_data(folder: str | None) -> Path:
    """The folder of the files.

    Raises:
        lpm.DataError: says what is wanted.
    """
    given = folder or os.environ.get("LPM_DATA")
    path = Path(given or ".") / "measles_uk_prevaccine"
    if not given or not (path / "cases_by_town.csv").is_file():
        raise lpm.DataError(
            "the study needs measles_uk_prevaccine/cases_by_town.csv, pop_by_town.csv, "
            "births_by_town.csv and published_mles.csv; name the folder that holds "
            f"measles_uk_prevaccine by --data or LPM_DATA (looked in {path})"
        )
    return path


def load(folder: str | None, town: str = "London", mended: bool = True) -> tuple[Params, Reported]:
    """The published params of a town with its schedules, and its weekly reports."""
    path = find_data(folder)
    cases = _column(path / "cases_by_town.csv", town)
    weeks = [(when - date(1944, 1, 7)).days // 7 for when in (_FIRST, _LAST, _MENDED[0])]
    if mended and town == "London":
        cases[weeks[2]] = _MENDED[1]
    target = cases[weeks[0] : weeks[1] + 1]
    days = 7 * len(target)
    start = 1950 + ((_FIRST - date(1950, 1, 1)).days - 7) / 365.25
    time_of = start + np.arange(days) / 365.25
    years = 1944.0 + np.arange(21)
    people = make_smoothing_spline(years, _column(path / "pop_by_town.csv", town))
    births = make_smoothing_spline(years + 0.5, _column(path / "births_by_town.csv", town))
    term, entry = calendar(start, days)
    with (path / "published_mles.csv").open(encoding="utf-8") as lines:
        row = next(r for r in csv.DictReader(lines) if r["town"] == town)
    names = {"sigma_se": "sigmaSE"}
    values = {name: float(row[names.get(name, name)]) for name in (*FIELDS, "R_0", "mu")}
    schedules = {"people": people(time_of), "births": births(time_of - _DELAY)}
    return (
        scenario.params.replace(**values, **schedules, term=term, entry=entry),
        Reported(target.astype(np.float64)),
    )


def _column(path: Path, town: str) -> np.ndarray:
    with path.open(encoding="utf-8") as lines:
        return np.array([float(row[town]) for row in csv.DictReader(lines)])


def filters(params: lpm.Params, reports: Reported, particles: int, keys: range) -> dict[str, Any]:
    """Log-likelihood of several filters, and of their mean likelihood with its standard error."""
    town, began, found = lpm.Population.toy(1), time.monotonic(), []
    for key in keys:
        one = particle_filter(
            scenario, town, reports, particles=particles, key=key, params=params, every=7
        )
        found.append(one.log_likelihood)
    each = np.asarray(found)
    share = np.exp(each - each.max())
    spread = share.std(ddof=1) / np.sqrt(len(share)) if len(share) > 1 else np.nan
    return {
        "log_likelihood": float(each.max() + np.log(share.mean())),
        "standard_error": float(spread / share.mean()),
        "each": found,
        "particles": particles,
        "seconds": time.monotonic() - began,
    }


def search(params: Params, reports: Reported, arguments: argparse.Namespace) -> dict[str, Any]:
    """Iterated filtering from estimates moved by about a fifth, and filters where it ends."""
    began, shift = time.monotonic(), {}
    signs = np.where(np.random.default_rng(arguments.key).random(len(FIELDS)) < 0.5, -1, 1)  # noqa: TID251 - where a search starts
    for name, sign in zip(FIELDS, signs, strict=True):
        # Mixing hardly varies, and a fifth of it would change transmission tenfold.
        factor = 1 + sign * (0.02 if name == "alpha" else arguments.away)
        shift[name] = float(getattr(params, name)) * factor
    start = params.replace(**shift)
    town = lpm.Population.toy(1)
    # Those of the start move once an iteration, the others every week.
    spreads = {n: arguments.spread * (3 if n in INITIAL else 1) for n in FIELDS}
    found = iterated_filtering(
        scenario, town, reports, fields=FIELDS, initial=INITIAL, iterations=arguments.iterations,
        particles=arguments.swarm, key=arguments.key, params=start, every=7,
        spread=spreads, cooling=arguments.cooling,
    )  # fmt: skip
    searched = time.monotonic() - began
    keys = range(arguments.filters)
    return {
        "start": shift,
        "started_at": filters(start, reports, arguments.particles, keys),
        "found": {name: float(getattr(found.params, name)) for name in FIELDS},
        "ended_at": filters(found.params, reports, arguments.particles, keys),
        "perturbed_log_likelihoods": found.log_likelihoods.tolist(),
        "trace": {name: x.tolist() for name, x in found.trace.items()},
        "seconds_of_search": searched,
    }


def write(folder: str, result: dict[str, Any]) -> None:
    """A new folder with the result, all or nothing."""
    target = Path(folder)
    if target.exists():
        raise SystemExit(f"{target} exists already; give the name of a new folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    (scratch / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    scratch.chmod(0o755)
    scratch.rename(target)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["likelihood", "search"])
    parser.add_argument("--data", help="folder that holds measles_uk_prevaccine; else LPM_DATA")
    parser.add_argument("--town", default="London")
    parser.add_argument("--as-filed", action="store_true", help="keep the 0 of 26 August 1955")
    parser.add_argument("--particles", type=int, default=5000)
    parser.add_argument("--filters", type=int, default=4)
    parser.add_argument("--key", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=100, help="of iterated filtering")
    parser.add_argument("--swarm", type=int, default=2000, help="its particles")
    parser.add_argument("--spread", type=float, default=0.005, help="of its steps")
    parser.add_argument("--cooling", type=float, default=0.3, help="left after 50 iterations")
    parser.add_argument("--away", type=float, default=0.2, help="how far off it starts")
    parser.add_argument("--out", required=True, help="a new folder for result.json")
    arguments = parser.parse_args()
    params, reports = load(arguments.data, arguments.town, not arguments.as_filed)
    if arguments.what == "search":
        result = search(params, reports, arguments)
    else:
        result = filters(params, reports, arguments.particles, range(arguments.filters))
        result["published"] = PUBLISHED if arguments.town == "London" else None
    write(arguments.out, {"town": arguments.town, "as_filed": arguments.as_filed, **result})
    print(json.dumps({k: v for k, v in result.items() if k != "trace"}, indent=1))


if __name__ == "__main__":
    main()

"""`check_coverage`: whether intervals of a posterior hold the truth as often as they say."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, TypeAlias, final

import jax
import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.stats import binom, kstest

from ..errors import FittingError
from ..params import Params, html_table
from ..population import Population
from ..provenance import describe_run, package_version, source_hash
from ..scenario import Scenario
from ..simulation import simulate
from ..trajectory import Trajectory
from .chance import fresh_words, generator_for
from .evidence import Evidence, LogLikelihood, as_key, run_each
from .journal import Journal, write
from .objective import Objective, Points
from .posterior import check_request, infer
from .request import choose_fields, settle
from .runs import check_loss
from .space import Space

LEVELS = (0.5, 0.8, 0.9, 0.95)
_JUDGED, _ALLOWED = 0.9, 0.01  # The level that is judged, and how often a right one may fail.
# From a run and a key to the likelihood of data simulated from it.
SimulateData: TypeAlias = Callable[[Trajectory, Any], LogLikelihood]


@final
@dataclass(frozen=True)
class Coverage:
    """Where truths drawn from the priors lie in the posteriors of their own data.

    Attributes:
        ranks: share of the posterior's draws below the truth, [truth, element]; uniform where the
            posterior is right.
        labels: names of the elements.
        about: what was checked, as plain JSON values.
    """

    ranks: Float[np.ndarray, "truth element"]
    labels: tuple[str, ...]
    about: dict[str, Any]

    @property
    def coverage(self) -> pl.DataFrame:
        """A row per element and level.

        Columns: element, level, covered (share of truths inside the central interval), low and
        high (between which a right posterior's share lies with 99 %, binomial), and
        uniform: the p-value of a Kolmogorov-Smirnov test of the ranks.
        """
        rows = []
        for j, label in enumerate(self.labels):
            ranks = self.ranks[:, j]
            test = float(kstest(ranks, "uniform").pvalue)
            for level in LEVELS:
                low, high = self._band(level, _ALLOWED)
                inside = float((np.abs(ranks - 0.5) <= level / 2).mean())
                row = {"element": label, "level": level, "covered": inside}
                rows.append(row | {"low": low, "high": high, "uniform": test})
        return pl.DataFrame(rows)

    @property
    def passed(self) -> bool:
        """Whether 90 % intervals and ranks are within what luck allows, for every element.

        A right posterior fails at most once in fifty times: 1 % for the intervals and 1 % for the
        ranks, shared out among the elements.
        """
        allowed = _ALLOWED / len(self.labels)
        low, high = self._band(_JUDGED, allowed)
        judged = self.coverage.filter(pl.col("level") == _JUDGED)
        covered, uniform = judged["covered"].to_numpy(), judged["uniform"].to_numpy()
        inside = (covered >= low - 1e-9) & (covered <= high + 1e-9)
        return bool((inside & (uniform > allowed)).all())

    def _band(self, level: float, allowed: float) -> tuple[float, float]:
        truths = len(self.ranks)
        low, high = binom.ppf([allowed / 2, 1 - allowed / 2], truths, level) / truths
        return float(low), float(high)

    def save(self, folder: str | Path) -> Path:
        """Write the certificate, coverage.json, into the folder of a fit."""
        folder = Path(folder)
        text = json.dumps(
            {
                **self.about,
                "passed": self.passed,
                "coverage": self.coverage.to_dicts(),
                "ranks": self.ranks.tolist(),
            },
            indent=2,
        )
        write(folder / "coverage.json", lambda file: file.write(text.encode()))
        return folder

    def __str__(self) -> str:
        head = (
            f"Coverage of {self.about.get('method')} for {self.about.get('scenario')} over "
            f"{len(self.ranks)} truths: {'passes' if self.passed else 'FAILS'}."
        )
        judged = self.coverage.filter(pl.col("level") == _JUDGED).to_dicts()
        return "\n".join(
            [head]
            + [
                f"  {row['element']}: 90 % intervals cover {row['covered']:.0%} "
                f"({row['low']:.0%} to {row['high']:.0%} by luck), ranks uniform with "
                f"p = {row['uniform']:.2g}"
                for row in judged
            ]
        )

    def _repr_html_(self) -> str:
        head = escape(str(self).splitlines()[0])
        return f"<p>{head}</p>{html_table(self.coverage.to_dicts())}"


def check_coverage(
    scenario: Scenario[Any, Any],
    population: Population,
    log_likelihood: LogLikelihood,
    *,
    keys: Any,
    truths: int = 100,
    method: str = "ensemble",
    budget: int = 300,
    simulate_data: SimulateData | None = None,
    fields: Sequence[str] | None = None,
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    out: str | Path | None = None,
    **choices: Any,
) -> Coverage:
    """Draw truths from the priors, simulate their data, infer them, and see how often it is right.

    Every truth has a world of its own for its data, and other worlds for its posterior.

    Args:
        scenario: what is run.
        population: who it happens to.
        log_likelihood: as for `lpm.posterior`; of a series only the shape matters, what is missing
            and the noise, which is added to the simulated data.
        keys: as many worlds for each truth's posterior as there are keys.
        truths: how many; 100 tell 90 % from below 82 % or above 97 %.
        method: as for `lpm.posterior`.
        budget: runs for each truth.
        simulate_data: for a plain function, from a run and a JAX key to the log-likelihood of data
            simulated from it.
        fields, params, steps, every: as for `lpm.posterior`.
        out: folder for the certificate coverage.json, and journals to resume from.
        choices: further ones of the method.

    Raises:
        FittingError: as `lpm.posterior`; or a plain function without `simulate_data`.
        ScenarioError: as `lpm.posterior`.
    """
    params, steps, words = settle(scenario, keys, params, steps, every)
    space = Space(params, choose_fields(params, "parameter", fields))
    evidence = Evidence(log_likelihood)
    check_request(space, evidence, method, budget, len(words))
    check_loss(scenario, population, log_likelihood, words, params, steps, every)
    if truths < 10:
        raise FittingError(f"truths = {truths}; give at least 10, and 100 to tell anything")
    rng = generator_for(words, "truths")
    points = space.quantiles(rng.uniform(size=(truths, space.size)))
    about = describe_run(scenario, population, params, words, steps, every, "stop")
    first = Objective(
        scenario, (population,), evidence.readings, words, space, steps, every, Journal(None, {})
    )
    laws = _simulate(first, evidence, points, simulate_data)
    drawn = []
    for number, law in enumerate(laws):
        folder = None if out is None else Path(out) / "truths" / f"{number:04d}"
        journal = Journal(folder, {"truth": number, "method": method, "budget": budget})
        other = fresh_words(words, len(words) * truths, "posteriors")
        some = other[number * len(words) : (number + 1) * len(words)]
        objective = Objective(
            scenario, (population,), law.readings, some, space, steps, every, journal
        )
        drawn.append(infer(objective, law, method, budget, **choices).points)
    said = {name: about[name] for name in ("scenario", "scenario_sha256", "started", "device")}
    said |= {"method": method, "budget": budget, "truths": truths, "lpm": package_version()}
    found = certify(points, drawn, space, said | {"source": source_hash(scenario)})
    if out is not None:
        found.save(out)
    return found


def certify(
    truths: Float[np.ndarray, "truth element"],
    drawn: Sequence[Float[np.ndarray, "draw element"]],
    space: Space,
    about: dict[str, Any],
) -> Coverage:
    """Coverage of posteriors, draws of each, at the truths behind their data.

    Source: Talts et al. (2018), arXiv 1804.06788, for the ranks.
    """
    ranks = np.stack([(some < z).mean(axis=0) for z, some in zip(truths, drawn, strict=True)])
    return Coverage(ranks, tuple(space.labels), about)


def _simulate(
    objective: Objective, evidence: Evidence, points: Points, simulate_data: SimulateData | None
) -> list[Evidence]:
    """Evidence simulated at each truth."""
    if simulate_data is None:
        evidence.need_data("check_coverage without simulate_data")
        means = run_each(objective, points, "truths")
        bad = np.flatnonzero(~np.isfinite(means).all(axis=1))
        if bad.size:
            place = dict(
                zip(objective.space.labels, objective.space.flat(points)[bad[0]], strict=True)
            )
            raise FittingError(f"the scenario fails at {place}, drawn from the priors; narrow them")
        data = evidence.replicate(as_key(objective.words, "data"), means, 1)[:, 0]
        return [evidence.with_data(one) for one in data]
    keys = jax.random.split(as_key(objective.words, "data"), (len(points), 2))
    laws = []
    for z, (first, second) in zip(points, keys, strict=True):
        run = simulate(
            objective.scenario,
            objective.populations[0],
            key=first,
            params=objective.space.at(z),
            steps=objective.steps,
            every=objective.every,
            progress=False,
        )
        laws.append(Evidence(simulate_data(run, second)))
    return laws

"""`posterior`: what the data leave open of the parameters, as draws."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any, final

import jax
import numpy as np
import polars as pl
from jaxtyping import Array, Float, Key
from scipy.stats import qmc

from ..errors import FittingError
from ..params import Params, html_table
from ..population import Population
from ..provenance import describe_run, identity, source_hash
from ..scenario import Scenario
from ..simulation import ensemble
from ..trajectory import Trajectory
from .amortised import Amortised, infer_amortised
from .averaging import Average, choose_average
from .ensemble_posterior import infer_ensemble, least_budget
from .evidence import Evidence, LogLikelihood
from .journal import Journal, write
from .losses import Series, Together
from .objective import Objective
from .request import choose_fields, settle
from .runs import check_loss
from .space import Space
from .tempered import infer_tempered
from .variational import infer_variational
from .watching import open_watch

METHODS = ("variational", "smc", "amortised", "ensemble")
_PRIOR = 2**10  # Draws of the priors to compare with.
_SAYS = "posterior.json"


@final
@dataclass(frozen=True)
class Posterior:
    """Draws of the parameters given data, each as likely as the others.

    Attributes:
        scenario, population: what is run, and on whom.
        space: the fields, and the params of all others.
        points: draws on the unconstrained scale.
        method: how they were found.
        runs: simulator runs spent.
        steps, every: horizon and cadence of the runs.
        diagnostics: how far to trust them, by name; see the method.
        notes: what went wrong, in words.
    """

    scenario: Scenario[Any, Any]
    population: Population
    space: Space
    points: Float[np.ndarray, "draw element"]
    method: str
    runs: int
    steps: int
    every: int
    diagnostics: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    amortised: Amortised | None = field(default=None, repr=False)

    def sample(self, key: Key[Array, ""], n: int) -> dict[str, Float[np.ndarray, "draw ..."]]:
        """`n` draws of each field, [draw, *field], within its bounds."""
        pick = np.asarray(jax.random.choice(key, len(self.points), (n,), n > len(self.points)))
        return self.space.place(self.points[pick])

    def summary(self) -> pl.DataFrame:
        """A row per element, in its own units.

        Columns: element, mean, sd, 5 %, 50 %, 95 %, prior_sd, and left: the share of the prior's
        variance that the data leave.
        """
        flat = self.space.flat(self.points)
        levels = qmc.Sobol(self.space.size, scramble=False).random(_PRIOR) + 0.5 / _PRIOR
        prior = self.space.flat(self.space.quantiles(levels)).std(axis=0)
        low, middle, high = np.quantile(flat, [0.05, 0.5, 0.95], axis=0)
        return pl.DataFrame(
            {
                "element": self.space.labels,
                "mean": flat.mean(axis=0),
                "sd": flat.std(axis=0),
                "5 %": low,
                "50 %": middle,
                "95 %": high,
                "prior_sd": prior,
                "left": flat.var(axis=0) / np.maximum(prior**2, 1e-30),
            }
        )

    def predictive(self, *, keys: Any, n: int = 100) -> Trajectory:
        """Runs under `n` draws, evenly spread over all, [variant, run, row, ...]."""
        at = np.linspace(0, len(self.points) - 1, n).astype(int)
        return ensemble(
            self.scenario,
            self.population,
            keys=keys,
            params=self.space.params.replace(**self.space.place(self.points[at])),
            steps=self.steps,
            every=self.every,
            keep_state=False,
        )

    def condition(self, series: Series | Together) -> "Posterior":
        """The posterior given other data of the same shape, without another run.

        Raises:
            FittingError: another method than amortised, or data of another shape.
        """
        if self.amortised is None:
            raise FittingError(f"a posterior by {self.method} is of its data; use 'amortised'")
        levels, about = self.amortised.condition(Evidence(series))
        notes = tuple(about.pop("notes", ()))
        points = self.space.quantiles(levels)
        return replace(self, points=points, diagnostics=about, notes=notes)

    def save(self, folder: str | Path) -> Path:
        """Write draws and a description into a folder; the learnt part of amortised is not kept."""
        folder = Path(folder)
        about = {
            "scenario": self.scenario.name,
            "source": source_hash(self.scenario),
            "fields": list(self.space.fields),
            "method": self.method,
            "runs": self.runs,
            "steps": self.steps,
            "every": self.every,
            "diagnostics": self.diagnostics,
            "notes": list(self.notes),
            "summary": self.summary().to_dicts(),
        }
        write(folder / "draws.npz", lambda file: np.savez(file, points=self.points))
        text = json.dumps(about, indent=2)
        write(folder / _SAYS, lambda file: file.write(text.encode()))
        return folder

    @classmethod
    def load(
        cls,
        folder: str | Path,
        scenario: Scenario[Any, Any],
        population: Population,
        params: Params | None = None,
    ) -> "Posterior":
        """Read back what `save` wrote.

        Raises:
            FittingError: nothing there, or of another scenario.
        """
        path = Path(folder) / _SAYS
        if not path.exists():
            raise FittingError(f"{folder} holds no {_SAYS}; give a folder a posterior was saved to")
        about = json.loads(path.read_text())
        if about["source"] != source_hash(scenario):
            raise FittingError(f"{folder} holds a posterior of another {about['scenario']}")
        with np.load(Path(folder) / "draws.npz") as kept:
            points = kept["points"]
        chosen = scenario.params if params is None else params
        return cls(
            scenario=scenario,
            population=population,
            space=Space(chosen, tuple(about["fields"])),
            points=points,
            notes=tuple(about["notes"]),
            **{name: about[name] for name in ("method", "runs", "steps", "every", "diagnostics")},
        )

    def __str__(self) -> str:
        lines = [f"Posterior of {self.scenario.name} by {self.method} after {self.runs} runs:"]
        lines += [
            f"  {row['element']}: {row['50 %']:.4g} in [{row['5 %']:.4g}, {row['95 %']:.4g}], "
            f"{row['left']:.0%} of the prior's variance left"
            for row in self.summary().to_dicts()
        ]
        lines += [f"  {name}: {_short(value)}" for name, value in self.diagnostics.items()]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        said = "<br>".join(escape(x) for x in (str(self).splitlines()[0], *self.notes))
        return f"<p>{said}</p>{html_table(self.summary().to_dicts())}"


def posterior(
    scenario: Scenario[Any, Any],
    population: Population,
    log_likelihood: LogLikelihood,
    *,
    keys: Any,
    method: str = "variational",
    budget: int = 2000,
    fields: Sequence[str] | None = None,
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    combine: str | Average = "log_mean_exp",
    out: str | Path | None = None,
    progress: bool | None = None,
    step: float = 0.05,
    weight: float = 1.0,
    particles: int | None = None,
) -> Posterior:
    """Draw from the posterior of the parameters of a scenario given data.

    Methods: "ensemble" learns, from runs placed nearer and nearer, the law of summaries of the
    data, and needs the fewest; "amortised" learns the posterior of any data at once; both simulate
    data and so need a `Series`. "smc" and "variational" take the likelihood of the data, averaged
    over the worlds of `keys`, as exact: their answer is right as far as this average is.

    Args:
        scenario: what is run.
        population: who it happens to.
        log_likelihood: a `Series`, several `together`, or a function of the trajectory that gives
            its log-likelihood (not its negative), as a number or by row. A `Series` is taken for
            its `log_likelihood`, and not, as by `lpm.calibrate`, for what it gives when called.
        keys: one world per key; ensemble and amortised take a further one for every run.
        method: variational, smc, amortised or ensemble.
        budget: simulator runs that may be spent.
        fields: of the params; all float parameters by default. Fields without a prior have the one
            of `Space.log_prior`, uniform between two bounds.
        params: values of all other fields, if not the scenario's defaults.
        steps, every: another horizon than the scenario's, and the cadence of rows.
        combine: likelihoods over worlds (smc, variational): log_mean_exp, mean or an average.
        out: folder for a journal to resume from, and for the result.
        progress: a bar; by default where a person looks.
        step: of differences (variational), on the unconstrained scale.
        weight: the log-likelihood is divided by it (variational); above 1, the data count less.
        particles: of smc; by default as many as leave the budget some thirty rounds.

    Raises:
        FittingError: an unknown method, nothing to infer, a method that does not go with this
            likelihood, a budget too small, a folder that holds another fit, or runs that fail.
        ScenarioError: names that are no parameters, or params of another scenario.
    """
    params, steps, words = settle(scenario, keys, params, steps, every)
    names, average = choose_fields(params, "parameter", fields), choose_average(combine)
    space, evidence = Space(params, names), Evidence(log_likelihood)
    check_request(space, evidence, method, budget, len(words))
    check_loss(scenario, population, log_likelihood, words, params, steps, every)
    about = identity(describe_run(scenario, population, params, words, steps, every, "stop")) | {
        "verb": "posterior",
        "fields": list(names),
        "budget": budget,
        "choices": [method, str(average), step, weight, particles],
    }
    objective = Objective(
        scenario, (population,), evidence.readings, words, space, steps, every, Journal(out, about)
    )
    with open_watch(progress, budget, scenario.name) as watch:
        found = infer(
            objective,
            evidence,
            method,
            budget,
            average=average,
            step=step,
            weight=weight,
            particles=particles,
        )
        watch(int(objective.runs), 0.0)
    if out is not None:
        found.save(out)
    return found


def infer(
    objective: Objective,
    evidence: Evidence,
    method: str,
    budget: int,
    *,
    average: Average | None = None,
    step: float = 0.05,
    weight: float = 1.0,
    particles: int | None = None,
) -> Posterior:
    """The posterior by a method, all else being checked; see `posterior`."""
    average = choose_average("log_mean_exp") if average is None else average
    learnt = None
    if method == "smc":
        points, said = infer_tempered(objective, evidence, average, budget, particles)
    elif method == "variational":
        points, said = infer_variational(objective, evidence, average, budget, step, weight)
    elif method == "amortised":
        learnt = infer_amortised(objective, evidence, budget)
        levels, said = learnt.condition(evidence)
        points = objective.space.quantiles(levels)
    else:
        points, said = infer_ensemble(objective, evidence, budget)
    notes = tuple(said.pop("notes", ()))
    return Posterior(
        objective.scenario,
        objective.populations[0],
        objective.space,
        np.asarray(points, np.float64),
        method,
        int(objective.runs),
        objective.steps,
        objective.every,
        said,
        notes,
        learnt,
    )


def check_request(space: Space, evidence: Evidence, method: str, budget: int, worlds: int) -> None:
    """Refuse before a run what cannot succeed.

    Raises:
        FittingError: says what would.
    """
    if method not in METHODS:
        raise FittingError(f"method = {method!r}; it is one of {list(METHODS)}")
    if not space.size:
        raise FittingError(f"fields {list(space.fields)} hold no elements; nothing to infer")
    if method in ("ensemble", "amortised"):
        evidence.need_data(method)
    least = {
        "ensemble": least_budget(space.size),
        "amortised": 100 * space.size,
        "smc": 100 * worlds,
        "variational": 30 * (2 * space.size + 1) * worlds,
    }[method]
    if budget < least:
        raise FittingError(
            f"budget = {budget} runs; {method} needs at least {least} for {space.size} elements"
            + (f" and {worlds} keys" if method in ("smc", "variational") else "")
        )


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

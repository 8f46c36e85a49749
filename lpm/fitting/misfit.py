"""`check_fit`: whether data look like data of the model that was fitted to them."""

from dataclasses import dataclass
from html import escape
from typing import Any, final

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.special import expit

from ..errors import FittingError
from ..params import Params, html_table
from ..population import Population
from ..scenario import Scenario
from .chance import generator_for
from .emulator import learn
from .evidence import Evidence, as_key, run_each
from .journal import Journal
from .losses import Series, Together
from .objective import Objective
from .posterior import Posterior
from .request import choose_fields, settle
from .space import Space

_AROUND = 0.2  # How far parameters are moved about a single fit, on the unconstrained scale.
_FEW = 5  # Known data of a series below which their order says nothing.


@final
@dataclass(frozen=True)
class Misfit:
    """What of the data the fitted model does not explain.

    Attributes:
        table: a row per series and discrepancy. Columns: series, what (size or order), observed,
            expected (median of replicated data), p_value.
        level: how often a right model may ring.
        runs: simulator runs spent.
    """

    table: pl.DataFrame
    level: float
    runs: int

    @property
    def p_values(self) -> dict[str, float]:
        """By series: the smaller of its two, times two."""
        found: dict[str, float] = {}
        for row in self.table.to_dicts():
            name = row["series"]
            found[name] = min(found.get(name, 1.0), self._doubled(row))
        return found

    @property
    def rings(self) -> bool:
        """Whether some p-value is below the level, shared out among all series."""
        return any(p < self.level / len(self.p_values) for p in self.p_values.values())

    @property
    def sentence(self) -> str:
        """Which series are off, and how."""
        said = []
        for row in self.table.to_dicts():
            if self._doubled(row) < self.level / len(self.p_values):
                p, name = row["p_value"], row["series"]
                if row["what"] == "size":
                    said.append(
                        f"{name} misses its data by more than noise and luck do "
                        f"({row['observed']:.3g} instead of {row['expected']:.3g}, p = {p:.2g})"
                    )
                else:
                    side = "the same side" if row["observed"] > row["expected"] else "either side"
                    said.append(
                        f"{name} misses neighbouring periods to {side} "
                        f"({row['observed']:.2g} instead of {row['expected']:.2g}, p = {p:.2g})"
                    )
        if not said:
            return "The data look like data of this model."
        return "The model does not explain the data: " + "; ".join(said) + "."

    def _doubled(self, row: dict[str, Any]) -> float:
        several = (self.table["series"] == row["series"]).sum()
        return min(several * row["p_value"], 1.0)

    def __str__(self) -> str:
        return f"{'RINGS' if self.rings else 'Silent'} after {self.runs} runs. {self.sentence}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>{html_table(self.table.to_dicts())}"


def check_fit(
    scenario: Scenario[Any, Any],
    population: Population,
    series: Series | Together,
    fitted: Posterior | Params,
    *,
    keys: Any,
    runs: int = 400,
    level: float = 0.05,
    fields: Any = None,
    steps: int | None = None,
    every: int = 1,
) -> Misfit:
    """Compare data with data replicated from the fitted model.

    Runs under draws of the posterior, each in a world of its own and with noise added, say how
    data follow the parameters and how they scatter at one place, neighbouring periods together.
    Misses are measured by that scatter after the parameters have been fitted to them, linearly and
    for replicated data too: so a p-value is uniform although the data were fitted before. Two
    discrepancies: the sum of squared misses of a series, and the correlation of misses with those
    of the period before, where misses are taken apart so that luck leaves none.

    Half of the runs learn the scatter, the other half are the replicates; a p-value is at least
    two over the number of runs.

    Args:
        scenario: the model that was fitted.
        population: who it happens to.
        series: the data.
        fitted: a posterior; or params, about which the fields are moved a little.
        keys: worlds are derived from them.
        runs: simulator runs, well over the number of data.
        level: how often a right model may ring.
        fields: that were fitted, where `fitted` is params; all float parameters by default.
        steps, every: another horizon than the scenario's, and the cadence of rows.

    Raises:
        FittingError: a plain function, noise that cannot be sampled, too few runs, or runs that
            fail.

    Source: Gelman, Meng & Stern (1996), Statistica Sinica 6; Robins, van der Vaart & Ventura
    (2000), Journal of the American Statistical Association 95, for p-values that stay uniform.
    """
    params = fitted.space.params if isinstance(fitted, Posterior) else fitted
    params, steps, words = settle(scenario, keys, params, steps, every)
    evidence = Evidence(series)
    evidence.need_data("check_fit")
    known = ~np.isnan(evidence.observed)
    least = int(max(100, 4 * known.sum()))
    if runs < least:
        raise FittingError(f"runs = {runs}; give at least {least} for {int(known.sum())} data")
    if isinstance(fitted, Posterior):
        space = fitted.space
        points = fitted.points[np.linspace(0, len(fitted.points) - 1, runs).astype(int)]
    else:
        space = Space(params, choose_fields(params, "parameter", fields))
        moves = generator_for(words, "around").standard_normal((runs, space.size))
        points = space.start + _AROUND * moves
    objective = Objective(
        scenario, (population,), evidence.readings, words, space, steps, every, Journal(None, {})
    )
    means = run_each(objective, points, "replicates")
    fine = np.isfinite(means).all(axis=1)
    if fine.sum() < runs / 2:
        raise FittingError(f"{int((~fine).sum())} of {runs} runs fail under the fitted model")
    data = np.log1p(evidence.replicate(as_key(words, "replicates"), means[fine], 2)[..., known])
    mixed = generator_for(words, "halves").permutation(len(data))
    half = len(data) // 2
    # Levels between 0 and 1, as far as the logistic function goes, tame what is far out.
    levels = expit(points[fine])
    emulator = learn(levels[mixed[:half]], data[mixed[:half]])
    slope = emulator.slope(levels.mean(axis=0))
    centre = emulator.mean(levels.mean(axis=0)[None])[0]
    replicated = data[mixed[half:], 0] - centre
    observed = np.log1p(evidence.observed[known]) - centre
    table = _table(evidence, known, emulator.scatter, slope, observed, replicated)
    return Misfit(table, level, int(objective.runs))


def _table(
    evidence: Evidence,
    known: np.ndarray,
    scatter: Float[np.ndarray, "datum datum"],
    slope: Float[np.ndarray, "element datum"],
    observed: Float[np.ndarray, " datum"],
    replicated: Float[np.ndarray, "replicate datum"],
) -> pl.DataFrame:
    """Discrepancies of each series, of its data and of replicates."""
    sizes = [np.asarray(one.target).size for one in evidence.series]
    owner = np.repeat(np.arange(len(sizes)), sizes)[known]
    rows: list[dict[str, Any]] = []
    for number, one in enumerate(evidence.series):
        mine = owner == number
        both = np.concatenate([observed[None, mine], replicated[:, mine]])
        white = _whiten(both, scatter[np.ix_(mine, mine)], slope[:, mine])
        squares = (white**2).sum(axis=1)
        rows.append(_row(one.observable, "size", squares, two_sided=False))
        if mine.sum() >= _FEW:
            follow = (white[:, 1:] * white[:, :-1]).sum(axis=1) / np.maximum(squares, 1e-12)
            rows.append(_row(one.observable, "order", follow, two_sided=True))
    return pl.DataFrame(rows)


def _whiten(
    misses: Float[np.ndarray, "case datum"],
    scatter: Float[np.ndarray, "datum datum"],
    slope: Float[np.ndarray, "element datum"],
) -> Float[np.ndarray, "case datum"]:
    """Misses in units of their scatter and unrelated, less what parameters can explain."""
    root = np.linalg.cholesky(scatter)
    white = np.linalg.solve(root, misses.T)
    directions, values, _ = np.linalg.svd(np.linalg.solve(root, slope.T), full_matrices=False)
    told = directions[:, values > 1e-6 * values.max()]
    return (white - told @ (told.T @ white)).T


def _row(series: str, what: str, found: np.ndarray, two_sided: bool) -> dict[str, Any]:
    """The first of `found` is of the data, the others are of replicates."""
    above = (1 + (found[1:] >= found[0]).sum()) / len(found)
    below = (1 + (found[1:] <= found[0]).sum()) / len(found)
    p = min(1.0, 2 * min(above, below)) if two_sided else above
    return {
        "series": series,
        "what": what,
        "observed": float(found[0]),
        "expected": float(np.median(found[1:])),
        "p_value": float(p),
    }

"""What a calibration of regions found: parameters, forecasts, and whether they are worth it."""

import json
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any, final

import jax
import numpy as np
import polars as pl
from jaxtyping import Float

from ..errors import FittingError, unknown
from ..params import Params, html_table
from ..population import Population
from ..provenance import source_hash
from .forecasts import Contest
from .journal import write, write_result
from .predicting import Fitted, newcomer, params_of, predict, schedules
from .regions import Regions, check_covariates

_WEIGHTS, _RESULT = "weights.npz", "result.json"
NETWORK, CONSTANT, PERSISTENCE = "network", "constant", "persistence"


@final
@dataclass(frozen=True)
class RegionalFit:
    """Parameters of regions as a function of covariates, and how good their forecasts are.

    Attributes:
        weeks: that were observed and fitted.
        scores: a row per forecast of the weeks held out: fit, left_out, region, target, step,
            horizon, observed, score (weighted interval score) and inside (its 90 % interval).
        contests: the network against each rival, over the regions that were fitted.
        pieces: of the piecewise constant rival.
        count: free numbers the network is worth.
        history: a row per iteration.
        runs: simulator runs used, shorter ones by their length.
        estimator: of the gradients; none where there was none to trust.
        notes: checks and choices, in words.
    """

    weeks: int
    scores: pl.DataFrame
    contests: tuple[Contest, ...]
    pieces: int
    count: float
    history: pl.DataFrame
    runs: int
    estimator: str
    notes: tuple[str, ...]
    _fitted: Fitted = field(repr=False)
    _regions: Regions = field(repr=False)
    _others: Regions | None = field(repr=False)
    _order: tuple[str, ...] = field(repr=False)

    @property
    def schedules(self) -> pl.DataFrame:
        """Parameters by region and element, over the weeks of the covariates, in their own units.

        Columns: region, element, start, mean, sd over members, low and high (of all members).
        """
        weeks = self._regions.covariates.shape[1]
        parts = [schedules(self._fitted, self._regions, weeks)]
        if self._others is not None:
            parts.append(schedules(self._fitted, self._others, weeks, known=False))
        return pl.concat(parts)

    def params(self, region: str) -> Params:
        """Params of one region, as long as the covariates: what the members give on average.

        Raises:
            FittingError: no such region.
        """
        regions, at, known = self._find(region)
        return params_of(self._fitted, regions, at, regions.covariates.shape[1], known)

    def forecast(self, weeks: int = 4, covariates: Any = None, params: Any = None) -> pl.DataFrame:
        """Quantiles of what will be observed after the last week, in the regions that were fitted.

        Columns: region, target, step (in which the period ends), horizon (1 is the first period
        after the last that was observed), quantile, value.

        Args:
            weeks: how far.
            covariates: [region, week, covariate] from the first week on; those of the fit where
                they reach far enough.
            params: of each region, where fields that are not fitted have to be longer.

        Raises:
            FittingError: covariates end before, or are not finite.
        """
        regions = self._regions
        if covariates is not None:
            given = check_covariates(covariates, regions.names, ())
            self._check_width(given)
            regions = replace(regions, covariates=given)
        if params is not None:
            regions = replace(regions, params=tuple(params))
        if weeks < 1:
            raise FittingError(f"weeks = {weeks}; give 1 or more")
        return predict(self._fitted, regions, self.weeks, self.weeks + weeks)[0]

    def predict(
        self,
        region: str,
        covariates: Any = None,
        population: Population | None = None,
        params: Params | None = None,
    ) -> pl.DataFrame:
        """Quantiles of the data of a region that was not fitted, from the first week on.

        It has the mean of the vectors of the regions that were.

        Args:
            region: one that was left out, or the name of another with the two that follow.
            covariates: [week, covariate].
            population: who lives there.
            params: its own, where they differ from those of the first region.

        Raises:
            FittingError: not left out and no covariates or population, or wrong covariates.
        """
        if covariates is None or population is None:
            others = self._others
            if others is None or region not in others.names:
                known = () if others is None else others.names
                raise FittingError(
                    unknown("the fit", "region left out", [region], known)
                    + "; give its covariates and population"
                )
            one = others.some([others.names.index(region)])
        else:
            given = check_covariates(np.asarray(covariates)[None], (region,), ())
            self._check_width(given)
            one = newcomer(self._regions, region, given[0], population, params)
        return predict(self._fitted, one, 0, one.covariates.shape[1], known=False)[0]

    @property
    def worthwhile(self) -> bool:
        """Whether the network beats constant parameters, whole and in pieces, on weeks held out."""
        return all(x.beats for x in self.contests if x.rival != PERSISTENCE)

    @property
    def table(self) -> pl.DataFrame:
        """Mean score and share inside the 90 % interval, by fit and whether regions were fitted."""
        return self.scores.group_by("fit", "left_out", maintain_order=True).agg(
            pl.len().alias("forecasts"), pl.col("score").mean(), pl.col("inside").mean()
        )

    @property
    def report(self) -> str:
        """The fit in words."""
        regions = self._regions
        lines = [
            f"Network for {regions.scenario.name} in {len(regions.names)} regions over "
            f"{self.weeks} weeks by {self.estimator}, {self.runs} runs; worth {self.count:.3g} "
            f"free numbers, as {self.pieces} pieces of constant parameters in each region. On "
            "weeks held out, given their covariates, it"
        ]
        lines += [f"  {one}" for one in self.contests]
        for row in self.table.to_dicts():
            where = " of regions left out" if row["left_out"] else ""
            lines.append(
                f"  {row['fit']}: score {row['score']:.4g}, {row['inside']:.0%} of "
                f"{row['forecasts']} data{where} inside 90 % intervals"
            )
        return "\n".join([*lines, *(f"  {x}" for x in self.notes)])

    def save(self, folder: str | Path) -> Path:
        """Write weights, history and result into a new folder, or that of the fit's journal.

        Raises:
            FittingError: the folder holds another result.
        """
        folder = write_result(folder, self.history, self.summary())
        leaves = {f"leaf_{i}": np.asarray(x) for i, x in enumerate(self._leaves())}
        fitted = self._fitted
        kept: dict[str, Any] = {
            **leaves,
            "centre": fitted.centre,
            "width": fitted.width,
            "words": np.asarray(fitted.words),
        }
        write(folder / _WEIGHTS, lambda file: np.savez(file, **kept))
        return folder

    def summary(self) -> dict[str, Any]:
        """The fit as plain JSON values."""
        return {
            "scenario": self._regions.scenario.name,
            "source": source_hash(self._regions.scenario),
            "order": list(self._order),
            "left_out": [] if self._others is None else list(self._others.names),
            "network": asdict(self._fitted.curve),  # pyright: ignore[reportArgumentType]
            "fields": list(self._regions.fields),
            "weeks": self.weeks,
            "count": self.count,
            "pieces": self.pieces,
            "runs": self.runs,
            "estimator": self.estimator,
            "worthwhile": self.worthwhile,
            "contests": [
                {
                    "rival": x.rival,
                    "ratio": x.ratio,
                    "difference": x.difference,
                    "interval": [x.low, x.high],
                    "count": x.count,
                    "verdict": str(x),
                }
                for x in self.contests
            ],
            "table": self.table.to_dicts(),
            "scores": self.scores.to_dicts(),
            "notes": list(self.notes),
        }

    def _leaves(self) -> list[Any]:
        return jax.tree.leaves(self._fitted.weights)

    def _find(self, region: str) -> tuple[Regions, int, bool]:
        for regions, known in ((self._regions, True), (self._others, False)):
            if regions is not None and region in regions.names:
                return regions, regions.names.index(region), known
        raise FittingError(unknown("the fit", "region", [region], self._regions.names))

    def _check_width(self, given: Float[np.ndarray, "region week covariate"]) -> None:
        wanted = self._regions.covariates.shape[2]
        if given.shape[2] != wanted:
            raise FittingError(f"there are {given.shape[2]} covariates; the fit has {wanted}")

    def __str__(self) -> str:
        return self.report

    def _repr_html_(self) -> str:
        said = "<br>".join(escape(x) for x in self.report.splitlines()[:4])
        return f"<p>{said}</p>{html_table(self.table.to_dicts())}"


def read_saved(folder: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The result and the arrays that `RegionalFit.save` wrote.

    Raises:
        FittingError: nothing there.
    """
    result, weights = Path(folder) / _RESULT, Path(folder) / _WEIGHTS
    if not result.exists() or not weights.exists():
        raise FittingError(
            f"{folder} holds no {_WEIGHTS} beside a {_RESULT}; give a folder that a fit of regions "
            "was saved to"
        )
    with np.load(weights) as kept:
        return json.loads(result.read_text()), {name: kept[name] for name in kept.files}

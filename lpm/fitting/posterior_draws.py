"""A posterior: draws of the parameters that data leave open, and what can be asked of them."""

import json
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
from ..provenance import source_hash
from ..scenario import Scenario
from ..simulation import ensemble
from ..trajectory import Trajectory
from .amortised import Amortised, read_amortised
from .evidence import Evidence
from .journal import write
from .losses import Series, Together
from .space import Space

_PRIOR = 2**10  # Draws of the priors to compare with.
_SAYS = "posterior.json"
_LEARNT = "amortised.eqx"


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
        """Write draws, a description and, of amortised, what was learnt into a folder."""
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
        learnt = self.amortised
        if learnt is not None:
            write(folder / _LEARNT, learnt.write)
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
        space, kept = Space(chosen, tuple(about["fields"])), Path(folder) / _LEARNT
        return cls(
            scenario=scenario,
            population=population,
            space=space,
            points=points,
            amortised=read_amortised(kept, space.size) if kept.exists() else None,
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


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

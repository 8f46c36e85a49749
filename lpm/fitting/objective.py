"""What a fit evaluates: outputs of runs at many points of a space, over the same worlds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from ..errors import FittingError
from ..population import Population
from ..scenario import Scenario
from ..trajectory import Trajectory
from .journal import Journal
from .runs import as_tree, run_losses
from .seam import Estimator, Loss
from .space import Space

Points = Float[np.ndarray, "point element"]
Outputs = Float[np.ndarray, "point world output"]


class Readings(eqx.Module):
    """What is read off a run, in one row: the loss, then further numbers.

    Attributes:
        loss: summed over its rows.
        further: functions of the run, each to a number or a vector.
        sign: -1 where the loss is to be raised; further numbers keep theirs.
    """

    loss: Any
    further: tuple[Any, ...] = ()
    sign: float = eqx.field(static=True, default=1.0)

    def __call__(self, trajectory: Trajectory) -> Float[Array, " output"]:
        """The row."""
        parts = [self.sign * jnp.sum(self.loss(trajectory)), *(f(trajectory) for f in self.further)]
        return jnp.concatenate([jnp.atleast_1d(jnp.asarray(x, jnp.float32)) for x in parts])


def read_loss(loss: Loss) -> Readings:
    """The loss, and behind it its residuals where it has any."""
    tree = as_tree(loss)
    if hasattr(loss, "residuals"):
        return Readings(tree, (jax.tree_util.Partial(_Same(loss)),))
    return Readings(tree)


@dataclass(frozen=True)
class _Same:
    """The residuals of a loss, equal to those of the same loss alone."""

    loss: Any

    def __call__(self, trajectory: Trajectory) -> Float[Array, " datum"]:
        return self.loss.residuals(trajectory)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.loss is self.loss

    def __hash__(self) -> int:
        return id(self.loss)


@dataclass
class Objective:
    """Outputs of runs by point and world, counted and kept in a journal.

    A world is a key with, where there are several, a population and a draw of other fields; the
    i-th key goes with the i-th of them, over and over. All points see the same worlds, so that two
    points differ by what they are and not by luck.

    Attributes:
        readings: what is read off a run.
        words: a key per world.
        draws: other fields of the params by draw, such as parameters from a posterior.
        runs: runs so far; a gradient in reverse counts as the runs it costs.
    """

    scenario: Scenario[Any, Any]
    populations: Sequence[Population]
    readings: Any
    words: UInt32[Array, "world 2"]
    space: Space
    steps: int
    every: int
    journal: Journal
    draws: Mapping[str, Float[np.ndarray, "draw ..."]] = field(default_factory=dict)
    runs: float = 0.0

    @property
    def worlds(self) -> int:
        """Number of worlds."""
        return len(self.words)

    def evaluate(self, points: Points, worlds: Sequence[int] | None = None) -> Outputs:
        """Outputs in each world, or in some of them; infinite where a run fails."""
        chosen = np.arange(self.worlds) if worlds is None else np.asarray(worlds)

        def compute() -> dict[str, np.ndarray]:
            return {"outputs": self._compute(points, chosen)}

        asked = np.concatenate([np.ravel(points), chosen])
        found = self.journal.answer("runs", asked, compute)["outputs"]
        self.runs += len(points) * len(chosen)
        return found

    def slopes(
        self,
        points: Points,
        directions: Float[np.ndarray, "direction element"],
        step: float | Float[np.ndarray, " direction"] = 0.05,
    ) -> Float[np.ndarray, "point world output direction"]:
        """Central differences of the outputs along directions, over the same worlds."""
        moves = np.broadcast_to(step, len(directions))[:, None] * directions
        moved = points[:, None, None] + np.stack([moves, -moves])
        found = self.evaluate(moved.reshape(-1, points.shape[1]))
        sides = found.reshape(len(points), 2, len(directions), *found.shape[1:])
        with np.errstate(invalid="ignore"):
            rise = sides[:, 0].astype(np.float64) - sides[:, 1]
        width = 2 * np.broadcast_to(step, len(directions))
        return np.moveaxis(rise / width[:, None, None], 1, -1)

    def reverse(
        self, points: Points, method: Estimator, label: str, loss: Loss | None = None
    ) -> tuple[Float[np.ndarray, "point world"], Float[np.ndarray, "point world element"]]:
        """Losses and their gradients in each world by an estimator, on the unconstrained scale.

        `loss` stands in for the first reading.
        """
        loss = _FirstReading(self.readings) if loss is None else loss

        def compute() -> dict[str, np.ndarray]:
            values, gradients, cost = self._reverse(points, method, loss)
            return {"values": values, "gradients": gradients, "cost": np.array(cost)}

        found = self.journal.answer(f"gradients by {label}", points, compute)
        self.runs += float(found["cost"])
        return found["values"], found["gradients"]

    def _groups(self, worlds: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Worlds by population: its number, and their places among `worlds`."""
        which = worlds % len(self.populations)
        return [(int(p), np.flatnonzero(which == p)) for p in np.unique(which)]

    def _drawn(self, worlds: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.asarray(x)[worlds % len(x)] for name, x in self.draws.items()}

    def _compute(self, points: Points, worlds: np.ndarray) -> Outputs:
        placed = self.space.place(points)
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        for number, at in self._groups(worlds):
            some = worlds[at]
            changed = {name: np.repeat(x, len(some), axis=0) for name, x in placed.items()}
            for name, x in self._drawn(some).items():
                changed[name] = np.tile(x, (len(points), *(1,) * (x.ndim - 1)))
            rows = run_losses(
                self.scenario,
                self.populations[number],
                self.readings,
                jnp.tile(self.words[some], (len(points), 1)),
                self.space.params,
                changed,
                self.steps,
                self.every,
                strict=False,
            )
            parts.append((at, rows.reshape(len(points), len(some), -1)))
        out = np.empty((len(points), len(worlds), parts[0][1].shape[-1]), np.float32)
        for at, rows in parts:
            out[:, at] = rows
        return out

    def _reverse(
        self, points: Points, method: Estimator, loss: Loss
    ) -> tuple[np.ndarray, np.ndarray, float]:
        worlds = np.arange(self.worlds)
        values = np.empty((len(points), self.worlds))
        gradients = np.empty((len(points), self.worlds, self.space.size))
        cost = 0.0
        for point, z in enumerate(points):
            lengths = self.space.lengths(z)
            for number, at in self._groups(worlds):
                population = self.populations[number]
                for draw in np.unique(worlds[at] % self._draws):
                    some = at[worlds[at] % self._draws == draw]
                    drawn = {name: x[draw] for name, x in self.draws.items()}
                    found = method(
                        self.scenario,
                        population,
                        loss,
                        self.words[some],
                        self.space.at(z).replace(**drawn),
                        self.space.fields,
                        self.steps,
                        self.every,
                    )
                    values[point, some] = found.values
                    rows = [
                        np.asarray(found.gradients[name], np.float64).reshape(len(some), -1)
                        for name in self.space.fields
                    ]
                    gradients[point, some] = np.concatenate(rows, axis=1) * lengths
                    cost += found.cost / (self.steps * population.capacity)
        return values, gradients, cost

    @property
    def _draws(self) -> int:
        return len(next(iter(self.draws.values()))) if self.draws else 1

    def check_start(self, z: Float[np.ndarray, " element"], name: Any = None) -> Outputs:
        """Outputs where the fit starts, which must be finite.

        Raises:
            FittingError: they are not, or differ from those in the journal.
            SimulationError: a variable left its bounds there.
        """
        found = self.evaluate(z[None])
        if self.journal.recalled:
            again = self._compute(z[None], np.arange(self.worlds))
            if not np.allclose(again, found, rtol=1e-4, atol=1e-4, equal_nan=True):
                raise FittingError(
                    "the scenario, the population or the loss gives other results than when this "
                    "fit began; give another folder for a new fit"
                )
        if not np.isfinite(found).all():
            self._explain(z, name)
        return found

    def _explain(self, z: Float[np.ndarray, " element"], name: Any) -> None:
        """Run the start again to say what is wrong with it."""
        params, loss = self.space.at(z), self.readings
        for number, at in self._groups(np.arange(self.worlds)):
            drawn = self._drawn(at)
            rows = run_losses(
                self.scenario,
                self.populations[number],
                _Finite(loss),
                self.words[at],
                params,
                drawn,
                self.steps,
                self.every,
            )
            for run, row in zip(at, rows, strict=True):
                # Readings pass through as whether they are finite, so that faults are told first.
                bad = np.flatnonzero(row == 0)
                further = bad[bad > 0]
                if bad.size:
                    where = name(int(further[0]) - 1) if name and further.size else "the loss"
                    raise FittingError(
                        f"{where} is not finite at the start, in run {run}; start from other "
                        "params, or choose another loss"
                    )


class _Finite(eqx.Module):
    readings: Any

    def __call__(self, trajectory: Trajectory) -> Float[Array, " output"]:
        return jnp.isfinite(self.readings(trajectory)).astype(jnp.float32)


class _FirstReading(eqx.Module):
    readings: Any

    def __call__(self, trajectory: Trajectory) -> Float[Array, ""]:
        return self.readings(trajectory)[0]

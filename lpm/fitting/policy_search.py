"""The stages of a search for a policy: a screen, a descent within limits, and a last look."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import qmc

from .chance import generator_for
from .choosing import FEW
from .descent import Descent, descend
from .lagrangian import Lagrangian, pseudo_values
from .objective import Objective, Outputs, Points
from .policy_slopes import Effort, First, Point, Slopes, Tell
from .shaped import ShapedObjective
from .stationary import STEPS, stationary

_SCREEN, _SETTLE = 0.12, 0.35  # At most these shares of the runs for the first stage and the last.
_ROUGH = 4  # Worlds of the screen.
_EDGE = 0.01  # Levels closer to 0 or 1 are left out.
_LEAST = 2  # Worlds of a gradient, at least.
_ITERATIONS = 40  # Fewer are not worth a larger batch of worlds, or a second start.
_UPDATE = 4  # Iterations between two updates of the multipliers.
_ROUND = 8  # Steps of a quasi-Newton descent between them.
_TRIALS = 6  # Points that such a step tries.
_CHUNK = 64  # Points of random search in one entry of the journal.
_LENGTHS = np.array([0.25, 0.5, 1.0, 1.25, 1.6, 2.0, 3.0, 5.0])  # Of a step back to the limits.


class Pool:
    """Points and their outputs in all worlds."""

    def __init__(self, objective: Objective, lagrangian: Lagrangian) -> None:
        self._objective, self._lagrangian = objective, lagrangian
        self.points = np.empty((0, objective.space.size))
        self.outputs = np.empty((0, objective.worlds, 0), np.float32)

    def add(self, points: Points) -> None:
        """Evaluate further points."""
        found = self._objective.evaluate(points)
        self.outputs = found if not len(self.points) else np.concatenate([self.outputs, found])
        self.points = np.concatenate([self.points, points])

    @property
    def best(self) -> int:
        """Number of the best point: feasible first."""
        return int(self._lagrangian.order(self.outputs)[0])

    @property
    def promising(self) -> int:
        """Number of the point that is best where limits may be exceeded at a price."""
        values = self._lagrangian.weigh(self.outputs)[0]
        return int(np.argmin(np.where(np.isfinite(values), values, np.inf)))

    @property
    def violations(self) -> Float[np.ndarray, " point"]:
        """The largest of each point, in units of its spread."""
        return self._lagrangian.judge(self.outputs)[1]

    def no_worse(self, at: int, points: Points) -> Bool[np.ndarray, " point"]:
        """Whether points are feasible as `at` is, and not worse by more than a standard error."""
        found = self._objective.evaluate(points)
        whole = np.concatenate([self.outputs[[at]], found]).astype(np.float64)
        _, violation = self._lagrangian.judge(whole)
        goal = self._lagrangian.goal
        values = pseudo_values(self._lagrangian.average, whole @ goal)
        rise = values[1:] - values[0]
        count = rise.shape[1]
        error = rise.std(axis=1, ddof=1) / np.sqrt(count) if count > 1 else 0.0
        tiny = 1e-6 * abs(values[0].mean())  # Outputs are float32.
        return (violation[1:] <= violation[0]) & (rise.mean(axis=1) <= error + tiny)


@dataclass
class Search:
    """A search from a screen to a policy that is settled, over the worlds of its objective."""

    objective: ShapedObjective
    lagrangian: Lagrangian
    effort: Effort
    tell: Tell

    def screen(self, first: First) -> tuple[Points, Outputs]:
        """Points spread over the policies, behind `first`, in a few worlds; also sets the units."""
        worlds = min(self.objective.worlds, _ROUGH)
        count = max(int(_SCREEN * self.effort.budget / worlds), 4)
        power = int(np.log2(count))
        levels = qmc.Sobol(self.objective.space.size, scramble=False).random_base2(power)
        levels = _EDGE + (1 - 2 * _EDGE) * (levels + 0.5 / 2**power)
        points = np.concatenate([first, self.objective.space.quantiles(levels)])
        outputs = self.objective.evaluate(points, list(range(worlds)))
        self.lagrangian.measure(outputs)
        return points, outputs

    def descend(self, slopes: Slopes, starts: First, runs: float) -> Points:
        """Points worth a closer look at the end of a descent that spends about so many runs."""
        worlds = self.objective.worlds
        if self.effort.optimiser == "lbfgs":
            starts = starts[:1]
        elif slopes.partial:
            least = slopes.batch = min(_LEAST, worlds)
            many = min(len(starts), int(runs / slopes.cost / _ITERATIONS / 1.5))
            starts = starts[: max(many, 1)]
            afford = runs / (_ITERATIONS * len(starts) * slopes.cost / least)
            slopes.batch = int(np.clip(afford, least, worlds))
        elif runs / slopes.cost / len(starts) < _ITERATIONS:
            starts = starts[:1]
        end = self.objective.runs + runs
        self.lagrangian.reset(len(starts))
        last = starts
        if len(starts) > 1:  # A third of the runs tells which start to go on with.
            last = self._follow(slopes, starts, self.objective.runs + runs / 3)[-1]
            found = self.objective.evaluate(last)
            best = int(np.argmin(self.lagrangian.weigh(found)[0]))
            self.lagrangian.keep(best)
            last = last[[best]]
        trail = self._follow(slopes, last, end)
        # Means over the end of a noisy path lie closer to the top than the path itself.
        half = np.concatenate(trail[-max(len(trail) // 2, 1) :])
        quarter = half[len(half) // 2 :]
        return np.stack([half.mean(axis=0), quarter.mean(axis=0), quarter[0], half[-1]])

    def settle(self, slopes: Slopes, candidates: First) -> tuple[Point, Outputs]:
        """The best of the candidates and of points around them, and the outputs of all."""
        pool = Pool(self.objective, self.lagrangian)
        pool.add(candidates)
        if self.lagrangian.constraints:
            self._return(slopes, pool)
        at = self._polish(slopes, pool)
        self.tell("candidates", pool.points, pool.outputs)
        return self._snap(pool, at), pool.outputs

    def _polish(self, slopes: Slopes, pool: Pool) -> int:
        """Number of the best point, after a step to where its gradient is 0 if that is no worse."""
        at = pool.best
        if not self._polishes(slopes) or not self._affords(self._polishing(slopes)):
            return at
        z = stationary(lambda x: slopes(x[None])[1][0], pool.points[at])
        if (z == pool.points[at]).all() or not pool.no_worse(at, z[None])[0]:
            return at
        pool.add(z[None])
        return len(pool.points) - 1

    def _polishes(self, slopes: Slopes) -> bool:
        """Whether welfare is said to be smooth, and its gradient is exact and cheap enough."""
        smooth = self.effort.optimiser == "lbfgs" and not self.lagrangian.constraints
        return smooth and slopes.method is not None and self.objective.space.size <= FEW

    def _polishing(self, slopes: Slopes) -> float:
        """Runs that `_polish` takes at most."""
        return slopes.cost * (1 + self.objective.space.size + STEPS) + 2 * self.objective.worlds

    def _follow(self, slopes: Slopes, starts: Points, end: float) -> list[Points]:
        cost = slopes.cost * len(starts)
        if self.effort.optimiser == "lbfgs":
            cost += _TRIALS * self.objective.worlds
        iterations = int((end - self.objective.runs) / cost)
        if iterations < 1:
            return [starts]
        if self.effort.optimiser == "lbfgs":
            return self._quasi_newton(slopes, starts, iterations)
        lagrangian, objective = self.lagrangian, self.objective

        def after(state: Descent) -> bool:
            if len(state.points) % _UPDATE == 0:
                lagrangian.update()
            return objective.runs + cost <= end

        rate = self.effort.rate or float(np.clip(16.0 / iterations, 0.1, 0.6))
        return descend(slopes, starts, iterations=iterations, rate=rate, after=after).points

    def _quasi_newton(self, slopes: Slopes, starts: Points, iterations: int) -> list[Points]:
        """Multipliers move between descents only, so that each sees one function."""
        rounds = max(iterations // _ROUND, 1) if self.lagrangian.constraints else 1
        trail: list[Points] = []

        def evaluate(points: Points) -> Float[np.ndarray, " point"]:
            return self.lagrangian.weigh(self.objective.evaluate(points))[0]

        for _ in range(rounds):
            state = descend(
                slopes,
                starts,
                optimiser="lbfgs",
                iterations=iterations // rounds,
                evaluate=evaluate,
            )
            trail += state.points
            starts = state.best[None]
            self.lagrangian.update()
        return [*trail, starts]

    def _return(self, slopes: Slopes, pool: "Pool") -> None:
        """Step back within the limits from a point that would be best but for a little excess."""
        for _ in range(2):
            at = pool.promising
            z, violation = pool.points[at], pool.violations[at]
            if violation == 0 or not self._affords(slopes.cost + len(_LENGTHS)):
                break
            gradient = self._outward(slopes, z, pool.outputs[[at]])
            square = gradient @ gradient
            if square == 0 or not np.isfinite(square):
                break
            pool.add(z - _LENGTHS[:, None] * violation**2 / square * gradient)
            best = pool.points[pool.best]
            between = np.linspace(0, 1, 6)[1:-1, None]
            pool.add(best + between * (pool.points[pool.promising] - best))

    def _outward(self, slopes: Slopes, z: Point, outputs: Outputs) -> Point:
        """The gradient of half the squared violations."""
        lagrangian = self.lagrangian
        kept = lagrangian.multipliers, lagrangian.penalty
        # With these, forces are the violations themselves, margin included.
        lagrangian.multipliers = lagrangian.margins(outputs)
        lagrangian.penalty, lagrangian.pull = np.ones((1, 1)), 0.0
        gradient = slopes(z[None])[1][0]
        lagrangian.multipliers, lagrangian.penalty = kept
        lagrangian.pull = 1.0
        return gradient

    def _snap(self, pool: Pool, at: int) -> Point:
        """The point with that number, on the bounds that it is close to where that is no worse."""
        z = pool.points[at]
        ends = self.objective.shaped.ends(z)
        near = np.flatnonzero(~np.isnan(ends))
        if not len(near) or not self._affords((2 + len(near)) * self.objective.worlds):
            return z
        whole = np.where(np.isnan(ends), z, ends)
        if pool.no_worse(at, whole[None])[0]:
            return whole
        single = np.repeat(z[None], len(near), axis=0)
        single[np.arange(len(near)), near] = ends[near]
        good = near[pool.no_worse(at, single)]
        some = z.copy()
        some[good] = ends[good]
        return some if len(good) and pool.no_worse(at, some[None])[0] else z

    def _affords(self, runs: float | int) -> bool:
        return self.objective.runs + runs <= self.effort.budget

    def reserve(self, slopes: Slopes) -> float:
        """Runs that are kept for what comes last."""
        size, worlds = self.objective.space.size, self.objective.worlds
        wanted = float(worlds * (10 + size))
        if self.lagrangian.constraints:
            wanted += 2 * (worlds * (len(_LENGTHS) + 4) + 4 * size)
        if self._polishes(slopes):
            wanted += self._polishing(slopes)
        return min(wanted, _SETTLE * self.effort.budget)


def random_search(objective: Objective, lagrangian: Lagrangian, runs: float) -> Point:
    """The best of so many points as the runs allow, drawn evenly over the policies.

    Every point is seen in all worlds, and the best chosen as `Pool.best` is.
    """
    rng = generator_for(objective.words, "random search")
    count = max(int(runs / objective.worlds), 1)
    levels = rng.random((count, objective.space.size))
    points = objective.space.quantiles(np.clip(levels, 1e-6, 1 - 1e-6))
    parts = [
        objective.evaluate(points[first : first + _CHUNK]) for first in range(0, count, _CHUNK)
    ]
    return points[lagrangian.order(np.concatenate(parts))[0]]

"""The design behind Sobol indices: where to run, and the runs, batch by batch."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..errors import FittingError
from ..population.seeds import Generator
from .chance import fresh_words
from .objective import Objective
from .runs import run_losses
from .watching import Watch

_BATCHES = 16  # Parts that are kept one by one, so that little is lost in an interruption.
_EDGE = 2.0**-20  # Levels are kept this far from 0 and 1, where a scale without end has no value.

Levels = Float[np.ndarray, "row point element"]


def draw_design(rows: int, size: int, rng: Generator) -> Levels:
    """Levels in (0, 1) of rows of points: A, then A with one element of B in turn, then B.

    Raises:
        FittingError: SALib is not installed.

    Source: Saltelli et al. (2010), Computer Physics Communications 181.
    """
    try:
        from SALib.sample import sobol
    except ImportError as error:
        raise FittingError("sobol needs SALib: pip install 'lpm[sa]'") from error
    names = [f"x{i}" for i in range(size)]
    problem = {"num_vars": size, "names": names, "bounds": [[0.0, 1.0]] * size}
    seed = int(rng.integers(2**31))
    found = sobol.sample(problem, rows, calc_second_order=False, seed=seed)
    return np.clip(found, _EDGE, 1 - _EDGE).reshape(rows, size + 2, size)


def run_design(
    objective: Objective, levels: Levels, watch: Watch
) -> Float[np.ndarray, "row point run output"]:
    """Outputs of as many runs at each point as the objective has worlds.

    Every row has keys of its own, which its points share.

    Raises:
        SimulationError: a variable left its bounds; says at which point.
        FittingError: an outcome is not finite; says at which point.
    """
    rows, points, _ = levels.shape
    words = np.asarray(fresh_words(objective.words, rows * objective.worlds, "rows"))
    words = words.reshape(rows, objective.worlds, 2)
    size, parts = max(1, rows // _BATCHES), []
    for first in range(0, rows, size):
        some = slice(first, first + size)
        asked = levels[some].reshape(-1, levels.shape[2])

        def compute(asked: np.ndarray = asked, some: slice = some) -> dict[str, np.ndarray]:
            return {"outputs": _run(objective, asked, words[some], points)}

        found = objective.journal.answer(f"rows {first}", asked, compute)["outputs"]
        parts.append(found.reshape(-1, points, *found.shape[1:]))
        objective.runs += found.shape[0] * found.shape[1]
        watch(int(objective.runs), float("nan"))
    return np.concatenate(parts).astype(np.float64)


def _run(
    objective: Objective, levels: np.ndarray, words: np.ndarray, points: int
) -> Float[np.ndarray, "point run output"]:
    space, runs = objective.space, objective.worlds
    where = space.quantiles(levels)
    placed, flat = space.place(where), space.flat(where)
    keys = np.repeat(words, points, axis=0).reshape(-1, 2)

    def name(lane: int) -> str:
        values = zip(space.labels, flat[lane // runs], strict=True)
        return "a run with " + ", ".join(f"{n} = {x:.4g}" for n, x in values)

    found = run_losses(
        objective.scenario,
        objective.populations[0],
        objective.readings,
        jnp.asarray(keys, jnp.uint32),
        space.params,
        {n: np.repeat(x, runs, axis=0) for n, x in placed.items()},
        objective.steps,
        objective.every,
        name,
    )
    return found.reshape(len(levels), runs, -1)

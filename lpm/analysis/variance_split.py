"""Whose doing the spread of an outcome is: who lives there, the parameters, or luck.

An ensemble over populations, variants (draws of the parameters) and runs (keys) is a crossed
experiment, because `lpm.ensemble` uses the same keys for every variant and population. Each
outcome is y[p, v, r] = mean + p + v + pv + r + pr + vr + pvr with random effects, whose variances
`components` estimates.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import polars as pl
from jaxtyping import Float

from ..errors import DataError, SimulationError, unknown
from ..population.seeds import generator
from ..trajectory import Trajectory
from .components import AXES, SOURCES, Design, crossed, nested, sources
from .summary import scalars, words

_DRAWS = 4_000
_FEWEST = 3  # Levels of an axis below which none can be left out.

Outcome: TypeAlias = Callable[[Trajectory], Float[np.ndarray, "..."]]


def split_variance(
    trajectory: Trajectory,
    outcomes: Mapping[str, Outcome] | Sequence[str] | None = None,
    *,
    population_scale: float = 1.0,
    level: float = 0.9,
) -> pl.DataFrame:
    """The variance of each outcome of an ensemble, split into sources; tidy.

    Columns: `outcome`, and those of `split_values`.

    Args:
        trajectory: of `lpm.ensemble`, with two or more keys, and several populations or variants.
        outcomes: functions from the trajectory to one number per run ([*lead]), by name; or names
            of scalar observables, whose last value is taken; all of these if not given.
        population_scale: see `split_values`.
        level: of the intervals.

    Raises:
        SimulationError: no such scalar observable.
        DataError: an outcome has another shape, or there is nothing to split.

    Example:
        >>> many = ensemble(scenario, towns, keys=range(20), params=draws)  # doctest: +SKIP
        >>> print(tell_split(split_variance(many, ["attack_rate"])))  # doctest: +SKIP
    """
    if not isinstance(outcomes, Mapping):
        outcomes = {name: _last(trajectory, name) for name in outcomes or scalars(trajectory)}
    parts = []
    for name, outcome in outcomes.items():
        values = np.asarray(outcome(trajectory), np.float64)
        split = split_values(
            values, trajectory.lead, population_scale=population_scale, level=level
        )
        parts.append(split.select(pl.lit(name).alias("outcome"), pl.all()))
    if not parts:
        raise DataError("there is no outcome to split; name scalar observables or give functions")
    return pl.concat(parts)


def split_values(
    values: Float[np.ndarray, "*level"],
    axes: Sequence[str] = AXES,
    *,
    population_scale: float = 1.0,
    level: float = 0.9,
    seed: int = 0,
) -> pl.DataFrame:
    """The variance of numbers whose runs share their keys across populations and variants.

    `luck` is the variance between runs of one population and variant (the run's own effect and all
    its interactions); `both together` is what a parameter does more in one population than in
    another. The parts add up to the variance of one run of a random population and variant.
    Columns: `source`, `variance` (a negative estimate is shown as 0), `raw` (the unbiased estimate,
    negative where chance made it so), `share` (of the sum of `variance`), `standard_error` of the
    share (jackknife over the levels of each axis, summed: conservative for interactions; not a
    number below three levels) and `low`, `high` (generalised confidence interval of the share from
    chi-square mean squares: exact for normal effects, after Burdick, Borror & Montgomery 2005).
    Five populations say little about a variance: the interval shows it.

    Args:
        values: one number per level of each axis.
        axes: their names, among population, variant and run.
        population_scale: multiplies the variance between populations. 1 for populations that
            differ as much as the truth is uncertain, such as from redrawn margins; replicates x
            factor for replicate weights, 4 for successive differences, whose replicates lie half
            as far from the truth.
        level: of the interval.
        seed: of the chi-square draws behind it.

    Raises:
        DataError: an axis has another name, there are not two runs, or no second axis, or a value
            is not finite.
    """
    return _split(values, tuple(axes), crossed, population_scale, level, seed)


def split_independent(
    values: Float[np.ndarray, "*level"],
    axes: Sequence[str] = AXES,
    *,
    population_scale: float = 1.0,
    level: float = 0.9,
    seed: int = 0,
) -> pl.DataFrame:
    """Like `split_values`, for runs with keys of their own in every population and variant.

    Runs are then nested; more precise than the crossed estimates, and wrong where keys are shared:
    a run that is lucky everywhere would be taken from `both together`.

    Raises:
        DataError: as `split_values`.
    """
    return _split(values, tuple(axes), nested, population_scale, level, seed)


def tell_split(split: pl.DataFrame) -> str:
    """A split as sentences, one per outcome."""
    names = split["outcome"].unique(maintain_order=True) if "outcome" in split.columns else [""]
    told = []
    for name in names:
        part = split.filter(pl.col("outcome") == name) if name else split
        subject = f"the variance of {words(name)}" if name else "the variance"
        if part["share"].is_nan().all():
            told.append(f"{subject[0].upper()}{subject[1:]} is zero: there is nothing to split.")
            continue
        shares = [
            f"{row['share']:.0%} is {row['source']} ({row['low']:.0%} to {row['high']:.0%})"
            for row in part.iter_rows(named=True)
        ]
        told.append(f"Of {subject}, {', '.join(shares)}.")
    return "\n".join(told)


def _last(trajectory: Trajectory, name: str) -> Outcome:
    there = scalars(trajectory)
    if name not in there:
        raise SimulationError(unknown("trajectory", "scalar observable", [name], there))
    return lambda run: np.asarray(run.observed[name])[..., -1]


def _split(
    values: Float[np.ndarray, "*level"],
    axes: tuple[str, ...],
    design: Design,
    population_scale: float,
    level: float,
    seed: int,
) -> pl.DataFrame:
    values, axes = _checked(values, axes)
    shown = sources(axes)
    scale = np.array([population_scale if s in (SOURCES[0], SOURCES[2]) else 1.0 for s in shown])
    found = design(values, axes)
    raw = scale * (found.weights @ found.means)
    draws = generator(seed).chisquare(found.freedom, size=(_DRAWS, len(found.freedom)))
    possible = scale * ((found.freedom * found.means / draws) @ found.weights.T)
    tail = (1 - level) / 2
    low, high = np.quantile(_shares(possible), [tail, 1 - tail], axis=0)
    return pl.DataFrame(
        {
            "source": shown,
            "variance": np.maximum(raw, 0),
            "raw": raw,
            "share": _shares(raw),
            "standard_error": _jackknife(values, axes, design, scale),
            "low": low,
            "high": high,
        }
    )


def _checked(
    values: Float[np.ndarray, "..."], axes: tuple[str, ...]
) -> tuple[Float[np.ndarray, "..."], tuple[str, ...]]:
    """Values without axes of a single level."""
    wrong = [name for name in axes if name not in AXES]
    if wrong or len(set(axes)) < len(axes):
        raise DataError(unknown("a split", "axis", wrong or axes, AXES) + ", each once")
    if values.ndim != len(axes):
        raise DataError(f"values have shape {list(values.shape)}, but the axes are {list(axes)}")
    if not np.isfinite(values).all():
        odd = int((~np.isfinite(values)).sum())
        raise DataError(f"{odd} values are not finite; leave those runs out")
    sizes = dict(zip(axes, values.shape, strict=True))
    if sizes.get("run", 1) < 2:
        raise DataError("luck needs two runs or more; give lpm.ensemble several keys")
    kept = tuple(name for name in axes if sizes[name] > 1)
    if len(kept) < 2:
        raise DataError(
            f"only the runs differ ({sizes}); give several populations, or params with variants"
        )
    return values.reshape([sizes[name] for name in kept]), kept


def _shares(components: Float[np.ndarray, "... source"]) -> Float[np.ndarray, "... source"]:
    """Shares of the sum, negative components counting as none."""
    positive = np.maximum(components, 0)
    total = positive.sum(axis=-1, keepdims=True)
    return np.where(total > 0, positive / np.where(total > 0, total, 1), np.nan)


def _jackknife(
    values: Float[np.ndarray, "*level"],
    axes: tuple[str, ...],
    design: Design,
    scale: Float[np.ndarray, " source"],
) -> Float[np.ndarray, " source"]:
    """Standard error of each share: levels of one axis left out in turn, axes summed."""
    if min(values.shape) < _FEWEST:
        return np.full(len(scale), np.nan)
    variance = np.zeros(len(scale))
    for axis, size in enumerate(values.shape):
        without = []
        for i in range(size):
            found = design(np.delete(values, i, axis=axis), axes)
            without.append(_shares(scale * (found.weights @ found.means)))
        variance += (size - 1) / size * np.sum((without - np.mean(without, axis=0)) ** 2, axis=0)
    return np.sqrt(variance)

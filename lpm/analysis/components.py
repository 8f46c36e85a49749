"""Variance components of a balanced experiment over populations, variants and runs.

Estimates by expected mean squares: unbiased, and negative where chance makes them so. Source:
Searle, Casella & McCulloch (1992), Variance components, ch. 4; Cornfield & Tukey (1956).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import TypeAlias, final

import numpy as np
from jaxtyping import Float

AXES = ("population", "variant", "run")
SOURCES = ("who lives there", "parameters", "both together", "luck")

Term: TypeAlias = frozenset[str]


@final
@dataclass(frozen=True)
class Squares:
    """Mean squares of an experiment and what they say of each source.

    Attributes:
        means: mean squares.
        freedom: their degrees of freedom.
        weights: what each adds to the variance of each source.
    """

    means: Float[np.ndarray, " term"]
    freedom: Float[np.ndarray, " term"]
    weights: Float[np.ndarray, "source term"]


Design: TypeAlias = Callable[[Float[np.ndarray, "*level"], tuple[str, ...]], Squares]


def sources(axes: Sequence[str]) -> list[str]:
    """Sources that an experiment with these axes can tell apart."""
    needed = dict(zip(SOURCES, (AXES[:1], AXES[1:2], AXES[:2], AXES[2:]), strict=True))
    return [source for source, names in needed.items() if set(names) <= set(axes)]


def crossed(values: Float[np.ndarray, "*level"], axes: tuple[str, ...]) -> Squares:
    """Mean squares where the runs share their keys in every population and variant.

    The variance of effect S is the sum over the effects T that contain it of
    (-1)^(|T| - |S|) MS_T, over the number of values that share a level of S.
    """
    terms, shown = _terms(axes), sources(axes)
    sums, freedom = _sums_of_squares(values, axes, terms)
    weights = np.zeros((len(shown), len(terms)))
    for term in terms:
        _add_effect(weights[shown.index(_source(term))], term, terms, _behind(values, axes, term))
    return Squares(sums / freedom, freedom, weights)


def nested(values: Float[np.ndarray, "*level"], axes: tuple[str, ...]) -> Squares:
    """Mean squares where every run has a key of its own: those within cells pooled, the last."""
    every, shown = _terms(axes), sources(axes)
    sums, freedom = _sums_of_squares(values, axes, every)
    within = np.array(["run" in term for term in every])
    terms = [term for term in every if "run" not in term]
    sums = np.append(sums[~within], sums[within].sum())
    freedom = np.append(freedom[~within], freedom[within].sum())
    weights = np.zeros((len(shown), len(sums)))
    weights[-1, -1] = 1.0
    for term in terms:
        row, behind = weights[shown.index(_source(term))], _behind(values, axes, term)
        _add_effect(row, term, terms, behind)
        # The noise within cells is in every mean square once and cancels but for the cells' own.
        row[-1] -= float(term == frozenset(axes) - {"run"}) / behind
    return Squares(sums / freedom, freedom, weights)


def _add_effect(
    row: Float[np.ndarray, " term"], effect: Term, terms: Sequence[Term], behind: int
) -> None:
    for i, other in enumerate(terms):
        if effect <= other:
            row[i] += (-1) ** (len(other) - len(effect)) / behind


def _behind(values: Float[np.ndarray, "*level"], axes: tuple[str, ...], term: Term) -> int:
    """Number of values that share a level of an effect."""
    return int(np.prod([n for n, a in zip(values.shape, axes, strict=True) if a not in term]))


def _source(term: Term) -> str:
    """Which source a random effect belongs to."""
    if "run" in term:
        return SOURCES[3]
    return SOURCES[2] if len(term) == 2 else SOURCES[AXES.index(next(iter(term)))]


def _terms(axes: tuple[str, ...]) -> list[Term]:
    """Every effect: each axis and each combination of axes."""
    sets = chain.from_iterable(combinations(axes, n) for n in range(1, len(axes) + 1))
    return [frozenset(names) for names in sets]


def _sums_of_squares(
    values: Float[np.ndarray, "*level"], axes: tuple[str, ...], terms: Sequence[Term]
) -> tuple[Float[np.ndarray, " term"], Float[np.ndarray, " term"]]:
    """Sum of squares of every effect of a balanced table, and its degrees of freedom."""
    effects: dict[Term, np.ndarray] = {frozenset(): values.mean(keepdims=True)}
    for term in terms:
        over = tuple(i for i, name in enumerate(axes) if name not in term)
        mean = values.mean(axis=over, keepdims=True)
        effects[term] = mean - sum(x for smaller, x in effects.items() if smaller < term)
    sums = [np.sum(effects[term] ** 2) * values.size / effects[term].size for term in terms]
    sizes = dict(zip(axes, values.shape, strict=True))
    freedom = [np.prod([sizes[name] - 1 for name in term]) for term in terms]
    return np.array(sums), np.array(freedom, np.float64)

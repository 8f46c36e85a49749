"""How many free numbers a penalised curve is worth."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .curves import Curve, Weights
from .rollouts import Rollout, likelihoods
from .training import Lesson


def effective_count(
    curve: Curve, weights: Weights, lesson: Lesson, last: int, *, whole: bool = True
) -> float:
    """The trace of the matrix that takes data to their fit, where the curve ended.

    Slopes of the runs come from differences, in the first member. A stop before the end of
    training leaves fewer, so that it is an upper limit.

    Source: Hastie & Tibshirani (1990), Generalized Additive Models, section 3.5, for smoothers;
    MacKay (1992), Neural Computation 4, for networks.
    """
    rollout = Rollout(lesson.regions, lesson.words, last)
    first = jax.tree.map(lambda x: x[0], weights)
    # Without gradients only the last layer was free.
    moved, others = (first, None) if whole else curve.split(first)
    flat, unravel = ravel_pytree(moved)

    def complete(vector: Array) -> Weights:
        return unravel(vector) if others is None else curve.merge(unravel(vector), others)

    def elements(vector: Array) -> Array:
        return rollout.place(*curve(complete(vector), lesson.inputs, lesson.mix)).ravel()

    def price(vector: Array) -> Array:
        there = complete(vector)
        return curve.penalty(there, curve(there, lesson.inputs, lesson.mix)[0])

    points = np.asarray(elements(flat), np.float64).reshape(rollout.start.shape)

    def compute() -> dict[str, np.ndarray]:
        expected = [x[0] for x in rollout.expected(points[None])]
        information = _information(lesson, rollout, expected, points, last)
        return {"information": information, "runs": np.array(rollout.runs)}

    found = lesson.journal.answer("effective count", points, compute)
    rollout.runs = float(found["runs"])
    lesson.take(rollout)
    slopes = np.asarray(jax.jit(jax.jacrev(elements))(flat), np.float64)
    data = slopes.T @ found["information"] @ slopes
    prior = np.asarray(jax.jit(jax.hessian(price))(flat), np.float64)
    prior = 0.5 * (prior + prior.T)
    # A penalty of a network is not convex everywhere; what counts is where it is.
    values, vectors = np.linalg.eigh(prior)
    prior = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    return float(np.trace(np.linalg.solve(data + prior, data)))


def _information(
    lesson: Lesson,
    rollout: Rollout,
    expected: list[Float[np.ndarray, " datum"]],
    points: Float[np.ndarray, "region element"],
    last: int,
) -> Float[np.ndarray, "place place"]:
    """Of all regions, by their elements, given data as expected."""
    size = points.shape[1]
    whole = np.zeros((points.size, points.size))
    laws = likelihoods(lesson.regions, 0, last, last)
    for region, (slopes, law, mean) in enumerate(
        zip(rollout.jacobian(points), laws, expected, strict=True)
    ):
        seen = ~np.isnan(law.observed)
        ideal = type(law)(law.series, np.where(seen, mean, np.nan))
        ones = jnp.ones(len(mean))
        curvature = jax.hessian(ideal)(jnp.asarray(mean, jnp.float32), ones)
        at = slice(region * size, (region + 1) * size)
        whole[at, at] = slopes.T @ np.asarray(curvature, np.float64) @ slopes
    return whole

"""Reproduction numbers: infectiousness profiles, next-generation matrices and their scale.

R0 here is the spectral radius of the next-generation matrix: the mean number of people whom a
typical infected person infects directly in a population that is wholly susceptible, people typed
by age band. Source: Diekmann, Heesterbeek & Metz (1990).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .axes import Array, Float, Int, Number, Scalar
from .errors import ScenarioError

LONGEST = 40  # Days an infectiousness profile can cover.
_PER_DAY = 64  # Points of the rule that integrates a day of the profile.
_SQUARINGS = 10
_BISECTIONS = 40


def gamma_profile(
    mean: Number,
    sd: Number,
    *,
    latent: Number,
    infectious: Number,
    while_latent: Number,
    while_infectious: Number,
) -> Float[Array, " day"]:
    """Share of a person's infectiousness on each day after infection; entry 0 is unused.

    Daily increments of a gamma distribution, weighted by stage (`while_latent` up to day `latent`,
    `while_infectious` for `infectious` days after it, then nothing) and scaled to sum to 1.

    Args:
        mean, sd: of the gamma distribution, in days.
        latent, infectious: length of the two stages, in days.
        while_latent, while_infectious: relative infectiousness of the two stages.
    """
    day = jnp.arange(LONGEST + 1, dtype=jnp.float32)
    shape, scale = (mean / sd) ** 2, sd**2 / mean
    # The midpoint rule: its constant cancels, and it is differentiable by the shape as well.
    age = (jnp.arange(LONGEST * _PER_DAY) + 0.5) / _PER_DAY
    log_density = (shape - 1) * jnp.log(age) - age / scale
    density = jnp.exp(log_density - jax.lax.stop_gradient(jnp.max(log_density)))
    weight = jnp.append(0.0, jnp.sum(density.reshape(LONGEST, _PER_DAY), axis=1))
    stage = jnp.where(day <= latent, while_latent, while_infectious)
    weight = weight * stage * (day > 0) * (day <= latent + infectious)
    return weight / jnp.sum(weight)


class Setting(NamedTuple):
    """Pairs of people who share a group, by the size of the group.

    Attributes:
        others: mean number of others of class a in a group of `size` people, met by a person of
            class b; [size, a, b], averaged over all people of class b.
        sizes: number of people in the groups of each entry, [size].
    """

    others: Float[np.ndarray, "size mine theirs"]
    sizes: Float[np.ndarray, " size"]


def setting(
    member_of: Int[np.ndarray, " person"],
    class_of: Int[np.ndarray, " person"],
    num_classes: int,
) -> Setting:
    """Who shares the groups of `member_of` (-1 for none), by group size and class; on the host."""
    people = np.bincount(class_of, minlength=num_classes).astype(float)
    inside = member_of >= 0
    group, kind = member_of[inside].astype(np.int64), class_of[inside].astype(np.int64)
    count = int(group.max(initial=-1)) + 1
    members = np.bincount(group * num_classes + kind, minlength=count * num_classes)
    members = members.reshape(count, num_classes).astype(float)
    size = members.sum(axis=1).astype(int)
    found = np.unique(size[size > 1])
    if not len(found):
        return Setting(np.zeros((1, num_classes, num_classes)), np.full(1, 2.0))
    pairs = np.stack([_pairs(members[size == n]) for n in found])
    return Setting(pairs / np.maximum(people, 1), found.astype(float))


def _pairs(members: np.ndarray) -> np.ndarray:
    return members.T @ members - np.diag(members.sum(axis=0))


def next_generation(
    scale: Number,
    susceptibility: Float[Array | np.ndarray, " age"],
    settings: Sequence[tuple[Setting, Float[Array | np.ndarray, "..."]]],
    mixing: Float[Array | np.ndarray, "mine theirs"],
    people: Float[Array | np.ndarray, " age"],
) -> Float[Array, "mine theirs"]:
    """Next-generation matrix: people of class a infected directly by one person of class b.

    A pair in a group meets with one total hazard over the whole infectious period, so the chance
    is `1 - exp(-hazard)`: repeated contacts within a household are not counted twice.

    Args:
        scale: transmissions per contact over a whole infectious period.
        susceptibility: relative susceptibility of each class.
        settings: group settings with the contacts per day of a pair in a group of each size. [size]
        mixing: contacts per day of a person of class a with class b at large.
        people: number of people of each class.
    """
    total = jnp.zeros_like(mixing)
    for pairs, contacts in settings:
        hazard = scale * susceptibility[None, :] * contacts[:, None]
        chance = -jnp.expm1(-hazard)
        total = total + jnp.sum(jnp.asarray(pairs.others) * chance[:, :, None], axis=0)
    per_person = people[:, None] / jnp.maximum(people[None, :], 1)
    return total + scale * susceptibility[:, None] * mixing * per_person


def spectral_radius(matrix: Float[Array, "mine theirs"]) -> Scalar:
    """Largest eigenvalue of a non-negative matrix, by power iteration; differentiable."""
    power = jax.lax.stop_gradient(_high_power(matrix))
    right, left = jnp.sum(power, axis=1), jnp.sum(power, axis=0)
    # The Rayleigh quotient has the eigenvalue's own first derivative with the vectors held.
    return left @ matrix @ right / (left @ right)


def typical_infected(matrix: Float[Array, "mine theirs"]) -> Float[Array, " age"]:
    """Shares of each class among the infected once the early growth has settled."""
    power = _high_power(matrix)
    return jnp.sum(power, axis=1) / jnp.sum(power)


def _high_power(matrix: Array) -> Array:
    """A high power of `matrix`, scaled to sum to 1, by repeated squaring.

    A multiple of the identity is added first: it leaves the vectors as they are and lets the
    powers settle also where infection alternates between classes, as from men to women and back.
    """
    shifted = matrix + jnp.mean(matrix) * jnp.eye(matrix.shape[0])

    def square(_: Any, power: Array) -> Array:
        power = jnp.matmul(power, power, precision=jax.lax.Precision.HIGHEST)
        return power / jnp.sum(power)

    return jax.lax.fori_loop(0, _SQUARINGS, square, shifted / jnp.sum(shifted))


def solve_scale(
    reproduction: Number, matrix_at: Callable[[Scalar], Float[Array, "mine theirs"]]
) -> Scalar:
    """The scale at which the next-generation matrix has spectral radius `reproduction`.

    `matrix_at(scale)` must grow with `scale`. Differentiable in everything `matrix_at` closes
    over: the last step is Newton's, whose derivative is that of the implicit function.
    """
    target = jnp.asarray(reproduction, jnp.float32)

    def excess(log_scale: Scalar) -> Scalar:
        return jnp.log(spectral_radius(matrix_at(jnp.exp(log_scale)))) - jnp.log(target)

    def halve(_: Any, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low + high) / 2
        above = excess(middle) > 0
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    ends = (jnp.log(jnp.float32(1e-6)), jnp.log(jnp.float32(1e4)))
    low, high = jax.lax.stop_gradient(jax.lax.fori_loop(0, _BISECTIONS, halve, ends))
    middle = (low + high) / 2
    slope = jax.lax.stop_gradient(jax.grad(excess)(middle))
    return jnp.exp(middle - excess(middle) / slope)


def growth_rate(reproduction: float, profile: Float[np.ndarray, " day"]) -> float:
    """Exponential growth per day of an epidemic whose infections follow `profile`.

    Solves the Euler-Lotka equation of the daily step, 1 = R0 sum_d profile[d] exp(-r d).

    Raises:
        ScenarioError: the reproduction number is not positive.
    """
    if not reproduction > 0:
        raise ScenarioError(f"reproduction = {reproduction}; give a positive number")
    profile = np.asarray(profile, float)
    day = np.arange(len(profile))
    low, high = -5.0, 5.0
    for _ in range(100):
        middle = (low + high) / 2
        born = reproduction * np.sum(profile * np.exp(-middle * day))
        low, high = (middle, high) if born > 1 else (low, middle)
    return (low + high) / 2


def cohort_reproduction(
    new_infections: Float[np.ndarray, " date"], profile: Float[np.ndarray, " day"]
) -> Float[np.ndarray, " date"]:
    """Instantaneous reproduction number Rt from the series of new infections per day.

    Rt = new infections today over the infectiousness of those before; not a number where nobody
    was infectious. Source: Cori et al. (2013), eq. 1 with the profile as generation interval.
    """
    new, weight = np.asarray(new_infections, float), np.asarray(profile, float)
    pressure = np.convolve(new, weight)[: len(new)]
    return np.divide(new, pressure, out=np.full_like(new, np.nan), where=pressure > 1e-9)


def fatality_by_age(age: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Share of the infected who die, by age in years.

    Source: Levin et al. (2020), Eur J Epidemiol 35:1123, log10(per cent) = -3.27 + 0.0524 age;
    for COVID-19 before vaccines.
    """
    return (10 ** (-3.27 + 0.0524 * np.asarray(age)) / 100).astype(np.float32)

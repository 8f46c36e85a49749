"""What a fitting problem must be before it is solved."""

import numpy as np
from jaxtyping import Float

from lpm.errors import DataError, listing

from .problem import Fitted, Level, Problem, Rules


def check_problem(problem: Problem) -> None:
    """Refuse a problem that has no meaning.

    Raises:
        DataError: a level's arrays do not fit its names, a number is missing or not finite, a
            standard error is negative, or a level's zones are not made of whole zones of the
            level before it. The message names level, zones and controls.
    """
    if not problem.levels:
        raise DataError("The problem has no level of zones; give at least one.")
    finest = problem.levels[0]
    if not np.array_equal(finest.zone_of, np.arange(len(finest.zones))):
        raise DataError(f"Level '{finest.name}' is the finest: its zone_of must be 0, 1, 2, ...")
    for level in problem.levels:
        _check_shapes(level, len(problem.prior), len(finest.zones))
        _check_values(level)
        _check_sizes(level)
    for fine, coarse in zip(problem.levels, problem.levels[1:], strict=False):
        _check_nesting(fine, coarse)
    check_prior(problem.prior[None])


def _check_sizes(level: Level) -> None:
    unknown = [name for name in level.sizes if name not in level.controls]
    if unknown:
        raise DataError(
            f"Level '{level.name}' has sizes {unknown}, which are none of its controls."
        )
    at = [level.controls.index(name) for name in level.sizes]
    if at and not (np.sort(level.incidence[:, at], axis=1) == np.eye(len(at))[-1]).all():
        raise DataError(
            f"Level '{level.name}': sizes {list(level.sizes)} must have each record in one of them."
        )


def check_prior(prior: Float[np.ndarray, "zone record"]) -> None:
    """Refuse weights that are not numbers, or none of which is positive.

    Raises:
        DataError: how many records are wrong, and the first of them.
    """
    wrong = np.flatnonzero(~np.isfinite(prior).all(axis=0))
    if len(wrong):
        raise DataError(f"{len(wrong)} records have no finite weight, first row {wrong[0]}.")
    if not (prior > 0).any():
        raise DataError("No record has a positive weight; there is nothing to draw from.")


def check_rules(rules: Rules) -> None:
    """Refuse rules that mean nothing.

    Raises:
        DataError: a slack below 0, bounds that do not rise from 0 or more, or no tolerance.
    """
    low, high = rules.bounds
    if not 0 <= rules.slack < np.inf:
        raise DataError(f"slack is {rules.slack}; give a factor on the standard errors, 0 or more")
    if not 0 <= low < high:
        raise DataError(
            f"bounds are {low:g} and {high:g}; give the smallest and the largest factor on a "
            "weight, from 0 to infinity"
        )
    if not 0 < rules.tolerance < np.inf:
        raise DataError(
            f"tolerance is {rules.tolerance}; give a small number above 0, such as 1e-9"
        )


def check_prior_shape(prior: Float[np.ndarray, "zone record"], problem: Problem) -> None:
    """Refuse weights of other zones or records.

    Raises:
        DataError: there is not one for each record in each zone.
    """
    shape = (len(problem.zones), len(problem.prior))
    if prior.shape != shape:
        raise DataError(
            f"prior has shape {list(prior.shape)}, but the problem has {shape[0]} zones and "
            f"{shape[1]} records"
        )


def prior_of(fitted: Fitted) -> Float[np.ndarray, "zone record"]:
    """What the weights of a fit were kept close to.

    Raises:
        DataError: the fit does not say so.
    """
    if fitted.prior is None:
        raise DataError("The fit does not say what its weights were kept close to; fit it again.")
    return fitted.prior


def _check_shapes(level: Level, num_records: int, num_finest: int) -> None:
    shape = (len(level.zones), len(level.controls))
    expected = {
        "incidence": (num_records, shape[1]),
        "target": shape,
        "error": shape,
        "zone_of": (num_finest,),
    }
    for name, wanted in expected.items():
        found = getattr(level, name).shape
        if found != wanted:
            raise DataError(f"Level '{level.name}': {name} has shape {found}, not {wanted}.")
    if not shape[1]:
        raise DataError(f"Level '{level.name}' has no controls; give it some or leave it out.")
    if sorted(set(level.zone_of.tolist())) != list(range(shape[0])):
        raise DataError(
            f"Level '{level.name}': zone_of must name each of its {shape[0]} zones by number."
        )


def _check_values(level: Level) -> None:
    if not np.isfinite(level.incidence).all():
        wrong = [level.controls[i] for i in np.flatnonzero(~np.isfinite(level.incidence).all(0))]
        raise DataError(f"Level '{level.name}': records lack a finite value of {listing(wrong)}.")
    for name, bad in (
        ("target", ~np.isfinite(level.target)),
        ("error", ~np.isfinite(level.error) | (level.error < 0)),
    ):
        if bad.any():
            where = [f"{level.zones[z]}: {level.controls[c]}" for z, c in np.argwhere(bad)[:12]]
            rule = "finite" if name == "target" else "finite and not negative"
            raise DataError(
                f"Level '{level.name}': {name} must be {rule}; not at {listing(where)}."
            )


def _check_nesting(fine: Level, coarse: Level) -> None:
    pairs = set(zip(fine.zone_of.tolist(), coarse.zone_of.tolist(), strict=True))
    inside = [zone for zone, _ in pairs]
    split = [fine.zones[zone] for zone in sorted({z for z in inside if inside.count(z) > 1})]
    if split:
        raise DataError(
            f"Zones of level '{fine.name}' lie in several of '{coarse.name}': {listing(split)}; "
            "levels must be nested, the finest first."
        )

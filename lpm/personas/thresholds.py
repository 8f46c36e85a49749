"""Up to what point personas bear something: a threshold for each, and one steepness for all."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..errors import PersonaError
from .answers import Answers

_STEPS, _CLOSE = 100, 1e-10


@dataclass(frozen=True)
class Thresholds:
    """The share who say yes at a level x of the situation: 1 / (1 + exp(-k (b - x))).

    Attributes:
        steepness: k, of all personas.
        bearable: b, the level at which half of the people of a persona say yes.
        log_loss: mean of -log likelihood, by answer, on the answers it was fitted to.
        constant_loss: the same of one share for all personas and levels.
    """

    steepness: float
    bearable: Float[np.ndarray, " persona"]
    log_loss: float
    constant_loss: float

    def share(self, level: Float[np.ndarray, " level"]) -> Float[np.ndarray, "persona level"]:
        """Share of each persona that says yes."""
        return 1 / (1 + np.exp(-self.steepness * (self.bearable[:, None] - level)))

    def loss(self, answers: Answers) -> float:
        """Mean of -log likelihood on other answers of the same personas.

        Raises:
            PersonaError: answers of another kind, or of another number of personas.
        """
        level, said = _levels(answers)
        if len(said) != len(self.bearable):
            raise PersonaError(f"{len(said)} personas; thresholds are of {len(self.bearable)}")
        return _loss(self.share(level), said)


def fit_thresholds(answers: Answers, *, apart: float = 2.0) -> Thresholds:
    """Thresholds by penalised maximum likelihood from answers to a question of yes or no.

    Shares count as that many of those asked, answers of 0 or 1 as one person each. A persona that
    says the same at every level has no threshold by itself; the penalty, `k (b - mean b) / apart`
    being standard normal, keeps it near the others.

    Args:
        answers: of two actions, the second one yes, by one variable.
        apart: standard deviation of thresholds between personas, in units of 1 / k.

    Raises:
        PersonaError: answers of another kind, or no convergence: yes and no that do not depend on
            the level at all.
    """
    level, said = _levels(answers)
    people, count = said.shape[0], said.shape[2]
    yes = said.sum(axis=2)
    centre = level.mean()
    x = level - centre
    # log-odds = a_p - k x with a_p = k (b_p - centre): linear in the coefficients.
    design = np.zeros((people, len(x), people + 1))
    for p in range(people):
        design[p, :, p] = 1.0
    design[:, :, people] = -x
    flat, told = design.reshape(-1, people + 1), yes.reshape(-1)
    around = np.eye(people) - 1 / people
    penalty = np.zeros((people + 1, people + 1))
    penalty[:people, :people] = around / apart**2 + 1e-6 * np.eye(people)
    found = np.zeros(people + 1)
    for _ in range(_STEPS):
        share = 1 / (1 + np.exp(-(flat @ found)))
        slope = flat.T @ (told - count * share) - penalty @ found
        curvature = flat.T @ (flat * (count * share * (1 - share))[:, None]) + penalty
        curvature[people, people] += 1e-9
        step = np.linalg.solve(curvature, slope)
        step *= min(1.0, 5.0 / max(np.abs(step).max(), 1e-30))  # From 0, odds cannot run away.
        found += step
        if np.abs(step).max() < _CLOSE * (1 + np.abs(found).max()):
            break
    else:
        raise PersonaError(
            f"thresholds do not converge in {_STEPS} steps: yes and no part cleanly at one level, "
            "so that there is no threshold with a finite steepness; ask at more levels"
        )
    steepness = float(found[people])
    if not (np.isfinite(found).all() and steepness > 0):
        raise PersonaError(
            f"steepness {steepness:.3g}: the share who say yes does not fall with the level, so "
            "there is no threshold"
        )
    bearable = found[:people] / steepness + centre
    fitted = Thresholds(steepness, bearable, 0.0, 0.0)
    constant = np.full(said.shape[:2], np.clip(said.mean(), 1e-6, 1 - 1e-6))
    losses = _loss(fitted.share(level), said), _loss(constant, said)
    return Thresholds(steepness, bearable, *losses)


def constant_loss(share: float, answers: Answers) -> float:
    """Mean of -log likelihood where all say yes with the same chance.

    Raises:
        PersonaError: answers of another kind.
    """
    _, said = _levels(answers)
    return _loss(np.full(said.shape[:2], np.clip(share, 1e-6, 1 - 1e-6)), said)


def _levels(
    answers: Answers,
) -> tuple[Float[np.ndarray, " level"], Float[np.ndarray, "persona level replicate"]]:
    if answers.bounds is not None or len(answers.actions) != 2 or len(answers.knots) != 1:
        raise PersonaError(
            f"answers about {list(answers.knots)} with {list(answers.actions)}; thresholds need "
            "two actions, no and yes, by one variable"
        )
    level = np.asarray(next(iter(answers.knots.values())), np.float64)
    said = answers.values[..., 1].astype(np.float64)
    return level, said.reshape(*said.shape[:2], -1)


def _loss(share: np.ndarray, said: np.ndarray) -> float:
    chance = np.clip(share, 1e-12, 1 - 1e-12)[..., None]
    return float(-np.mean(said * np.log(chance) + (1 - said) * np.log1p(-chance)))

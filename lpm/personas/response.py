"""What a run reads of answers, whether a table of them or networks say it."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from ..axes import Array, Int, Number, Scalar
from ..errors import PersonaError, listing, unknown


class AbstractResponse(eqx.Module):
    """Answers of personas, or cells, at any situation."""

    @abc.abstractmethod
    def asked_for(self) -> tuple[tuple[str, ...], tuple[float, float] | None]:
        """Names of the actions, or of the number; and bounds of the number, `None` for actions."""

    @abc.abstractmethod
    def odds(self, **situation: Number) -> Float[Array, "persona odds"]:
        """Log-odds of every persona in one situation: a number for each variable."""

    @abc.abstractmethod
    def spread_at(self, **situation: Number) -> Float[Array, "persona odds"]:
        """Standard deviation of the log-odds in one situation."""

    @abc.abstractmethod
    def outside(self, **situation: Number) -> Scalar:
        """1 where a variable lies beyond the levels that were asked about, else 0."""

    def shares(self, **situation: Number) -> Float[Array, "persona action"]:
        """Share of each persona that takes each action.

        Raises:
            PersonaError: a variable that is missing or unknown, or a question for a number.
        """
        actions, bounds = self.asked_for()
        if bounds is not None:
            raise PersonaError(f"{actions[0]!r} is a number, not a choice; ask for `number`")
        return shares_of(self.odds(**situation))

    def number(self, **situation: Number) -> Float[Array, " persona"]:
        """The number that each persona gives.

        Raises:
            PersonaError: a variable that is missing or unknown, or a question for a choice.
        """
        actions, bounds = self.asked_for()
        if bounds is None:
            raise PersonaError(f"{listing(actions)} are a choice; ask for `shares`")
        low, high = bounds
        return low + (high - low) * jax.nn.sigmoid(self.odds(**situation)[:, 0])

    def share(
        self, action: str, cell: Int[Array, " agent"], **situation: Number
    ) -> Float[Array, " agent"]:
        """Probability of one action for each agent, by its cell.

        Raises:
            PersonaError: no such action, or a variable that is missing or unknown.
        """
        actions, _ = self.asked_for()
        if action not in actions:
            what = f"the {type(self).__name__.lower()}"
            raise PersonaError(unknown(what, "action", [action], actions))
        return self.shares(**situation)[:, actions.index(action)][cell]


def shares_of(odds: Float[Array, "*lead odds"]) -> Float[Array, "*lead action"]:
    """Shares of all actions from the log-odds of all but the first."""
    first = jnp.zeros((*odds.shape[:-1], 1), odds.dtype)
    return jax.nn.softmax(jnp.concatenate([first, odds], axis=-1), axis=-1)

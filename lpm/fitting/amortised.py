"""A posterior learnt once for all data of one shape: a flow, conditional on summaries."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from ..errors import FittingError
from .chance import generator_for
from .emulator import Levels
from .evidence import Evidence, as_key, run_each
from .flows import import_flowjax
from .objective import Objective

_DRAWS = 1  # Of the noise for each run: more would put one run into both training and validation.
_SUMMARIES = 12  # Principal components of the data, at most.
_KEPT = 4000
_EPOCHS = 150


@dataclass(frozen=True)
class Amortised:
    """A conditional law of the normal scores of the priors' levels, given data.

    Attributes:
        flow: of flowjax, conditional on summaries.
        centre, width: of the data's logarithms, [datum].
        directions: of the summaries, [datum, summary].
        farthest: of the data it has learnt from, the summaries' distance from the middle.
        known: which data are there; others must be missing the same.
        key: of its draws.
    """

    flow: Any
    centre: Float[np.ndarray, " datum"]
    width: Float[np.ndarray, " datum"]
    directions: Float[np.ndarray, "datum summary"]
    farthest: float
    known: np.ndarray
    key: Any

    def summarise(self, data: Float[np.ndarray, "*batch datum"]) -> np.ndarray:
        """Principal components of the data, the leading one of unit variance under the priors."""
        return ((np.log1p(data) - self.centre) / self.width) @ self.directions

    def condition(self, evidence: Evidence) -> tuple[Levels, dict[str, Any]]:
        """Levels of the priors given data, and how far the data are from those learnt from.

        Raises:
            FittingError: other data are missing, or their number differs.
        """
        data = evidence.observed
        if not np.array_equal(~np.isnan(data), self.known):
            raise FittingError(
                f"the flow has learnt from {int(self.known.sum())} of {len(self.known)} data; "
                "these are missing others or are of another number. Learn again for their shape"
            )
        at = self.summarise(data[self.known])
        with jax.numpy_rank_promotion("allow"):  # flowjax leans on it
            drawn = self.flow.sample(self.key, (_KEPT,), condition=jnp.asarray(at, jnp.float32))
        levels = np.clip(ndtr(np.asarray(drawn, np.float64)), 1e-6, 1 - 1e-6)
        far = float(np.abs(at).max())
        about: dict[str, Any] = {"farthest": far, "farthest_learnt": self.farthest}
        if far > self.farthest:
            about["notes"] = ("The data lie beyond all that the flow has learnt from.",)
        return levels, about

    def write(self, file: Any) -> None:
        """All that `read_amortised` needs, into a binary file."""
        about = {
            "known": self.known.tolist(),
            "summaries": self.directions.shape[1],
            "farthest": self.farthest,
            "key": np.asarray(jax.random.key_data(self.key)).tolist(),
        }
        file.write(json.dumps(about).encode() + b"\n")
        eqx.tree_serialise_leaves(file, (self.flow, self.centre, self.width, self.directions))


def read_amortised(path: Path, elements: int) -> Amortised:
    """Read back what `Amortised.write` wrote, for so many elements.

    Raises:
        FittingError: flowjax is not installed, or another version of it wrote the file.
    """
    with path.open("rb") as file:
        about = json.loads(file.readline())
        known, count = np.array(about["known"]), about["summaries"]
        data = int(known.sum())
        arrays = (np.zeros(data), np.zeros(data), np.zeros((data, count)))
        blank = (_blank_flow(jax.random.key(0), elements, count), *arrays)
        try:
            flow, centre, width, directions = eqx.tree_deserialise_leaves(file, blank)
        except (RuntimeError, ValueError, EOFError) as error:
            raise FittingError(
                f"{path} cannot be read: it is cut off, or of another version of flowjax"
            ) from error
    words = jnp.asarray(about["key"], jnp.uint32)
    key = jax.random.wrap_key_data(words, impl="threefry2x32")
    return Amortised(flow, centre, width, directions, about["farthest"], known, key)


def _blank_flow(key: Any, elements: int, summaries: int) -> Any:
    """A flow that has learnt nothing."""
    flowjax = import_flowjax("amortised")
    with jax.numpy_rank_promotion("allow"):
        return flowjax.flows.masked_autoregressive_flow(
            key,
            base_dist=flowjax.distributions.Normal(jnp.zeros(elements)),
            cond_dim=summaries,
            flow_layers=4,
        )


def infer_amortised(objective: Objective, evidence: Evidence, budget: int) -> Amortised:
    """Learn from runs under the priors, each in a world of its own.

    Raises:
        FittingError: flowjax is not installed, or most runs fail.

    Source: Papamakarios & Murray (2016), Advances in Neural Information Processing Systems 29;
    Papamakarios, Pavlakou & Murray (2017), the same 30, for the flow.
    """
    flowjax = import_flowjax("amortised")
    rng, size = generator_for(objective.words, "amortised"), objective.space.size
    known = ~np.isnan(evidence.observed)
    power = int(np.ceil(np.log2(budget)))
    levels = qmc.Sobol(size, rng=int(rng.integers(2**31))).random(2**power)[:budget]
    levels = np.clip(levels, 1e-4, 1 - 1e-4)
    means = run_each(objective, objective.space.quantiles(levels), "amortised")
    fine = np.isfinite(means).all(axis=1)
    if fine.sum() < budget / 2:
        raise FittingError(f"{int((~fine).sum())} of {budget} runs failed; narrow the priors")
    key = as_key(objective.words, "amortised")
    data = evidence.replicate(key, means[fine], _DRAWS)[:, :, known]
    logs = np.log1p(data).reshape(-1, int(known.sum()))
    centre, width = logs.mean(axis=0), np.maximum(logs.std(axis=0), 1e-3)
    centred = (logs - centre) / width
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    count = min(_SUMMARIES, int((values > 1e-4).sum()))
    # The leading one has unit variance, the others less: noise stays small beside what tells.
    directions = vectors[:, ::-1][:, :count] / np.sqrt(values[-1])
    sums = centred @ directions
    scores = np.repeat(ndtri(levels[fine]), _DRAWS, axis=0)
    first, second, last = jax.random.split(jax.random.fold_in(key, 1), 3)
    with jax.numpy_rank_promotion("allow"):
        flow, _ = flowjax.train.fit_to_data(
            second,
            _blank_flow(first, size, count),
            (jnp.asarray(scores, jnp.float32), jnp.asarray(sums, jnp.float32)),
            learning_rate=3e-3,
            max_epochs=_EPOCHS,
            max_patience=20,
            show_progress=False,
        )
    return Amortised(flow, centre, width, directions, float(np.abs(sums).max()), known, last)

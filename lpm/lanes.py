"""The runs of an ensemble: which go together, and their outcomes as one trajectory."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from .engine import Plan
from .errors import SimulationError
from .params import Params
from .personas.recorded import join_recorded
from .segments import Outcome, stack_states
from .state import State
from .trajectory import Provenance, Trajectory


def lane_name(lane: int, runs: int, variants: int | None) -> str:
    """How an error names one run of an ensemble."""
    run = f"run {lane % runs}"
    return run if variants is None else f"variant {lane // runs}, {run}"


def pick_lanes(
    params: Params, keys: jax.Array, lanes: np.ndarray, runs: int, batched: bool
) -> tuple[Params, jax.Array]:
    """Params and keys of some lanes; a lane is (variant, run) in that order."""
    pick = lanes // runs if batched else int(lanes[0]) // runs
    chosen = {n: getattr(params, n)[pick] for n in params.knobs() if params.varies(n)}
    keys = keys[lanes % runs] if batched else keys[int(lanes[0]) % runs]
    return params.replace(**chosen), keys


def join_outcomes(outcomes: list[Outcome], keep_state: bool) -> Outcome:
    """Outcomes of successive chunks as one with a lane axis (the second of its rows)."""
    plan = outcomes[-1].plan
    join = np.concatenate if plan.batched else np.stack
    names = outcomes[0].rows[0] if outcomes[0].rows else {}
    whole = [o.observed() for o in outcomes] if names else []
    snapshots = outcomes[0].snapshots
    answers = [o.answers for o in outcomes if o.answers is not None]
    return Outcome(
        plan,
        step=outcomes[0].step,
        rows=[{n: join([w[n] for w in whole], axis=1) for n in names}] if names else [],
        faults=join([o.faults for o in outcomes], axis=0),
        snapshots={s: _states(plan, [o.snapshots[s] for o in outcomes]) for s in snapshots},
        state=_states(plan, [o.state for o in outcomes]) if keep_state else None,
        answers=join_recorded(answers, alone=not plan.batched) if answers else None,
    )


def _states(plan: Plan, states: Sequence[State | None]) -> State:
    return stack_states(plan, [s for s in states if s is not None], alone=not plan.batched)


def fold_variants(trajectory: Trajectory, plan: Plan, variants: int, runs: int) -> Trajectory:
    """[variant * run, ...] as [variant, run, ...]."""

    def fold(x: Any) -> np.ndarray:
        return np.asarray(x).reshape(variants, runs, *np.shape(x)[1:])

    def fold_state(state: State) -> State:
        leaves = zip(jax.tree.leaves(state), plan.lanes, strict=True)
        return jax.tree.unflatten(plan.treedef, [fold(x) if lane else x for x, lane in leaves])

    observed = {name: fold(x) for name, x in trajectory.observed.items()}
    answers = trajectory.answers
    if answers is not None:
        answers = replace(answers, values={name: fold(x) for name, x in answers.values.items()})
    return replace(
        trajectory,
        answers=answers,
        observed=observed,
        plain=observed,
        faults={name: fold(x) for name, x in trajectory.faults.items()},
        log_probability=fold(trajectory.log_probability),
        state=None if trajectory.state is None else fold_state(trajectory.state),
        snapshots={s: fold_state(x) for s, x in trajectory.snapshots.items()},
        lead=("variant", "run"),
    )


def stack_populations(parts: Sequence[Trajectory]) -> Trajectory:
    """Trajectories of several populations along a leading axis; their states are not kept."""
    if not parts:
        raise SimulationError("the list of populations is empty; give at least one")
    observed = {n: np.stack([p.observed[n] for p in parts]) for n in parts[0].observed}
    return replace(
        parts[0],
        answers=None,
        observed=observed,
        plain=observed,
        state=None,
        snapshots={},
        faults={n: np.stack([p.faults[n] for p in parts]) for n in parts[0].faults},
        log_probability=np.stack([p.log_probability for p in parts]),
        lead=("population", *parts[0].lead),
        source=Provenance({"populations": [p.provenance for p in parts]}),
    )

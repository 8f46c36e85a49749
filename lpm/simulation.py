"""The two verbs that run a scenario: `simulate` one run, `ensemble` many."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .axes import is_traced
from .cache import keep_compiled
from .checkpoints import Checkpoints
from .engine import Plan, trace
from .errors import ScenarioError, SimulationError
from .interviews import open_interviews
from .lanes import fold_variants, join_outcomes, lane_name, pick_lanes, stack_populations
from .launch import choose_mesh, key_words, make_plan, shared_rows, start_scored
from .params import Params
from .personas import Interviewer, Respondent
from .population import Population
from .processes import agree, watched
from .progress import open_progress
from .provenance import describe_run, identity
from .scenario import Scenario, check_every, check_schedules, check_steps
from .segments import Outcome, fault_names, run_segments
from .trajectory import Provenance, Trajectory, score_factor

_TOGETHER = 2**20  # Slots of all runs that advance at once; beyond, runs follow each other.


def simulate(
    scenario: Scenario,
    population: Population,
    *,
    key: Any,
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    snapshots: Sequence[int] = (),
    estimator: str = "stop",
    devices: Any = None,
    respondent: Respondent | Interviewer | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | Callable[[Trajectory], None] | None = None,
    throw: bool = True,
    debug: bool = False,
    cache: str | Path | bool | None = None,
) -> Trajectory:
    """Run a scenario once.

    Observables are read after steps `every`, 2 `every`, ... and leave the device segment by
    segment, so memory does not grow with the number of steps. Under a JAX trace (grad, vmap, jit)
    the run is one rematerialised scan: no progress, checkpoint, snapshots or raising.

    Args:
        scenario: what to run.
        population: who it happens to.
        key: an int or a JAX key; the same key gives the same run.
        params: other parameters than the scenario's defaults.
        steps: another horizon than the scenario's.
        every: cadence of the observables, in steps.
        snapshots: steps whose whole state is kept on the host; 0 is the initial state.
        estimator: how a gradient passes a discrete draw: stop, straight_through, mean_field, score.
        devices: `None` (all that are worth it), a number, or a list of JAX devices.
        respondent: who answers for the scenario's panel: `Http`, `Local`, `Replay`, `Rules`, or an
            `Interviewer` with a transcript and a budget; `None` leaves it to the panel's card.
        checkpoint: folder to save to between segments and to resume from.
        progress: `True`, `False`, `None` (a bar in a terminal or notebook, nothing when piped), or
            a function called with the trajectory so far after each segment.
        throw: raise when a variable was not finite or left its bounds; otherwise see
            `trajectory.faults`.
        debug: check after every process and name it.
        cache: folder for compiled programs from here on, or `False` for none; `None` leaves it to
            the environment variable `LPM_CACHE` (a folder, or `off`) and the user's cache folder.

    Raises:
        ScenarioError: the scenario or params do not fit.
        PersonaError: an answer of the panel that cannot be had.
        SimulationError: a variable left its bounds, births outgrew the slots, memory is short, or
            the checkpoint belongs to another run.
    """
    keep_compiled(cache)
    params, steps = settle(scenario, params, steps, every)
    words = key_words(key)
    if params.variants() is not None:
        raise ScenarioError("params hold several variants; run them with lpm.ensemble")
    if words.ndim != 1:
        raise SimulationError(f"simulate takes one key, not {words.shape[0]}; use lpm.ensemble")
    given, traced = population, is_traced((params, words))
    population, plan = _prepare(
        scenario, population, params, devices, estimator, debug, every, not traced
    )
    if traced:
        return _traced(scenario, population, plan, params, words, steps)
    interviews = open_interviews(scenario, respondent, checkpoint)
    about = describe_run(scenario, given, params, words, steps, every, estimator)
    about |= interviews.identity if interviews else {}
    kept = about | {"snapshots": _numbers(snapshots)}
    shared = agree(plan.mesh, identity(about), about)
    with watched(), open_progress(progress, steps, scenario.unit, scenario.name) as bar:
        outcome = run_segments(
            scenario,
            population,
            plan,
            params,
            words,
            steps=steps,
            snapshots=snapshots,
            throw=throw,
            checkpoints=Checkpoints(checkpoint, kept, shared=shared),
            after=lambda n, now: bar(n, lambda: _trajectory(scenario, now, about, every)),
            interviews=interviews,
        )
    about |= interviews.record(outcome.answers) if interviews else {}
    return _trajectory(scenario, outcome, about, every)


def ensemble(
    scenario: Scenario,
    population: Population | Sequence[Population],
    *,
    keys: Any,
    params: Params | None = None,
    steps: int | None = None,
    every: int = 1,
    snapshots: Sequence[int] = (),
    estimator: str = "stop",
    devices: Any = None,
    respondent: Respondent | Interviewer | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
    throw: bool = True,
    debug: bool = False,
    keep_state: bool = True,
    cache: str | Path | bool | None = None,
) -> Trajectory:
    """Run a scenario once per key, and once per variant and population where there are several.

    Results are [run, row, ...]; params with one extra leading axis give [variant, run, row, ...];
    a list of populations adds a leading axis `population`. Every run equals `simulate` with its
    key. Small runs advance together, large ones one after the other.

    Args:
        scenario: what to run.
        population: one population, or several.
        keys: an array of JAX keys, or a list of ints or keys: one per run.
        keep_state: keep the final states; they take memory for every run.
        params, steps, every, snapshots, estimator, devices, respondent, checkpoint, progress,
            throw, debug, cache: as for `simulate`; snapshots need runs that advance together. Runs
            whose panels are asked the same get the same answer.

    Raises:
        ScenarioError: the scenario or params do not fit.
        SimulationError: as for `simulate`.
    """
    shared = {
        "keys": keys,
        "params": params,
        "steps": steps,
        "every": every,
        "snapshots": snapshots,
        "estimator": estimator,
        "devices": devices,
        "respondent": respondent,
        "progress": progress,
        "throw": throw,
        "debug": debug,
        "keep_state": keep_state,
        "cache": cache,
    }
    if not isinstance(population, Population):
        folders = [
            None if checkpoint is None else Path(checkpoint) / f"population-{i}"
            for i in range(len(population))
        ]
        parts = [
            ensemble(scenario, one, checkpoint=folder, **shared)
            for one, folder in zip(population, folders, strict=True)
        ]
        return stack_populations(parts)
    keep_compiled(cache)
    params, steps = settle(scenario, params, steps, every)
    words = key_words(keys)
    if words.ndim != 2:
        raise SimulationError("ensemble takes several keys: jax.random.split(key, runs) or [0, 1]")
    given, runs, variants = population, words.shape[0], params.variants()
    traced = is_traced((params, words))
    population, plan = _prepare(
        scenario, population, params, devices, estimator, debug, every, not traced
    )
    if traced:
        return _traced_ensemble(scenario, population, plan, params, words, steps)
    interviews = open_interviews(scenario, respondent, checkpoint)
    about = describe_run(scenario, given, params, words, steps, every, estimator)
    about |= interviews.identity if interviews else {}
    kept = about | {"snapshots": _numbers(snapshots)}
    shared = agree(plan.mesh, identity(about), about)
    Checkpoints(checkpoint, kept, shared=shared)
    total = runs * (variants or 1)
    abreast = min(total, together(population.capacity))
    plan = replace(plan, batched=abreast > 1)
    outcomes, rounds = [], math.ceil(total / abreast)
    with watched(), open_progress(progress, steps * rounds, scenario.unit, scenario.name) as bar:
        for first in range(0, total, abreast):
            lanes = np.arange(first, min(first + abreast, total))
            chosen, lane_keys = pick_lanes(params, words, lanes, runs, plan.batched)
            this = plan if plan.batched else replace(plan, varied=(False,) * len(plan.varied))
            # One folder per chunk: a finished chunk is read back, a torn one continues.
            folder = None if checkpoint is None else Path(checkpoint) / f"runs-{first}"
            outcome = run_segments(
                scenario,
                population,
                this,
                chosen,
                lane_keys,
                steps=steps,
                snapshots=snapshots,
                throw=throw,
                checkpoints=Checkpoints(folder, kept | {"lanes": lanes.tolist()}, shared=shared),
                after=lambda n, _: bar(n, None),
                lanes=[lane_name(int(lane), runs, variants) for lane in lanes],
                interviews=interviews.again() if interviews else None,
            )
            outcome.state = outcome.state if keep_state else None
            outcomes.append(outcome)
    whole = join_outcomes(outcomes, keep_state)
    about |= interviews.record(whole.answers) if interviews else {}
    trajectory = _trajectory(scenario, whole, about, every, lead=("run",))
    return trajectory if variants is None else fold_variants(trajectory, whole.plan, variants, runs)


def together(slots: int) -> int:
    """How many runs of so many slots advance at once."""
    return max(1, _TOGETHER // slots)


def settle(scenario: Scenario, params: Any, steps: Any, every: Any) -> tuple[Params, int]:
    """Parameters and number of steps, with the scenario's own where none are given, checked."""
    params = scenario.params if params is None else params
    if type(params) is not type(scenario.params):
        raise ScenarioError(
            f"params is a {type(params).__name__}, but the scenario takes "
            f"{type(scenario.params).__name__}; use scenario.params.replace(...)"
        )
    steps = check_steps(scenario.steps if steps is None else steps)
    check_every(every, steps)
    check_schedules(params, steps, scenario.unit)
    return params, steps


def _numbers(snapshots: Sequence[int]) -> list[int]:
    return sorted({int(step) for step in snapshots})


def _prepare(
    scenario: Scenario,
    population: Population,
    params: Params,
    devices: Any,
    estimator: str,
    debug: bool,
    every: int,
    pauses: bool,
) -> tuple[Population, Plan]:
    """The plan, and the population with a capacity that the devices can share."""
    if not isinstance(population, Population):
        raise ScenarioError(f"population is a {type(population).__name__}, not a lpm.Population")
    mesh = choose_mesh(devices, population.capacity)
    room = None
    if mesh is not None and (rows := shared_rows(population.capacity, mesh)) > population.capacity:
        population, room = population.with_capacity(rows), population.capacity
    plan = make_plan(scenario, params, estimator, debug, every, mesh, room, pauses=pauses)
    return population, plan


def _trajectory(
    scenario: Scenario,
    outcome: Outcome,
    about: dict[str, Any],
    every: int,
    lead: tuple[str, ...] = (),
) -> Trajectory:
    observed = outcome.observed() if outcome.rows else {}
    rows = outcome.step // every
    if lead and observed:
        observed = {name: np.moveaxis(x, 0, 1) for name, x in observed.items()}
    return Trajectory(
        time=np.arange(1, rows + 1, dtype=np.int32) * every,
        observed=observed,
        state=outcome.state,
        faults=dict(
            zip(fault_names(outcome.plan), np.moveaxis(outcome.faults, -1, 0), strict=True)
        ),
        snapshots=outcome.snapshots,
        log_probability=np.zeros((*outcome.faults.shape[:-1], rows), np.float32),
        plain=observed,
        lead=lead,
        unit=scenario.unit,
        source=Provenance(about),
        answers=outcome.answers,
    )


def _traced(
    scenario: Scenario, population: Population, plan: Plan, params: Params, key: Any, steps: int
) -> Trajectory:
    """The differentiable run: one nested scan, faults reported and never raised."""
    plan, state, drawn = start_scored(scenario, population, plan, params, key)
    state, plain, total, faults = trace(plan, state, params, key, steps, drawn)
    rows = steps // plan.every
    return Trajectory(
        time=np.arange(1, rows + 1, dtype=np.int32) * plan.every,
        observed=score_factor(plain, total) if plan.estimator == "score" else plain,
        state=state,
        faults=dict(zip(fault_names(plan), faults, strict=True)),
        snapshots={},
        log_probability=total,
        plain=plain,
        unit=scenario.unit,
    )


def _traced_ensemble(
    scenario: Scenario, population: Population, plan: Plan, params: Params, keys: Any, steps: int
) -> Trajectory:
    structure = jax.tree.structure(params)
    axes = jax.tree.unflatten(structure, [0 if flag else None for flag in plan.varied])
    one = replace(plan, varied=(False,) * len(plan.varied))

    def run(params: Params, key: jax.Array) -> Trajectory:
        return _traced(scenario, population, one, params, key, steps)

    over_runs = jax.vmap(run, in_axes=(None, 0))
    if params.variants() is None:
        return replace(_restore_time(over_runs(params, keys), steps, plan.every), lead=("run",))
    whole = jax.vmap(over_runs, in_axes=(axes, None))(params, keys)
    return replace(_restore_time(whole, steps, plan.every), lead=("variant", "run"))


def _restore_time(trajectory: Trajectory, steps: int, every: int) -> Trajectory:
    time = np.arange(1, steps // every + 1, dtype=np.int32) * every
    return replace(trajectory, time=time)

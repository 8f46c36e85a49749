"""What XLA says a segment costs: bytes per agent, and floating-point work per agent and step.

    python -m tests.benchmarks.compiled

writes the record that `tests/test_compiled.py` holds later versions to. Bytes are compiled
arguments, temporaries, and outputs that do not reuse arguments.
"""

import importlib
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import lpm
from lpm.engine import advance
from lpm.launch import key_words, make_plan, start
from lpm.segments import fit_rows

NAMES = ("sir", "epidemic", "labour_tax", "opinion", "tax_economy", "labour_market")
RECORD = Path(__file__).with_name("compiled.json")
_AGENTS = 200_000


def compile_segment(scenario: lpm.Scenario, population: lpm.Population) -> Any:
    """The compiled segment that advances a run of the default parameters on one device."""
    params, key = scenario.params, key_words(0)
    plan = make_plan(scenario, params, "stop", False, 1, None, pauses=True)
    plan, state = start(scenario, population, plan, params, key)
    plan = fit_rows(plan, state, params)
    moving, fixed = plan.split(state)
    faults = jnp.full(len(plan.checks), -1, jnp.int32)
    zero = jnp.int32(0)
    return advance.lower(plan, moving, fixed, zero, faults, params, key, zero).compile()


def bytes_per_agent(compiled: Any, agents: int) -> float:
    """Peak memory of a compiled segment over the number of people."""
    memory = compiled.memory_analysis()
    peak = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    peak += memory.output_size_in_bytes - memory.alias_size_in_bytes
    return peak / agents


def cost(name: str) -> dict[str, float]:
    """Compiled cost of a shipped scenario per person."""
    scenario = importlib.import_module(f"scenarios.{name}").scenario
    population = scenario.population(_AGENTS, seed=0)
    compiled = compile_segment(scenario, population)
    work = compiled.cost_analysis()
    return {
        "bytes_per_agent": round(bytes_per_agent(compiled, _AGENTS), 2),
        "flops_per_agent_step": round(work["flops"] / _AGENTS, 2),
    }


if __name__ == "__main__":
    found = {"jax": jax.__version__} | {name: cost(name) for name in NAMES}
    RECORD.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")

"""Assimilation beside pypomp's particle filter and iterated filtering, where it is installed.

pypomp (GPL) runs in an environment of its own:

    python3 -m venv POMP && POMP/bin/pip install pypomp==1.1.0
    LPM_POMP_PYTHON=POMP/bin/python pytest -m gate tests/gates/test_assimilation_pypomp.py
"""

import json
import os
import subprocess
from datetime import date, timedelta
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import polars as pl
import pytest

import lpm
from lpm import Array, Float, Scalar
from lpm.fitting import Feed, Stream, assimilate
from lpm.fitting.noise import Normal
from lpm.population.seeds import generator

pytestmark = pytest.mark.gate
KEEP, SHOCK, BLUR, START = 0.8, 0.5, 0.7, date(2026, 1, 1)


class Params(lpm.Params):
    push: Scalar = lpm.parameter(5.0, prior=dist.Normal(5.0, 1.0))


class State(lpm.State):
    level: Float[Array, " agent"]


def init(population, params, draw):
    return State.of(population, level=25 + draw.normal("agent"))


def drift(state, params, draw):
    pushed = KEEP * state.level + params.push
    return state.replace(level=pushed + SHOCK * draw.normal("agent"))


def observe(state, params):
    return {"level": jnp.sum(state.level)}


def test_the_posterior_is_that_of_pypomp(report):
    """pypomp's likelihood on a grid times the prior, and the maximum that its IF2 finds.

    Over 20 streams the mean of 200 members errs by 0.16 of its standard deviation and that by 5 %;
    2000 particles on a grid of 21 add about as much. The prior moves the mean from the maximum by
    about 1 % of a standard deviation; IF2 ends within some 0.3 of it.
    """
    python = os.environ.get("LPM_POMP_PYTHON")
    if not python:
        pytest.skip("LPM_POMP_PYTHON names no Python with pypomp; see the top of this file")
    rng, values, level, push = generator(4), [], 25.0, 5.6
    for _ in range(25):
        level = KEEP * level + push + SHOCK * rng.normal()
        values.append(level + BLUR * rng.normal())
    rows = [("level", START + timedelta(days=i), y) for i, y in enumerate(values)]
    frame = pl.DataFrame(rows, schema=["series", "date", "value"], orient="row")
    feeds = {"level": Feed("level", Normal(BLUR), over="last")}
    found = assimilate(
        lpm.Scenario(init, (drift,), observe, Params(), steps=25), lpm.Population.toy(1),
        Stream(frame, feeds, start=START, update=1), members=400, ahead=0,
    )  # fmt: skip
    mine = found[-1].posterior.summary().row(0, named=True)
    grid = np.linspace(mine["mean"] - 0.6, mine["mean"] + 0.6, 41)
    asked = {
        "levels": values, "grid": grid.tolist(), "begin": 4.8,
        "keep": KEEP, "shock": SHOCK, "blur": BLUR,
    }  # fmt: skip
    script = Path(__file__).with_name("pomp_push.py")
    done = subprocess.run(
        [python, str(script)], input=json.dumps(asked), capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    logs = np.array(told["log_likelihoods"]) - 0.5 * (grid - 5) ** 2
    weight = np.exp(logs - logs.max())
    weight /= weight.sum()
    mean = weight @ grid
    sd = np.sqrt(weight @ (grid - mean) ** 2)
    report("mean of the push beside pypomp's filter, in its sd", (mine["mean"] - mean) / sd, 0.0)
    report("sd of the push beside pypomp's filter", mine["sd"] / sd, 1.0)
    report("maximum by pypomp's IF2 beside the mean, in sd", (told["found"] - mean) / sd, 0.0)
    assert abs(mine["mean"] - mean) < 0.6 * sd
    assert abs(mine["sd"] / sd - 1) < 0.3
    assert abs(told["found"] - mine["mean"]) < sd
    assert abs(push - mean) < 4 * sd

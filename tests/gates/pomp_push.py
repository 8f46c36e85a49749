"""A level pushed up by an unknown amount, by pypomp: run by test_assimilation_pypomp.py.

Reads levels, params and a grid of pushes as JSON, and writes log-likelihoods on the grid and the
push that iterated filtering ends at. It runs in an environment of its own and knows nothing of lpm.
"""

import json
import sys

import jax
import jax.numpy as jnp
import pandas as pd
import pypomp
from pypomp.types import (
    CovarDict,
    InitialTimeFloat,
    ObservationDict,
    ParamDict,
    RNGKey,
    StateDict,
    StepSizeFloat,
    TimeFloat,
)

TOLD = json.loads(sys.stdin.read())
KEEP, SHOCK, BLUR = TOLD["keep"], TOLD["shock"], TOLD["blur"]


def rinit(theta_: ParamDict, key: RNGKey, covars: CovarDict, t0: InitialTimeFloat):
    return {"level": 25 + jax.random.normal(key)}


def rproc(
    X_: StateDict, theta_: ParamDict, key: RNGKey, covars: CovarDict, t: TimeFloat,
    dt: StepSizeFloat,
):  # fmt: skip
    return {"level": KEEP * X_["level"] + theta_["push"] + SHOCK * jax.random.normal(key)}


def dmeas(
    Y_: ObservationDict, X_: StateDict, theta_: ParamDict, covars: CovarDict, t: TimeFloat
):  # fmt: skip
    return jax.scipy.stats.norm.logpdf(Y_["seen"], X_["level"], jnp.asarray(BLUR))


def model(pushes):
    levels = TOLD["levels"]
    return pypomp.Pomp(
        ys=pd.DataFrame({"seen": levels}, index=[float(i + 1) for i in range(len(levels))]),
        theta=pypomp.PompParameters([{"push": float(push)} for push in pushes]),
        statenames=["level"],
        t0=0.0,
        rinit=rinit,
        rproc=rproc,
        dmeas=dmeas,
        nstep=1,
    )


grid = model(TOLD["grid"])
grid.pfilter(J=2000, key=jax.random.key(1))
search = model([TOLD["begin"]])
walk = pypomp.RWSigma({"push": 0.05}).geometric_cooling(0.1)
search.mif(J=1000, M=40, rw_sd=walk, key=jax.random.key(2))
print(
    json.dumps(
        {
            "log_likelihoods": [float(x) for x in jnp.ravel(jnp.asarray(grid.theta.logLik))],
            "found": float(search.theta.params(as_list=True)[0]["push"]),
        }
    )
)

"""pyABC: approximate Bayesian computation by sequential Monte Carlo; weighted posterior means."""

import logging
import tempfile

import numpy as np
import pyabc
from talk import Talk

logging.getLogger("ABC").setLevel(logging.WARNING)
talk = Talk()
names = [f"x{i}" for i in range(talk.size)]
width = talk.upper - talk.lower
prior = pyabc.Distribution(
    **{n: pyabc.RV("uniform", low, w) for n, low, w in zip(names, talk.lower, width, strict=True)}
)


def model(parameters):
    return {"data": talk.run([parameters[name] for name in names])[0, 1]}


np.random.seed(talk.seed)  # noqa: NPY002, TID251 (pyABC draws from it)
method = pyabc.ABCSMC(
    model,
    prior,
    distance_function=pyabc.PNormDistance(p=2),
    population_size=int(talk.task["method"].split()[-1]),
    sampler=pyabc.sampler.SingleCoreSampler(),
)
with tempfile.TemporaryDirectory() as folder:
    method.new(f"sqlite:///{folder}/abc.db", {"data": talk.observed[0]})
    history = method.run(max_total_nr_simulations=max(talk.budgets), max_nr_populations=40)
    rounds = history.get_all_populations()
    spent = 0
    for t, samples in zip(rounds["t"], rounds["samples"], strict=True):
        spent += int(samples)  # Those of the calibration of the first threshold come first.
        if t >= 0:
            frame, weights = history.get_distribution(t=int(t))
            weights = np.asarray(weights) / np.sum(weights)
            talk.tell(weights @ frame[names].to_numpy(), runs=spent)
talk.end()

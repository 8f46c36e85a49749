"""Starsim: SIR on a random network, fixed or drawn anew every step.

It infects before it counts down, so that a duration of 11 gives ten infectious steps.
"""

import sys

import edges
import meter
import starsim as ss

FRESH = "--fresh" in sys.argv
if FRESH:
    sys.argv.remove("--fresh")
ss.options(verbose=0)
STEPS = int(sys.argv[2])


def build(size, seed):
    network = ss.RandomNet(n_contacts=ss.constant(edges.DEGREE), dynamic=FRESH)
    disease = ss.SIR(
        beta=ss.probperday(edges.CHANCE),
        dur_inf=ss.constant(ss.days(edges.DURATION + 1)),
        init_prev=ss.bernoulli(edges.SEEDED),
        p_death=ss.bernoulli(0),
    )
    sim = ss.Sim(
        n_agents=size,
        networks=network,
        diseases=disease,
        dt=ss.days(1),
        dur=ss.days(STEPS),
        rand_seed=seed,
        verbose=0,
    )
    sim.init()
    return sim


def run(sim, steps):
    sim.run()


def summarise(sim):
    return {"attack_rate": 1 - float(sim.diseases.sir.susceptible.mean())}


meter.main(build, run, summarise)

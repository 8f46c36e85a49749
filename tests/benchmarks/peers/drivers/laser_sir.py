"""LASER: SIR by mass action within patches of equal size."""

import contextlib
import io
import sys

import edges
import geopandas as gpd
import laser.core.distributions as dists
import meter
import numpy as np
from laser.core import PropertySet
from laser.generic import SIR, Model
from shapely.geometry import Point

PATCHES = 100
STEPS = int(sys.argv[2])


def build(size, seed):
    each = size // PATCHES
    ill = int(each * edges.SEEDED)
    people = {
        "nodeid": np.arange(PATCHES),
        "population": np.full(PATCHES, each),
        "S": np.full(PATCHES, each - ill),
        "I": np.full(PATCHES, ill),
        "R": np.zeros(PATCHES, int),
    }
    places = [Point(0.1 * i, 45.0) for i in range(PATCHES)]
    frame = gpd.GeoDataFrame(people, geometry=places, crs="EPSG:4326")
    settings = PropertySet({"nticks": STEPS, "beta": edges.CHANCE * edges.DEGREE, "seed": seed})
    with contextlib.redirect_stderr(io.StringIO()):
        model = Model(frame, settings, skip_capacity=True)
    if hasattr(model, "network"):
        model.network = np.zeros_like(model.network)
    duration = dists.constant_float(float(edges.DURATION))
    model.components = [
        SIR.Susceptible(model),
        SIR.Recovered(model),
        SIR.Infectious(model, duration),
        SIR.Transmission(model, duration),
    ]
    return model


def run(model, steps):
    with contextlib.redirect_stderr(io.StringIO()):
        model.run()


def summarise(model):
    left = float(model.nodes.S[STEPS].sum())
    return {"attack_rate": 1 - left / float(model.nodes.S[0].sum() + model.nodes.I[0].sum())}


meter.main(build, run, summarise)

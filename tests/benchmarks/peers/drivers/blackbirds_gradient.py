"""BlackBIRDS: value and gradient of its graph SIR, one coin a day for recovery.

Its package imports MPI and much else that this model does not use; only the model files are loaded.
It takes log10 of its parameters and softens them towards 1, `-log(exp(-2 p) + 1) / 2`: both are
undone, for the values that go in and for the slopes that come out.
"""

import importlib.machinery
import importlib.util
import math
import sys
import types

import edges
import meter
import networkx as nx
import numpy as np
import torch


def load_models():
    root = importlib.machinery.PathFinder.find_spec("blackbirds").submodule_search_locations[0]
    for name, path in (("blackbirds", root), ("blackbirds.models", root + "/models")):
        module = types.ModuleType(name)
        module.__path__ = [path]
        sys.modules[name] = module
    where = root + "/models/model.py"
    spec = importlib.util.spec_from_file_location("blackbirds.models.model", where)
    model = importlib.util.module_from_spec(spec)
    sys.modules["blackbirds.models.model"] = model
    spec.loader.exec_module(model)
    sys.modules["blackbirds.models"].Model = model.Model


load_models()
from blackbirds.models.sir import SIR  # noqa: E402 - only after its package is in place


def build(size, seed):
    torch.manual_seed(seed)
    one, other = edges.draw_edges(size, 0)
    model = SIR(nx.path_graph(2), int(sys.argv[2]))
    ends = np.stack([np.concatenate([one, other]), np.concatenate([other, one])])
    model.graph.edge_index = torch.tensor(ends, dtype=torch.long)
    model.graph.num_nodes = size
    return model


def unsoftened(rate):
    """The parameter that the model turns into `rate`."""
    return -math.log(math.exp(-2 * math.log10(rate)) - 1) / 2


def slope_of(rate):
    """How fast `rate` grows with that parameter."""
    pull = math.exp(-2 * unsoftened(rate))
    return rate * math.log(10) * pull / (pull + 1)


def run(model, steps):
    rates = [edges.SEEDED, edges.CHANCE, 0.1]
    params = torch.tensor([unsoftened(rate) for rate in rates], requires_grad=True)
    state = model.initialize(params)
    for _ in range(steps):
        state = model.step(params, state)
    attack = 1 - state[0, 1].mean()
    attack.backward()
    model.found = {
        "attack_rate": float(attack),
        "transmission_slope": float(params.grad[1]) / slope_of(edges.CHANCE),
    }


meter.main(build, run, lambda model: model.found)

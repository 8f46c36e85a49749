"""BlackBIRDS: value and gradient of its graph SIR, one coin a day for recovery.

Its package imports MPI and much else that this model does not use; only the model files are loaded.
It takes log10 of its parameters, so slopes are divided by the parameter times ln 10.
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


def run(model, steps):
    rates = torch.tensor([edges.SEEDED, edges.CHANCE, 0.1])
    params = torch.log10(rates).requires_grad_(True)
    state = model.initialize(params)
    for _ in range(steps):
        state = model.step(params, state)
    attack = 1 - state[0, 1].mean()
    attack.backward()
    model.found = {
        "attack_rate": float(attack),
        "transmission_slope": float(params.grad[1]) / (edges.CHANCE * math.log(10)),
    }


meter.main(build, run, lambda model: model.found)

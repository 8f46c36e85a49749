"""Mesa: its own flocking example at density 0.02, seeing 5 far, keeping 1 apart."""

import meter
import numpy as np
from mesa.examples.basic.boid_flockers.model import BoidFlockers


def build(size, seed):
    side = (size / 0.02) ** 0.5
    model = BoidFlockers(
        population_size=size, width=side, height=side, vision=5, separation=1, seed=seed
    )
    for bird in model.agents:  # ours start at unit speed
        bird.direction = bird.direction / np.linalg.norm(bird.direction)
    return model


def run(model, steps):
    for _ in range(steps):
        model.step()


def summarise(model):
    headings = np.array([bird.direction for bird in model.agents])
    seen = np.mean([len(bird.get_neighbors_in_radius(radius=5)[0]) for bird in model.agents])
    return {"order": float(np.hypot(*headings.mean(axis=0))), "seen": float(seen)}


meter.main(build, run, summarise)

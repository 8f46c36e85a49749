"""Optuna: tree-structured Parzen estimators, one trial after the other; the best trial counts."""

import numpy as np
import optuna
from talk import Talk, tell_best

optuna.logging.set_verbosity(optuna.logging.WARNING)
talk = Talk()
study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=talk.seed))
points, losses = [], []
while talk.runs < max(talk.budgets):
    trial = study.ask()
    point = [trial.suggest_float(f"x{i}", talk.lower[i], talk.upper[i]) for i in range(talk.size)]
    loss = float(((talk.run(point)[0, 0] - talk.observed[0]) ** 2).sum())
    study.tell(trial, loss)
    points.append(point)
    losses.append(loss)
tell_best(talk, np.array(points), np.array(losses))

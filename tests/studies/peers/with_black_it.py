"""Black-it: a round of samplers over the series, as in its examples; the best point counts."""

import numpy as np
from black_it.calibrator import Calibrator
from black_it.loss_functions.minkowski import MinkowskiLoss
from black_it.samplers.best_batch import BestBatchSampler
from black_it.samplers.halton import HaltonSampler
from black_it.samplers.random_forest import RandomForestSampler
from talk import Talk, tell_best

BATCH = 8
MOST = 480  # Runs: the forests, grown anew in every third batch, take minutes beyond.


class Calibration(Calibrator):
    """Runs of a batch are asked for together."""

    def simulate_model(self, params):
        return talk.run(params)[:, None, 0, :, None]


def unused(theta, n, seed):
    raise RuntimeError("runs are asked for in batches")


talk = Talk()
samplers = [HaltonSampler(BATCH), RandomForestSampler(BATCH), BestBatchSampler(BATCH)]
found = Calibration(
    loss_function=MinkowskiLoss(),
    real_data=talk.observed[0][:, None],
    model=unused,
    parameters_bounds=np.stack([talk.lower, talk.upper]),
    parameters_precision=(talk.upper - talk.lower) / 2000,
    ensemble_size=1,
    samplers=samplers,
    random_state=talk.seed,
    n_jobs=1,
)
found.calibrate(min(max(talk.budgets), MOST) // BATCH)
tell_best(talk, found.params_samp, found.losses_samp)

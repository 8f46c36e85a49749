"""sbi: neural posterior estimation, at once or in rounds; means of posterior draws."""

import warnings

import torch
from sbi.inference import NPE
from sbi.utils import BoxUniform
from talk import Talk

warnings.filterwarnings("ignore")
DRAWS = 2000
talk = Talk()
torch.manual_seed(talk.seed)
torch.set_num_threads(1)
lower, upper = (torch.tensor(x, dtype=torch.float32) for x in (talk.lower, talk.upper))
prior = BoxUniform(lower, upper)
observed = [torch.tensor(one, dtype=torch.float32) for one in talk.observed]


def simulate(points):
    return torch.tensor(talk.run(points.numpy())[:, 1], dtype=torch.float32)


def draw(posterior, count, **which):
    """Rejection is slow where much of the density leaks out of the box; what there is by then."""
    return posterior.sample(
        (count,),
        show_progress_bars=False,
        max_sampling_time=10,
        return_partial_on_timeout=True,
        **which,
    )


def mean_of(posterior, x):
    return draw(posterior, DRAWS, x=x).mean(0).numpy()


def at_once():
    """The posterior of any data from runs over the prior; one training for each budget."""
    points = prior.sample((max(talk.budgets),))
    data = simulate(points)
    for budget in talk.budgets:
        inference = NPE(prior, show_progress_bars=False)
        inference.append_simulations(points[:budget], data[:budget]).train()
        posterior = inference.build_posterior()
        for number, x in enumerate(observed):
            talk.tell(mean_of(posterior, x), runs=budget, number=number)


def in_rounds():
    """The posterior of these data: each round draws points from the posterior so far."""
    inference, proposal = NPE(prior, show_progress_bars=False), prior
    for budget in talk.budgets:
        count = budget - talk.runs
        points = prior.sample((count,)) if proposal is prior else draw(proposal, count)
        inference.append_simulations(points, simulate(points), proposal=proposal)
        inference.train(force_first_round_loss=False)
        proposal = inference.build_posterior().set_default_x(observed[0])
        talk.tell(mean_of(proposal, observed[0]))


{"sbi, NPE": at_once, "sbi, SNPE": in_rounds}[talk.task["method"]]()
talk.end()

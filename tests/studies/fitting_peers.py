"""How many runs a posterior mean needs, beside Optuna, Black-it, pyABC and sbi.

    python -m tests.studies.fitting_peers --peers ENVS --data FILE --out FOLDER
    python -m tests.studies.fitting_peers --peers ENVS --quick

ENVS holds a virtual environment for each: `optuna` (optuna 5.0.0), `blackit` (black-it 0.3.3),
`pyabc` (pyabc 0.13.0) and `sbi` (sbi 0.27.0); each is asked in a process of its own. All methods
get runs of one simulator, which the study makes for them, the same uniform priors and the same
data on a scale on which their noise is even, so that only the number of runs is compared, never
speed. A method's error is how far its posterior mean, or its best point where it has no posterior,
is from the posterior mean by the exact law of the counts (`peer_reference`), in deviations of the
prior, root mean square over the parameters. FILE is the school's published counts
(`calibration/boarding_school.py`); without it all data are simulated. The folder keeps what is
done, and the same command goes on from there.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import lpm
from tests.studies.peer_problems import Problem, Simulator, boarding_school, epidemic
from tests.studies.peer_reference import refer
from tests.studies.peer_summary import OURS, summarise
from tests.studies.record import finish, machine_load

SCRIPTS = Path(__file__).parent / "peers"
PEERS = {  # Method: environment and script.
    "optuna": ("optuna", "with_optuna.py"),
    "black-it": ("blackit", "with_black_it.py"),
    "pyabc, population 50": ("pyabc", "with_pyabc.py"),
    "sbi, NPE": ("sbi", "with_sbi.py"),
    "sbi, SNPE": ("sbi", "with_sbi.py"),
}
AT_ONCE = ("sbi, NPE",)  # One training serves the data of all truths.
METHODS = (*OURS, *PEERS)


@dataclass(frozen=True)
class Size:
    """How large the study of one problem is."""

    truths: int
    budgets: tuple[int, ...]
    rounds: tuple[tuple[int, int], ...]  # Of the reference: points, and particles for each.


FULL = {
    "school": Size(5, (60, 120, 240, 480, 960, 1920), ((200, 300), (200, 500), (700, 1500))),
    "epidemic": Size(3, (60, 120, 240, 480, 960), ((80, 200), (80, 200), (120, 300), (200, 500))),
}
QUICK = {
    "school": Size(2, (60, 120, 240), ((100, 200), (200, 500))),
    "epidemic": Size(1, (60, 120, 240), ((60, 100), (60, 100), (60, 200))),
}


def ask_peer(
    python: Path, script: str, method: str, problem: Problem, numbers: Sequence[int], size: Size
) -> list[dict[str, Any]]:
    """Estimates of a package in its own process, the runs being made here."""
    simulate = Simulator(problem, f"{method}, {problem.name}, {numbers[0]}")
    task = {
        "method": method,
        "lower": problem.lower.tolist(),
        "upper": problem.upper.tolist(),
        "observed": problem.even(problem.data[list(numbers)]).tolist(),
        "budgets": size.budgets,
        "seed": 100 + numbers[0],
    }
    found = []
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [str(python.absolute()), str(SCRIPTS / script)],
            cwd=folder,  # Some write logs where they stand.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as peer,
    ):
        assert peer.stdin is not None
        assert peer.stdout is not None
        _send(peer.stdin, task)
        for line in peer.stdout:
            said = json.loads(line)
            if "points" in said:
                _send(peer.stdin, simulate(np.array(said["points"])).tolist())
            elif "estimate" in said:
                found.append(said | {"number": numbers[said["number"]]})
    if peer.returncode:
        raise RuntimeError(f"{method} ended with {peer.returncode}")
    return found


def _send(pipe: Any, what: Any) -> None:
    pipe.write(json.dumps(what) + "\n")
    pipe.flush()


def by_posterior(problem: Problem, number: int, size: Size) -> list[dict[str, Any]]:
    """`lpm.posterior` by its ensemble method, anew for each budget."""

    def mean(budget: int) -> tuple[Any, int]:
        found = lpm.posterior(
            problem.scenario,
            problem.town,
            problem.series(number),
            keys=_keys("posterior", number, 2),
            method="ensemble",
            budget=budget,
            fields=problem.fields,
            progress=False,
        )
        return found.summary()["mean"].to_numpy(), found.runs

    return _for_budgets(mean, number, size)


def by_variational(problem: Problem, number: int, size: Size) -> list[dict[str, Any]]:
    """`lpm.posterior` by its normal guide, with up to eight keys as the budget allows."""

    def mean(budget: int) -> tuple[Any, int]:
        worlds = min(max(budget // (48 * (2 * len(problem.fields) + 1)), 1), 8)
        found = lpm.posterior(
            problem.scenario,
            problem.town,
            problem.series(number),
            keys=_keys("posterior", number, worlds),
            budget=budget,
            fields=problem.fields,
            progress=False,
        )
        return found.summary()["mean"].to_numpy(), found.runs

    return _for_budgets(mean, number, size)


def by_calibrate(problem: Problem, number: int, size: Size) -> list[dict[str, Any]]:
    """`lpm.calibrate` from the middle of the priors, with a key for each hundred runs or two."""

    def best(budget: int) -> tuple[Any, int]:
        found = lpm.calibrate(
            problem.scenario,
            problem.town,
            problem.series(number),
            keys=_keys("calibrate", number, min(max(budget // 100, 2), 8)),
            budget=budget,
            fields=problem.fields,
            params=_middle(problem),
            step=0.3,
            progress=False,
        )
        return [float(getattr(found.params, name)) for name in problem.fields], found.runs

    return _for_budgets(best, number, size)


def _for_budgets(
    method: Callable[[int], tuple[Any, int]], number: int, size: Size
) -> list[dict[str, Any]]:
    """Estimates at all budgets that the method takes."""
    rows = []
    for budget in size.budgets:
        try:
            estimate, runs = method(budget)
        except lpm.FittingError as error:
            print(f"  {budget} runs: {error}")
            continue
        found = np.asarray(estimate, float).tolist()
        rows.append({"estimate": found, "runs": runs, "number": number})
    return rows


def _middle(problem: Problem) -> lpm.Params:
    centre = (problem.lower + problem.upper) / 2
    changed = dict(zip(problem.fields, centre.tolist(), strict=True))
    return problem.scenario.params.replace(**changed)


def _keys(purpose: str, number: int, count: int) -> Any:
    root = jax.random.fold_in(jax.random.key(len(purpose)), number)
    return jax.random.split(root, count)


def reference(problem: Problem, number: int, size: Size) -> dict[str, Any]:
    """The posterior mean by the exact law, its first proposal at the truth where that is known."""
    truth = problem.truths[number]
    # Of the published counts, what least squares by other code give; see the school's study.
    start = np.array([1.79, 0.456]) if np.isnan(truth).any() else truth
    return refer(problem, number, start, size.rounds)


class Diary:
    """What is done, by name, in a folder."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, now or as kept."""
        path = None if self._folder is None else self._folder / f"{name.replace(' ', '_')}.json"
        if path is not None and path.exists():
            return json.loads(path.read_text())
        began = time.perf_counter()
        found = make()
        print(f"{name}: {time.perf_counter() - began:.1f} s", flush=True)
        if path is not None:
            path.write_text(json.dumps(found))
        return found


def run_problem(
    problem: Problem,
    methods: Sequence[str],
    environments: Path,
    size: Size,
    diary: Diary,
    refers: bool = True,
) -> dict[str, Any]:
    """Estimates of all methods for all truths, and the reference."""
    truths = range(len(problem.data))
    ours = dict(zip(OURS, (by_posterior, by_variational, by_calibrate), strict=True))
    rows: dict[str, list[dict[str, Any]]] = {}
    for method in methods:
        rows[method] = []
        groups = [list(truths)] if method in AT_ONCE else [[number] for number in truths]
        for group in groups:
            name = f"{problem.name} {method} {group[0]}"
            if method in ours:
                some = diary.once(name, lambda m=method, g=group: ours[m](problem, g[0], size))
            else:
                place, script = PEERS[method]
                python = environments / place / "bin" / "python"
                some = diary.once(
                    name,
                    lambda m=method, p=python, s=script, g=group: ask_peer(
                        p, s, m, problem, g, size
                    ),
                )
            rows[method] += [row for row in some if row["number"] in truths]
    references = [
        diary.once(f"{problem.name} reference {n}", lambda n=n: reference(problem, n, size))
        for n in (truths if refers else ())
    ]
    return {
        "prior_sd": problem.prior_sd.tolist(),
        "truths": [None if np.isnan(one).any() else one.tolist() for one in problem.truths],
        "reference": references,
        "estimates": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", type=Path, required=True, help="folder of environments")
    parser.add_argument("--data", type=Path, help="the school's published counts")
    parser.add_argument("--out", type=Path, help="folder of what is done, to go on from")
    parser.add_argument("--quick", action="store_true", help="a reduced size")
    parser.add_argument("--only", nargs="*", help="parts, such as 'school sbi': no summary")
    asked = parser.parse_args()
    load, sizes, diary = machine_load(), QUICK if asked.quick else FULL, Diary(asked.out)
    problems = {
        "school": lambda: boarding_school(sizes["school"].truths, asked.data),
        "epidemic": lambda: epidemic(sizes["epidemic"].truths),
    }
    if asked.only:
        for part in asked.only:
            name, _, some = part.partition(" ")
            chosen = [one for one in METHODS if one.startswith(some)]
            run_problem(
                problems[name](), chosen, asked.peers, sizes[name], diary, some == "reference"
            )
        return
    found = {
        name: run_problem(make(), METHODS, asked.peers, sizes[name], diary)
        for name, make in problems.items()
    }
    summary = {name: summarise(one, sizes[name].budgets) for name, one in found.items()}
    size = {name: asdict(one) for name, one in sizes.items()}
    finish(
        "fitting_peers", {"size": size, "summary": summary, "problems": found}, load, asked.quick
    )


if __name__ == "__main__":
    main()

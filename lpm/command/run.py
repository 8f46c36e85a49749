"""`lpm run`: a scenario over several seeds, against its baseline, into a folder of results."""

import argparse
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from ..analysis.legend import Legend
from ..analysis.report import Story, figures, report
from ..analysis.summary import reading, rows, summarise
from ..errors import LpmError, SimulationError
from ..launch import choose_mesh
from ..params import Params
from ..personas import Interviewer
from ..population import Population
from ..population.columns import MOST_ROWS
from ..processes import by_leader, leads
from ..provenance import package_version, source_hash
from ..scenario import Scenario, check_schedules, check_steps
from ..simulation import ensemble
from ..trajectory import Trajectory, load as load_trajectory
from .folder import RunFolder, Spec, check_new
from .memory import check_fits
from .people import FromFile
from .respondents import announced, interviewer_of, kept_in, written_out
from .scenarios import Loaded, load
from .several import add_processes, ending_together, take_part
from .tables import show
from .values import changes, whole

_LARGE, _TOY = 1_000_000, 10_000
_RUNS = 4


class Interrupted(KeyboardInterrupt):
    """A run stopped by the user; says how to go on."""


@dataclass(frozen=True)
class Job:
    """A run about to happen: what, to whom, under which parameters, and where it goes."""

    spec: Spec
    scenario: Scenario[Any, Any]
    params: Params
    legend: Legend
    population: Population
    folder: RunFolder
    interviewer: Interviewer | None = None
    devices: int | None = None

    @property
    def baseline(self) -> Params | None:
        """Parameters of the world the run is compared with."""
        if not self.spec.compared or not self.scenario.baseline:
            return None
        return self.params.replace(**self.scenario.baseline)


def add_run(commands: Any) -> None:
    """Declare `lpm run` and its options."""
    parser = commands.add_parser(
        "run", help="run a scenario and write a report", description=__doc__
    )
    parser.add_argument("scenario", nargs="?", help="a file, or a name such as epidemic")
    add_size(parser)
    parser.add_argument("--every", type=int, help="steps between two observations (1)")
    parser.add_argument(
        "--set", action="append", metavar="NAME=VALUE", help="change a parameter; repeat for more"
    )
    parser.add_argument(
        "--respondent",
        metavar="WHO",
        help="who answers for a panel: a sheet's FILE, replay:FILE, rules, or rules:CARD",
    )
    parser.add_argument("--no-baseline", action="store_true", help="run the policy alone")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder for the results")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="continue an unfinished run")
    add_processes(parser)
    parser.set_defaults(act=run)


def add_size(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say how large and how often."""
    parser.add_argument(
        "--agents", metavar="N", help="people (all; else 1,000,000, or 10,000 in a toy town)"
    )
    parser.add_argument(
        "--population", metavar="FILE", help="people to run with: a folder or a table of persons"
    )
    parser.add_argument("--steps", type=int, metavar="T", help="horizon (the scenario's own)")
    parser.add_argument("--seed", type=int, metavar="S", help="first seed (0)")
    parser.add_argument("--runs", type=int, metavar="R", help=f"seeds to run ({_RUNS})")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run, or continue, and write policy/, baseline/, figures and report.html.

    Raises:
        LpmError: anything that does not fit, before the folder is made where it can be known.
        Interrupted: stopped by the user.
    """
    if take_part(options):
        return
    with ending_together():
        job = _resume(options, console) if options.resume else _begin(options)
        if job is not None:
            _carry_out(job, console)


def _carry_out(job: Job, console: Console) -> None:
    path = job.folder.path
    console.print(_headline(job), highlight=False, soft_wrap=True)
    if who := announced(job.interviewer):
        console.print(who, highlight=False, markup=False, soft_wrap=True)
    try:
        policy = _simulate(job, "policy", job.params)
        by_leader(lambda: job.legend.check(policy))
        baseline = None if job.baseline is None else _simulate(job, "baseline", job.baseline)
    except LpmError:
        if leads():
            job.folder.discard_if_empty()
        raise
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; go on with: lpm run --resume {path}") from None
    by_leader(lambda: _write(job, console, policy, baseline))


def _write(job: Job, console: Console, policy: Trajectory, baseline: Trajectory | None) -> None:
    path = job.folder.path
    job.folder.write_all(_results(job, policy, baseline))
    job.folder.finish()
    found = summarise(policy, baseline)
    show(console, rows(found))
    console.print(reading(found), highlight=False, style="dim")
    console.print(f"report: {path / 'report.html'}", highlight=False, soft_wrap=True)


def settle(options: argparse.Namespace, loaded: Loaded, params: Params) -> Spec:
    """The options with their defaults, checked.

    Raises:
        ScenarioError: steps below 1, or a schedule that ends before the run.
        SimulationError: too few agents or runs, or too little memory.
    """
    scenario, people = loaded.scenario, loaded.scenario.population
    given = isinstance(people, FromFile)
    spec = Spec(
        scenario=str(loaded.path),
        scenario_sha256=source_hash(scenario),
        population=people.path if given else "",
        people=people.fingerprint if given else "",
        agents=agents_of(options.agents, _usual(people)),
        steps=check_steps(scenario.steps if options.steps is None else options.steps),
        runs=_RUNS if options.runs is None else options.runs,
        seed=0 if options.seed is None else options.seed,
        every=1 if getattr(options, "every", None) is None else options.every,
        compared=not getattr(options, "no_baseline", False),
        legend=loaded.legend.record(),
        respondent=written_out(getattr(options, "respondent", None)),
        lpm=package_version(),
    )
    if spec.runs < 1:
        raise SimulationError(f"--runs {spec.runs}: give at least one run")
    if not 1 <= spec.every <= spec.steps:
        raise SimulationError(f"--every {spec.every}: give a number between 1 and {spec.steps}")
    check_schedules(params, spec.steps, scenario.unit)
    return spec


def _usual(population: Any) -> int:
    """All there are, where it is known how many; else many, or few in a toy town."""
    return getattr(population, "size", _TOY if population == Population.toy else _LARGE)


def agents_of(text: str | None, default: int) -> int:
    """A number of agents as typed.

    Raises:
        SimulationError: not a whole number of at least 1, or more than can be numbered.
    """
    try:
        agents = default if text is None else whole(text)
    except ValueError as error:
        raise SimulationError(f"--agents {error}") from None
    if agents < 1:
        raise SimulationError(f"--agents {agents}: a population needs at least one person")
    if agents > MOST_ROWS:
        raise SimulationError(
            f"--agents {agents:,}: agents are numbered in 32 bits, so there are {MOST_ROWS:,} "
            "at most"
        )
    return agents


def _begin(options: argparse.Namespace) -> Job:
    if options.scenario is None:
        raise SimulationError("give a scenario, such as `lpm run epidemic`, or --resume DIR")
    by_leader(lambda: check_new(options.out))
    loaded = load_peopled(options.scenario, options.population)
    given = changes(loaded.scenario.params, options.set or [])
    params = loaded.scenario.params.replace(**given)
    spec = replace(settle(options, loaded, params), changes=given)
    if spec.compared:
        params.replace(**loaded.scenario.baseline)
    asked = interviewer_of(spec.respondent, loaded.scenario.panel, loaded.scenario.name)
    _check_devices(options, loaded.scenario, params, spec)
    population = loaded.scenario.population(spec.agents, seed=spec.seed)
    folder = by_leader(lambda: RunFolder.claim(options.out, loaded.scenario.name, spec))
    asked, legend = kept_in(asked, folder.path), loaded.legend
    return Job(spec, loaded.scenario, params, legend, population, folder, asked, options.devices)


def _resume(options: argparse.Namespace, console: Console) -> Job | None:
    folder = RunFolder(options.resume)
    spec = by_leader(lambda: Spec.read(folder.path))
    check_same(options, spec, "spec.json")
    if by_leader(lambda: folder.finished):
        console.print(f"{folder.path} is finished; see {folder.path / 'report.html'}")
        return None
    loaded = load_unchanged(spec, folder.path)
    params = loaded.scenario.params.replace(**spec.changes)
    _check_devices(options, loaded.scenario, params, spec)
    population = loaded.scenario.population(spec.agents, seed=spec.seed)
    asked = interviewer_of(spec.respondent, loaded.scenario.panel, loaded.scenario.name)
    asked, legend = kept_in(asked, folder.path), loaded.legend
    return Job(spec, loaded.scenario, params, legend, population, folder, asked, options.devices)


def _check_devices(
    options: argparse.Namespace, scenario: Scenario[Any, Any], params: Params, spec: Spec
) -> None:
    """Refuse devices that are not there, and a run that would not fit into memory."""
    mesh = choose_mesh(options.devices, spec.agents)
    if not options.force:
        check_fits(scenario, params, spec.agents, spec.runs, 1 if mesh is None else mesh.size)


def load_peopled(name: str, population: str | None) -> Loaded:
    """A scenario by path or name, with the people of a file in place of its own if one is given.

    Raises:
        ScenarioError: there is no such scenario.
        DataError: the file is missing or unreadable.
    """
    loaded = load(name)
    if not population:
        return loaded
    people = FromFile(str(Path(population).resolve()))
    return replace(loaded, scenario=loaded.scenario.replace(population=people))


def load_unchanged(spec: Spec, folder: Path) -> Loaded:
    """The scenario of a run that was begun in `folder`.

    Raises:
        SimulationError: it, or the population in its file, reads otherwise than it did then.
    """
    loaded = load_peopled(spec.scenario, spec.population)
    people = loaded.scenario.population
    if isinstance(people, FromFile) and people.fingerprint != spec.people:
        raise SimulationError(f"{spec.population} has changed since {folder} was begun; start anew")
    if source_hash(loaded.scenario) != spec.scenario_sha256:
        raise SimulationError(f"{spec.scenario} has changed since {folder} was begun; start anew")
    return loaded


def check_same(options: argparse.Namespace, spec: Spec, record: str) -> None:
    """Refuse options beside --resume that are not those of the run.

    Raises:
        SimulationError: names the option and what the `record` says.
    """
    where = f"{options.resume / record}"
    if options.scenario is not None:
        loaded = load(options.scenario)
        if str(loaded.path) != spec.scenario:
            raise SimulationError(f"{where} is a run of {spec.scenario}, not of {loaded.path}")
    if options.out is not None and options.out.resolve() != options.resume.resolve():
        raise SimulationError(
            f"--resume {options.resume} goes on in its own folder; leave out --out"
        )
    stored = {**asdict(spec), "no_baseline": not spec.compared}
    given = {
        "agents": None if options.agents is None else agents_of(options.agents, 0),
        "steps": options.steps,
        "seed": options.seed,
        "runs": options.runs,
        "population": str(Path(options.population).resolve()) if options.population else None,
        "every": getattr(options, "every", None),
        "no_baseline": getattr(options, "no_baseline", False) or None,
        "respondent": written_out(getattr(options, "respondent", None)) or None,
    }
    for name, value in given.items():
        if value is not None and value != stored[name]:
            raise SimulationError(
                f"--{name.replace('_', '-')} {value} is not what {where} says ({stored[name]}); "
                "leave it out to resume, or start a new run"
            )
    if options.set:
        raise SimulationError(f"the parameters of {where} stand; leave out --set to resume")


def _simulate(job: Job, name: str, params: Params) -> Trajectory:
    """Runs under some params, read back where they were finished before."""
    folder = job.folder.path / name
    if by_leader(folder.exists):
        return load_trajectory(folder)
    trajectory = ensemble(
        job.scenario,
        job.population,
        keys=[job.spec.seed + i for i in range(job.spec.runs)],
        params=params,
        steps=job.spec.steps,
        every=job.spec.every,
        respondent=job.interviewer,
        checkpoint=job.folder.checkpoint / name,
        devices=job.devices,
        keep_state=False,
    )
    by_leader(lambda: _save(trajectory, folder))
    return trajectory


def _save(trajectory: Trajectory, folder: Path) -> None:
    trajectory.save(folder)


def _results(job: Job, policy: Trajectory, baseline: Trajectory | None) -> dict[str, str | bytes]:
    story = Story(
        name=job.scenario.name,
        purpose=job.scenario.purpose,
        params=job.params,
        defaults=job.scenario.params,
        baseline=job.baseline,
        population=job.population,
        legend=job.legend,
        policy=policy,
        compared=baseline,
    )
    pictures = figures(story)
    files: dict[str, str | bytes] = {f"{p.name}.png": p.png() for p in pictures}
    return files | {"report.html": report(story, pictures)}


def _headline(job: Job) -> str:
    spec, scenario = job.spec, job.scenario
    twice = " and as many of the baseline" if job.baseline is not None else ""
    units = scenario.unit if spec.steps == 1 else f"{scenario.unit}s"
    runs = "1 run" if spec.runs == 1 else f"{spec.runs} runs"
    return (
        f"{scenario.name}: {spec.agents:,} agents, {spec.steps} {units}, {runs}{twice} "
        f"-> {job.folder.path}"
    )

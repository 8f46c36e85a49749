"""Four weeks ahead in New York City: the fitted city against persistence and an SEIR equation.

python -m calibration.new_york_forecasts --fit DIR --out FOLDER --json FILE

DIR is the folder of a fit of the first 30 weeks (`calibration.new_york_covid --out DIR`). From week
30 on each model sees the weeks so far and forecasts the next four, none of which it was fitted to:

- city: the agents of the fit. Transmission of the last weeks, and the level of each series (what
  share of infections it shows), are updated by damped least squares from the weeks seen; from then
  on log transmission is a random walk whose pace is that between the knots of the first 30 weeks.
- persistence: the last week goes on; errors as between past weeks equally far apart, on the log
  scale, both signs alike, as in the baseline of the forecast hubs.
- seir: S, E, I, R with four parameters (reproduction, infectious period, infected at the start,
  reported share), fitted to all weeks seen; `seir_8` is the same for the last eight.

Scores are the weighted interval score and coverage of 50 and 95 % intervals on every week and
borough that came to be published; `relative` is the geometric mean of the ratio to persistence.
"""

import argparse
import json
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from scipy.integrate import odeint
from scipy.optimize import least_squares

from lpm.analysis.forecasts import quantile_frame, score_forecasts, summarise_scores
from lpm.fitting.chance import generator_for
from lpm.fitting.journal import Journal
from lpm.fitting.objective import Objective
from lpm.fitting.space import Space
from lpm.launch import key_words
from lpm.population import new_york
from lpm.provenance import describe_run, identity
from lpm.trajectory import Trajectory
from scenarios.covid import Params, smooth as scenario

from .new_york_covid import (
    BOROUGHS,
    DISPERSION,
    TABLE,
    TARGETS,
    Weekly,
    losses,
    read,
)

AHEAD, FITTED, SEEN = 4, 30, 7  # Weeks ahead, of the fit, and that an update looks back.
_LATE = np.array([-7, -5, -3, -1, 1, AHEAD])  # Weeks from the origin; the first keeps the past.
_LEVEL = 0.25  # How far the level of a series is expected to move, on the log scale.
_DRAWS, _EACH = 12, 80  # Runs behind a forecast, and numbers published for each.
_ROUNDS = 2
_SLOWEST = 0.02  # Of log transmission in a week; nothing stands still.


@dataclass(frozen=True)
class Expected:
    """What a run expects of every week, [target, week, borough] in one row."""

    weeks: int

    def __call__(self, trajectory: Trajectory) -> jax.Array:
        """The row."""
        blank = {name: np.zeros((self.weeks, len(BOROUGHS))) for name in TARGETS}
        series = losses(Weekly(blank, date.min), beliefs=()).series
        return jnp.stack([one.expected(trajectory) for one in series]).ravel()


class City:
    """The agents, with transmission so far and what is known of the level of each series."""

    def __init__(
        self,
        params: Params,
        data: Weekly,
        agents: int = 10_000,
        out: str | None = None,
        since: int = FITTED,
    ) -> None:
        self.data, self.weeks = data, data.weeks
        knots = np.asarray(params.knots)
        steady = np.flatnonzero(knots >= 42)
        change = np.diff(np.log(np.asarray(params.reproduction)[steady]))
        pace = np.sqrt(np.mean(change**2 / (np.diff(knots[steady]) / 7)))
        self.pace = max(float(pace), _SLOWEST)
        grid = np.unique(np.r_[knots, 7 * np.arange(since - 8, self.weeks + AHEAD + 1)])
        values = np.exp(np.interp(grid, knots, np.log(np.asarray(params.reproduction))))
        self.params = params.replace(
            reproduction=values, knots=grid, drift=np.ones(len(grid)), recent=np.ones(len(_LATE)),
            late=7.0 * (since + _LATE),
        )  # fmt: skip
        self.level = np.zeros((len(TARGETS), len(BOROUGHS)))
        steps, words = 7 * self.weeks, key_words([0])
        population = new_york(agents)
        about = describe_run(scenario, population, self.params, words, steps, 1, "stop")
        self.objective = Objective(
            scenario, (population,), Expected(self.weeks), words,
            Space(self.params, ("recent",)), steps, 1,
            Journal(out, identity(about) | {"verb": "forecast"}),
        )  # fmt: skip

    def expected(self, logs: np.ndarray) -> np.ndarray:
        """[point, target, week, borough] for changes of log transmission at the late knots."""
        spaces = [
            Space(self.params.replace(recent=np.exp(np.r_[0.0, row])), ("recent",)) for row in logs
        ]
        self.objective.space = spaces[0]
        found = self.objective.evaluate(np.stack([one.start for one in spaces]))[:, 0]
        return found.astype(float).reshape(len(logs), len(TARGETS), self.weeks, len(BOROUGHS))

    def update(self, origin: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of (log transmission at late knots, levels) given weeks so far."""
        late = 7.0 * (origin + _LATE)
        self.params = self.params.replace(late=late, recent=np.ones(len(_LATE)))
        size, weeks = len(_LATE) - 1, slice(origin - SEEN, origin)
        series = [self.data.counts[name][weeks] for name in TARGETS]
        seen = np.stack(series)
        known = ~np.isnan(seen)
        y = np.log(np.where(known, seen, 0) + 1)
        # A random walk: independent changes from knot to knot.
        walk = np.tril(np.ones((size, size))) @ np.diag(self.pace * np.sqrt(np.diff(_LATE)))
        prior = np.linalg.inv(walk @ walk.T)
        x, levels = np.zeros(size), self.level.size
        mean, covariance = np.zeros(size + levels), np.eye(size + levels)
        for _ in range(_ROUNDS):
            step = 0.1
            around = np.vstack([x, x + step * np.eye(size), x - step * np.eye(size)])
            logs = np.log(self.expected(around)[:, :, weeks] + 1)
            slope = (logs[1 : size + 1] - logs[size + 1 :]) / (2 * step)
            middle = np.exp(logs[0])
            noise = np.stack([1 / DISPERSION[n] + 1 / middle[i] for i, n in enumerate(TARGETS)])
            where = np.broadcast_to(
                np.arange(levels).reshape(self.level.shape)[:, None], seen.shape
            )
            shift = np.eye(levels)[where[known]]
            design = np.hstack([slope[:, known].T, shift])
            miss = (y - logs[0])[known] + design[:, :size] @ x
            weight = design / noise[known][:, None]
            whole = design.T @ weight
            whole[:size, :size] += prior
            whole[size:, size:] += np.eye(levels) / _LEVEL**2
            right = weight.T @ miss
            right[size:] += self.level.ravel() / _LEVEL**2
            covariance = np.linalg.inv(whole)
            mean = covariance @ right
            x = np.clip(mean[:size], -1.5, 1.5)
        mean[:size] = x
        return mean, covariance

    def forecast(self, origin: int) -> np.ndarray:
        """Numbers that may be published, [target, week ahead, borough, draw]; the past moves on."""
        mean, covariance = self.update(origin)
        rng = generator_for(self.objective.words, f"forecast {origin}")
        size = len(_LATE) - 1
        root = np.linalg.cholesky(covariance + 1e-10 * np.eye(len(mean)))
        # Every draw beside its mirror image, so that their mean is the mean.
        half = rng.standard_normal((_DRAWS // 2, len(mean)))
        draws = mean + np.concatenate([half, -half]) @ root.T
        runs = self.expected(np.clip(draws[:, :size], -2.5, 2.5))
        ahead = runs[:, :, origin : origin + AHEAD]
        level = np.exp(draws[:, size:]).reshape(len(draws), len(TARGETS), 1, len(BOROUGHS))
        centre = np.repeat(ahead * level, _EACH, axis=0)
        spread = np.array([DISPERSION[name] for name in TARGETS])[None, :, None, None]
        numbers = rng.poisson(centre * rng.gamma(spread, 1 / spread, centre.shape))
        self.level = mean[size:].reshape(self.level.shape)
        # What has been learnt becomes the past of the next origin.
        late, knots = np.asarray(self.params.late), np.asarray(self.params.knots)
        change = np.interp(knots, late, np.r_[0.0, mean[:size]])
        moved = np.clip(np.asarray(self.params.reproduction) * np.exp(change), 0.06, 11.5)
        self.params = self.params.replace(reproduction=moved)
        return np.moveaxis(numbers, 0, -1).astype(float)


def persist(past: np.ndarray, rng: Any, memory: int = 26) -> np.ndarray:
    """[week ahead, draw] after one series: its last week, with past errors of both signs."""
    logs, rows = np.log(past[-memory:] + 1), []
    for ahead in range(1, AHEAD + 1):
        errors = logs[ahead:] - logs[:-ahead]
        rows.append(logs[-1] + rng.choice(np.r_[errors, -errors], _DRAWS * _EACH))
    return np.maximum(np.exp(np.stack(rows)) - 1, 0)


def seir_weeks(theta: np.ndarray, people: float, weeks: int) -> np.ndarray:
    """Reported a week by the equation; theta holds logs, and last the reported share's logit."""
    reproduction, period, share = np.exp(theta[:3])
    reported = 1 / (1 + np.exp(-theta[3]))

    def flow(y: np.ndarray, _: float) -> list[float]:
        new = reproduction / period * y[0] * y[2]
        return [-new, new - y[1] / 3.0, y[1] / 3.0 - y[2] / period]

    share = min(share, 0.2)
    start = [1 - 2 * share, share, share]
    course = odeint(flow, start, 7.0 * np.arange(weeks + 1), rtol=1e-5, atol=1e-9)
    return people * reported * -np.diff(course[:, 0])


def fit_seir(past: np.ndarray, people: float, rng: Any) -> np.ndarray:
    """[week ahead, draw] by the equation fitted to one series, scattered as its residuals are."""
    y, best = np.log(past + 1), None

    def miss(theta: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(seir_weeks(theta, people, len(past)), 0) + 1) - y

    for reproduction in (1.1, 2.5):
        start = np.r_[np.log([reproduction, 5.0, 1e-4]), -3.0]
        bounds = (np.r_[np.log([0.1, 1, 1e-8]), -9], np.r_[np.log([10, 30, 0.1]), 5])
        found = least_squares(miss, start, bounds=bounds, max_nfev=25)
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None
    scatter = np.sqrt(2 * best.cost / max(len(past) - 4, 1))
    ahead = seir_weeks(best.x, people, len(past) + AHEAD)[-AHEAD:]
    normal = rng.standard_normal((AHEAD, _DRAWS * _EACH))
    return np.maximum(np.exp(np.log(ahead + 1)[:, None] + scatter * normal) - 1, 0)


def forecast_all(city: City, origin: int, rivals: bool = True) -> pl.DataFrame:
    """Quantiles of all models from one origin."""
    rng = generator_for(key_words([1]), f"rivals {origin}")
    shown = city.forecast(origin)
    frames = []
    for i, target in enumerate(TARGETS):
        for j, borough in enumerate(BOROUGHS):
            past = city.data.counts[target][:origin, j]
            if np.isnan(past).any():
                continue
            people = float(np.asarray(city.params.people)[j])
            by_model = {"city": shown[i, :, j]}
            if rivals:
                by_model |= {
                    "persistence": persist(past, rng),
                    "seir": fit_seir(past, people, rng),
                    "seir_8": fit_seir(past[-8:], people, rng),
                }
            for model, draws in by_model.items():
                about = pl.DataFrame(
                    {
                        "model": model,
                        "borough": borough,
                        "target": target,
                        "horizon": np.arange(1, AHEAD + 1),
                        "date": [
                            city.data.start + timedelta(days=7 * (origin + k)) for k in range(AHEAD)
                        ],
                    }
                )
                frames.append(quantile_frame(about, draws))
    return pl.concat(frames)


def observed(data: Weekly) -> pl.DataFrame:
    """Published weeks as a long frame."""
    days = [data.start + timedelta(days=7 * week) for week in range(data.weeks)]
    frames = [
        pl.DataFrame({"date": days, "borough": b, "target": t, "value": data.counts[t][:, j]})
        for t in TARGETS
        for j, b in enumerate(BOROUGHS)
    ]
    return pl.concat(frames).filter(pl.col("value").is_not_nan())


def compare(scores: pl.DataFrame) -> dict[str, Any]:
    """Means by model, target and horizon, and relative scores against persistence."""
    base = scores.filter(pl.col("model") == "persistence")
    keys = ["borough", "target", "horizon", "date"]
    both = scores.join(base.select(*keys, pl.col("wis").alias("base")), on=keys)
    ratio = (pl.col("wis").clip(1e-3) / pl.col("base").clip(1e-3)).log()

    def relative(by: list[str]) -> list[dict[str, Any]]:
        # First the mean in each group, then the ratio of means, as scores of weeks differ in size.
        means = both.group_by(by, maintain_order=True).agg(
            pl.col("wis").mean() / pl.col("base").mean(), ratio.mean().exp().alias("geometric")
        )
        return means.rename({"wis": "ratio_of_means"}).to_dicts()

    return {
        "by_model_and_target": summarise_scores(scores, ["model", "target"]).to_dicts(),
        "by_model_and_horizon": summarise_scores(scores, ["model", "horizon"]).to_dicts(),
        "relative_to_persistence": relative(["model", "target"]),
        "relative_by_horizon": relative(["model", "horizon"]),
    }


def load_params(folder: str) -> Params:
    """The params of a fit kept in a folder."""
    result = json.loads((Path(folder) / "result.json").read_text(encoding="utf-8"))
    return scenario.params.replace(**{name: np.array(x) for name, x in result["params"].items()})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fit", required=True, help="folder of the fit of the first weeks")
    parser.add_argument("--data", type=Path, default=TABLE)
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=2, help="weeks between origins")
    parser.add_argument("--out", help="folder for the journal; resumes from it")
    parser.add_argument("--json", type=Path, help="where the scores go")
    arguments = parser.parse_args()
    data, began = read(arguments.data), time.monotonic()
    city = City(load_params(arguments.fit), data, arguments.agents, arguments.out)
    origins = range(FITTED, data.weeks - AHEAD + 1, arguments.every)
    frames = []
    for origin in origins:
        frames.append(forecast_all(city, origin))
        print(f"origin {origin}: {int(city.objective.runs)} runs", flush=True)
    scores = score_forecasts(pl.concat(frames), observed(data))
    found = compare(scores)
    print(json.dumps(found["relative_to_persistence"], indent=1))
    if arguments.json:
        about = {
            "origins": list(origins), "agents": arguments.agents, "pace": city.pace,
            "runs": int(city.objective.runs), "seconds": time.monotonic() - began,
            "command": "python -m calibration.new_york_forecasts",
        }  # fmt: skip
        arguments.json.write_text(json.dumps(about | found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""The two figures of `calibration.llm_economist`."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from calibration.llm_economy import (
    US_EDGES,
    US_RATES,
    best_hours,
    flat,
    raw_welfare,
    skills,
    welfare,
)

RATES = np.array([*np.linspace(0, 0.9, 19), 0.93, 0.96, 0.98, 0.99, 0.995])


def draw_figures(workers: int, draws: int, found: dict[str, Any], out: Path) -> None:
    """Write welfare.png and schedules.png."""
    draw_welfare(workers, min(draws, 40), out / "welfare.png")
    draw_schedules(found["R4"], out / "schedules.png")


def draw_welfare(workers: int, draws: int, path: Path) -> None:
    """Both ways to add up, by flat rate, with the band of random draws."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    panels = (
        (raw_welfare, "as in the code, per head", "log"),
        (welfare, "weights divided by their sum, dollars a year", "linear"),
    )
    for axis, (measure, title, scale) in zip(axes, panels, strict=True):

        def along(draw: int | None, measure: Any = measure) -> list[float]:
            skill = skills(workers, draw)
            return [float(measure(*best_hours(skill, flat(float(t)))[1:])) for t in RATES]

        many = np.array([along(i) for i in range(draws)])
        low, high = np.quantile(many, [0.1, 0.9], axis=0)
        axis.fill_between(RATES, low, high, alpha=0.25, label=f"80 % of {draws} random draws")
        axis.plot(RATES, along(None), label="equal shares of the distribution")
        axis.set(title=title, xlabel="flat tax rate", yscale=scale)
        axis.legend(frameon=False)
    figure.suptitle(f"Inverse-income welfare in the paper's economy, {workers:,} workers")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_schedules(row: dict[str, Any], path: Path) -> None:
    """Rates by income, and welfare, of row R4."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    edges = np.array([1_000, *US_EDGES[1:], 2_000_000])
    for name, rates, style in (
        ("US 2024", US_RATES, "--"),
        ("best seven brackets", row["seven"]["rates"], "-"),
        ("the paper's steps", row["seven by steps"]["rates"], "-"),
    ):
        left.stairs(rates, edges, baseline=None, label=name, linewidth=1.8, linestyle=style)
    best = row["best flat"]["rates"][0]
    left.axhline(best, color="grey", linestyle=":", label=f"best flat rate, {best:.3f}")
    left.set(xscale="log", ylim=(0, 1), xlabel="income, dollars a year", ylabel="marginal rate")
    left.legend(frameon=False)
    bars = ["US 2024", "flat 0.30", "best flat", "three", "seven by steps", "seven"]
    values = [row[name]["welfare"] for name in bars]
    right.barh(bars[::-1], values[::-1])
    for place, value in enumerate(values[::-1]):
        right.text(value, place, f" {value:,.0f}", va="center")
    right.set(xlabel="welfare, dollars a year", xlim=(0, 1.2 * max(values)))
    figure.suptitle("The economy whose units fit, weights 1/income under the law of 2024")
    figure.savefig(path, dpi=100)
    plt.close(figure)

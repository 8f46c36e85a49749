"""A table and a figure of measured rows."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

_HEAD = (
    "| row | peer | ours, M/CPU s | theirs | ratio (CPU) | ratio (wall) | target "
    "| compile s | RSS MiB, ours / theirs | of the bound |\n" + "| --- " * 10 + "|\n"
)


def share(row: dict[str, Any], machine: dict[str, Any], side: str) -> float | None:
    """The rate on the clock as a share of what the bandwidth of this machine allows."""
    moved = row["row"]["bytes_moved"]
    return None if moved is None else row[f"{side}_wall_rate"] * moved / machine["triad"]


def line(row: dict[str, Any], machine: dict[str, Any]) -> str:
    """One row of the table."""
    about = row["row"]
    if "error" in row:
        agreed = "; ".join(
            f"{s['summary']} {s['ours']:.4f} / {s['theirs']:.4f} +- {s['error']:.4f}"
            for s in row["summaries"]
        )
        why = row["error"].splitlines()[0]
        return f"| {about['name']} | {about['peer']} | {why} {agreed} |" + " |" * 7
    bound = share(row, machine, "ours")
    return (
        f"| {about['name']} | {about['peer']} | {row['ours_cpu_rate'] / 1e6:.3g} "
        f"| {row['theirs_cpu_rate'] / 1e6:.3g} | {row['cpu_ratio']:.1f} | {row['wall_ratio']:.1f} "
        f"| {about['target']:g} | {row['compile_s']:.1f} | {row['ours']['peak_rss_mib']:.0f} / "
        f"{row['theirs']['peak_rss_mib']:.0f} | {'' if bound is None else f'{bound:.1%}'} |"
    )


def table(results: dict[str, Any]) -> str:
    """The whole table, in Markdown."""
    return _HEAD + "".join(line(row, results["machine"]) + "\n" for row in results["rows"])


def plot(results: dict[str, Any], path: Path) -> None:
    """Ratios of each row by either clock, and its target, on a logarithmic axis."""
    rows = [row for row in results["rows"] if "error" not in row][::-1]
    if not rows:
        return
    figure, axes = plt.subplots(figsize=(7, 0.5 + 0.45 * len(rows)), layout="constrained")
    places = range(len(rows))
    wall, cpu = ([row[f"{clock}_ratio"] for row in rows] for clock in ("wall", "cpu"))
    axes.barh(places, wall, color="#4477aa", height=0.6, label="wall")
    axes.plot(cpu, places, "o", color="#ee6677", label="CPU seconds")
    axes.plot([row["row"]["target"] for row in rows], places, "k|", markersize=16, label="target")
    axes.set_yticks(places, [f"{row['row']['name']} ({row['row']['peer']})" for row in rows])
    axes.set_xscale("log")
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_xlabel("agent-steps a second, ours over theirs")
    figure.legend(loc="outside upper right", ncols=3, frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)

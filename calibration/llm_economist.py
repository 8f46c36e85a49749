"""What LLM Economist (Karten et al. 2025) finds, with rational workers and other ways to add up.

python -m calibration.llm_economist --workers 100 --out FOLDER         a minute
python -m calibration.llm_economist --workers 1000000 --out FOLDER     a quarter of an hour

Eight questions (rows R1 to R8 of the page beside this file, llm_economist.md; R5, whether people
are satisfied, needs answers of personas and is left out). Each is answered the way of the paper's
code and a corrected way side by side, with the spread over random draws of as many workers. Where
all workers are meant, they are the middles of equal shares of the distribution.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from calibration import llm_economist_rows as rows, llm_economist_votes as votes
from calibration.llm_economist_figures import draw_figures

ROWS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "R1": rows.hours,
    "R2": rows.corner,
    "R3": rows.paper_welfare,
    "R3 planner": rows.paper_planner,
    "R4": rows.recalibrated_welfare,
    "R4 floors": rows.floors,
    "R6": votes.tax_year,
    "R7": votes.votes,
    "R8": votes.elasticity,
}


def study(workers: int, draws: int) -> dict[str, Any]:
    """All rows."""
    found = {}
    for name, row in ROWS.items():
        found[name] = row(workers, draws)
        print(f"{name} of {workers:,} workers", file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--draws", type=int, help="random populations; fewer of many workers")
    parser.add_argument("--out", type=Path, help="folder for result.json and figures")
    asked = parser.parse_args()
    draws = asked.draws or max(2, min(400, 4_000_000 // asked.workers))
    found = study(asked.workers, draws)
    text = json.dumps(found, indent=1)
    print(text)
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / "result.json").write_text(text + "\n")
        draw_figures(asked.workers, draws, found, asked.out)


if __name__ == "__main__":
    main()

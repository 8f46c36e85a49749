"""Workers, taxpayers, a planner and voters who are asked: the figures of persona_economy.md.

python -m tests.studies.persona_economy            4,000 people, two minutes on a free core
python -m tests.studies.persona_economy --quick    800 people
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from calibration.persona_economy import PARTS
from lpm.personas import Respondent
from tests.studies.record import finish, machine_load


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """What the rules said, and what came back."""
    labour, feels, planners = (found[part] for part in ("labour", "satisfaction", "planners"))
    return {
        "asked": "documented rules with a known truth; no language model",
        "elasticity": labour["elasticity"],
        "revenue_flat_60": {
            name: laws["flat 60 %"]["revenue"] for name, laws in labour["economy"].items()
        },
        "log_loss": [feels["log loss of new answers"], feels["log loss of a constant"]],
        "welfare": {name: each["welfare"] for name, each in planners.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="800 people, nothing written")
    asked = parser.parse_args()
    load = machine_load()
    size = 800 if asked.quick else 4_000
    with TemporaryDirectory() as folder:

        def asker(part: str, rule: Respondent) -> tuple[Respondent, dict[str, Any]]:
            return rule, {"transcript": Path(folder) / f"{part}.jsonl"}

        found = {name: part(size, asker) for name, part in PARTS.items()}
    finish("persona_economy", {"summary": summary(found), **found}, load, asked.quick)


if __name__ == "__main__":
    main()

"""Rows R1 to R8 of LLM Economist with 100 workers and with a million.

python -m tests.studies.llm_economist            about half an hour on two cores
python -m tests.studies.llm_economist --quick    100 workers, a minute or two
"""

import argparse
from typing import Any

from calibration.llm_economist import study
from tests.studies.record import finish, machine_load


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """The figures that answer the paper's, by number of workers."""
    return {
        workers: {
            "US 2024": rows["R4"]["US 2024"]["welfare"],
            "best flat": rows["R4"]["best flat"]["welfare"],
            "seven": rows["R4"]["seven"]["welfare"],
            "gain_over_US": rows["R4"]["gain_over_US"],
            "from_reported": rows["R4"]["from_reported"],
            "per_head_US_in_theirs": rows["R3"]["US 2024"]["per_head"],
        }
        for workers, rows in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100 workers only")
    asked = parser.parse_args()
    load = machine_load()
    found = {"100": study(100, 200)}
    if not asked.quick:
        found["1000000"] = study(1_000_000, 4)
    finish("llm_economist", {"summary": summary(found), "workers": found}, load, asked.quick)


if __name__ == "__main__":
    main()

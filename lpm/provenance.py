"""Where a run came from: version, commit, seed, parameters, population and machine."""

import hashlib
import inspect
import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .params import Params
from .population import Population
from .scenario import Scenario


def describe_run(
    scenario: Scenario,
    population: Population,
    params: Params,
    key: Any,
    steps: int,
    every: int,
    estimator: str,
) -> dict[str, Any]:
    """Everything needed to repeat a run, as plain JSON values."""
    return {
        "scenario": scenario.name,
        "scenario_sha256": source_hash(scenario),
        "unit": scenario.unit,
        "steps": steps,
        "every": every,
        "estimator": estimator,
        "key": np.asarray(key).tolist(),
        "params": {
            name: {
                "value": np.asarray(getattr(params, name)).tolist(),
                "role": knob.role,
                "unit": knob.unit,
            }
            for name, knob in params.knobs().items()
        },
        "population": {
            "size": population.size,
            "capacity": population.capacity,
            "fingerprint": population.fingerprint,
        },
        "lpm": package_version(),
        "commit": commit(),
        "jax": jax.__version__,
        "jaxlib": package_version("jaxlib"),
        "device": f"{jax.devices()[0].device_kind} x {len(jax.devices())}",
        "python": platform.python_version(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def identity(about: dict[str, Any]) -> dict[str, Any]:
    """The part of a description that must agree for a run to be continued."""
    loose = ("started", "commit", "python", "device")
    return {name: value for name, value in about.items() if name not in loose}


def source_hash(scenario: Scenario) -> str:
    """Hash of the scenario's file, or of its functions' code where there is no file."""
    try:
        text = Path(inspect.getfile(inspect.unwrap(scenario.init))).read_bytes()
    except (OSError, TypeError):
        functions = (scenario.init, *scenario.processes, scenario.observe)
        text = "\n".join(_code(function) for function in functions).encode()
    return hashlib.sha256(text).hexdigest()[:16]


def _code(function: Callable[..., Any]) -> str:
    """Source of a function, as in a notebook, or its name where there is none; no addresses."""
    try:
        return inspect.getsource(inspect.unwrap(function))
    except (OSError, TypeError):
        return getattr(function, "__qualname__", type(function).__name__)


@cache
def package_version(name: str = "lpm") -> str:
    """Installed version of a package, or "unknown" when run from bare files.

    Read once a process, for it takes as long as a step of many scenarios.
    """
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


@cache
def commit() -> str:
    """Commit of the checkout lpm runs from, with a plus sign if changed; empty if installed.

    Asked once a process, for the code is loaded once too.
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        head = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return head.stdout.strip()

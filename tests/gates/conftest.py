"""Figures that the gates measured, listed beside theory at the end of a run."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`report(what, measured, theory)`: list a figure at the end of the run, passed or failed."""

    def write(what: str, measured: Any, theory: Any = None) -> None:
        shown = f"{measured:.6g}" if isinstance(measured, float) else str(measured)
        beside = "" if theory is None else f"  theory {theory:.6g}"
        request.node.user_properties.append(("figure", f"{what}: {shown}{beside}"))

    return write


def pytest_terminal_summary(terminalreporter: Any) -> None:
    figures = [
        (each.nodeid.split("::")[-1], text)
        for outcome in ("passed", "failed")
        for each in terminalreporter.stats.get(outcome, [])
        if getattr(each, "when", "") == "call"
        for kind, text in each.user_properties
        if kind == "figure"
    ]
    if figures:
        terminalreporter.section("figures of the gates")
    for test, text in figures:
        terminalreporter.write_line(f"{test}  {text}")

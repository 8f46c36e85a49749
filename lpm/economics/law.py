"""Tax law as data: the federal law of the United States, and schedules from files of one's own."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, listing, unknown
from .piecewise import Number, Piecewise, phased
from .schedule import Schedule, from_piecewise

STATUSES = ("single", "joint", "separate", "head", "widow")
_LAW = Path(__file__).parent / "data" / "us_federal.toml"


def federal(
    year: int = 2024,
    status: str = "single",
    children: int = 0,
    *,
    payroll: bool = False,
    credits: bool = True,
) -> Schedule:
    """United States federal tax on annual wages, in dollars of the year.

    Income tax after the standard deduction; with `credits` the earned income credit and the child
    tax credit with its refundable part; with `payroll` what employees pay for Social Security and
    Medicare. Figures and their sources are in `lpm/economics/data/us_federal.toml`.

    Wages are all the income there is. Children are under 17 and count for both credits; without
    children, the earned income credit is for people of 25 to 64, so leave `credits` out for others.
    A joint return has one earner. The tables of the tax service go in steps of 50 dollars and the
    child tax credit falls in steps of 1,000; here both are the straight lines through them. Not
    included: other deductions and credits, the alternative minimum tax, states.

    Args:
        year: 2023 to 2026.
        status: `single`, `joint`, `separate`, `head` (of household) or `widow` (surviving spouse).
        children: 0 or more.
        payroll: whether payroll taxes of employees are added.
        credits: whether credits are taken off.

    Raises:
        DataError: a year, status or number of children that there is no law for.

    Example:
        >>> float(federal(2024, "single", credits=False).exact()(50_000))
        4016.0
    """
    law = _law()
    years = [name for name in law if name.isdigit()]
    if str(year) not in years:
        raise DataError(unknown("the federal law", "year", [str(year)], years))
    if status not in STATUSES:
        raise DataError(unknown("the federal law", "status", [status], STATUSES))
    if children < 0:
        raise DataError(f"children = {children}; give 0 or more")
    now = law[str(year)]
    edges = [0, *now["edges"][status]]
    tax = Piecewise.of(edges, law["rates"]).after_deduction(now["deduction"][status])
    if credits:
        tax = _less_child_credit(tax, law["child_tax_credit"], now, status, children)
        if status != "separate":
            tax = tax - _earned_income_credit(law["earned_income_credit"], now, status, children)
    return from_piecewise(tax + _payroll(law["payroll"], now, status) if payroll else tax)


def _less_child_credit(
    tax: Piecewise, rule: dict[str, Any], now: dict[str, Any], status: str, children: int
) -> Piecewise:
    """First the credit lowers tax to 0, then some of what is left of it is paid out."""
    whole = phased(
        children * now["child"], rate_out=rule["rate_out"], start_out=rule["start_out"][status]
    )
    used = whole.at_most(tax)
    paid = phased(
        children * now["child_refundable"], rate_in=rule["rate_in"], start_in=rule["start_in"]
    )
    return tax - used - paid.at_most(whole - used)


def _earned_income_credit(
    rule: dict[str, Any], now: dict[str, Any], status: str, children: int
) -> Piecewise:
    row = min(children, 3)
    return phased(
        now["credit"][row],
        rate_in=rule["rate_in"][row],
        rate_out=rule["rate_out"][row],
        start_out=now["phase_out_joint" if status == "joint" else "phase_out"][row],
    )


def _payroll(rule: dict[str, Any], now: dict[str, Any], status: str) -> Piecewise:
    old_age = Piecewise.of([0, now["wage_base"]], [rule["old_age"], 0])
    extra = Piecewise.above(rule["additional_above"][status], rule["additional"])
    return old_age + Piecewise.of([0], [rule["health"]]) + extra


@cache
def _law() -> dict[str, Any]:
    return tomllib.loads(_LAW.read_text(encoding="utf-8"))


_BRACKET = {"from", "to", "rate"}
_CREDIT = {"amount", "rate_in", "start_in", "rate_out", "start_out", "refundable"}


def read_schedule(path: str | Path) -> Schedule:
    """A schedule from a TOML file.

    ```toml
    deduction = 5000          # taken off income before the brackets; 0 if left out
    intercept = 0             # tax without income; 0 if left out

    [[bracket]]
    from = 0
    to = 10000                # may be left out: the next bracket's `from`
    rate = 0.1
    [[bracket]]
    from = 10000
    rate = 0.3

    [[credit]]                # any number, in order
    amount = 600
    rate_in = 0.0765          # grows with income above start_in (0); whole at once if left out
    rate_out = 0.0765         # withdrawn above start_out
    start_out = 9800
    refundable = true         # paid out where it exceeds the tax; false if left out
    ```

    Raises:
        DataError: no such file, no TOML, a key, bracket or value that does not fit; the message
            says which and what would be right.
    """
    where = Path(path)
    try:
        table = tomllib.loads(where.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{where}: {error.strerror or error}; give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{where} is not TOML: {error}") from error
    _known(f"{where}", table, {"bracket", "credit", "deduction", "intercept"})
    brackets = table.get("bracket", [])
    if not isinstance(brackets, list) or not brackets:
        raise DataError(f"{where} has no [[bracket]]; give one at least, from 0")
    edges, rates = _brackets(where, brackets)
    start = _number(f"{where}", table, "intercept", -np.inf, np.inf, 0.0)
    tax = Piecewise.of(edges, rates, start)
    tax = tax.after_deduction(_number(f"{where}", table, "deduction", 0, np.inf, 0.0))
    for number, row in enumerate(table.get("credit", [])):
        tax = _less_credit(f"{where}: credit {number}", tax, row)
    return from_piecewise(tax)


def _brackets(where: Path, rows: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    edges, rates = [], []
    for number, row in enumerate(rows):
        owner = f"{where}: bracket {number}"
        _known(owner, row, _BRACKET)
        low = _number(owner, row, "from", 0, np.inf)
        if number == 0 and low != 0:
            raise DataError(f"{owner}: from = {low:g}; the first bracket starts at 0")
        if number and not low > edges[-1]:
            raise DataError(
                f"{owner}: from = {low:g}; brackets must be sorted, so above {edges[-1]:g}"
            )
        last = number + 1 == len(rows)
        if "to" in row:
            high = _number(owner, row, "to", low, np.inf)
            following = (
                np.inf
                if last
                else _number(f"{where}: bracket {number + 1}", rows[number + 1], "from", 0, np.inf)
            )
            if high != following:
                what = "overlaps" if high > following else "leaves a gap before"
                after = "the end of income" if last else f"bracket {number + 1}"
                raise DataError(f"{owner}: to = {high:g} {what} {after}; it must be {following:g}")
        edges.append(low)
        rates.append(_number(owner, row, "rate", -1, 1))
    return edges, rates


def _less_credit(owner: str, tax: Piecewise, row: dict[str, Any]) -> Piecewise:
    _known(owner, row, _CREDIT)
    if not isinstance(row.get("refundable", False), bool):
        raise DataError(f"{owner}: refundable = {row['refundable']!r}; give true or false")
    credit = phased(
        _number(owner, row, "amount", 0, np.inf),
        rate_in=_number(owner, row, "rate_in", 0, 1, np.inf),
        start_in=_number(owner, row, "start_in", 0, np.inf, 0.0),
        rate_out=_number(owner, row, "rate_out", 0, 1, 0.0),
        start_out=_number(owner, row, "start_out", 0, np.inf, 0.0),
    )
    if row.get("refundable", False):
        return tax - credit
    return tax - credit.at_most(tax.at_least(Piecewise.constant(0)))


def _known(owner: str, row: Any, keys: set[str]) -> None:
    if not isinstance(row, dict):
        raise DataError(f"{owner} = {row!r}; give a table with {listing(sorted(keys))}")
    wrong = set(row) - keys
    if wrong:
        raise DataError(unknown(owner, "key", sorted(wrong), sorted(keys)))


def _number(
    owner: str,
    row: dict[str, Any],
    key: str,
    low: Number,
    high: Number,
    missing: Number | None = None,
) -> float:
    if key not in row and missing is not None:
        return float(missing)
    value = row.get(key)
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else np.nan
    if not low <= number <= high:
        shown = "is missing" if key not in row else f"= {value!r}"
        raise DataError(f"{owner}: {key} {shown}; it lies in [{low:g}, {high:g}]")
    return float(number)

"""Conditions and amounts over the columns of a frame, as SQL or polars expressions."""

import re
from collections.abc import Iterator

import polars as pl

from lpm.errors import DataError, listing, unknown

from .dictionary import variables

Expression = str | pl.Expr

_EQUAL = re.compile(r"""["`]?(\w+)["`]?\s*(?:=|<>|!=)\s*'([^']*)'""")
_IN = re.compile(r"""["`]?(\w+)["`]?\s+(?:NOT\s+)?IN\s*\(([^)]*)\)""", re.IGNORECASE)
_QUOTED = re.compile(r"'([^']*)'")
_SHOWN = re.compile(r'col\("([^"]+)"\)\)\s*[!=]=\s*\("([^"]*)"\)')  # How polars prints `==`.


def evaluate(frame: pl.DataFrame, expression: Expression, owner: str, purpose: str) -> pl.Series:
    """Values of an expression, one per row: Boolean or numbers.

    Blanks are False or 0. Text of digits, such as VEH, is read as numbers.

    Raises:
        DataError: it is no SQL, names an unknown column, compares text with a number or with a
            code that cannot occur, or gives neither truth nor numbers.
    """
    where = f"{purpose}, {_text(expression)!r}, over {owner} ({frame.height:,} rows)"
    parsed = parse(expression, where)
    try:
        missing = sorted(set(parsed.meta.root_names()) - set(frame.columns))
        if missing:
            raise DataError(unknown(where, "column", missing, frame.columns))
        found = frame.with_columns(parsed.alias("__value"))["__value"]
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{where}: {reason}{_advice(frame, expression, reason)}") from error
    check_codes(frame, expression, where)
    if found.dtype == pl.Boolean:
        return found.fill_null(value=False)
    if found.dtype == pl.String:
        found = _digits(found, where)
    if not found.dtype.is_numeric():
        raise DataError(f"{where} gives {found.dtype}; it is true or false, or a number")
    return found.cast(pl.Float64).fill_nan(None).fill_null(0.0)


def parse(expression: Expression, where: str) -> pl.Expr:
    """An expression as polars has it.

    Raises:
        DataError: it is no SQL.
    """
    try:
        return pl.sql_expr(expression) if isinstance(expression, str) else expression
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{where}: this is no SQL expression: {reason}") from error


def check_codes(frame: pl.DataFrame, expression: Expression, where: str) -> None:
    """Refuse comparisons with codes that a column of text does not have.

    A code that no row has but the dictionary of 2023 lists is allowed; so is any code of the right
    width where the dictionary lists none.

    Raises:
        DataError: names the column, the code, and those there are.
    """
    for name, code in _comparisons(expression):
        if name not in frame.columns or frame[name].dtype != pl.String:
            continue
        present = frame[name].drop_nulls().unique().sort()
        variable = variables().get(name)
        listed = variable is not None and variable.kind == "code" and variable.allows(code)
        if present.len() and code not in present and not listed:
            raise DataError(f"{where}: {name} is never {code!r}; its values are {listing(present)}")


def _comparisons(expression: Expression) -> Iterator[tuple[str, str]]:
    if isinstance(expression, pl.Expr):
        yield from _SHOWN.findall(str(expression))
        return
    yield from _EQUAL.findall(expression)
    for name, codes in _IN.findall(expression):
        for code in _QUOTED.findall(codes):
            yield name, code


def _digits(text: pl.Series, where: str) -> pl.Series:
    numbers = text.cast(pl.Float64, strict=False)
    wrong = numbers.is_null() & text.is_not_null()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(f"{where} gives text, {text[row]!r} in row {row}; compare it with a code")
    return numbers


def _advice(frame: pl.DataFrame, expression: Expression, reason: str) -> str:
    if "compare string" not in reason or not isinstance(expression, str):
        return ""
    text = [n for n in frame.columns if frame[n].dtype == pl.String and n in expression]
    if not text:
        return ""
    codes = listing(frame[text[0]].drop_nulls().unique().sort())
    return f"; {text[0]} holds text such as {codes}: write {text[0]} = '...'"


def _text(expression: Expression) -> str:
    return expression if isinstance(expression, str) else str(expression)

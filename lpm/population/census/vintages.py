"""One set of names, codes, areas and dollars for survey files of different years."""

from collections.abc import Mapping, Sequence

import polars as pl

from lpm.errors import DataError, listing

from .dictionary import variables

# Old name, name of today, first year of the new one.
RENAMED = (
    ("ST", "STATE", 2023),
    ("TYPE", "TYPEHUGQ", 2020),
    ("RELP", "RELSHIPP", 2019),
    ("JWTR", "JWTRNS", 2019),
    ("YBL", "YRBLT", 2021),
)
PUMAS = ("PUMA20", "PUMA10", "PUMA00")
FACTORS = {"ADJINC": "income", "ADJHSG": "housing"}
# RELP 01 (spouse), 11 (roomer or boarder) and 13 (unmarried partner) were split by sex or merged
# with others in 2019, so they have no single successor and stay.
_RELATIONSHIPS = {
    **{"00": "20", "02": "25", "03": "26", "04": "27", "05": "28", "06": "29", "07": "30"},
    **{"08": "31", "09": "32", "10": "33", "12": "34", "14": "35", "15": "36"},
    **{"16": "37", "17": "38"},
}
# Rail was ordered otherwise before 2019: 03 streetcar, 04 subway, 05 railroad.
_TRANSPORT = {"03": "05", "04": "03", "05": "04"}
# Years of building, single ones from 2005 on, are merged to the decades of 2021.
_BUILT = {
    **{f"{i + 2:02d}": str(1940 + 10 * i) for i in range(6)},
    "01": "1939",
    **{f"{i:02d}": "2000" for i in range(8, 14)},
    **{f"{i:02d}": "2010" for i in range(14, 24)},
    "24": "2020",
}
_RECODED = {"RELSHIPP": _RELATIONSHIPS, "JWTRNS": _TRANSPORT, "YRBLT": _BUILT}
_WIDTHS = {"RELSHIPP": 2, "JWTRNS": 2, "YRBLT": 2, "STATE": 2, **dict.fromkeys(PUMAS, 5)}
# Until 2017 the smallest amounts were codes: included in the rent, no charge.
_CODED_DOLLARS = {"ELEP": 2, "FULP": 2, "GASP": 3, "WATP": 2}
_CODED_UNTIL = 2017


def canonical(columns: Sequence[str]) -> dict[str, str]:
    """The name of today of each column of a file."""
    upper = {name: name.upper() for name in columns}
    today = {old: new for old, new, _ in RENAMED if new not in upper.values()}
    return {name: today.get(title, title) for name, title in upper.items()}


def former(name: str) -> str:
    """How `name` was called, or is called now, for messages."""
    for old, new, year in RENAMED:
        if name == new:
            return f"{new} (until {year - 1}: {old})"
        if name == old:
            return f"{old} (from {year}: {new})"
    return f"{name} (in the dictionary of 2023)" if name in variables() else name


def typed(source: str, name: str, like: pl.DataFrame) -> pl.Expr:
    """Column `source` as numbers, codes of the dictionary's width, or text; blanks are null.

    `like` has the types of the file and need have no rows.
    """
    column, variable, dtype = pl.col(source), variables().get(name), like[source].dtype
    if dtype == pl.String:
        column = column.str.strip_chars()
        column = pl.when(column != "").then(column)
    if name in FACTORS:
        return column.cast(pl.Float64).alias(name)
    if variable is None and name not in PUMAS:
        return column.alias(name)
    if variable is not None and variable.kind == "number":
        whole = dtype == pl.String or dtype.is_integer()
        return column.cast(pl.Int64 if whole else pl.Float64).alias(name)
    if dtype.is_float():
        column = column.cast(pl.Int64)
    column = column.cast(pl.String)
    old = source.upper() != name
    width = _WIDTHS.get(name, 0) if old or variable is None else variable.width
    padded = variable is None or variable.kind != "text"
    return (column.str.zfill(width) if padded else column).alias(name)


def recode(frame: pl.DataFrame, renamed: Mapping[str, str]) -> tuple[pl.DataFrame, list[str]]:
    """Codes of before a renaming as those of after it, where one follows from the other."""
    notes = []
    for old, new in renamed.items():
        notes.append(f"{old} is called {new}")
        if new not in _RECODED:
            continue
        codes = _RECODED[new]
        exact = pl.col(new).is_in(list(codes)) | pl.col(new).is_null()
        if new == "RELSHIPP":
            kept = frame.filter(~exact)[new].value_counts(sort=True)
            shown = listing(f"{code}: {count:,}" for code, count in kept.sort(new).rows())
            notes.append(f"RELP codes without a single successor in RELSHIPP are kept: {shown}")
        frame = frame.with_columns(pl.col(new).replace(codes))
        year = next(year for _, title, year in RENAMED if title == new)
        notes.append(f"{new} has the codes of {year}")
    return frame, notes


def with_area(frame: pl.DataFrame, owner: str) -> tuple[pl.DataFrame, list[str]]:
    """`area`: state and PUMA; areas of an older census than the newest in the file end in its year.

    Raises:
        DataError: a row has no PUMA.
    """
    found = [name for name in PUMAS if name in frame.columns]
    if not found:
        named = pl.col("PUMA")
    else:
        valid = [pl.when(~pl.col(n).str.contains("-")).then(pl.col(n)) for n in found]
        marked = [
            valid[0],
            *(v + f"@20{n[-2:]}" for v, n in zip(valid[1:], found[1:], strict=True)),
        ]
        named = pl.coalesce("PUMA", *marked) if "PUMA" in frame.columns else pl.coalesce(*marked)
    frame = frame.with_columns(area=pl.col("STATE") + named)
    lost = frame["area"].null_count()
    if lost:
        raise DataError(
            f"{owner}: {lost} rows have no {listing(['STATE', *(found or ['PUMA'])])}; "
            "every row names its area"
        )
    older = frame.filter(pl.col("area").str.contains("@"))
    if older.is_empty():
        return frame, []
    years = older["area"].str.slice(-4).value_counts().rows()
    parts = ", ".join(f"{count:,} rows of {year}" for year, count in sorted(years))
    return frame, [f"{owner}: areas of an older census, marked @year: {parts}"]


def in_one_years_dollars(frame: pl.DataFrame, owner: str) -> tuple[pl.DataFrame, list[str]]:
    """Amounts times ADJINC or ADJHSG, which are dropped so that it happens once.

    Raises:
        DataError: a factor lies outside 0.5 to 2, or is missing in a file of several years.
    """
    notes = []
    for factor, kind in FACTORS.items():
        amounts = [n for n in frame.columns if n in variables() and variables()[n].dollars == kind]
        if factor not in frame.columns:
            if amounts:
                notes.append(_without_factor(frame, owner, factor, amounts))
            continue
        if amounts:
            scale = _factor(frame, owner, factor)
            frame = frame.with_columns(_adjusted(name, scale, frame) for name in amounts)
            used = listing(f"{value:.6f}" for value in scale.unique().sort())
            notes.append(f"{owner}: {listing(amounts, 30)} times {factor} {used}")
        frame = frame.drop(factor)
    return frame, notes


def survey_years(serials: pl.Series) -> list[str]:
    """Years in the serial numbers, which begin with them."""
    return serials.str.slice(0, 4).unique().sort().to_list()


def _factor(frame: pl.DataFrame, owner: str, name: str) -> pl.Series:
    implied = pl.col(name) > 1000
    scale = frame.select(pl.when(implied).then(pl.col(name) / 1e6).otherwise(name)).to_series()
    wrong = ~scale.is_between(0.5, 2).fill_null(value=False)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"{owner} ({frame.height:,} rows): column {name} is {frame[name][row]!r} in row {row}; "
            "it is a factor near 1 with six implied decimals, such as 1019518"
        )
    return scale


def _adjusted(name: str, scale: pl.Series, frame: pl.DataFrame) -> pl.Expr:
    amount = pl.col(name) * scale
    if name in _CODED_DOLLARS and "SERIALNO" in frame.columns:
        old = pl.col("SERIALNO").str.slice(0, 4).cast(pl.Int64, strict=False) <= _CODED_UNTIL
        coded = old & (pl.col(name) <= _CODED_DOLLARS[name])
        amount = pl.when(coded).then(pl.col(name).cast(pl.Float64)).otherwise(amount)
    return amount.alias(name)


def _without_factor(frame: pl.DataFrame, owner: str, factor: str, amounts: list[str]) -> str:
    years = survey_years(frame["SERIALNO"])
    if len(years) > 1:
        raise DataError(
            f"{owner} ({frame.height:,} rows) has no column {factor} but serial numbers of "
            f"{listing(years)}; dollars of different years need it, so leave out {listing(amounts)}"
        )
    return f"{owner}: no {factor}, so {listing(amounts, 30)} stay in dollars of the survey year"

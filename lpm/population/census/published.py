"""Numbers of published tables, and the signs that stand where there is none."""

import polars as pl

from lpm.errors import DataError, listing

# What the Census Bureau writes for a number it does not give. Source: U.S. Census Bureau, "Notes
# on ACS estimate and annotation values". Read as: cannot be computed, not available, too few.
_SIGNS = {
    "-666666666": "-",
    "-999999999": "N",
    "-888888888": "(X)",
    "-555555555": "*****",
    "-333333333": "***",
    "-222222222": "**",
    ".": "-",
    "": "-",
    "null": "-",
}
_NONE = ("-", "N", "(X)", "**", "***", "*****")
_CONTROLLED = "*****"  # Made to agree with a census total, so without sampling error.
_NO_MARGIN = "-1"  # Tables of sample sizes.


def estimate(text: pl.Series, owner: str) -> tuple[pl.Series, pl.Series]:
    """Numbers, null where there is none, and the sign or open end in its place.

    Raises:
        DataError: a value is neither a number nor a sign.
    """
    plain = _plain(pl.lit(text))
    sign, open_ended = plain.is_in(_NONE), plain.str.contains(r"^\d[\d.]*[+-]$")
    digits = pl.when(~sign).then(plain.str.strip_chars_end("+-"))
    remark = pl.when(open_ended).then(pl.lit(text).str.strip_chars()).when(sign).then(plain)
    found = pl.select(digits=digits, remark=remark)
    return _numbers(found["digits"], owner), found["remark"]


def margin(text: pl.Series, owner: str) -> pl.Series:
    """Margins of error; 0 for a controlled estimate, null where none could be computed.

    Raises:
        DataError: a value is neither a number nor a sign.
    """
    plain = _plain(pl.lit(text).str.replace(r"^\s*(±|\+/-)", ""))
    none = plain.is_in([*_NONE, _NO_MARGIN])
    digits = pl.when(plain == _CONTROLLED).then(pl.lit("0")).when(~none).then(plain)
    return _numbers(pl.select(digits=digits)["digits"], owner)


def _plain(text: pl.Expr) -> pl.Expr:
    plain = text.str.strip_chars().str.replace_all(",", "").fill_null("")
    return plain.str.replace(r"^(-\d+)\.0+$", "$1").replace(_SIGNS)


def _numbers(digits: pl.Series, owner: str) -> pl.Series:
    numbers = digits.cast(pl.Float64, strict=False)
    wrong = numbers.is_null() & digits.is_not_null()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(
            f"{owner} ({digits.len():,} rows): {digits[row]!r} in row {row} is no number; "
            f"it is one, or one of {listing(_NONE)}"
        )
    return numbers

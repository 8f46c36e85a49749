"""Tables as downloaded: CSV, parquet, gz and zip opened as lazy scans, and told when cut short."""

import csv
import gzip
import io
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias, final

import polars as pl

from lpm.errors import DataError, listing

Source: TypeAlias = str | Path | pl.DataFrame | pl.LazyFrame
Sources: TypeAlias = Source | Sequence[Source]

_TAIL = 1 << 18  # bytes; longer than any row
_TEXT = (".csv", ".dat", ".txt", ".tsv")


@final
@dataclass(frozen=True)
class Table:
    """One table of a source.

    Attributes:
        name: file it is from, for messages.
        scan: its rows, read when asked for; text where the file is text.
        columns: names as written in the file.
        note: what is odd about it, or nothing.
    """

    name: str
    scan: pl.LazyFrame
    columns: tuple[str, ...]
    note: str = ""

    def collect(self, *expressions: pl.Expr) -> pl.DataFrame:
        """The columns asked for, read in pieces.

        Raises:
            DataError: the file is damaged.
        """
        try:
            return self.scan.select(*expressions).collect(engine="streaming")
        except pl.exceptions.PolarsError as error:
            raise DataError(_unreadable(self.name, error)) from error

    def count(self) -> str:
        """Name and number of rows, as errors give them."""
        return f"{self.name} ({self.collect(pl.len()).item():,} rows)"


def open_tables(sources: Sources, stack: ExitStack) -> list[Table]:
    """All tables of the files given; unpacked files live until `stack` is closed.

    Raises:
        DataError: a file is missing, empty, cut short, or no table.
    """
    if isinstance(sources, str | Path | pl.DataFrame | pl.LazyFrame):
        sources = [sources]
    if not sources:
        raise DataError("no file was given")
    return [table for source in sources for table in _open(source, stack)]


def _open(source: Source, stack: ExitStack) -> list[Table]:
    if isinstance(source, pl.DataFrame | pl.LazyFrame):
        return [_table("frame", source.lazy())]
    path = Path(source)
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "not there"
        raise DataError(f"{path} is {kind}; name a file (csv, parquet, csv.gz or the zip of it)")
    if path.stat().st_size == 0:
        raise DataError(f"{path.name} is empty (0 rows); download it again")
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return [_scan(member, member.name) for member in _unzip(path, stack)]
    if suffix == ".gz":
        return [_scan(_gunzip(path, stack), path.name)]
    return [_scan(path, path.name)]


def _unzip(path: Path, stack: ExitStack) -> list[Path]:
    """The tables of a zip on disk: polars scans files, not members."""
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="lpm-")))
    try:
        with zipfile.ZipFile(path) as archive:
            names = [
                n for n in archive.namelist() if Path(n).suffix.lower() in (*_TEXT, ".parquet")
            ]
            members = [folder / Path(name).name for name in names]
            for name, member in zip(names, members, strict=True):
                with archive.open(name) as packed, member.open("wb") as out:
                    shutil.copyfileobj(packed, out)
            found = archive.namelist()
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path.name} ({path.stat().st_size:,} bytes) is damaged or cut short: {error}; "
            "download it again"
        ) from error
    if not members:
        raise DataError(f"{path.name} holds no csv or parquet file; it holds {listing(found)}")
    return members


def _gunzip(path: Path, stack: ExitStack) -> Path:
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="lpm-")))
    plain = folder / path.stem
    try:
        with gzip.open(path) as packed, plain.open("wb") as out:
            shutil.copyfileobj(packed, out)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path.name} ({path.stat().st_size:,} bytes) is damaged or cut short: {error}; "
            "download it again"
        ) from error
    return plain


def _scan(path: Path, name: str) -> Table:
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        return _table(name, pl.scan_parquet(path, glob=False))
    if suffix not in _TEXT:
        raise DataError(f"{name} is no table this reads; give csv, parquet, csv.gz or zip")
    separator = {".dat": "|", ".tsv": "\t"}.get(suffix, ",")
    note = _check_end(path, name, separator)
    scan = pl.scan_csv(
        path,
        separator=separator,
        infer_schema=False,
        encoding="utf8-lossy",
        glob=False,
        quote_char=None if separator == "|" else '"',
    )
    return _table(name, scan, note)


def _table(name: str, scan: pl.LazyFrame, note: str = "") -> Table:
    try:
        columns = tuple(scan.collect_schema().names())
        table = Table(name, scan, columns, note)
        empty = not columns or table.collect(pl.len()).item() == 0
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(_unreadable(name, error)) from error
    if empty:
        raise DataError(f"{name} is empty (0 rows); it has the columns {listing(columns)}")
    return table


def _check_end(path: Path, name: str, separator: str) -> str:
    """Refuse a text file whose last row is shorter than its first; a note where it may be."""
    with path.open("rb") as file:
        header = file.readline()
        file.seek(max(path.stat().st_size - _TAIL, 0))
        tail = file.read()
    lines = tail.rstrip(b"\r\n").splitlines()
    fields, last = _fields(header, separator), _fields(lines[-1] if lines else b"", separator)
    if last < fields:
        with path.open("rb") as file:
            rows = sum(1 for _ in file) - 1
        raise DataError(
            f"{name} ({rows:,} rows) is cut short: its last row has {last} of {fields} columns; "
            "download it again"
        )
    return "" if tail.endswith((b"\n", b"\r")) else f"{name}: the last row has no end of line"


def _fields(line: bytes, separator: str) -> int:
    quoting = csv.QUOTE_NONE if separator == "|" else csv.QUOTE_MINIMAL
    text = io.StringIO(line.decode("utf-8", errors="replace"))
    return len(next(csv.reader(text, delimiter=separator, quoting=quoting), []))


def _unreadable(name: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0]
    return f"{name} cannot be read: {reason}; is it cut short? Download it again"

"""What a transcript holds and what asking takes, as tables for the terminal."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from ..personas import Spent
from ..personas.interview import weight_share


def by_model(frame: pl.DataFrame) -> pl.DataFrame:
    """Calls, tokens and money by model; money only where every call had a price."""
    sent = frame.filter("sent")
    money = (pl.col("prompt_tokens") * _price(0) + pl.col("answer_tokens") * _price(1)).sum() / 1e6
    return sent.group_by("model", maintain_order=True).agg(
        calls=pl.len(),
        answered=(pl.col("verdict") == "accepted").sum(),
        **{"prompt tokens": pl.col("prompt_tokens").sum()},
        **{"answer tokens": pl.col("answer_tokens").sum()},
        cost=pl.when(_has_price().all())
        .then(money.round(6).cast(pl.String))
        .otherwise(pl.lit("unknown")),
    )


def _has_price() -> pl.Expr:
    return pl.col("price").cast(pl.String).is_not_null()


def _price(place: int) -> pl.Expr:
    """One of the numbers in the JSON list `[prompt, answer, currency]`."""
    path = pl.col("price").cast(pl.String).str.json_path_match(f"$[{place}]")
    return path.cast(pl.Float64, strict=False)


def by_verdict(frame: pl.DataFrame) -> pl.DataFrame:
    """Attempts by what came of them, the most first."""
    return frame.group_by("verdict").agg(attempts=pl.len()).sort("attempts", descending=True)


def answered(frame: pl.DataFrame) -> float:
    """Share of the people, by weight, all of whose questions have an answer on record."""
    keys = frame.group_by("name", "key").agg(
        done=(pl.col("verdict") == "accepted").any(), weight=pl.col("weight").last()
    )
    people = keys.group_by("name").agg(pl.col("done").all(), pl.col("weight").last())
    weights = dict(zip(people["name"], people["weight"], strict=True))
    return weight_share(people.filter("done")["name"], weights)


def strings(row: Mapping[str, Any]) -> dict[str, str]:
    """A row as cells of text."""
    return {
        name: f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in row.items()
    }


def costs(what: str, spent: Spent) -> dict[str, str]:
    """A row that says what something takes."""
    price = spent.price
    money = spent.money
    known = "unknown" if money is None or price is None else f"{money:.4f} {price.currency}"
    return {
        "": what,
        "calls": f"{spent.calls:,}",
        "prompt tokens": f"{spent.prompt:,}",
        "answer tokens": f"{spent.answer:,}",
        "cost": known,
    }

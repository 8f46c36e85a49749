"""Who supports staying at home: what a respondent says of two places, taken to a third.

    python -m calibration.stay_at_home                       the heuristic, and the card of Rules
    python -m calibration.stay_at_home --gguf FILE           a model as well, run in this process
    python -m calibration.stay_at_home --url URL --model M   or behind an endpoint
    python -m calibration.stay_at_home --replay FILE         or as a transcript has it

The truth is a survey of May 2020 (Czeisler et al. 2020, MMWR; data/README.md). Each place is left
out in turn: the level of the answers is fitted to the survey of the other two, on the scale of
log-odds (one number, by maximum likelihood), and the answer for the third, moved by it, is held
against the survey there. So a respondent is not credited with the level, only with what differs
between places. A second column fits the slope as well; that meets both places exactly, whatever the
answers. `alike` says the same everywhere: who does no better knows nothing of the places.
"""

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy.optimize import root_scalar
from scipy.special import expit, logit

import lpm
from lpm import personas

DATA = Path(__file__).parent / "data"
TABLE = DATA / "stay_at_home.csv"
SHEET = DATA / "stay_at_home_sheet.toml"
CARD = DATA / "stay_at_home_card.toml"
COLUMNS = ("place", "yes", "asked", "deaths", "people")
SUPPORT = "support"


@dataclass(frozen=True)
class Miss:
    """What two places say of the third.

    Attributes:
        predicted: share in the place left out; `sloped`: the same with the slope fitted, nan where
            the two answers do not differ.
        seen: share in the survey.
        error: standard error of predicted less seen, by the luck of the surveys alone.
    """

    respondent: str
    place: str
    answered: float
    predicted: float
    sloped: float
    seen: float
    error: float

    @property
    def points(self) -> float:
        """Predicted less seen, in points of per cent."""
        return 100 * (self.predicted - self.seen)


def read(path: Path = TABLE) -> pl.DataFrame:
    """A row per place.

    Raises:
        DataError: a column is missing, or counts that are none.
    """
    frame = pl.read_csv(path)
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise lpm.DataError(f"{path} has no columns {missing}; it has {frame.columns}")
    for place, yes, asked, *_ in frame.select(COLUMNS).iter_rows():
        if not 0 < yes < asked:
            raise lpm.DataError(f"{path}, {place}: {yes} of {asked}; give some and not all of them")
    if frame.height < 3:
        raise lpm.DataError(f"{path} has {frame.height} places; it takes three to leave one out")
    return frame


def alike(frame: pl.DataFrame) -> dict[str, float]:
    """Log-odds of a respondent to whom all places are one."""
    return dict.fromkeys(frame["place"], 0.0)


def by_rules(frame: pl.DataFrame, card: Path = CARD) -> dict[str, float]:
    """Log-odds of a card that asks for deaths in 100,000."""
    names = frame["place"].to_list()
    rate = (1e5 * frame["deaths"] / frame["people"]).to_list()
    band = personas.Band(
        "deaths",
        "place",
        tuple(float(i) for i in range(1, len(names))),
        tuple(f"You live in {name}." for name in names),
        tuple(rate),
    )
    cells = personas.cells_of(lpm.Population({"place": np.arange(len(names))}), [band])
    odds, _ = personas.read_rules(card).log_odds(cells, {})
    return dict(zip(names, odds.tolist(), strict=True))


def by_sheet(
    frame: pl.DataFrame,
    sheet: personas.Sheet,
    respondent: personas.Respondent,
    transcript: Path | None = None,
) -> dict[str, float]:
    """Mean log-odds of all answers for each place; half a person keeps those of none finite.

    Raises:
        PersonaError: a place that the sheet does not ask, an answer without the number `support`,
            or as `lpm.personas.ask`.
    """
    asked = {question.persona.name for question in sheet.questions}
    lost = [name for name in frame["place"] if name not in asked]
    if lost:
        raise lpm.PersonaError(f"{sheet.path} has no persona named {lost}; it has {sorted(asked)}")
    number = next((n for n in sheet.questions[0].codebook.numbers if n.name == SUPPORT), None)
    if number is None:
        names = sheet.questions[0].codebook.names
        raise lpm.PersonaError(f"{sheet.path} asks for {list(names)}; one must be {SUPPORT!r}")
    answers = personas.ask(
        sheet.questions,
        respondent,
        budget=sheet.budget,
        retries=sheet.retries,
        fallback=sheet.fallback,
        transcript=transcript,
    )
    low, high = number.within
    share = (answers.array(SUPPORT) - low) / (high - low)
    odds = np.log(100 * share + 0.5) - np.log(100 * (1 - share) + 0.5)
    who = np.array([question.persona.name for question in answers.questions])
    return {name: float(odds[who == name].mean()) for name in frame["place"]}


def left_out(name: str, answers: Mapping[str, float], frame: pl.DataFrame) -> list[Miss]:
    """Each place foretold from the others."""
    places = frame["place"].to_list()
    x = np.array([answers[place] for place in places])
    yes, asked = (frame[column].to_numpy().astype(float) for column in ("yes", "asked"))
    seen = yes / asked
    found = []
    for out in range(len(places)):
        rest = np.arange(len(places)) != out
        level = fit_level(x[rest], yes[rest], asked[rest])
        inside = expit(level + x[rest])
        predicted = float(expit(level + x[out]))
        of_level = (
            predicted * (1 - predicted) / math.sqrt((asked[rest] * inside * (1 - inside)).sum())
        )
        of_survey = math.sqrt(seen[out] * (1 - seen[out]) / asked[out])
        found.append(
            Miss(
                name,
                places[out],
                float(expit(x[out])),
                predicted,
                with_slope(x[rest], seen[rest], float(x[out])),
                float(seen[out]),
                math.hypot(of_level, of_survey),
            )
        )
    return found


def fit_level(x: np.ndarray, yes: np.ndarray, asked: np.ndarray) -> float:
    """The shift of log-odds at which as many are foretold as were counted: the likeliest."""
    widest = float(np.abs(x).max()) + 40.0

    def excess(level: float) -> float:
        return float((asked * expit(level + x)).sum() - yes.sum())

    return float(root_scalar(excess, bracket=(-widest, widest)).root)


def with_slope(x: np.ndarray, seen: np.ndarray, at: float) -> float:
    """The straight line of log-odds through the places; nan where they were answered alike."""
    if np.ptp(x) < 1e-9:
        return math.nan
    slope, level = np.polyfit(x, logit(seen), 1)
    return float(expit(level + slope * at))


def tell(rows: list[Miss]) -> None:
    """Print a line for each respondent and place left out."""
    head = ("answered", "predicted", "seen", "miss", "error", "with a slope")
    print(f"{'respondent':<40}{'left out':<16}" + "".join(f"{name:>14}" for name in head))
    for row in rows:
        figures = (100 * row.answered, 100 * row.predicted, 100 * row.seen, row.points)
        numbers = (*figures, 100 * row.error, 100 * row.sloped)
        print(f"{row.respondent:<40}{row.place:<16}" + "".join(f"{x:>14.1f}" for x in numbers))
    for name in dict.fromkeys(row.respondent for row in rows):
        misses = np.array([row.points for row in rows if row.respondent == name])
        print(f"{name}: root mean square miss {np.sqrt((misses**2).mean()):.1f} points")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sheet", type=Path, default=SHEET, help="other words, or a respondent")
    parser.add_argument("--gguf", type=Path, help="a model to run in this process")
    parser.add_argument("--url", default="", help="of an endpoint; its key is in LPM_PERSONAS_KEY")
    parser.add_argument("--model", help="of the endpoint")
    parser.add_argument("--replay", type=Path, help="a transcript that answers")
    parser.add_argument("--transcript", type=Path, help="where to record what a model says")
    asked = parser.parse_args()
    frame, sheet = read(), personas.read_sheet(asked.sheet)
    rows = left_out("alike", alike(frame), frame)
    rows += left_out("card of Rules, no language model", by_rules(frame), frame)
    given, base = dict(sheet.respondent), sheet.path.parent
    if asked.replay:
        given = {"kind": "replay", "path": str(asked.replay)}
    elif asked.gguf:
        given = {"kind": "local", "path": str(asked.gguf)}
    elif asked.model:
        given = {"kind": "http", "url": asked.url, "model": asked.model}
    if given:
        mine = not (asked.replay or asked.gguf)
        one = personas.make_respondent(given, base if mine else None)
        found = by_sheet(frame, sheet, one, asked.transcript)
        rows += left_out(f"{one.about.model} ({one.about.kind})", found, frame)
    tell(rows)


if __name__ == "__main__":
    main()

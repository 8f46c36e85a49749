"""Support for staying at home: the published table, and what fitting on two places can tell."""

import json
import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

import lpm
from calibration import stay_at_home as study
from lpm import personas
from lpm.population.seeds import generator

TABLE = study.read()
RECORD = study.DATA / "stay_at_home_random.jsonl"
HEAD = "8d17f0388f16a0369defbc8bf0052940e473aae8c2c16bda98dd5dbde8f4b6de"
PUBLISHED = {"United States": 79.5, "New York City": 86.7, "Los Angeles": 81.5}


def test_the_table_has_the_published_figures():
    for row in TABLE.iter_rows(named=True):
        share = 100 * row["yes"] / row["asked"]
        assert share == pytest.approx(PUBLISHED[row["place"]], abs=0.05)


def test_the_sheet_and_the_card_tell_the_deaths_of_the_table():
    sheet = personas.read_sheet(study.SHEET)
    told = {q.persona.name: q.persona.text for q in sheet.questions}
    rules = study.by_rules(TABLE)
    for row in TABLE.iter_rows(named=True):
        rate = 1e5 * row["deaths"] / row["people"]
        assert f" {rate:.0f} have died" in told[row["place"]]
        assert rules[row["place"]] == pytest.approx(0.5 * math.log(1 + rate / 10), rel=1e-9)


def test_one_answer_for_all_foretells_the_share_of_the_other_two():
    for row in study.left_out("alike", study.alike(TABLE), TABLE):
        rest = TABLE.filter(pl.col("place") != row.place)
        yes, asked = rest["yes"].sum(), rest["asked"].sum()
        assert row.predicted == pytest.approx(yes / asked, rel=1e-9)
        assert math.isnan(row.sloped)
        out = TABLE.filter(pl.col("place") == row.place)
        own = row.seen * (1 - row.seen) / out["asked"][0]
        pooled = yes / asked * (1 - yes / asked) / asked
        assert row.error == pytest.approx(math.sqrt(own + pooled), rel=1e-9)


def test_who_knows_the_places_misses_by_the_luck_of_the_surveys_alone():
    """Over made-up surveys of the same sizes; a respondent that is off in level is forgiven it."""
    rng = generator(4)
    truth = {"United States": 1.3, "New York City": 2.0, "Los Angeles": 1.5}
    z = []
    for _ in range(300):
        chance = 1 / (1 + np.exp(-np.array([truth[p] for p in TABLE["place"]])))
        yes = rng.binomial(TABLE["asked"].to_numpy(), chance)
        made = TABLE.with_columns(yes=pl.Series(yes))
        off = {place: odds - 3.0 for place, odds in truth.items()}
        z += [(r.predicted - r.seen) / r.error for r in study.left_out("knows", off, made)]
    z = np.array(z)
    # The three misses of a survey hang together; 300 surveys tell a spread of 1 to 6 %.
    assert abs(z.mean()) < 3 * math.sqrt(3 / len(z))
    assert 0.88 < z.std() < 1.12
    assert stats.kstest(z[::3], "norm").pvalue > 1e-3


def test_who_has_the_places_the_wrong_way_round_does_worse_than_one_answer_for_all():
    """The control."""
    rules = study.by_rules(TABLE)
    turned = {place: -odds for place, odds in rules.items()}

    def miss(answers):
        return np.sqrt(np.mean([r.points**2 for r in study.left_out("", answers, TABLE)]))

    assert miss(rules) < miss(study.alike(TABLE)) < 0.6 * miss(turned)


def test_the_recorded_model_of_random_weights_answers_from_its_record_and_knows_nothing():
    sheet = personas.read_sheet(study.SHEET)
    found = study.by_sheet(TABLE, sheet, personas.Replay(RECORD, head=HEAD))
    told = {name: [] for name in PUBLISHED}
    for line in RECORD.read_text().splitlines():
        one = json.loads(line)
        if one["verdict"] == "accepted":
            told[one["name"]].append(json.loads(one["text"])["support"])
    for name, support in told.items():
        assert len(support) == 8
        odds = np.log((np.array(support) + 0.5) / (100.5 - np.array(support)))
        assert found[name] == pytest.approx(odds.mean(), rel=1e-9)
    rows = study.left_out("random", found, TABLE)
    assert max(abs(row.points) / (100 * row.error) for row in rows) > 5


def test_a_sheet_that_asks_for_something_else_is_refused(tmp_path):
    text = study.SHEET.read_text()
    path = tmp_path / "other.toml"
    path.write_text(text.replace("support = {", "approve = {"))
    replay = personas.Replay(RECORD)
    with pytest.raises(lpm.PersonaError, match=r"asks for \['approve'\]; one must be 'support'"):
        study.by_sheet(TABLE, personas.read_sheet(path), replay)
    path.write_text(text.replace('name = "Los Angeles"', 'name = "Chicago"'))
    with pytest.raises(lpm.PersonaError, match=r"no persona named \['Los Angeles'\]"):
        study.by_sheet(TABLE, personas.read_sheet(path), replay)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("211", "300"), "300 of 259"),
        (("place,yes", "place,ja"), r"no columns \['yes'\]"),
        (("Los Angeles,211,259,1313,10014009\n", ""), "2 places"),
    ],
)
def test_a_table_that_cannot_be_is_refused(tmp_path, change, message):
    path = tmp_path / "table.csv"
    path.write_text(study.TABLE.read_text().replace(*change))
    with pytest.raises(lpm.DataError, match=message):
        study.read(path)

"""Recipes and the verbs that carry them out: what they write, and what they refuse."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import lpm
from lpm.__main__ import main
from lpm.command.folder import Spec
from lpm.errors import DataError
from lpm.population import (
    Population,
    count_records,
    draw_recipe,
    fit_recipe,
    load_population,
    read_recipe,
    whole_fit,
)
from lpm.population.recipe_people import with_zone

RECIPE = """
name = "Two towns"
controls = "controls.toml"
zones = "zones.csv"

[survey]
schema = "survey.toml"

[tables]
long = "totals.csv"

[columns]
age = "years"
working = "work = 'yes'"

[draw]
zone_as = "town"

[places]
employed = "working"
friends = 3
"""
SURVEY = """
name = "made up"
quarters = "kind = 'home'"

[households]
files = "households.csv"
key = "hid"
weight = "weight"
area = "area"

[households.columns]
kind = "code"
rooms = "number"

[persons]
files = "persons.csv"
key = "hid"
number = "pid"
weight = "weight"

[persons.columns]
years = "number"
work = "text"
"""
CONTROLS = """
[[control]]
name = "homes"
level = "zone"
counts = "household"
target = "homes"
hard = true

[[family]]
name = "age"
level = "zone"
counts = "household person"
variable = "years"
cuts = [0, 18, 65]
targets = ["young", "grown", "old"]
error = 0.05

[[control]]
name = "residents"
level = "zone"
counts = "quarters person"
target = "residents"
hard = true
"""


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> Path:
    """Files of two towns with 60 households and 6 people in a home, in the current folder."""
    monkeypatch.chdir(tmp_path)
    homes, people = ["hid,area,weight,kind,rooms"], ["hid,pid,weight,years,work"]
    for i in range(60):
        homes.append(f"h{i},x,4,house,{1 + i % 5}")
        for j in range(1 + i % 4):
            years = (38 + i % 30) if j < 2 else 6 + i % 9
            work = "yes" if j == 0 and years < 65 else "no"
            people.append(f"h{i},{j + 1},4,{years},{work}")
    for i in range(6):
        homes.append(f"q{i},x,0,home,0")
        people.append(f"q{i},1,5,{70 + i},no")
    totals = ["zone,control,target,error"]
    for zone, homes_of in (("north", 150), ("south", 90)):
        for name, share in (("homes", 1), ("young", 0.5), ("grown", 1.7), ("old", 0.1)):
            totals.append(f"{zone},{name},{homes_of * share},")
        totals.append(f"{zone},residents,{homes_of // 10},")
    write(tmp_path, "recipe.toml", RECIPE)
    write(tmp_path, "survey.toml", SURVEY)
    write(tmp_path, "controls.toml", CONTROLS)
    write(tmp_path, "zones.csv", "zone,name,x,y,area\nnorth,Northton,0,9,x\nsouth,Southby,0,0,x\n")
    for name, lines in (("households", homes), ("persons", people), ("totals", totals)):
        write(tmp_path, f"{name}.csv", "\n".join(lines) + "\n")
    return tmp_path / "recipe.toml"


def call(capsys, *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def fails(capsys, *words: object) -> str:
    code, _, err = call(capsys, *words)
    assert code == 2
    assert err.startswith("error: ")
    return err


def test_a_recipe_gives_people_with_columns_towns_places_and_friends(recipe):
    built = fit_recipe(read_recipe(recipe))
    people = draw_recipe(built, seed=1)
    assert people.labels["town"] == ("Northton", "Southby")
    town = people.host("town")
    home, zone = people.host("household_id"), people.host("zone_id")
    assert np.array_equal(town, zone)
    assert [len(np.unique(home[(zone == z) & (home >= 0)])) for z in (0, 1)] == [150, 90]
    assert [(people.host("quarters_id")[zone == z] >= 0).sum() for z in (0, 1)] == [15, 9]
    assert not people.host("working")[people.host("age") < 18].any()
    assert 2 < float(people.network("friends").degree().mean()) < 4
    assert built.people == pytest.approx(people.size, rel=0.02)


def test_more_zones_than_sixteen_bits_hold_keep_their_names(recipe):
    count = 2**15 + 10
    names = tuple(f"{i:05d}" for i in range(count))
    rows = {"zone": names, "name": [f"town {name}" for name in names], "area": ["x"] * count}
    zones = np.array([0, 2**15 + 3, count - 1])
    people = Population({"zone_id": zones}, labels={"zone_id": names})
    named = with_zone(people, replace(read_recipe(recipe), zones=pl.DataFrame(rows)))
    assert named.host("town").tolist() == zones.tolist()
    assert named.labels["town"][zones[1]] == f"town {zones[1]:05d}"


def test_people_come_in_any_number_at_the_same_density(recipe):
    built = fit_recipe(read_recipe(recipe))
    half = draw_recipe(built, seed=1, size=round(built.people / 2))
    assert half.num_groups("household_id") == pytest.approx(120, abs=1)
    with pytest.raises(DataError, match="people, so 9,999 cannot be drawn"):
        draw_recipe(built, size=9_999)


def test_controlled_rounding_keeps_nearer_to_the_totals(recipe):
    text = recipe.read_text()
    misses = []
    for rounding in ("truncate", "controlled"):
        recipe.write_text(text.replace("[draw]", f'[draw]\nrounding = "{rounding}"'))
        built = fit_recipe(read_recipe(recipe))
        (rows, fitted), (counts,) = built.parts[0], count_records(built, seed=0)
        whole = np.zeros(fitted.weights.shape)
        whole[counts.zone, counts.record] = counts.count
        adds = fitted.problem.levels[0].incidence
        misses.append(np.abs((whole - fitted.weights) @ adds).sum())
        assert len(rows) == 66
    assert misses[1] < misses[0] / 2


def test_blocks_are_joined_into_one_fit_for_a_report(recipe):
    homes = Path("households.csv").read_text().replace("h1,x,", "h1,y,").replace("h2,x,", "h2,y,")
    Path("households.csv").write_text(homes)
    write(recipe.parent, "zones.csv", "zone,area\nnorth,x\nsouth,y\n")
    controls = CONTROLS.split("[[family]]")[0]
    write(recipe.parent, "controls.toml", controls)
    recipe.write_text(RECIPE.split("[draw]")[0])
    built = fit_recipe(read_recipe(recipe))
    assert len(built.blocks) == 2
    whole = whole_fit(built)
    assert whole.weights.shape == (2, built.sample.num_records)
    reached = whole.weights @ whole.problem.levels[0].incidence
    assert reached[:, 0].tolist() == pytest.approx([150, 90])
    assert (whole.weights > 0).sum(axis=0).max() == 1


def test_records_of_areas_without_zones_are_left_out_of_fit_and_report(capsys, recipe):
    homes, people = (Path(f"{name}.csv") for name in ("households", "persons"))
    near = draw_recipe(fit_recipe(read_recipe(recipe)), seed=1)
    with homes.open("a") as file:
        file.write("far,elsewhere,4000,house,9\nfarther,elsewhere,0,home,0\n")
    with people.open("a") as file:
        file.write("far,1,4000,99,no\nfarther,1,50,99,no\n")
    built = fit_recipe(read_recipe(recipe))
    assert built.sample.num_records == 66
    assert (built.sample.persons["age"] < 99).all()
    assert built.sample.notes[-1] == "2 records are from areas without zones and left out"
    assert draw_recipe(built, seed=1).fingerprint == near.fingerprint
    assert call(capsys, "population", "report", recipe, "--out", "page")[0] == 0
    assert "nan" not in Path("page/report.html").read_text().split("</style>")[1].lower()


def test_a_column_may_have_the_name_of_a_variable_that_controls_use(recipe):
    plain = fit_recipe(read_recipe(recipe))
    decades = recipe.read_text().replace('age = "years"', 'age = "years"\nyears = "years / 10"')
    recipe.write_text(decades)
    built = fit_recipe(read_recipe(recipe))
    np.testing.assert_array_equal(built.fitted[0].weights, plain.fitted[0].weights)
    assert (built.sample.persons["years"] < 10).all()


def test_a_column_may_be_the_same_for_everybody(recipe):
    recipe.write_text(recipe.read_text().replace('age = "years"', 'age = "years"\none = "1"'))
    people = draw_recipe(fit_recipe(read_recipe(recipe)), seed=1)
    assert (people.host("one") == 1).all()


@pytest.mark.parametrize("kind", ["long", "wide"])
def test_names_of_zones_keep_their_leading_zeros(recipe, kind):
    """Zones 01 and 02, as codes of states and counties are written."""
    for name in ("zones.csv", "totals.csv"):
        text = Path(name).read_text().replace("north,", "01,").replace("south,", "02,")
        Path(name).write_text(text)
    if kind == "wide":
        totals = pl.read_csv("totals.csv", infer_schema=False).drop("error")
        totals.pivot("control", index="zone", values="target").write_csv("totals.csv")
    Path("flows.csv").write_text("home,work,count\n01,02,3\n02,02,5\n")
    text = recipe.read_text().replace('long = "totals', f'{kind} = "totals')
    recipe.write_text(text.replace("[places]", '[places]\nflows = "flows.csv"'))
    people = draw_recipe(fit_recipe(read_recipe(recipe)), seed=1)
    assert people.labels["zone_id"] == ("01", "02")
    work = people.host("work_zone_id")
    assert (work == 1).sum() > 4 * (work == 0).sum()  # All but teachers and carers.


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("totals", "n/a", "target is 'n/a' in row 4 and no number in 1 of 10 rows"),
        ("flows", "many", "count is 'many' in row 1 and no number in 1 of 2 rows"),
        ("flows", "-4", "count -4.0 in row 1; counts are 0 or more"),
    ],
)
def test_a_value_that_is_no_number_is_named(recipe, name, value, message):
    Path("flows.csv").write_text("home,work,count\nnorth,south,3\nsouth,south,5\n")
    recipe.write_text(recipe.read_text().replace("[places]", '[places]\nflows = "flows.csv"'))
    lines = Path(f"{name}.csv").read_text().splitlines()
    row = 5 if name == "totals" else 2
    cells = lines[row].split(",")
    cells[2] = value
    lines[row] = ",".join(cells)
    Path(f"{name}.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=message):
        draw_recipe(fit_recipe(read_recipe(recipe)), seed=1)


def test_fit_writes_weights_and_draw_writes_people(capsys, recipe):
    code, text, _ = call(capsys, "population", "fit", recipe, "--out", "fit")
    assert code == 0
    assert "All 4 exact totals are met" in text
    weights = pl.read_parquet("fit/weights.parquet")
    by_zone = weights.filter(~pl.col("in_group_quarters")).group_by("zone").agg(pl.sum("weight"))
    assert dict(by_zone.rows()) == pytest.approx({"north": 150, "south": 90})
    assert {p.stem for p in Path("fit").iterdir()} == {
        "weights", "cells", "accuracy", "infeasible", "reconciled",
    }  # fmt: skip
    code, text, _ = call(capsys, "population", "draw", recipe, "--seed", 1, "--out", "people")
    assert code == 0
    people = load_population("people")
    built = fit_recipe(read_recipe(recipe))
    assert people.fingerprint == draw_recipe(built, seed=1).fingerprint


def test_report_writes_a_page_and_its_figures(capsys, recipe):
    code, text, _ = call(capsys, "population", "report", recipe, "--out", "page")
    assert code == 0
    assert "report: page/report.html" in text
    page = Path("page/report.html").read_text()
    assert "Two towns" in page
    assert "Copies of survey records" in page
    assert Path("page/totals.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_takes_the_people_of_a_folder_and_resumes_with_them(capsys, recipe):
    call(capsys, "population", "draw", recipe, "--out", "people")
    words = ["run", "sir", "--population", "people", "--steps", 5, "--runs", 2, "--no-baseline"]
    code, text, _ = call(capsys, *words, "--out", "out")
    assert code == 0
    people = load_population("people")
    assert f"{people.size:,} agents" in text
    spec = Spec.read(Path("out"))
    assert spec.people == people.fingerprint
    assert lpm.load("out/policy").provenance["population"]["fingerprint"] == people.fingerprint
    Path("out/report.html").unlink()
    assert call(capsys, "run", "--resume", "out")[0] == 0
    Path("out/report.html").unlink()
    call(capsys, "population", "draw", recipe, "--seed", 9, "--out", "others")
    for part in Path("others").iterdir():
        part.replace(Path("people") / part.name)
    assert "people has changed since out was begun" in fails(capsys, "run", "--resume", "out")


def test_fewer_agents_are_a_sample_of_the_people_and_more_are_refused(capsys, recipe):
    call(capsys, "population", "draw", recipe, "--out", "people")
    small = ["--population", "people", "--steps", 3, "--runs", 1, "--no-baseline"]
    assert call(capsys, "run", "sir", *small, "--agents", 200, "--out", "out")[0] == 0
    found = lpm.load("out/policy").provenance["population"]
    assert 150 < found["size"] < 250
    assert "people has 575 people, not 9,000" in fails(
        capsys, "run", "sir", *small, "--agents", 9000, "--out", "none"
    ).replace(str(recipe.parent) + "/", "").replace(f"{load_population('people').size}", "575")
    assert not Path("none").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[survey]", "[servey]"), "recipe.toml has no key [servey]"),
        (('schema = "survey.toml"', ""), "needs either households (PUMS files) or schema"),
        (('zones = "zones.csv"', 'zones = "nowhere.csv"'), "zones names nowhere.csv, but there is"),
        (('long = "totals.csv"', 'lang = "totals.csv"'), "[tables] lang must name one file"),
        (("[places]", '[fit]\nslack = "much"\n[places]'), "[fit] slack is 'much'; give a number"),
        (("[places]", "[fit]\nslack = true\n[places]"), "[fit] slack is True; give a number"),
        (("[places]", "[fit]\nsmallest = 2\nlargest = 1\n[places]"), "smallest is 2 and largest 1"),
        (("[places]", '[fit]\nlargest = "ten"\n[places]'), "smallest is 0 and largest 'ten'"),
        (("friends = 3", 'friends = "some"'), "[places] friends is 'some'; give a number above 0"),
        (('zone_as = "town"', 'zone_as = ["town"]'), "[draw] zone_as is ['town']; give a name"),
        (('zone_as = "town"', 'zone_as = "age"'), "zone_as is 'age', which is one of [columns]"),
        (('zone_as = "town"', 'quarters_by = "kind"'), "quarters_by is 'kind'; give a list"),
        (('age = "years"', 'age = "years"\nold = true'), "[columns] old is True; give SQL as text"),
        (('zone_as = "town"', 'rounding = "up"'), "[draw] rounding is 'up'; say truncate or"),
        (('employed = "working"', ""), "[places] does not say employed"),
        (('employed = "working"', 'employed = "busy"'), "has no column [busy]"),
        (('age = "years"', 'age = "yeers"'), "[columns] age = 'yeers'"),
        (('age = "years"', 'age = "rooms"'), "is blank for 6 of "),
        (('age = "years"', 'age = "years +"'), "this is no SQL expression"),
        (("work = 'yes'", "work = 'Yes'"), "work is never 'Yes'; its values are [no, yes]"),
        (('zone_as = "town"', 'quarters_by = ["sort"]'), "quarters has no column [sort]"),
        (('name = "Two towns"', "name = "), "recipe.toml"),
    ],
)
def test_a_recipe_that_says_the_wrong_thing_is_refused_and_nothing_is_written(
    capsys, recipe, change, message
):
    recipe.write_text(recipe.read_text().replace(*change))
    error = fails(capsys, "population", "draw", recipe, "--out", "people")
    assert message in error.replace("\n", " ")
    assert not Path("people").exists()
    assert not list(Path.cwd().glob(".people*"))


def test_files_are_looked_for_in_the_data_folder_first(capsys, recipe):
    (recipe.parent / "data").mkdir()
    Path("totals.csv").rename("data/totals.csv")
    assert "neither" in fails(capsys, "population", "fit", recipe, "--out", "fit")
    assert call(capsys, "population", "fit", recipe, "--data", "data", "--out", "fit")[0] == 0


def test_an_output_folder_and_an_unknown_recipe_are_refused_before_any_work(capsys, recipe):
    Path("people").mkdir()
    assert "people exists already" in fails(capsys, "population", "draw", recipe, "--out", "people")
    assert list(Path("people").iterdir()) == []
    message = fails(capsys, "population", "fit", "atlantis", "--out", "fit")
    assert "no recipe of that name" in message
    assert "new_york" in message


def test_a_survey_without_persons_gives_weights_but_no_people(capsys, recipe):
    survey = Path("survey.toml").read_text().split("[persons]")[0].replace("quarters", "#")
    Path("survey.toml").write_text(survey)
    Path("controls.toml").write_text(CONTROLS.split("[[family]]")[0])
    homes = [r for r in Path("households.csv").read_text().splitlines() if ",home," not in r]
    Path("households.csv").write_text("\n".join(homes) + "\n")
    assert call(capsys, "population", "fit", recipe, "--out", "fit")[0] == 0
    assert "the survey has no persons" in fails(
        capsys, "population", "draw", recipe, "--out", "people"
    )

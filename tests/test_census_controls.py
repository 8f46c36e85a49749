"""Controls as they are declared, in Python and in TOML."""

import pytest

from lpm.errors import DataError
from lpm.population.census import Control, family, read_controls


def test_a_family_parts_a_whole():
    parts = family("income", "tract", "household", "HINCP", ["a", "b", ["c", "d"]],
                   cuts=[float("-inf"), 0, 50_000])  # fmt: skip
    assert [part.name for part in parts] == ["income <0", "income 0 to <50000", "income 50000+"]
    assert parts[0].expression == "(HINCP) < 0"
    assert parts[2].target == ("c", "d")


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"cuts": [1, 1]}, "do not rise"),
        ({"cuts": [1]}, r"has 1 parts, \[size 1\+\], but 2 targets"),
        ({}, "needs either cuts or values"),
    ],
)
def test_a_family_that_parts_nothing_is_told(given, match):
    with pytest.raises(DataError, match=match):
        family("size", "tract", "household", "NP", ["a", "b"], **given)


def test_what_is_counted_must_be_known():
    with pytest.raises(DataError, match=r"'x' counts 'dog'; it is one of \[household, person"):
        Control("x", "tract", "dog", ("T",))
    with pytest.raises(DataError, match="'x' has no target"):
        Control("x", "tract", "person", ())


FILE = """
[level.tract]
hard = true

[[control]]
name = "households"
level = "tract"
counts = "household"
target = "H"

[[control]]
name = "vehicles"
level = "tract"
counts = "household"
expression = "CAST(VEH AS INT)"
target = ["V1", "V2"]
hard = false

[[family]]
name = "size"
level = "tract"
counts = "household"
variable = "NP"
cuts = [1, 2, 3]
targets = ["S1", "S2", ["S3", "S4"]]

[[family]]
name = "sex"
level = "tract"
counts = "person"
variable = "SEX"
values = {male = ["1"], female = ["2"]}
targets = {female = "F", male = "M"}
"""


def test_a_file_declares_controls(tmp_path):
    path = tmp_path / "isles.toml"
    path.write_text(FILE)
    controls = {control.name: control for control in read_controls(path)}
    assert list(controls) == [
        "households", "vehicles", "size 1", "size 2", "size 3+", "sex male", "sex female"
    ]  # fmt: skip
    assert controls["households"].hard
    assert not controls["vehicles"].hard
    assert controls["vehicles"].target == ("V1", "V2")
    assert controls["size 3+"].target == ("S3", "S4")
    assert controls["sex male"].expression == "SEX IN ('1')"
    assert controls["sex male"].target == ("M",)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('target = "H"', 'targets = "H"', r"isles.toml \[\[control\]\] 1 has no key \[targets\]"),
        ('target = "H"', "", r"\[\[control\]\] 1 does not say \[target\]"),
        ('level = "tract"', 'level = "trakt"', r"has no level \[trakt\].*did you mean \[tract\]"),
        ("female = [", "women = [", r"targets are for \[female, male\], values for \[male, women"),
        ('male = ["1"]', 'male = "12"', r"values of \[male\] are no list of codes; write male ="),
        ('male = ["1"]', "male = []", r"values of \[male\] are no list of codes"),
        ("[level.tract]", "[[level.tract]", "is no TOML"),
    ],
)
def test_a_wrong_file_is_told(tmp_path, old, new, match):
    path = tmp_path / "isles.toml"
    assert old in FILE
    path.write_text(FILE.replace(old, new, 1))
    with pytest.raises(DataError, match=match):
        read_controls(path)


def test_a_file_without_controls_is_told(tmp_path):
    path = tmp_path / "isles.toml"
    path.write_text("")
    with pytest.raises(DataError, match=r"declares no \[\[control\]\]"):
        read_controls(path)

"""The door of the personas: what its guide says is there, and its example runs."""

import doctest
import re

from lpm import personas


def named(text):
    """Plain names in backticks, with the objects before a dot left out."""
    return {name for name in re.findall(r"`(\w+)`", text) if not name.isdigit()}


def test_every_name_of_the_guide_is_public():
    assert len(named(personas.__doc__)) > 40
    assert not named(personas.__doc__) - set(personas.__all__)
    assert named("`ask` and `Enquiry`") - set(personas.__all__) == {"Enquiry"}  # the control


def test_what_is_public_is_there_once_and_says_what_it_is():
    names = personas.__all__
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(personas, name).__doc__, name


def test_the_example_of_the_guide_runs():
    seen = doctest.testmod(personas)
    assert seen.attempted > 10
    assert seen.failed == 0

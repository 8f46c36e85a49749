"""Schedules against other arithmetic, the law against published figures, files against mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpm.economics import (
    STATUSES,
    Piecewise,
    Schedule,
    by_group,
    federal,
    from_piecewise,
    phased,
    read_schedule,
)
from lpm.errors import DataError

US = Schedule([0, 11_600, 47_150, 100_525], [0.1, 0.12, 0.22, 0.24], -500.0)

# Income tax on wages only, single, standard deduction, no credits. 2024 to 2026: the specification;
# 2023 by hand (top: 174,238.25, as Rev. Proc. 2022-38 prints it, and 37 % above 578,125).
WAGES = [15_000, 30_000, 50_000, 100_000, 250_000, 1_000_000]
GOLDEN = {
    2023: [115.0, 1_718.0, 4_118.0, 14_260.5, 54_547.0, 325_207.5],
    2024: [40.0, 1_616.0, 4_016.0, 13_841.0, 53_014.5, 322_785.75],
    2025: [0.0, 1_471.5, 3_871.5, 13_449.0, 52_023.0, 321_192.75],
    2026: [0.0, 1_420.0, 3_820.0, 13_170.0, 51_304.0, 320_000.25],
}
# Incomes at which the earned income credit ends, as the Revenue Procedures print them.
ENDS = {
    (2023, "single"): [17_640, 46_560, 52_918, 56_838],
    (2023, "joint"): [24_210, 53_120, 59_478, 63_398],
    (2024, "single"): [18_591, 49_084, 55_768, 59_899],
    (2024, "joint"): [25_511, 56_004, 62_688, 66_819],
    (2025, "head"): [19_104, 50_434, 57_310, 61_555],
    (2025, "joint"): [26_214, 57_554, 64_430, 68_675],
    (2026, "widow"): [19_540, 51_593, 58_629, 62_974],
    (2026, "joint"): [26_820, 58_863, 65_899, 70_244],
}


def slow_tax(income, thresholds, rates, start=0.0):
    """Bracket by bracket, one income at a time."""
    due = start
    edges = [*thresholds, np.inf]
    for low, high, rate in zip(edges[:-1], edges[1:], rates, strict=True):
        if income > low:
            due += rate * (min(income, high) - low)
    return due


@pytest.mark.parametrize("year", GOLDEN)
def test_income_tax_is_that_of_the_golden_table_to_the_cent(year):
    tax = federal(year, "single", credits=False).exact()
    assert tax(np.array(WAGES)) == pytest.approx(GOLDEN[year], abs=0.005)


@pytest.mark.parametrize(
    ("status", "below", "income"),
    [  # Rev. Proc. 2025-32: tax below the last edge, printed in its rate tables
        ("single", 192_979.25, 640_600),
        ("joint", 206_583.50, 768_700),
        ("separate", 103_291.75, 384_350),
        ("head", 191_171.00, 640_600),
        ("widow", 206_583.50, 768_700),
    ],
)
def test_rate_tables_of_2026_add_up_to_their_own_column(status, below, income):
    deduction = {"single": 16_100, "separate": 16_100, "head": 24_150}.get(status, 32_200)
    tax = federal(2026, status, credits=False).exact()
    assert tax(income + deduction) == pytest.approx(below, abs=0.005)


@pytest.mark.parametrize("key", ENDS)
def test_earned_income_credit_ends_where_it_is_published_to_end(key):
    year, status = key
    for children, end in enumerate(ENDS[key]):
        tax = federal(year, status, children).exact()
        at = np.argmin(np.abs(tax.knots - end))
        # Published ends come from tables in steps; ours from the unrounded rates.
        assert tax.knots[at] == pytest.approx(end, abs=6)
        falls = tax.slopes[at - 1] - tax.slopes[at]
        assert falls == pytest.approx([0.0765, 0.1598, 0.2106, 0.2106][children])


def test_a_mother_of_two_by_hand():
    """Head of household, 30,000 in 2024: 810 tax, all of it taken by the child credit of 4,000."""
    refundable = min(4_000 - 810, 2 * 1_700, 0.15 * 27_500)
    earned = 6_960 - 0.2106 * (30_000 - 22_720)
    tax = federal(2024, "head", 2).exact()
    assert tax(30_000) == pytest.approx(-(refundable + earned), abs=0.005)
    paid = federal(2024, "head", 2, payroll=True).exact()
    assert paid(30_000) - tax(30_000) == pytest.approx(0.0765 * 30_000, abs=0.005)


def test_payroll_tax_stops_at_the_wage_base_and_grows_again():
    tax = federal(2026, "single", payroll=True, credits=False).exact()
    plain = federal(2026, "single", credits=False).exact()
    # 11,439 is the most for 2026; 250,000 earn 15,514 in all.
    assert tax(250_000) - plain(250_000) == pytest.approx(15_514.0, abs=0.005)


def test_the_child_credit_is_gone_at_high_incomes():
    for status, start in (("single", 200_000), ("joint", 400_000), ("widow", 200_000)):
        whole, none = federal(2025, status, 2).exact(), federal(2025, status, 0).exact()
        assert none(start) - whole(start) == pytest.approx(4_400)
        assert none(start + 88_000) - whole(start + 88_000) == pytest.approx(0, abs=1e-6)
        assert none(start + 44_000) - whole(start + 44_000) == pytest.approx(2_200)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("children", [0, 1, 3, 5])
def test_all_law_can_be_read_and_is_continuous(status, children):
    for year in GOLDEN:
        tax = federal(year, status, children, payroll=True).exact()
        z = np.linspace(0, 1.2e6, 4_001)
        assert np.max(np.abs(np.diff(tax(z)))) <= np.abs(tax.slopes).max() * 300 + 1e-6


def test_married_people_who_file_separately_get_no_earned_income_credit():
    tax = federal(2024, "separate", 0).exact()
    assert tax(8_000) == 0


def test_liability_is_the_sum_over_brackets():
    z = np.concatenate([np.linspace(0, 200_000, 997), np.asarray(US.thresholds)])
    expected = [slow_tax(x, US.thresholds, US.rates, -500.0) for x in z]
    # float32 carries 7 digits: half a cent at 40,000.
    found = jax.jit(Schedule.liability)(US, jnp.asarray(z, jnp.float32))
    assert np.asarray(found) == pytest.approx(expected, rel=3e-7, abs=5e-3)
    assert US.exact()(z) == pytest.approx(expected, abs=1e-9)


def test_marginal_and_average_rates():
    z = jnp.array([0.0, 5_000.0, 11_600.0, 60_000.0, 1e6])
    assert np.asarray(jax.jit(Schedule.marginal)(US, z)) == pytest.approx(
        [0.1, 0.1, 0.12, 0.22, 0.24]
    )
    average = np.asarray(jax.jit(Schedule.average)(US, z))
    assert average[0] == 0
    assert average[1:] == pytest.approx(
        [slow_tax(float(x), US.thresholds, US.rates, -500.0) / float(x) for x in z[1:]],
        rel=1e-6,
        abs=1e-8,
    )


def test_derivatives_by_rates_and_thresholds_are_those_of_the_reference():
    z = np.array([3_000.0, 20_000.0, 80_000.0, 150_000.0])

    def mean(schedule):
        return jnp.mean(schedule.liability(jnp.asarray(z, jnp.float32)))

    found = jax.jit(jax.grad(mean))(jax.tree.map(jnp.asarray, US))
    for name, step in (("rates", 1e-4), ("thresholds", 1.0)):
        for j in range(1 if name == "thresholds" else 0, 4):
            values = []
            for sign in (1, -1):
                moved = {"thresholds": US.thresholds.copy(), "rates": US.rates.copy()}
                moved[name][j] += sign * step
                values.append(np.mean([slow_tax(x, **moved, start=-500.0) for x in z]))
            expected = (values[0] - values[1]) / (2 * step)
            assert getattr(found, name)[j] == pytest.approx(expected, rel=1e-5)
    assert found.intercept == pytest.approx(1)


def test_somebody_who_moves_with_a_threshold_pays_the_lower_rate_on_the_way():
    def due(edge):
        return Schedule([0.0, edge], [0.1, 0.4]).liability(edge)

    assert jax.jit(jax.grad(due))(jnp.asarray(3.0)) == pytest.approx(0.1)


def test_groups_are_each_their_own_schedule():
    kinds = [federal(2024, s, c, payroll=True) for s in STATUSES for c in (0, 2)]
    together = by_group(kinds)
    z = np.geomspace(300, 2e6, 300)
    group = np.arange(300) % len(kinds)
    there = jnp.asarray(z, jnp.float32), jnp.asarray(group, jnp.int32)
    both = jax.jit(lambda z, g: (together.liability(z, g), together.marginal(z, g)))
    found, marginal = (np.asarray(x) for x in both(*there))
    for g, one in enumerate(kinds):
        mine = group == g
        exact = one.exact()
        assert found[mine] == pytest.approx(exact(z[mine]), rel=1e-6, abs=0.05)
        assert together.exact(g)(z) == pytest.approx(exact(z))
        at = np.searchsorted(exact.knots, z[mine], side="right") - 1
        assert marginal[mine] == pytest.approx(exact.slopes[at], abs=1e-7)


def test_gradients_over_many_add_up_without_losing_digits():
    z = jnp.full(300_000, 12_345.678, jnp.float32)
    found = jax.jit(jax.grad(lambda s: jnp.mean(s.liability(z))))(Schedule([0, 5_000], [0.1, 0.2]))
    # Two-level sums of equal parts; a running sum is off by 1e-4 here.
    assert found.rates[1] == pytest.approx(7_345.678, rel=2e-6)


def test_minimum_of_piecewise_functions_is_exact_everywhere():
    a = Piecewise.of([0, 3, 9], [0.5, 0.1, 0.4], 1.0)
    b = Piecewise.of([0, 2, 5], [0.9, 0.0, 0.3], 0.2)
    z = np.linspace(0, 40, 8_001)
    assert a.at_most(b)(z) == pytest.approx(np.minimum(a(z), b(z)), abs=1e-12)
    assert a.at_least(b)(z) == pytest.approx(np.maximum(a(z), b(z)), abs=1e-12)
    assert (a + b)(z) == pytest.approx(a(z) + b(z), abs=1e-12)
    assert (a - b)(z) == pytest.approx(a(z) - b(z), abs=1e-12)
    assert a.after_deduction(4)(z) == pytest.approx(a(np.maximum(z - 4, 0)), abs=1e-12)


def test_a_credit_is_phased_in_and_out():
    credit = phased(600, rate_in=0.1, start_in=1_000, rate_out=0.2, start_out=8_000)
    z = np.array([0, 1_000, 4_000, 7_000, 8_000, 9_500, 11_000, 1e6])
    assert credit(z) == pytest.approx([0, 0, 300, 600, 600, 300, 0, 0])


GOOD = """
deduction = 5000
[[bracket]]
from = 0
to = 10000
rate = 0.1
[[bracket]]
from = 10000
rate = 0.3
[[credit]]
amount = 600
rate_in = 0.1
rate_out = 0.2
start_out = 8000
refundable = true
"""


def test_a_schedule_from_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    tax = read_schedule(path).exact()
    for z in (0, 2_000, 7_000, 9_000, 14_000, 30_000):
        taxed = max(z - 5_000, 0)
        expected = 0.1 * min(taxed, 10_000) + 0.3 * max(taxed - 10_000, 0)
        expected -= max(min(600, 0.1 * z) - 0.2 * max(z - 8_000, 0), 0)
        assert tax(z) == pytest.approx(expected)
    path.write_text(GOOD.replace("refundable = true", "refundable = false"))
    assert read_schedule(path).exact()(6_000) == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rate = 0.3", "rate = 1.3", r"bracket 1: rate = 1.3; it lies in \[-1, 1\]"),
        ("rate = 0.3", "", r"bracket 1: rate is missing"),
        ("rate = 0.3", 'rate = "high"', r"bracket 1: rate = 'high'"),
        (
            "from = 10000",
            "from = 8000",
            r"bracket 0: to = 10000 overlaps bracket 1; it must be 8000",
        ),
        ("from = 10000", "from = 12000", r"bracket 0: to = 10000 leaves a gap before bracket 1"),
        (
            "to = 10000\nrate = 0.1\n[[bracket]]\nfrom = 10000",
            "rate = 0.1\n[[bracket]]\nfrom = 0",
            r"bracket 1: from = 0; brackets must be sorted, so above 0",
        ),
        ("from = 0", "from = 10", r"bracket 0: from = 10; the first bracket starts at 0"),
        (
            "from = 10000",
            "from = 10000\nto = 20000",
            r"bracket 1: to = 20000 leaves a gap before the",
        ),
        ("rate_out = 0.2", "rate_off = 0.2", r"credit 0 has no key \[rate_off\].*rate_out"),
        ("deduction = 5000", "deduction = -1", r"deduction = -1; it lies in \[0, inf\]"),
        ("refundable = true", "refundable = 1", r"credit 0: refundable = 1; give true or false"),
        ("deduction = 5000", "deduction = ", r"is not TOML"),
        ("deduction = 5000", "deductions = 5000", r"has no key \[deductions\]"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path, old, new, message):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_schedule(path)


def test_files_that_are_not_there_or_empty(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read_schedule(tmp_path / "none.toml")
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(DataError, match=r"no \[\[bracket\]\]"):
        read_schedule(tmp_path / "empty.toml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"year": 2019}, r"no year \[2019\]; it has \[2023, 2024, 2025, 2026\]"),
        ({"status": "maried"}, r"no status \[maried\]; it has \[single, joint"),
        ({"children": -1}, r"children = -1; give 0 or more"),
    ],
)
def test_unknown_law_is_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        federal(**arguments)


@pytest.mark.parametrize(
    ("thresholds", "rates", "message"),
    [
        ([0, 5, 5], [0.1, 0.2, 0.3], "bracket 2: threshold = 5; thresholds must rise, so above 5"),
        ([0, 5, 3], [0.1, 0.2, 0.3], "bracket 2: threshold = 3"),
        ([1, 5], [0.1, 0.2], "bracket 0: threshold = 1; the first threshold is 0"),
        ([0, 5], [0.1, 1.2], r"bracket 1: rate = 1.2; rates lie in \[-1, 1\]"),
        ([0, 5], [0.1, float("nan")], "bracket 1: rate = nan"),
        ([0, float("inf")], [0.1, 0.2], "bracket 1: threshold = inf"),
        ([0, 5], [0.1], "thresholds and .* rates; give one of each"),
        ([[0, 5], [0, 4]], [[0.1, 0.2], [0.3, 1.5]], "bracket 1 of group 1: rate = 1.5"),
    ],
)
def test_bad_brackets_are_named(thresholds, rates, message):
    intercept = np.zeros(np.shape(rates)[:-1])
    with pytest.raises(DataError, match=message):
        Schedule(thresholds, rates, intercept)


def test_other_mistakes_with_schedules_are_named():
    with pytest.raises(DataError, match=r"intercept = .*inf.*must be finite"):
        Schedule([0], [0.1], float("inf"))
    with pytest.raises(DataError, match="2 schedules; say group=0"):
        by_group([US, US]).exact()
    with pytest.raises(DataError, match="0 schedules; give one or more"):
        by_group([])
    with pytest.raises(DataError, match="rates lie in"):
        from_piecewise(Piecewise.of([0], [1.5]))

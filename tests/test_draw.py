"""Draw: which stream a draw reads, its shape, and what a gradient sees of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from lpm.draw import ESTIMATORS, Draw
from lpm.errors import ScenarioError

KEY = jax.random.key_data(jax.random.key(1))
SIZES = {"agent": 300, "firm": 20, "choice": 3}
DISCRETE = {
    "bernoulli": lambda draw, p: draw.bernoulli(p, "agent"),
    "binomial": lambda draw, p: draw.binomial(6, p, "agent"),
    "poisson": lambda draw, p: draw.poisson(4 * p, "agent"),
    "categorical": lambda draw, p: draw.categorical(
        probs=jnp.stack([p, 1 - p]), axis="agent", one_hot=True
    )[:, 0],
}
MEANS = {"bernoulli": 1.0, "binomial": 6.0, "poisson": 4.0, "categorical": 1.0}


def make(n=300, *, key=KEY, step=2, name="infect", slot=None, estimator="stop", **more):
    slot = jnp.arange(n) if slot is None else slot
    sizes = {**SIZES, "agent": n}
    return Draw(key, step, name, slot=slot, sizes=sizes, estimator=estimator, **more)


def elementwise(draw):
    """One array for each method without a loop, along agents."""
    return {
        "uniform": draw.uniform("agent"),
        "normal": draw.normal(("agent", "choice")),
        "exponential": draw.exponential("agent"),
        "integers": draw.integers("agent", 0, 1000),
        "bernoulli": draw.bernoulli(0.3, "agent"),
        "categorical": draw.categorical(probs=np.array([0.2, 0.3, 0.5]), axis="agent"),
        "inner": draw.at(4).uniform("agent"),
    }


def everything(draw):
    """The same, and those that loop: on words, and on keys of the library."""
    looped = {"poisson": draw.poisson(15.0, "agent"), "gamma": draw.gamma(0.7, "agent")}
    return elementwise(draw) | looped


def test_spare_slots_and_another_storage_order_change_no_draw():
    compiled = jax.jit(lambda slot: everything(make(slot.shape[0], slot=slot)))
    few = compiled(jnp.arange(300))
    order = jnp.asarray(np.argsort(np.sin(np.arange(401))))
    many = compiled(order)
    back = jnp.argsort(order)
    for name, drawn in few.items():
        assert (many[name][back][:300] == drawn).all(), name


def test_compiled_draws_are_the_eager_ones():
    compiled = jax.jit(lambda key, step: elementwise(make(key=key, step=step)))(KEY, jnp.int32(2))
    for name, drawn in elementwise(make()).items():
        if name in ("normal", "exponential"):  # a fused product may round once less
            assert jnp.allclose(compiled[name], drawn, rtol=1e-5, atol=1e-6), name
        else:
            assert (compiled[name] == drawn).all(), name


def test_draws_over_a_batch_of_keys_are_those_of_each_key():
    keys = jax.random.key_data(jax.random.split(jax.random.key(0), 3))
    batch = jax.jit(jax.vmap(lambda key: everything(make(60, key=key))))(keys)
    for name, drawn in jax.jit(lambda key: everything(make(60, key=key)))(keys[1]).items():
        assert jnp.allclose(batch[name][1], drawn, rtol=1e-5, atol=1e-6), name


def test_calls_steps_processes_keys_and_loops_have_their_own_streams():
    draw = make()
    columns = [draw.uniform("agent"), draw.uniform("agent"), draw.at(0).uniform("agent")]
    columns += [draw.at(0).uniform("agent"), draw.at(1).uniform("agent")]
    columns += [draw.at(0).at(0).uniform("agent"), make(step=3).uniform("agent")]
    columns += [make(name="recover").uniform("agent"), make(key=KEY + 1).uniform("agent")]
    columns += [make(generation=jnp.ones(300, jnp.int32)).uniform("agent")]
    columns += list(draw.uniform(("agent", 2)).T)
    # 55 coefficients of 300 values within 5 standard errors; a new key fails once in 30,000
    between = np.corrcoef(np.stack(columns)) - np.eye(len(columns))
    assert np.abs(between).max() < 5 / np.sqrt(300)


def test_a_new_process_leaves_the_draws_of_the_others_alone():
    alone = make(name="recover").uniform("agent")
    make(name="vaccinate").uniform("agent")
    assert (make(name="recover").uniform("agent") == alone).all()


def test_the_estimator_changes_no_draw_but_its_own():
    after = []
    for estimator in ESTIMATORS:
        draw = make(estimator=estimator)
        draw.bernoulli(0.5, "agent")
        after.append(draw.uniform("agent"))
    assert all((drawn == after[0]).all() for drawn in after)


def test_generation_zero_is_no_generation():
    drawn = make(generation=jnp.zeros(300, jnp.int32)).uniform("agent")
    assert (drawn == make().uniform("agent")).all()


def test_an_inner_loop_may_trace_its_number():
    draw = make(20)
    looped = jax.lax.map(lambda i: draw.at(i).uniform("agent"), jnp.arange(3))
    unrolled = [make(20).at(i).uniform("agent") for i in range(3)]
    assert (looped == jnp.stack(unrolled)).all()


def test_shapes_follow_the_axis_or_the_parameter():
    choice = np.array([0.1, 0.5, 0.9])
    expected = {
        (20,): lambda draw: draw.uniform("firm"),
        (300, 3): lambda draw: draw.uniform(("agent", "choice")),
        (20, 300): lambda draw: draw.uniform(("firm", "agent")),
        (300, 5): lambda draw: draw.uniform(("agent", 5)),
        (): lambda draw: draw.uniform(()),
        (300, 4): lambda draw: draw.bernoulli(jnp.full((300, 4), 0.5)),
        (20, 2): lambda draw: draw.bernoulli(jnp.full((20, 2), 0.5)),
        (20, 3): lambda draw: draw.bernoulli(choice, ("firm", "choice")),
        (300,): lambda draw: draw.categorical(logits=jnp.zeros((300, 4))),
    }
    for shape, sample in expected.items():
        assert jax.eval_shape(lambda sample=sample: sample(make())).shape == shape
    assert jax.eval_shape(lambda: make().binomial(jnp.full(300, 4), 0.5)).shape == (300,)
    assert jax.eval_shape(lambda: make().bernoulli(np.float64(0.5), "firm")).dtype == jnp.float32
    assert jax.eval_shape(lambda: make().integers("agent", 0, 5)).dtype == jnp.int32


def test_a_wrong_axis_lists_those_there_are():
    with pytest.raises(
        ScenarioError, match=r"no axis \[agnet\].*\[agent, firm, choice\].*\[agent\]"
    ):
        make().uniform("agnet")


def test_a_length_that_no_axis_has_is_named():
    with pytest.raises(ScenarioError, match=r"parameters of length 7.*agent: 300, firm: 20"):
        make().bernoulli(jnp.full(7, 0.5))


def test_scalar_parameters_want_an_axis():
    with pytest.raises(ScenarioError, match=r"`infect` has scalar parameters and no axis"):
        make().bernoulli(0.5)


def test_a_parameter_that_does_not_fit_its_axis_is_named():
    with pytest.raises(ScenarioError, match=r"shape \[20\] has a parameter of shape \[300\]"):
        make().bernoulli(jnp.full(300, 0.5), "firm")


def test_an_unknown_estimator_lists_those_there_are():
    with pytest.raises(ScenarioError, match=r"'magic'; there are \[stop, straight_through"):
        make(estimator="magic")


def test_categorical_wants_one_of_logits_and_probs():
    with pytest.raises(ScenarioError, match="either logits or probs"):
        make().categorical()


def test_an_index_has_no_mean_field():
    with pytest.raises(ScenarioError, match="use one_hot=True"):
        make(estimator="mean_field").categorical(probs=np.array([0.5, 0.5]), axis="agent")


def test_an_empty_range_of_integers_is_refused():
    with pytest.raises(ScenarioError, match="integers from 3 to 3"):
        make().integers("agent", 3, 3)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_what_is_no_probability_gives_nan(estimator):
    @jax.jit
    def drawn():
        p = jnp.full(300, 0.5).at[:3].set(jnp.array([jnp.nan, -1e-3, 1 + 1e-3]))
        draw = make(estimator=estimator)
        return draw.bernoulli(p), draw.binomial(5, p), draw.log_probability

    *values, log_probability = drawn()
    for value in values:
        assert jnp.isnan(value).tolist() == [i < 3 for i in range(300)]
    assert jnp.isfinite(log_probability)


def test_other_parameters_outside_their_domain_give_nan():
    @jax.jit
    def sample():
        bad = jnp.full(300, 0.5).at[3].set(-1.0).at[4].set(jnp.nan)
        draw = make()
        hot = draw.categorical(probs=jnp.stack([bad, bad + 1], 1), one_hot=True)[:, 0]
        index = draw.categorical(logits=jnp.where(jnp.isnan(bad), bad, 0.0)[:, None])
        return [draw.poisson(bad), draw.gamma(bad), draw.beta(bad, 1.0), hot], index

    drawn, index = sample()
    for values in drawn:
        assert jnp.isnan(values).tolist() == [i in (3, 4) for i in range(300)]
    assert index.tolist() == [-1 if i == 4 else 0 for i in range(300)]


def test_rounding_beyond_zero_and_one_is_forgiven():
    drawn = make().bernoulli(jnp.full(300, 1 + 5e-7))
    assert (drawn == 1).all()
    assert (make().bernoulli(jnp.full(300, -5e-7)) == 0).all()


def test_shuffle_lists_the_living_first_and_is_uniform():
    alive = jnp.arange(300) % 3 > 0
    order = np.asarray(make().shuffle(alive))
    assert sorted(order) == list(range(300))
    assert np.asarray(alive)[order[:200]].all()
    firsts = jax.vmap(lambda step: make(6, step=step).shuffle(jnp.arange(6) < 5))(jnp.arange(6000))
    _, counts = np.unique(np.asarray(firsts)[:, :5] @ 6 ** np.arange(5), return_counts=True)
    assert counts.size == 120
    assert stats.chisquare(counts).pvalue > 1e-4  # fails once in 10,000 with a new key


def test_shuffle_ignores_spare_slots():
    few = make(300).shuffle(jnp.ones(300, bool))
    assert (make(401).shuffle(jnp.arange(401) < 300)[:300] == few).all()


@pytest.mark.parametrize("size", [0, 1, 2, 199, 200, 300])
def test_pairs_match_all_the_living_but_an_odd_one(size):
    alive = jnp.arange(300) < size
    partner = np.asarray(make().pairs(alive))
    own = np.arange(300)
    assert (partner[partner] == own).all()
    assert (partner[size:] == own[size:]).all()
    assert (partner[:size] == own[:size]).sum() == size % 2


def test_pairs_are_uniform():
    """15 matchings of 6, chi-square; fails once in 10,000 with a new key."""
    found = jax.vmap(lambda step: make(6, step=step).pairs(jnp.ones(6, bool)))(jnp.arange(6000))
    _, counts = np.unique(np.asarray(found) @ 6 ** np.arange(6), return_counts=True)
    assert counts.size == 15
    assert stats.chisquare(counts).pvalue > 1e-4


def means(estimator):
    """Jitted: mean of each discrete law at its own parameter, and the draws."""

    @jax.jit
    def draw_all(p):
        drawn = [
            sample(make(name=law, estimator=estimator), p[i])
            for i, (law, sample) in enumerate(DISCRETE.items())
        ]
        return jnp.stack([values.mean() for values in drawn]), drawn

    return draw_all


SAME = jnp.full(len(DISCRETE), 0.3)
SLOPES = np.diag(list(MEANS.values()))


def test_stop_lets_no_gradient_through():
    assert (jax.jit(jax.jacrev(means("stop"), has_aux=True))(SAME)[0] == 0).all()


def test_straight_through_is_the_draw_itself_with_the_slope_of_its_mean():
    slopes, drawn = jax.jit(jax.jacrev(means("straight_through"), has_aux=True))(SAME)
    assert np.allclose(slopes, SLOPES, rtol=1e-5)
    forward = jax.jit(lambda p: jax.jvp(means("straight_through"), (p,), (p,))[1][0])(SAME)
    assert np.allclose(forward, SLOPES @ SAME, rtol=1e-5)
    for ours, plain in zip(drawn, means("stop")(SAME)[1], strict=True):
        assert (ours == plain).all()


def test_mean_field_is_the_mean():
    slopes, drawn = jax.jit(jax.jacrev(means("mean_field"), has_aux=True))(SAME)
    assert np.allclose(slopes, SLOPES, rtol=1e-5)
    for values, scale in zip(drawn, MEANS.values(), strict=True):
        assert np.allclose(values, 0.3 * scale)


@pytest.mark.parametrize("law", DISCRETE)
def test_the_score_gives_the_derivative_of_an_expectation(law):
    """Of the squared mean of 8 draws, closed form within 4 standard errors; fails once in 4,000."""

    def surrogate(p, key):
        draw = make(8, key=key, estimator="score")
        value = jnp.square(DISCRETE[law](draw, p).mean())
        return value + jax.lax.stop_gradient(value - baseline) * draw.log_probability

    p, n, runs = 0.3, 8, 20_000
    scale = MEANS[law]
    # second moment of the mean of n draws with mean scale * p and variance scale * p * spread
    spread = {"poisson": lambda _: 1.0}.get(law, lambda p: 1 - p)

    def expected(p):
        return (scale * p) ** 2 + scale * p * spread(p) / n

    baseline = expected(p)
    keys = jax.random.key_data(jax.random.split(jax.random.key(8), runs))
    slopes = np.asarray(jax.jit(jax.vmap(jax.grad(surrogate), (None, 0)))(p, keys))
    slope = (expected(p + 1e-4) - expected(p - 1e-4)) / 2e-4
    assert abs(slopes.mean() - slope) < 4 * slopes.std() / np.sqrt(runs)


def test_the_log_probability_is_that_of_the_living():
    alive = jnp.arange(300) < 100
    p = jnp.linspace(0.1, 0.9, 300)
    draw = make(alive=alive, estimator="score")
    tossed = np.asarray(draw.bernoulli(p))
    expected = stats.bernoulli(np.asarray(p)).logpmf(tossed)[:100].sum()
    assert draw.log_probability == pytest.approx(expected, rel=1e-5)
    index = np.asarray(draw.categorical(probs=jnp.stack([p, 1 - p], axis=1)))
    chosen = np.where(index == 0, p, 1 - p)
    expected += np.log(chosen)[:100].sum()
    assert draw.log_probability == pytest.approx(expected, rel=1e-5)
    firms = np.asarray(draw.poisson(2.0, "firm"))
    expected += stats.poisson(2.0).logpmf(firms).sum()
    assert draw.log_probability == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradients_are_finite_where_the_outcome_is_certain(estimator):
    def loss(p):
        draw = make(20, estimator=estimator)
        total = sum(sample(draw, p[i]).sum() for i, sample in enumerate(DISCRETE.values()))
        return total + draw.log_probability

    slope = jax.jit(jax.grad(loss))
    for edge in (0.0, 1.0, 1e-42):
        assert jnp.isfinite(slope(jnp.full(len(DISCRETE), edge))).all(), edge


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_only_the_score_counts_log_probabilities(estimator):
    draw = make(estimator=estimator)
    draw.bernoulli(0.5, "agent")
    assert (draw.log_probability != 0) == (estimator == "score")


def test_a_gamma_variate_has_its_implicit_derivative():
    """Mean slopes of E[x] = a and of the beta mean, within 4 standard errors."""
    n = 4000

    @jax.jit
    def slopes():
        a = jnp.full(n, 2.0)
        return [
            jax.vjp(sample, a)[1](jnp.ones(n))[0]
            for sample in (lambda a: make(n).gamma(a), lambda a: make(n).beta(a, 0.5))
        ]

    for found, expected in zip(slopes(), (1.0, 0.08), strict=True):
        assert abs(found.mean() - expected) < 4 * found.std() / np.sqrt(n)


INNER = {
    "scan": lambda toss: jax.lax.scan(lambda c, _: (c + toss(), None), 0.0, length=2)[0],
    "vmap": lambda toss: jax.vmap(lambda x: x + toss())(jnp.zeros(2)).sum(),
    "cond": lambda toss: jax.lax.cond(jnp.array(True), toss, lambda: 0.0),
    "jit": lambda toss: jax.jit(toss)(),
}


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", [lambda f: f, jax.jit, jax.grad])
def test_the_score_refuses_discrete_draws_where_it_cannot_read_them(inner, outer):
    def step(p):
        draw = make(estimator="score")
        return INNER[inner](lambda: draw.at(0).bernoulli(p, "agent").mean())

    with pytest.raises(ScenarioError, match="inner scan, vmap, cond or jit"):
        outer(step)(0.3)


def test_the_score_allows_draws_in_the_step_of_an_outer_loop():
    def step(total, t):
        draw = make(step=t, estimator="score")
        with jax.named_scope("infect"):
            draw.bernoulli(0.3, "agent")
            draw.at(1).bernoulli(0.3, "agent")
        return total + draw.log_probability, None

    total = jax.jit(lambda: jax.lax.scan(step, 0.0, jnp.arange(3))[0])()
    assert -1500 < total < -800


def test_what_is_shared_is_marked_and_left_as_it_is():
    slot = jnp.arange(4, dtype=jnp.int32)
    draw = Draw(jnp.zeros(2, jnp.uint32), 0, "meet", slot=slot)
    x = jnp.ones(4)
    assert draw.shared(x) is x

"""Each optional dependency is there in the test environment, called once, and missed in words."""

import subprocess
import sys
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import lpm
from lpm import Array, Float, Scalar
from lpm.errors import FittingError, PersonaError
from lpm.fitting import Normal, Series, posterior, sobol
from lpm.personas import Codebook, Http, Local, Number, Persona, Question

EXTRAS = ("flowjax", "numpyro", "SALib", "openai", "xllamacpp")


class Params(lpm.Params):
    level: Scalar = lpm.parameter(1.0, within=(0, 4), prior=dist.Uniform(0.5, 2.5))


class State(lpm.State):
    luck: Float[Array, " agent"] = lpm.variable()


def init(population, params, draw):
    return State.of(population, luck=draw.normal("agent"))


def observe(state, params):
    return {"level": params.level + 0.1 * jnp.mean(state.luck)}


scenario = lpm.Scenario(init, (), observe, Params(), steps=1)
TOWN = lpm.Population.toy(16)
SERIES = Series("level", np.array([1.5]), noise=Normal(0.2))


def test_extras_are_declared_and_pinned_for_tests():
    path = Path(__file__).parent.parent / "pyproject.toml"
    extras = tomllib.loads(path.read_text())["project"]["optional-dependencies"]
    declared = {
        line.split(">=")[0]
        for name, lines in extras.items()
        if name not in ("test", "dev")
        for line in lines
    }
    pinned = {line.split("==")[0] for line in extras["test"]}
    assert declared == set(EXTRAS)
    assert declared <= pinned


def test_flowjax_learns_a_posterior():
    found = posterior(scenario, TOWN, SERIES, keys=[0], method="amortised", budget=100)
    drawn = found.sample(jax.random.key(0), 200)["level"]
    # Half the width of the prior would be 1; the noise is 0.2.
    assert np.mean(drawn) == pytest.approx(1.5, abs=0.4)


def test_priors_of_numpyro_are_drawn_from_and_salib_lays_out_the_points():
    found = sobol(scenario, TOWN, "level", keys=[0, 1], budget=384)
    values = found.values[..., 0]
    assert values.min() > 0.3
    assert values.max() < 2.7
    # A uniform law of width 2 has variance 1/3, luck (0.1 / 4) ** 2.
    assert found.table["first"][0] == pytest.approx(1, abs=0.15)
    assert found.table["first"][2] == pytest.approx(0.000625 / (1 / 3 + 0.000625), rel=0.5)


@pytest.mark.parametrize(
    ("module", "act", "match"),
    [
        (
            "flowjax.flows",
            lambda: posterior(scenario, TOWN, SERIES, keys=[0], method="amortised", budget=100),
            r"pip install 'lpm\[infer\]'",
        ),
        (
            "flowjax.flows",
            lambda: posterior(scenario, TOWN, SERIES, keys=[0], guide="flow"),
            r"pip install 'lpm\[infer\]'",
        ),
        (
            "SALib.sample",
            lambda: sobol(scenario, TOWN, "level", keys=[0, 1], budget=384),
            r"pip install 'lpm\[sa\]'",
        ),
    ],
)
def test_without_an_extra_the_error_says_which(monkeypatch, module, act, match):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FittingError, match=match):
        act()


def test_without_the_clients_the_error_says_which(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(PersonaError, match=r"Http needs openai: pip install 'lpm\[personas\]'"):
        Http("model", "http://127.0.0.1:9/v1")
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    question = Question(Persona("a", "b"), "c", Codebook((Number("d", (0, 1)),)))
    with pytest.raises(PersonaError, match=r"Local needs xllamacpp: pip install 'lpm\[personas\]'"):
        Local(file).reply([question])


def test_importing_lpm_brings_no_client():
    clients = ("openai", "xllamacpp")
    told = f"import sys, lpm; print([m for m in {clients} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

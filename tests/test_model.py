"""`Model`: a value that checks itself, prints as it is written and travels through dictionaries."""

from __future__ import annotations

import pickle
import tomllib
from dataclasses import FrozenInstanceError

import pytest

from bayesmeta.errors import FormulaError, ModelError, PriorError
from bayesmeta.model import Model
from bayesmeta.priors import (
    DuMouchel,
    Fixed,
    Flat,
    HalfCauchy,
    HalfFlat,
    HalfNormal,
    Laplace,
    LogNormal,
    Normal,
    StudentT,
    Uniform,
)


def refused(kind, **fields):
    with pytest.raises(kind) as caught:
        Model(**fields)
    return str(caught.value)


def test_defaults_pool_with_default_priors():
    model = Model()
    assert (model.mods, model.scale, model.likelihood, model.effects) == ("1", "1", "normal", "normal")
    assert (model.mu, model.beta, model.tau, model.tau2) == (None, None, None, None)
    assert model.center is True
    assert model.baseline == Normal(0, 5)
    assert model.levels == ()
    assert not model.is_common


def test_texts_become_priors():
    model = Model(
        mu="normal(0, 1)", beta="Laplace(0, 2)", tau="half_normal(0.05)", baseline="StudentT(4,0,2)"
    )
    assert model.mu == Normal(0, 1)
    assert model.beta == Laplace(0, 2)
    assert model.tau == HalfNormal(0.05)
    assert model.baseline == StudentT(4, 0, 2)


def test_priors_by_name_do_not_depend_on_the_order():
    one = Model(mods="a + b", beta={"a": "Normal(0, 1)", "b": Flat()})
    two = Model(mods="a + b", beta={"b": "Flat()", "a": Normal(0, 1)})
    assert one == two
    assert hash(one) == hash(two)
    assert one.beta == (("a", Normal(0, 1)), ("b", Flat()))


def test_models_are_frozen_values():
    model = Model(mods="x", tau="HalfNormal(1)")
    assert model == Model(mods="x", tau=HalfNormal(1.0))
    assert model != Model(mods="x", tau="HalfNormal(2)")
    assert model != Model(mods="x", tau="HalfNormal(1)", center=False)
    with pytest.raises(FrozenInstanceError):
        model.mods = "1"
    assert pickle.loads(pickle.dumps(model)) == model  # noqa: S301 - our own bytes


MODELS = [
    Model(),
    Model(mods="x + C(g)", mu="Normal(0, 1)", beta="Normal(0, 2)", tau="DuMouchel()"),
    Model(mods="x + z", beta={"x": "Normal(0, 1)"}, tau2="InverseGamma(1, 0.1)", center=False),
    Model(effects="common", mu="Flat()"),
    Model(likelihood="binomial", baseline="StudentT(4, 0, 2)", tau="Exponential(2)"),
]


@pytest.mark.parametrize("model", MODELS)
def test_dictionary_brings_the_model_back(model):
    assert Model.from_dict(model.to_dict()) == model


def test_dictionary_leaves_defaults_out_and_holds_texts():
    assert Model().to_dict() == {}
    assert MODELS[2].to_dict() == {
        "mods": "x + z",
        "beta": {"x": "Normal(0, 1)"},
        "tau2": "InverseGamma(alpha=1, beta=0.1)",
        "center": False,
    }


def test_dictionary_of_a_toml_table_is_a_model():
    content = tomllib.loads('mods = "x"\ntau = "HalfNormal(0.05)"\nlevels = []\n[beta]\nx = "Normal(0, 1)"\n')
    expected = Model(mods="x", tau=HalfNormal(0.05), beta={"x": Normal(0, 1)})
    assert Model.from_dict(content) == expected


def test_unknown_field_of_a_dictionary_is_refused():
    with pytest.raises(ModelError) as caught:
        Model.from_dict({"taau": "HalfNormal(1)"})
    assert str(caught.value) == "a model has no field 'taau'; did you mean 'tau'?"


def test_with_mods_changes_nothing_else():
    model = Model(tau="HalfNormal(1)", center=False).with_mods("x")
    assert model == Model(mods="x", tau="HalfNormal(1)", center=False)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"likelihood": "binom"},
            "likelihood must be one of 'normal', 'binomial'; got 'binom'; did you mean 'binomial'?",
        ),
        (
            {"effects": "commn"},
            "effects must be one of 'normal', 'common'; got 'commn'; did you mean 'common'?",
        ),
        ({"effects": "t"}, "effects must be one of 'normal', 'common'; got 't'"),
        (
            {"scale": "x", "effects": "common"},
            "scale must be '1' with effects='common', where tau = 0; got 'x'",
        ),
        ({"levels": ("site",)}, "levels must be empty in this version; got ('site',)"),
        ({"center": "yes"}, "center must be True or False; got 'yes'"),
        ({"center": 1}, "center must be True or False; got 1"),
        (
            {"tau": "HalfNormal(1)", "tau2": "HalfNormal(1)"},
            "give a prior of tau or of tau2, not of both",
        ),
        (
            {"effects": "common", "tau": "HalfNormal(1)"},
            "effects='common' means tau = 0; leave out the prior of tau, or use effects='normal'",
        ),
        (
            {"effects": "common", "tau2": "HalfNormal(1)"},
            "effects='common' means tau = 0; leave out the prior of tau, or use effects='normal'",
        ),
    ],
)
def test_contradictions_are_refused(fields, message):
    assert refused(ModelError, **fields) == message


LOCATIONS = "Normal, StudentT, Cauchy, Laplace, Uniform, Flat"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"mu": "HalfNormal(1)"},
            f"the prior of mu must be one of {LOCATIONS}; got HalfNormal(1)",
        ),
        ({"mu": "HalfFlat()"}, f"the prior of mu must be one of {LOCATIONS}; got HalfFlat()"),
        ({"mu": "Jeffreys()"}, f"the prior of mu must be one of {LOCATIONS}; got Jeffreys()"),
        (
            {"mu": "Fixed(0)"},
            "the prior of mu must be a distribution; got Fixed(0); use a narrow Normal",
        ),
        (
            {"beta": "Gamma(1, 1)"},
            f"the prior of beta must be one of {LOCATIONS}; got Gamma(alpha=1, beta=1)",
        ),
        (
            {"beta": {"x": "HalfNormal(1)"}},
            f"the prior of x must be one of {LOCATIONS}; got HalfNormal(1)",
        ),
        (
            {"tau": "Normal(0, 1)"},
            "the prior of tau must live on positive values; got Normal(0, 1); did you mean 'HalfNormal'?",
        ),
        (
            {"tau": "StudentT(3, 0, 1)"},
            "the prior of tau must live on positive values; got StudentT(nu=3, mu=0, sigma=1); did you mean "
            "'HalfStudentT'?",
        ),
        (
            {"tau2": "Cauchy(0, 1)"},
            "the prior of tau2 must live on positive values; got Cauchy(0, 1); did you mean 'HalfCauchy'?",
        ),
        ({"tau": "Uniform(-1, 1)"}, "the prior of tau must live on positive values; got Uniform(-1, 1)"),
        ({"tau": "Fixed(-1)"}, "the prior of tau must live on positive values; got Fixed(-1)"),
        ({"tau": "Laplace(0, 1)"}, "the prior of tau must live on positive values; got Laplace(0, 1)"),
        ({"baseline": "Flat()"}, "baseline must be a proper prior such as Normal(0, 5); got Flat()"),
        (
            {"baseline": "HalfNormal(1)"},
            f"the prior of baseline must be one of {LOCATIONS}; got HalfNormal(1)",
        ),
        ({"tau": "HalfNormall(1)"}, "unknown prior 'HalfNormall'; did you mean 'HalfNormal'?"),
        ({"tau": 0.5}, "a prior must be a text such as 'HalfNormal(0.5)'; got float"),
        ({"mu": True}, "a prior must be a text such as 'HalfNormal(0.5)'; got bool"),
        ({"baseline": 3}, "a prior must be a text such as 'HalfNormal(0.5)'; got int"),
    ],
)
def test_priors_that_do_not_fit_their_parameter_are_refused(fields, message):
    assert refused(PriorError, **fields) == message


@pytest.mark.parametrize(
    "tau",
    [
        HalfNormal(1),
        HalfCauchy(1),
        Uniform(0, 2),
        Uniform(0.1, 2),
        Fixed(0),
        Fixed(0.2),
        Flat(),
        HalfFlat(),
        DuMouchel(),
    ],
)
def test_priors_on_positive_values_are_taken_for_tau(tau):
    assert Model(tau=tau).tau == tau


def test_prior_of_tau2_is_kept_as_written():
    assert Model(tau2="LogNormal(-2, 1)").tau2 == LogNormal(-2, 1)
    assert Model(tau2="LogNormal(-2, 1)").tau is None


def test_formula_outside_the_grammar_is_refused():
    with pytest.raises(FormulaError):
        Model(mods="__import__('os')")


def test_mods_must_be_text():
    for mods in (None, 1, ["x"]):
        with pytest.raises(FormulaError):
            Model(mods=mods)


def test_beta_must_be_a_prior_or_a_mapping():
    assert refused(PriorError, beta=0.5) == (
        "beta must be a prior, or a mapping of coefficient names to priors; got 0.5"
    )

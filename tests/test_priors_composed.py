"""Truncated priors, mixtures, point mass with slab, and densities given as functions.

Expected values are those of scipy's distributions restricted or mixed by hand, and of numerical integration
by scipy.integrate.
"""

import pickle
from itertools import pairwise
from math import exp, inf, log, nan, pi, sqrt

import numpy as np
import pytest
from scipy import integrate, optimize, stats

import bayesmeta as bm
from bayesmeta.errors import PriorError
from bayesmeta.priors import (
    Density,
    Fixed,
    Flat,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    Jeffreys,
    LogNormal,
    LogStudentT,
    Mixture,
    Normal,
    OfSquare,
    SpikeSlab,
    StudentT,
    Truncated,
    Uniform,
    parse_prior,
)

P = np.array([1e-6, 0.01, 0.3, 0.5, 0.8, 0.99, 1 - 1e-6])


def half_gaussian(x):
    return np.exp(-x * x / 2)


PROPER = {
    "cut normal": Truncated(Normal(0.3, 1), -1, 2),
    "cut below": Truncated(StudentT(3, 0, 1), lower=0.5),
    "cut above": Truncated(HalfCauchy(0.5), upper=2),
    "robust": Mixture([0.8, 0.2], [Normal(0.1, 0.5), Normal(0, 5)]),
    "two scales of tau": Mixture([0.5, 0.5], [HalfNormal(0.1), HalfCauchy(1)]),
    "cut mixture": Truncated(Mixture([0.4, 0.6], [HalfNormal(1), LogNormal(0, 1)]), 0.2, 3),
    "function": Density(half_gaussian),
    "function on an interval": Density(lambda x: x * (2 - x), (0, 2), "parabola"),
    "function on the line": Density(lambda x: 1 / np.cosh(x), (-inf, inf), "sech"),
}


@pytest.fixture(params=PROPER)
def prior(request):
    return PROPER[request.param]


def density(prior):
    return lambda x: float(np.exp(prior.logpdf(np.array(x))))


def test_density_is_the_derivative_of_the_distribution_function(prior):
    for x in prior.quantile(np.array([0.1, 0.4, 0.7, 0.9])):
        low, high = prior.quantile(np.array([1e-9, 1 - 1e-9]))
        start = max(low, x - 0.3)
        mass = integrate.quad(density(prior), start, x, epsabs=1e-13, limit=200)[0]
        rise = float(prior.cdf(np.array(x)) - prior.cdf(np.array(start)))
        assert rise == pytest.approx(mass, abs=1e-9)
        assert low < x < high


def test_distribution_function_undoes_the_quantile(prior):
    x = prior.quantile(P)
    assert x.shape == P.shape
    assert prior.cdf(x) == pytest.approx(P, rel=1e-8)
    assert float(prior.quantile(np.array(0.3))) == pytest.approx(float(x[2]), rel=1e-12)


def test_density_is_zero_outside_the_support(prior):
    low, high = prior.support
    outside = np.array([end for end in (low - 1e-6, high + 1e-6) if np.isfinite(end)])
    assert np.all(np.isneginf(prior.logpdf(outside)))


def test_mean_is_the_integral(prior):
    if not np.isfinite(prior.mean):
        assert prior.tail <= 2
        return
    low, high = prior.quantile(np.array([1e-13, 1 - 1e-13]))
    points = sorted({low, *prior.quantile(np.linspace(0.05, 0.95, 10)), high})
    pieces = [
        integrate.quad(lambda x: x * density(prior)(x), a, b, epsabs=1e-12, limit=200)[0]
        for a, b in pairwise(points)
    ]
    assert prior.mean == pytest.approx(sum(pieces), abs=1e-6)


def test_rescaled_prior_is_the_prior_in_the_other_unit(prior):
    assert prior.rescaled(1e-3).quantile(P) == pytest.approx(1000 * prior.quantile(P), rel=1e-8)


def test_draws_have_the_distribution(prior):
    draws = prior.sample(3000, np.random.default_rng(2))
    # Kolmogorov's 1e-4 limit for n = 3000 is 2.23 / sqrt(n).
    assert stats.kstest(prior.cdf(draws), "uniform").statistic < 2.23 / sqrt(3000)


def test_text_reads_back_as_the_same_prior(prior):
    if isinstance(prior, Density):
        return
    assert parse_prior(str(prior)) == prior
    assert hash(parse_prior(prior.written())) == hash(prior)
    assert pickle.loads(pickle.dumps(prior)) == prior  # noqa: S301 - our own bytes


# Truncated


def test_truncated_normal_is_scipys():
    prior, other = Truncated(Normal(0.3, 2), -1, 4), stats.truncnorm(-1.3 / 2, 3.7 / 2, 0.3, 2)
    x = np.array([-1.2, -0.5, 1.0, 3.9, 4.5])
    assert prior.logpdf(x) == pytest.approx(other.logpdf(x), rel=1e-13)
    assert prior.cdf(x) == pytest.approx(other.cdf(x), rel=1e-13)
    assert prior.quantile(P) == pytest.approx(other.ppf(P), rel=1e-9)
    assert prior.mean == pytest.approx(other.mean(), rel=1e-12)
    assert (prior.tail, prior.support, prior.for_location) == (inf, (-1, 4), True)


def test_normal_above_zero_is_half_normal():
    prior, half = Truncated(Normal(0, 0.4), lower=0), HalfNormal(0.4)
    x = np.array([-0.1, 0.0, 0.2, 1.1])
    assert prior.logpdf(x) == pytest.approx(half.logpdf(x), rel=1e-13)
    assert prior.mean == pytest.approx(half.mean, rel=1e-10)


def test_tail_is_kept_where_one_end_is_open():
    assert Truncated(HalfCauchy(1), lower=0.5).tail == 2
    assert Truncated(HalfCauchy(1), upper=5).tail == inf


# Mixtures


def test_mixture_is_the_weighted_sum():
    prior, one, two = PROPER["robust"], stats.norm(0.1, 0.5), stats.norm(0, 5)
    x = np.array([-3.0, 0.2, 9.0])
    assert np.exp(prior.logpdf(x)) == pytest.approx(0.8 * one.pdf(x) + 0.2 * two.pdf(x), rel=1e-13)
    assert prior.cdf(x) == pytest.approx(0.8 * one.cdf(x) + 0.2 * two.cdf(x), rel=1e-13)
    top = optimize.brentq(lambda t: 0.8 * one.cdf(t) + 0.2 * two.cdf(t) - 0.99, 0, 50, xtol=1e-14)
    assert float(prior.quantile(np.array(0.99))) == pytest.approx(top, rel=1e-11)
    assert prior.mean == pytest.approx(0.08)
    assert (prior.tail, prior.for_location, prior.regular) == (inf, True, True)


def test_mixture_has_the_heaviest_tail():
    assert PROPER["two scales of tau"].tail == 2
    assert PROPER["two scales of tau"].even
    assert not Mixture([0.5, 0.5], [HalfNormal(1), LogNormal(0, 1)]).even
    assert Mixture([0.5, 0.5], [HalfNormal(1), LogNormal(0, 1)]).smooth
    assert not SpikeSlab(0.5, HalfNormal(1)).smooth


def test_parts_of_nested_mixtures_are_all_components():
    nested = Mixture([0.5, 0.5], [Normal(0, 1), Mixture([0.2, 0.8], ["Normal(1, 1)", "Normal(2, 1)"])])
    assert nested.parts == ((0.5, Normal(0, 1)), (0.1, Normal(1, 1)), (0.4, Normal(2, 1)))
    assert HalfNormal(1).parts == ((1.0, HalfNormal(1)),)


def test_rounded_weights_are_made_to_sum_to_one():
    prior = Mixture([0.333333, 0.333333, 0.333334], [Normal(0, 1), Normal(1, 1), Normal(2, 1)])
    assert sum(prior.w) == pytest.approx(1, abs=1e-15)
    assert parse_prior(str(prior)) == prior


def test_spike_has_its_probability_at_zero():
    prior = SpikeSlab(0.25, HalfNormal(0.5))
    half = stats.halfnorm(scale=0.5)
    assert str(prior) == "SpikeSlab(0.25, HalfNormal(0.5))"
    assert prior.cdf(np.array([-0.1, 0.0, 0.7])) == pytest.approx([0, 0.25, 0.25 + 0.75 * half.cdf(0.7)])
    assert prior.quantile(np.array([0.1, 0.25, 0.6])) == pytest.approx([0, 0, half.ppf(0.35 / 0.75)])
    assert prior.logpdf(np.array([0.0, 0.3])) == pytest.approx([log(0.25), log(0.75) + half.logpdf(0.3)])
    assert prior.mean == pytest.approx(0.75 * 0.5 * sqrt(2 / pi))
    draws = prior.sample(4000, np.random.default_rng(1))
    assert np.mean(draws == 0) == pytest.approx(0.25, abs=4 * sqrt(0.25 * 0.75 / 4000))
    assert prior.rescaled(0.1) == SpikeSlab(0.25, HalfNormal(5))


def test_prior_of_tau2_can_be_a_mixture():
    prior = OfSquare(SpikeSlab(0.5, LogNormal(-2, 1)))
    assert prior.parts == ((0.5, Fixed(0)), (0.5, OfSquare(LogNormal(-2, 1))))


# Functions


def test_function_is_divided_by_its_integral():
    prior = Density(half_gaussian)
    assert str(prior) == "Density(half_gaussian)"
    assert prior.constant == pytest.approx(sqrt(pi / 2), rel=1e-11)
    half = stats.halfnorm()
    assert prior.logpdf(np.array([0.1, 2.0])) == pytest.approx(half.logpdf([0.1, 2.0]), rel=1e-10)
    assert prior.quantile(P) == pytest.approx(half.ppf(P), rel=1e-7)
    assert prior.mean == pytest.approx(half.mean(), rel=1e-9)
    assert prior.tail == inf


@pytest.mark.parametrize(
    ("function", "support", "constant", "tail"),
    [
        (lambda x: 1 / (1 + x * x), (0, inf), pi / 2, 2),
        (lambda x: 1 / (1 + x * x), (-inf, inf), pi, 2),
        (lambda x: (1 + x) ** -3.5, (0, inf), 1 / 2.5, 3.5),
        (lambda x: 1 / np.sqrt(x), (0, 1), 2.0, inf),
        (lambda _: 3.0, (0, 2), 6.0, inf),
        (lambda x: np.exp(x), (-inf, 1), exp(1), inf),
        (lambda x: np.exp(-x / 1e-4), (0, inf), 1e-4, inf),
        (lambda x: np.where(x < 1, 1.0, 0.0), (0, 3), 1.0, inf),
        (lambda x: 0.5 if x < 1 else 0.5 * exp(1 - x), (0, inf), 1.0, inf),
    ],
)
def test_integral_and_tail_of_a_function_are_found(function, support, constant, tail):
    prior = Density(function, support)
    assert prior.constant == pytest.approx(constant, rel=1e-8)
    assert prior.tail == pytest.approx(tail, rel=1e-6)


def bad(make):
    with pytest.raises(PriorError) as caught:
        make()
    return str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Truncated(Normal(0, 1), 2, 1),
            "Truncated.lower must be below Truncated.upper; got 2 and 1",
        ),
        (
            lambda: Truncated(Normal(0, 1), lower=10),
            "Normal(0, 1) has less than 1e-6 of its probability between 10 and inf; choose a prior that "
            "lives there",
        ),
        (lambda: Truncated(Flat(), 0, 1), "Truncated takes a proper prior; got Flat()"),
        (
            lambda: Truncated(SpikeSlab(0.5, HalfNormal(1)), 0, 1),
            "Truncated takes a prior with a density; got SpikeSlab(0.5, HalfNormal(1))",
        ),
        (lambda: Truncated(0.5, 0, 1), "Truncated takes a prior such as HalfNormal(0.5); got 0.5"),
        (lambda: Truncated(Normal(0, 1), nan), "Truncated.lower must be a finite number; got nan"),
        (lambda: Truncated(Normal(0, 1), "a"), "Truncated.lower must be a number; got 'a'"),
        (
            lambda: Mixture([0.5, 0.4], [Normal(0, 1), Normal(1, 1)]),
            "Mixture.w must be positive and sum to 1; got 0.5, 0.4",
        ),
        (
            lambda: Mixture([1.5, -0.5], [Normal(0, 1), Normal(1, 1)]),
            "Mixture.w must be positive and sum to 1; got 1.5, -0.5",
        ),
        (lambda: Mixture([], []), "Mixture.w must be positive and sum to 1; got nothing"),
        (lambda: Mixture(0.5, []), "Mixture.w must be a list of probabilities; got 0.5"),
        (lambda: Mixture(["a"], []), "Mixture.w must be a number; got 'a'"),
        (
            lambda: Mixture([1], Normal(0, 1)),
            "Mixture.comp_dists must be a list of priors; got Normal",
        ),
        (
            lambda: Mixture([0.5, 0.5], [Normal(0, 1)]),
            "Mixture needs a weight for each component; got 2 and 1",
        ),
        (
            lambda: Mixture([0.5, 0.5], [HalfNormal(1), Jeffreys()]),
            "Mixture takes a prior that does not depend on the studies; got Jeffreys()",
        ),
        (lambda: SpikeSlab(1, HalfNormal(1)), "SpikeSlab.p must be between 0 and 1; got 1"),
        (lambda: SpikeSlab(0.5, 3), "SpikeSlab takes a prior such as HalfNormal(0.5); got 3"),
        (
            lambda: Density(lambda x: -2 - x, name="falling"),
            "the density falling must be a number >= 0; got -2 at 5.1482e-131",
        ),
        (
            lambda: Density(lambda x: x * nan, (0, 1), "nothing"),
            "the density nothing must be a number >= 0; got nan at 5.1482e-131",
        ),
        (
            lambda: Density(lambda x: 1 / x, name="reciprocal"),
            "the density reciprocal has no finite integral; give a proper prior",
        ),
        (
            lambda: Density(lambda x: 0 * x, name="zero"),
            "the density zero is 0 or infinite wherever it was looked at; check it",
        ),
        (lambda: Density(3), "Density.function must be a function of the value; got 3"),
        (lambda: Density(half_gaussian, (1, 1)), "Density.support must increase; got 1 and 1"),
        (
            lambda: Density(half_gaussian).written(),
            "the prior Density(half_gaussian) holds a Python function and cannot be written as text; use a "
            "named family",
        ),
    ],
)
def test_impossible_parts_are_refused(make, message):
    assert bad(make) == message


# Text


@pytest.mark.parametrize(
    ("text", "prior", "canonical"),
    [
        (
            "mixture([.8, 0.2],[normal(0,1), student_t(3, 0, sigma=10)])",
            Mixture([0.8, 0.2], [Normal(0, 1), StudentT(3, 0, 10)]),
            "Mixture([0.8, 0.2], [Normal(0, 1), StudentT(nu=3, mu=0, sigma=10)])",
        ),
        (
            "Mixture(comp_dists=[HalfNormal(1), Fixed(0)], w=[0.5, 0.5])",
            Mixture([0.5, 0.5], [HalfNormal(1), Fixed(0)]),
            "Mixture([0.5, 0.5], [HalfNormal(1), Fixed(0)])",
        ),
        (
            "spike_slab(0.5, half_student_t(4, 0.5))",
            SpikeSlab(0.5, HalfStudentT(4, 0.5)),
            "SpikeSlab(0.5, HalfStudentT(nu=4, sigma=0.5))",
        ),
        (
            "SpikeSlab(p=0.2, slab=Mixture([0.5, 0.5], [HalfNormal(1), HalfNormal(2)]))",
            SpikeSlab(0.2, Mixture([0.5, 0.5], [HalfNormal(1), HalfNormal(2)])),
            "SpikeSlab(0.2, Mixture([0.5, 0.5], [HalfNormal(1), HalfNormal(2)]))",
        ),
        (
            "Truncated(Normal(0, 1), 0, inf)",
            Truncated(Normal(0, 1), lower=0),
            "Truncated(Normal(0, 1), lower=0)",
        ),
        (
            "truncated(Normal(0, 1), upper=2)",
            Truncated(Normal(0, 1), upper=2),
            "Truncated(Normal(0, 1), upper=2)",
        ),
        (
            "log_student_t(5, -1.72, 1.295)",
            LogStudentT(5, -1.72, 1.295),
            "LogStudentT(nu=5, mu=-1.72, sigma=1.295)",
        ),
    ],
)
def test_nested_text_is_read_and_printed(text, prior, canonical):
    assert parse_prior(text) == prior
    assert str(prior) == prior.written() == canonical
    assert parse_prior(canonical) == prior


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Mixture([0.5, 0.5], [Normal(0, 1), Norml(0, 1)])",
            "unknown prior 'Norml'; did you mean 'Normal'?",
        ),
        (
            "Mixture(0.5, [Normal(0, 1)])",
            "Mixture(w, comp_dists): w must be a list in square brackets; got '0.5'",
        ),
        ("Mixture([a], [Normal(0, 1)])", "Mixture(w, comp_dists): w must be a number; got 'a'"),
        ("Mixture([1])", "Mixture(w, comp_dists): parameter 'comp_dists' is missing; got '[1]'"),
        ("Truncated(Normal(0, 1), a)", "Truncated(prior, lower, upper): lower must be a number; got 'a'"),
        ("Truncated()", "Truncated(prior, lower, upper): parameter 'prior' is missing; got ''"),
        (
            "Truncated(Normal(0, 1), uper=1)",
            "Truncated(prior, lower, upper) has no parameter 'uper'; did you mean 'upper'?",
        ),
        (
            "Truncated(0.5)",
            "a prior is written Name(numbers), such as 'HalfNormal(0.5)'; got '0.5'",
        ),
        (
            "density(f)",
            "Density holds a Python function and cannot be written as text; use a named family",
        ),
    ],
)
def test_mistakes_in_nested_text_are_explained(text, message):
    assert bad(lambda: parse_prior(text)) == message


def test_text_is_nested_no_deeper_than_a_person_would():
    text = "Truncated(" * 500 + "Normal(0, 1)" + ")" * 500
    assert bad(lambda: parse_prior(text)).startswith("a prior is written Name(numbers)")


# In a model


@pytest.mark.parametrize(
    "fields",
    [
        {
            "mu": "Mixture([0.8, 0.2], [Normal(0, 1), Normal(0, 10)])",
            "tau": "SpikeSlab(0.5, HalfNormal(0.5))",
        },
        {"tau": "LogStudentT(nu=5, mu=-1.72, sigma=1.295)"},
        {"tau2": "LogStudentT(nu=5, mu=-3.44, sigma=2.59)"},
        {"mu": "Truncated(Normal(0, 1), lower=0)", "tau": "Truncated(HalfCauchy(1), upper=2)"},
        {"mods": "x", "beta": {"x": "Mixture([0.5, 0.5], [Normal(0, 1), Normal(0, 2)])"}},
    ],
)
def test_model_is_written_and_read_back(fields):
    model = bm.Model(**fields)
    assert model.to_dict() == fields
    assert bm.Model.from_dict(model.to_dict()) == model


def test_analysis_file_takes_nested_priors(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(
        "[analysis]\ntitle = 'A'\n[data]\ndataset = 'exercise_bmd'\nmeasure = 'MD'\nslab = 'study'\n"
        "columns = { m1i = 'exercise_mean', sd1i = 'exercise_sd', n1i = 'exercise_n',\n"
        "            m2i = 'control_mean', sd2i = 'control_sd', n2i = 'control_n' }\n"
        "[model.priors]\nmu = 'Mixture([0.8, 0.2], [Normal(0, 1), Normal(0, 10)])'\n"
        "tau = 'spike_slab(0.5, HalfNormal(0.05))'\n",
        encoding="utf-8",
    )
    model = bm.load_analysis(path).main_model()
    assert model.mu == Mixture([0.8, 0.2], [Normal(0, 1), Normal(0, 10)])
    assert model.tau == SpikeSlab(0.5, HalfNormal(0.05))


def test_model_with_a_function_is_not_written():
    model = bm.Model(tau=Density(half_gaussian))
    assert bad(model.to_dict).startswith("the prior Density(half_gaussian) holds a Python function")


NO_PRIOR = "Mixture([0.5, 0.5], [Normal(0, 1), HalfNormal(1)])"
LOCATIONS = "Normal, StudentT, Cauchy, Laplace, Uniform, Flat"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"mu": NO_PRIOR},
            f"the prior of mu must be one of {LOCATIONS}; got {NO_PRIOR}",
        ),
        (
            {"mu": "SpikeSlab(0.5, Normal(0, 1))"},
            f"the prior of mu must be one of {LOCATIONS}; got SpikeSlab(0.5, Normal(0, 1))",
        ),
        (
            {"tau": NO_PRIOR},
            f"the prior of tau must live on positive values; got {NO_PRIOR}",
        ),
        (
            {"tau": "Truncated(Normal(0, 1), upper=2)"},
            "the prior of tau must live on positive values; got Truncated(Normal(0, 1), upper=2)",
        ),
    ],
)
def test_composed_priors_must_fit_their_parameter(fields, message):
    assert bad(lambda: bm.Model(**fields)) == message


def test_a_truncated_normal_can_be_the_prior_of_tau():
    assert bm.Model(tau="Truncated(Normal(0.2, 0.1), lower=0)").tau.support == (0, inf)
    assert bm.Model(tau=Uniform(0, 1)).tau.support == (0, 1)

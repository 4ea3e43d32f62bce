"""Location-scale models by ML and REML, against dense algebra, one group at a time, and metafor."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import bayesmeta as bm

Y = np.array([0.12, -0.31, 0.45, 0.92, -0.68, 1.31, 0.25, 0.6])
SEI = np.array([0.11, 0.16, 0.24, 0.13, 0.31, 0.22, 0.18, 0.15])
G = list("aaabbbab")
X = np.array([1.0, 4.0, 2.0, 7.0, 5.0, 3.0, 8.0, 6.0])


def studies_of(y=Y, sei=SEI, **columns):
    columns = columns or {"g": G, "x": X}
    return bm.Studies.from_effects(y, sei=sei, data=pd.DataFrame(columns))


@pytest.fixture(scope="module")
def eight():
    return studies_of()


def log_likelihood(eta, y, v, design, weights, *, restricted):
    """Return the log likelihood by dense matrices; eta may be complex."""
    V = np.diag(v + np.exp(2 * weights @ eta))
    inverse = np.linalg.inv(V)
    information = design.T @ inverse @ design
    residual = y - design @ np.linalg.solve(information, design.T @ inverse @ y)
    total = np.log(np.linalg.det(V)) + residual @ inverse @ residual
    if restricted:
        total = total + np.log(np.linalg.det(information))
    return -0.5 * (total + (y.size - restricted * design.shape[1]) * np.log(2 * np.pi))


def gradient(eta, *args, **kwargs):
    """Return the derivatives by complex steps, which lose no digits."""
    steps = 1e-30j * np.eye(eta.size)
    return np.array([log_likelihood(eta + step, *args, **kwargs).imag / 1e-30 for step in steps])


def hessian(eta, *args, **kwargs):
    steps = 1e-5 * np.eye(eta.size)
    return np.array(
        [(gradient(eta + h, *args, **kwargs) - gradient(eta - h, *args, **kwargs)) / 2e-5 for h in steps]
    )


ONES = np.ones((8, 1))
IN_B = (np.array(G) == "b").astype(float)
CASES = {
    "levels": ("1", "C(g)", ONES, np.column_stack([np.ones(8), IN_B - 0.5])),
    "number": ("1", "x", ONES, np.column_stack([np.ones(8), X - 4.5])),
    "both": ("x", "x", np.column_stack([np.ones(8), X]), np.column_stack([np.ones(8), X - 4.5])),
    "three": ("1", "x + C(g)", ONES, np.column_stack([np.ones(8), X - 4.5, IN_B - 0.5])),
}


@pytest.fixture(
    params=[(name, method) for name in CASES for method in ("ML", "REML")], ids=str, scope="module"
)
def case(request, eight):
    """Return a result, its eta, and the arguments of the dense likelihood."""
    name, method = request.param
    mods, scale, design, weights = CASES[name]
    result = bm.classical(eight, mods, scale=scale, method=method)
    spread = result.spread
    eta = np.array([np.log(spread.estimate[spread.names.index("tau")]), *spread.estimate[spread.is_ratio,]])
    return result, eta, (Y, SEI**2, design, weights), {"restricted": method == "REML"}


def test_the_score_vanishes_at_the_estimates(case):
    _, eta, args, kwargs = case
    assert np.abs(gradient(eta, *args, **kwargs)).max() < 1e-9


def test_no_search_finds_a_higher_likelihood(case):
    """Nelder and Mead from nine starts; their tolerance in the likelihood is 1e-12."""
    result, eta, args, kwargs = case
    value = log_likelihood(eta, *args, **kwargs)
    assert result.spread.log_likelihood == pytest.approx(value, abs=1e-12)
    starts = [
        np.append([log_tau, slope], np.zeros(eta.size - 2)) for log_tau in (-3, -1, 0) for slope in (-1, 0, 1)
    ]
    options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000}
    found = [
        optimize.minimize(
            lambda at: -log_likelihood(np.clip(at, -9, 9), *args, **kwargs),
            start,
            method="Nelder-Mead",
            options=options,
        ).fun
        for start in starts
    ]
    assert -min(found) <= value + 1e-11


def test_standard_errors_are_those_of_the_observed_and_of_the_expected_information(case):
    """Of the dense likelihood: its second differences, good to 1e-9, and half the trace of squares."""
    result, eta, (y, v, design, weights), kwargs = case
    spread = result.spread
    centre = spread.names.index("tau")
    se = np.array([spread.se[centre] / spread.estimate[centre], *spread.se[spread.is_ratio,]])
    observed = -hessian(eta, y, v, design, weights, **kwargs)
    assert se == pytest.approx(np.sqrt(np.diagonal(np.linalg.inv(observed))), rel=1e-7)
    tau2 = np.exp(2 * weights @ eta)
    inverse = np.diag(1 / (v + tau2))
    P = inverse
    if kwargs["restricted"]:
        P = inverse - inverse @ design @ np.linalg.solve(design.T @ inverse @ design, design.T @ inverse)
    parts = [P @ np.diag(2 * tau2 * column) for column in weights.T]
    expected = np.array([[0.5 * np.trace(one @ two) for two in parts] for one in parts])
    by_expectation = [
        spread.se_expected[centre] / spread.estimate[centre],
        *spread.se_expected[spread.is_ratio,],
    ]
    assert by_expectation == pytest.approx(np.sqrt(np.diagonal(np.linalg.inv(expected))), rel=1e-9)


def test_coefficients_are_weighted_least_squares_at_the_taus(case):
    result, eta, (y, v, design, weights), _ = case
    w = 1 / (v + np.exp(2 * weights @ eta))
    cov = np.linalg.inv(design.T @ (w[:, None] * design))
    assert result.beta == pytest.approx(cov @ design.T @ (w * y), rel=1e-10)
    assert result.cov == pytest.approx(cov, rel=1e-10)
    assert result.weights == pytest.approx(100 * w / w.sum(), rel=1e-10)
    assert result.spread.taus == pytest.approx(np.exp(weights @ eta), rel=1e-10)


def test_both_tests_of_one_tau_are_those_of_the_dense_likelihood(case):
    result, eta, args, kwargs = case
    spread, null = result.spread, (*args[:3], args[3][:, :1])
    found = optimize.minimize_scalar(
        lambda log_tau: -log_likelihood(np.array([log_tau]), *null, **kwargs),
        bounds=(-6, 3),
        method="bounded",
    )
    LR = 2 * (log_likelihood(eta, *args, **kwargs) + found.fun)
    assert pytest.approx(LR, abs=1e-9) == spread.LR
    assert spread.LR_df == spread.QS_df == eta.size - 1
    assert spread.LR_p == pytest.approx(stats.chi2.sf(LR, eta.size - 1), abs=1e-9)
    cov = np.linalg.inv(-hessian(eta, *args, **kwargs))[1:, 1:]
    QS = eta[1:] @ np.linalg.solve(cov, eta[1:])
    assert pytest.approx(QS, rel=1e-7) == spread.QS
    assert spread.QS_p == pytest.approx(stats.chi2.sf(QS, eta.size - 1), rel=1e-6)


@pytest.mark.parametrize("method", ["ML", "REML"])
def test_separate_means_and_taus_are_the_groups_alone(method, eight):
    both = bm.classical(eight, "0 + C(g)", scale="0 + C(g)", method=method)
    for j, level in enumerate("ab"):
        rows = np.array(G) == level
        alone = bm.classical(bm.Studies.from_effects(Y[rows], sei=SEI[rows]), method=method)
        assert both.spread.names[j] == f"tau[{level}]"
        assert both.spread.estimate[j] == pytest.approx(np.sqrt(alone.tau2), rel=1e-9)
        assert both.beta[j] == pytest.approx(alone.beta[0], rel=1e-9)
        assert both.se[j] == pytest.approx(alone.se[0], rel=1e-9)


METAFOR = {
    ("1", "ablat", "REML"): (
        ([-1.153586153], [-0.000218410294], [2.37001180], [0.07015143477]),
        ([-0.71563809821], [0.17980284409]),
        (9.69333204818e-06, -12.2023665693 - 0.5 * np.log(13)),
    ),
    ("1", "ablat", "ML"): (
        ([-1.4268684238], [0.0046527577817], [3.15004112749], [0.0934748883]),
        ([-0.687587722336], [0.171247946825]),
        (0.00247759878036, -12.6638290157),
    ),
}
"""metafor 3.8-1 under R 4.2.2: log tau2 at ablat = 0 and its slope with their standard errors; the mean
effect with its own; QM of the scale, log likelihood (which in metafor has half the log of |X'X| in it).

    dat <- escalc(measure="RR", ai=tpos, bi=tneg, ci=cpos, di=cneg, data=dat.bcg)
    r <- rma(yi, vi, scale=~ablat, data=dat, method="REML", control=list(optimizer="nlminb", rel.tol=1e-11))
    print(c(r$alpha, r$se.alpha, r$beta, r$se, r$QS, logLik(r)), digits=12)
"""
LEVELS = {
    "REML": (
        [-2.020590956608, -0.935147428057, -0.915426475746],
        [1.724177357317, 0.676542185026, 1.085792350021],
        [-0.540792948655, -0.430171753214, 0.116585553847],
        [0.281601662611, 0.394273084082, 0.456854595111],
    ),
    "ML": (
        [-3.11423582516, -1.10293388007, -1.36511662314],
        [1.763463810463, 0.640960462816, 1.034412282139],
        [-0.587546884098, -0.372575681843, 0.143738160122],
        [0.182744525990, 0.316643595377, 0.351294527132],
    ),
}
"""The same with ``rma(yi, vi, mods=~alloc, scale=~0+alloc, ...)``: log tau2 of each way of allocation with
standard errors, coefficients with theirs."""


@pytest.fixture(scope="module")
def bcg():
    columns = {"ai": "tpos", "bi": "tneg", "ci": "cpos", "di": "cneg"}
    return bm.effect_sizes(bm.load_dataset("bcg"), "RR", slab="study", **columns)


@pytest.mark.parametrize(("mods", "scale", "method"), METAFOR)
def test_numbers_of_metafor_with_a_moderator_of_tau(mods, scale, method, bcg):
    """To the accuracy of metafor's optimiser, about 1e-6 in log tau2."""
    (intercept, slope, se_intercept, se_slope), (mu, se), (QS, value) = METAFOR[mods, scale, method]
    result = bm.classical(bcg, mods, scale=scale, center=False, method=method)
    tau, delta = result.spread.estimate
    assert 2 * np.log(tau) == pytest.approx(intercept[0], abs=1e-5)
    assert 2 * delta == pytest.approx(slope[0], abs=1e-6)
    assert 2 * result.spread.se[0] / tau == pytest.approx(se_intercept[0], rel=1e-5)
    assert 2 * result.spread.se[1] == pytest.approx(se_slope[0], rel=1e-5)
    assert result.beta == pytest.approx(mu, rel=2e-6)
    assert result.se == pytest.approx(se, rel=2e-6)
    assert pytest.approx(QS, rel=1e-4) == result.spread.QS
    assert result.spread.log_likelihood == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("method", LEVELS)
def test_numbers_of_metafor_with_a_tau_for_each_level(method, bcg):
    alpha, se_alpha, beta, se = LEVELS[method]
    result = bm.classical(bcg, "C(alloc)", scale="0 + C(alloc)", method=method)
    tau = result.spread.estimate[:3]
    assert 2 * np.log(tau) == pytest.approx(alpha, abs=2e-6)
    assert 2 * result.spread.se[:3] / tau == pytest.approx(se_alpha, rel=2e-6)
    assert result.beta == pytest.approx(beta, rel=1e-6)
    assert result.se == pytest.approx(se, rel=1e-6)


def test_t_tests_have_k_minus_p_and_k_minus_the_scale_coefficients(eight):
    z = bm.classical(eight, scale="C(g)")
    t = bm.classical(eight, scale="C(g)", test="t")
    assert t.df == 7
    assert t.spread.df == 6
    half = stats.t.ppf(0.975, 7) * t.se
    assert t.upper == pytest.approx(t.beta + half, rel=1e-12)
    delta = t.spread.names.index("delta[g[b]]")
    assert t.spread.p_value[delta] == pytest.approx(
        2 * stats.t.sf(abs(t.spread.statistic[delta]), 6), rel=1e-12
    )
    assert z.spread.p_value[delta] == pytest.approx(
        2 * stats.norm.sf(abs(z.spread.statistic[delta])), rel=1e-12
    )
    assert t.spread.QS_p == pytest.approx(stats.f.sf(t.spread.QS, 1, 6), rel=1e-12)
    assert pytest.approx(z.spread.statistic[delta] ** 2, rel=1e-9) == z.spread.QS


def test_intervals_of_taus_are_those_of_their_logarithms(eight):
    spread = bm.classical(eight, scale="C(g)", level=0.9).spread
    for name in ("tau[a]", "tau[b]", "tau"):
        i = spread.names.index(name)
        half = stats.norm.ppf(0.95) * spread.se[i] / spread.estimate[i]
        assert spread.lower[i] == pytest.approx(spread.estimate[i] * np.exp(-half), rel=1e-12)
        assert spread.upper[i] == pytest.approx(spread.estimate[i] * np.exp(half), rel=1e-12)
        assert np.isnan(spread.p_value[i])


def test_an_uncentred_tau_is_that_where_the_moderator_is_0(eight):
    centred, plain = (bm.classical(eight, scale="x", center=center).spread for center in (True, False))
    assert plain.estimate[1] == pytest.approx(centred.estimate[1], rel=1e-9)
    assert plain.estimate[0] == pytest.approx(
        centred.estimate[0] * np.exp(-4.5 * centred.estimate[1]), rel=1e-8
    )


def test_a_change_of_units_changes_taus_alike_and_ratios_not_at_all(eight):
    plain = bm.classical(eight, scale="C(g)")
    other = bm.classical(studies_of(1e-6 * Y, 1e-6 * SEI), scale="C(g)")
    taus = ~np.array(plain.spread.is_ratio)
    assert other.spread.estimate[taus] == pytest.approx(1e-6 * plain.spread.estimate[taus], rel=1e-9)
    assert other.spread.estimate[~taus] == pytest.approx(plain.spread.estimate[~taus], rel=1e-9)
    assert other.beta == pytest.approx(1e-6 * plain.beta, rel=1e-9)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from metarl_jax.distributions import (
    Categorical,
    DiagonalGaussian,
    MostLikely,
    TanhGaussian,
)

MEAN, STD = np.array([0.3, -1.2, 0.0]), np.array([0.5, 2.0, 1.0])
OTHER_MEAN, OTHER_STD = np.array([-0.1, 0.4, 1.0]), np.array([0.8, 1.5, 0.3])
LOGITS, OTHER_LOGITS = np.array([0.5, -1.0, 2.0, 0.0]), np.array([1.0, 1.0, -2.0, 0.5])

PAIRS = {
    "gaussian": (
        DiagonalGaussian(jnp.asarray(MEAN), jnp.log(STD)),
        DiagonalGaussian(jnp.asarray(OTHER_MEAN), jnp.log(OTHER_STD)),
    ),
    "tanh": (
        TanhGaussian(jnp.asarray(MEAN), jnp.log(STD)),
        TanhGaussian(jnp.asarray(OTHER_MEAN), jnp.log(OTHER_STD)),
    ),
    "categorical": (
        Categorical(jnp.asarray(LOGITS)),
        Categorical(jnp.asarray(OTHER_LOGITS)),
    ),
}
each_pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)


def tanh_gaussian(mean, std):
    return TanhGaussian(jnp.array([float(mean)]), jnp.log(jnp.array([float(std)])))


def test_gaussian_log_prob_and_entropy_equal_scipy():
    normal = stats.multivariate_normal(MEAN, np.diag(STD**2))
    action = np.array([0.1, -3.0, 5.0])
    distribution = PAIRS["gaussian"][0]
    actual = distribution.log_prob(jnp.asarray(action))
    np.testing.assert_allclose(actual, normal.logpdf(action), rtol=1e-5)
    np.testing.assert_allclose(distribution.entropy(), normal.entropy(), rtol=1e-5)


def test_gaussian_kl_equals_numeric_integration():
    def divergence(index):
        p = stats.norm(MEAN[index], STD[index])
        q = stats.norm(OTHER_MEAN[index], OTHER_STD[index])
        integrand = lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x))
        return integrate.quad(integrand, *p.interval(1 - 1e-15))[0]

    distribution, other = PAIRS["gaussian"]
    expected = sum(divergence(index) for index in range(3))
    np.testing.assert_allclose(distribution.kl(other), expected, rtol=1e-5)


def test_categorical_log_prob_and_entropy_equal_scipy():
    probability = special.softmax(LOGITS)
    categorical = stats.rv_discrete(values=(np.arange(4), probability))
    distribution = PAIRS["categorical"][0]
    actual = jax.vmap(distribution.log_prob)(jnp.arange(4))
    np.testing.assert_allclose(actual, categorical.logpmf(np.arange(4)), rtol=1e-5)
    np.testing.assert_allclose(distribution.entropy(), categorical.entropy(), rtol=1e-5)


def test_categorical_kl_equals_scipy():
    distribution, other = PAIRS["categorical"]
    expected = stats.entropy(special.softmax(LOGITS), special.softmax(OTHER_LOGITS))
    np.testing.assert_allclose(distribution.kl(other), expected, rtol=1e-5)


@pytest.mark.parametrize("mean, std", [(0.0, 1.0), (1.5, 0.3), (-0.5, 2.0)])
def test_squashed_density_integrates_to_that_of_the_raw_interval(mean, std):
    with jax.enable_x64(True):
        density = jax.jit(lambda a: jnp.exp(tanh_gaussian(mean, std).log_prob(a[None])))
        integral = integrate.quad(lambda a: float(density(a)), -0.9, 0.95, epsabs=1e-8)
    raw = stats.norm(mean, std)
    expected = raw.cdf(np.arctanh(0.95)) - raw.cdf(np.arctanh(-0.9))
    np.testing.assert_allclose(integral[0], expected, rtol=1e-6)


@pytest.mark.parametrize("mean, std", [(0.0, 0.1), (0.0, 1.0), (1.5, 0.3), (-0.5, 2.0)])
def test_squashed_entropy_equals_numeric_integration(mean, std):
    raw = stats.norm(mean, std)
    log_slope = lambda x: 2 * (np.log(2) - x - np.logaddexp(0, -2 * x))
    shift = integrate.quad(lambda x: raw.pdf(x) * log_slope(x), -25, 25, limit=200)[0]
    actual = tanh_gaussian(mean, std).entropy()
    np.testing.assert_allclose(actual, raw.entropy() + shift, atol=3e-4)


def test_squashed_kl_equals_the_mean_log_ratio_of_samples():
    distribution, other = PAIRS["tanh"]
    keys = jax.random.split(jax.random.key(0), 20_000)
    action = jax.vmap(distribution.sample)(keys)
    ratio = jax.vmap(lambda a: distribution.log_prob(a) - other.log_prob(a))(action)
    error = 4 * np.std(ratio) / np.sqrt(len(keys))
    np.testing.assert_allclose(distribution.kl(other), np.mean(ratio), atol=error)


@pytest.mark.parametrize("action", [-1.0, 1.0, 0.9999999])
def test_squashed_log_prob_is_finite_at_the_borders(action):
    def log_prob(mean, log_std):
        return TanhGaussian(mean, log_std).log_prob(jnp.array([action]))

    value, slopes = jax.value_and_grad(log_prob, argnums=(0, 1))(
        jnp.zeros(1), jnp.zeros(1)
    )
    assert np.isfinite(value) and np.all(np.isfinite(slopes))


def test_squashed_samples_come_with_their_log_prob():
    distribution = PAIRS["tanh"][0]
    action, log_prob = distribution.sample_and_log_prob(jax.random.key(0))
    np.testing.assert_array_equal(action, distribution.sample(jax.random.key(0)))
    np.testing.assert_allclose(log_prob, distribution.log_prob(action), rtol=1e-4)


def test_log_prob_of_a_sample_has_a_gradient_where_tanh_is_flat():
    """Far out log(1 - tanh(x)^2) falls by 2 for each unit of |x|."""

    def log_prob(mean):
        return (
            tanh_gaussian(0.0, 1.0)
            ._replace(mean=mean)
            .sample_and_log_prob(jax.random.key(0))[1]
        )

    np.testing.assert_allclose(jax.grad(log_prob)(jnp.array([30.0])), [2.0], rtol=1e-5)


def test_samples_of_many_distributions_differ():
    batch = TanhGaussian(jnp.zeros((4, 2)), jnp.zeros((4, 2)))
    actions, log_prob = batch.sample_and_log_prob(jax.random.key(0))
    assert np.unique(actions).size == 8
    assert log_prob.shape == (4,)


def test_most_likely_action_has_the_probability_of_its_distribution():
    base = PAIRS["categorical"][0]
    greedy = MostLikely(base)
    assert greedy.sample(jax.random.key(0)) == np.argmax(LOGITS) == greedy.mode()
    np.testing.assert_array_equal(
        greedy.log_prob(greedy.mode()), base.log_prob(jnp.array(2))
    )
    assert greedy.entropy() == base.entropy()
    other = MostLikely(PAIRS["categorical"][1])
    assert greedy.kl(other) == base.kl(other.base)


def test_squashed_entropy_is_finite_far_out():
    gradient = jax.grad(lambda mean: tanh_gaussian(0, 1)._replace(mean=mean).entropy())
    np.testing.assert_allclose(gradient(jnp.array([50.0])), -2.0, rtol=1e-5)
    np.testing.assert_allclose(gradient(jnp.array([-50.0])), 2.0, rtol=1e-5)


def test_categorical_is_finite_for_extreme_logits():
    distribution = Categorical(jnp.array([1e4, 0.0, -1e4]))
    other = Categorical(jnp.array([0.0, 1.0, 2.0]))
    value, slope = jax.value_and_grad(lambda d: d.kl(other) + d.entropy())(distribution)
    assert np.isfinite(value) and np.all(np.isfinite(slope.logits))


@each_pair
def test_kl_to_itself_is_zero_with_zero_gradient(pair):
    value, slope = jax.value_and_grad(lambda other: pair[0].kl(other))(pair[0])
    np.testing.assert_allclose(value, 0, atol=1e-6)
    for leaf in slope:
        np.testing.assert_allclose(leaf, 0, atol=1e-6)


@each_pair
def test_samples_have_the_entropy_of_the_distribution(pair):
    keys = jax.random.split(jax.random.key(0), 20_000)
    surprise = -jax.vmap(lambda key: pair[0].log_prob(pair[0].sample(key)))(keys)
    error = 4 * np.std(surprise) / np.sqrt(len(keys)) + 1e-3
    np.testing.assert_allclose(pair[0].entropy(), np.mean(surprise), atol=error)


@each_pair
def test_mode_is_at_the_peak_of_the_base_density(pair):
    distribution, _ = pair
    if isinstance(distribution, TanhGaussian):
        np.testing.assert_allclose(distribution.mode(), np.tanh(MEAN), rtol=1e-5)
    elif isinstance(distribution, DiagonalGaussian):
        np.testing.assert_array_equal(distribution.mode(), distribution.mean)
    else:
        assert distribution.mode() == 2


@each_pair
def test_grad_of_grad_inside_vmap_equals_the_hessian_of_one(pair):
    distribution, _ = pair
    keys = jax.random.split(jax.random.key(1), 3)
    action = jax.vmap(distribution.sample)(keys)
    kind = type(distribution)

    def log_prob(leaf, action):
        return kind(leaf, *distribution[1:]).log_prob(action)

    def curvature(leaf, action):
        slope = lambda leaf: jnp.sum(jax.grad(log_prob)(leaf, action) ** 2)
        return jax.grad(slope)(leaf)

    leaves = distribution[0] + 0.1 * jnp.arange(3)[:, None]
    batched = jax.jit(jax.vmap(curvature))(leaves, action)
    for leaf, one_action, actual in zip(leaves, action, batched, strict=True):
        gradient = jax.grad(log_prob)(leaf, one_action)
        hessian = jax.hessian(log_prob)(leaf, one_action)
        np.testing.assert_allclose(actual, 2 * hessian @ gradient, atol=1e-5)

"""Batches in the last axis: what `vmap` gives, of every kind of operation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import envs
from envs import adapters, last_axis
from envs.side_by_side import side_by_side

SIZE = 5
VECTOR, MATRIX, INTEGER = (
    jax.random.normal(jax.random.key(0), (SIZE, 3)),
    jax.random.normal(jax.random.key(1), (SIZE, 4, 3)),
    jnp.array([0, 2, 1, 3, 2]),
)
CONSTANT = jnp.arange(12.0).reshape(4, 3) / 7


@jax.custom_jvp
def twice(x):
    return 2 * x


@jax.custom_vjp
def thrice(x):
    return 3 * x


twice.defjvp(lambda primals, tangents: (2 * primals[0], 2 * tangents[0]))
thrice.defvjp(lambda x: (3 * x, None), lambda _, tangent: (3 * tangent,))


def running_sum(vector, matrix):
    def step(total, row):
        of_all, of_one = row
        total = total + of_one * of_all @ CONSTANT @ vector
        return total, (total, of_all)

    return lax.scan(step, 0.0, (CONSTANT.T, matrix[:3, 0]), reverse=True)


def halvings(x):
    return lax.while_loop(lambda x: jnp.sum(x**2) > 0.1, lambda x: x / 2, x)


FUNCTIONS = {
    "arithmetic": lambda v, m, i: (jnp.sin(v) * 2 + m / 3 - v**2) ** 2,
    "scalars": lambda v, m, i: v[0] + m * v[1] + jnp.maximum(0.1, m),
    "comparisons": lambda v, m, i: (m > 0) & (v <= 0.5) | ~(m == v[0]),
    "matrix and vector": lambda v, m, i: m @ v,
    "vector and matrix": lambda v, m, i: v @ m.T,
    "matrices": lambda v, m, i: (m @ m.T, m.T @ CONSTANT, CONSTANT @ m.T),
    "batch of products": lambda v, m, i: jax.vmap(jnp.dot)(m, CONSTANT),
    "outer product": lambda v, m, i: jnp.einsum("i,jk->kij", v, m),
    "full contraction": lambda v, m, i: jnp.einsum("ij,ij->", m, CONSTANT),
    "cross product": lambda v, m, i: jnp.cross(v, m),
    "long product": lambda v, m, i: jnp.tile(m, (9, 1)).T @ jnp.tile(CONSTANT, (9, 1)),
    "no entries": lambda v, m, i: (m[:0].sum(0), m[:0].T @ m[:0], m[:, :0] @ v[:0]),
    "no results": lambda v, m, i: (m[:0].sum(1), m[:0] @ v, (m[:0] > 0).any(1)),
    "narrow product": lambda v, m, i: lax.dot_general(
        jnp.full(3, 100, "int8"),
        (i + jnp.arange(3)).astype("int8"),
        (((0,), (0,)), ((), ())),
        preferred_element_type="int32",
    ),
    "short sums": lambda v, m, i: (m.sum(1), m.max(0), m.min(), m.prod()),
    "long sum": lambda v, m, i: jnp.tile(m, (9, 1)).sum(0),
    "any and all": lambda v, m, i: ((m > 0).any(0), (m > 0).all(1)),
    "norm": lambda v, m, i: jnp.linalg.norm(m, axis=1),
    "shapes": lambda v, m, i: m.T.reshape(2, 6)[None, :, ::2].swapaxes(1, 2).squeeze(),
    "in the order of Fortran": lambda v, m, i: jnp.reshape(m, (2, 6), order="F"),
    "joined": lambda v, m, i: jnp.concatenate([m, v[None], CONSTANT]),
    "stacked": lambda v, m, i: jnp.stack([v, jnp.ones(3), 2 * v], axis=1),
    "repeated": lambda v, m, i: jnp.repeat(m, 2, axis=1),
    "looked up": lambda v, m, i: m[jnp.array([3, 0, 0]), jnp.array([1, 2, 0])],
    "rows looked up": lambda v, m, i: jnp.take(m, jnp.array([2, 1]), axis=0),
    "looked up by each": lambda v, m, i: (m[i], CONSTANT[i]),
    "slice of each": lambda v, m, i: lax.dynamic_slice_in_dim(m, i - 1, 2),
    "set": lambda v, m, i: m.at[jnp.array([0, 2])].set(v),
    "set in a constant": lambda v, m, i: CONSTANT.at[1, 2].set(v[0]),
    "added": lambda v, m, i: m.at[jnp.array([0, 2, 0])].add(v),
    "set by each": lambda v, m, i: m.at[i].set(0.0),
    "chosen by one": lambda v, m, i: jnp.where(v[0] > 0, m, CONSTANT),
    "chosen by many": lambda v, m, i: jnp.where(m > 0, v, 0.0),
    "chosen by a constant": lambda v, m, i: lax.select(CONSTANT > 0.5, m, m + 1),
    "clipped": lambda v, m, i: (jnp.clip(m, -0.5, 0.5), lax.clamp(v[0], m, v[0] + 1)),
    "padded": lambda v, m, i: jnp.pad(m, ((1, 0), (0, 2)), constant_values=v[1]),
    "cumulative": lambda v, m, i: (jnp.cumsum(m, 0), jnp.argmax(m, 1), jnp.sort(m)),
    "converted": lambda v, m, i: (i.astype(float), m.astype(int), i % 2),
    "scan": lambda v, m, i: running_sum(v, m),
    "counted loop": lambda v, m, i: lax.fori_loop(
        0, 3, lambda row, total: total + m[row] * i, v
    ),
    "while": lambda v, m, i: halvings(m),
    "cond": lambda v, m, i: lax.cond(v[0] > 0, jnp.sin, jnp.cos, m),
    "switch": lambda v, m, i: lax.switch(i, [jnp.sin, jnp.cos, jnp.tan, jnp.exp], v),
    "called": lambda v, m, i: jax.jit(jnp.sin)(m),
    "custom derivatives": lambda v, m, i: twice(v) + thrice(m),
    "solved": lambda v, m, i: jnp.linalg.solve(m.T @ m + jnp.eye(3), v),
    "the same for all": lambda v, m, i: (CONSTANT @ CONSTANT.T, jnp.float32(3)),
    "as it was": lambda v, m, i: {"m": m, "v": (v, i)},
}


def assert_alike(results, expected):
    assert jax.tree.structure(results) == jax.tree.structure(expected)
    for result, known in zip(
        jax.tree.leaves(results), jax.tree.leaves(expected), strict=True
    ):
        assert (result.dtype, result.weak_type) == (known.dtype, known.weak_type)
        np.testing.assert_allclose(result, known, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_those_of_vmap(name):
    function = FUNCTIONS[name]
    arguments = VECTOR, MATRIX, INTEGER
    results = jax.jit(jax.vmap(side_by_side(function)))(*arguments)
    assert_alike(results, jax.vmap(function)(*arguments))


@pytest.mark.parametrize("name", ["scan", "set in a constant", "looked up by each"])
@pytest.mark.parametrize("axes", [(0, None, None), (None, 0, None), (None, None, 0)])
def test_arguments_may_be_the_same_for_all(name, axes):
    function = FUNCTIONS[name]
    arguments = [
        argument if axis == 0 else argument[0]
        for argument, axis in zip((VECTOR, MATRIX, INTEGER), axes, strict=True)
    ]
    results = jax.vmap(side_by_side(function), axes)(*arguments)
    assert_alike(results, jax.vmap(function, axes)(*arguments))


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ((0, None), (0, 0)),
        ((None, 0), (0, 0)),
        ((0, 0), (0, None)),
        ((0, None), (None, 0)),
        ((1, 2), (1, 0)),
    ],
)
def test_nested_vmaps_are_one_axis(outer, inner):
    function = lambda v, m: (m @ v, jnp.tanh(v))
    twice_mapped = lambda f: jax.vmap(jax.vmap(f, inner), outer)
    vector = jax.random.normal(jax.random.key(2), (3, 3, 3))
    matrix = jax.random.normal(jax.random.key(3), (3, 3, 3, 3))
    shapes = (vector, outer[0], inner[0], 1), (matrix, outer[1], inner[1], 2)
    arguments = []
    for array, *axes, rank in shapes:
        mapped = rank + sum(axis is not None for axis in axes)
        arguments.append(array.reshape(-1)[: 3**mapped].reshape((3,) * mapped))
    results = twice_mapped(side_by_side(function))(*arguments)
    assert_alike(results, twice_mapped(function)(*arguments))


def test_three_nested_vmaps():
    nested = lambda f: jax.vmap(jax.vmap(jax.vmap(f, (0, None)), (0, 0)), (None, 0))
    vector = jax.random.normal(jax.random.key(2), (2, 4, 3))
    matrix = jax.random.normal(jax.random.key(3), (5, 2, 3, 3))
    function = lambda v, m: m @ v
    assert_alike(
        nested(side_by_side(function))(vector, matrix),
        nested(function)(vector, matrix),
    )


def test_function_of_one_is_itself():
    arguments = VECTOR[0], MATRIX[0], INTEGER[0]
    function = FUNCTIONS["scan"]
    assert_alike(side_by_side(function)(*arguments), function(*arguments))


@pytest.mark.parametrize("derivative", [jax.jacrev, jax.jacfwd])
def test_derivatives_are_those_of_the_function(derivative):
    steep = jax.custom_jvp(jnp.sin)
    steep.defjvp(lambda primals, tangents: (primals[0], 100 * tangents[0]))
    function = lambda v, m: steep(m @ v)
    arguments = VECTOR, MATRIX
    for outer in (lambda f: jax.vmap(derivative(f)), lambda f: derivative(jax.vmap(f))):
        result = outer(side_by_side(function))(*arguments)
        assert_alike(result, outer(function)(*arguments))


def test_numbers_of_python_stay_weak():
    nested = lambda f: jax.vmap(f, (0, None))(VECTOR.astype(jnp.bfloat16), 2.5)
    function = lambda v, number: v * number
    assert_alike(nested(side_by_side(function)), nested(function))


def test_axis_of_no_entries_is_merged():
    nested = lambda f: jax.vmap(jax.vmap(f))(jnp.ones((2, 3, 0, 4)))
    function = lambda x: (x + 1, x.sum())
    assert_alike(nested(side_by_side(function)), nested(function))


def test_counter_of_a_loop_is_the_same_for_all():
    function = lambda v: lax.fori_loop(0, 3, lambda row, total: total + v[row], 0.0)
    text = str(jax.make_jaxpr(jax.vmap(side_by_side(function)))(VECTOR))
    assert f"i32[{SIZE}]" not in text


def test_batch_is_evaluated_once_for_all_programs(monkeypatch):
    sizes = []
    evaluate = last_axis.evaluate

    def counted(*arguments):
        sizes.append(arguments[-1])
        return evaluate(*arguments)

    monkeypatch.setattr(last_axis, "evaluate", counted)
    nested = jax.vmap(jax.vmap(side_by_side(jnp.sin)))
    for _ in range(2):
        jax.jit(lambda x: lax.scan(lambda x, _: (nested(x), nested(x)), x, None, 2))(
            jnp.ones((2, 3))
        )
    assert sizes == [3, 6]


def test_jitted_function_is_traced_once_for_all_batches_and_programs():
    count = 0

    @jax.jit
    def function(x):
        nonlocal count
        count += 1
        return jnp.sin(x)

    batched = jax.vmap(side_by_side(function))
    for size in (2, 3):
        jax.jit(lambda x: batched(x) + 1)(jnp.ones((size, 3)))
    assert count == 1


def operations(jaxpr):
    for equation in jaxpr.eqns:
        inner = [
            getattr(value, "jaxpr", value)
            for value in equation.params.values()
            if hasattr(getattr(value, "jaxpr", value), "eqns")
        ]
        if not inner:
            yield equation
        for one in inner:
            yield from operations(one)


# robots, and which operations beside transpositions at the border `vmap` puts first
@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("half_cheetah_velocity", set()),
        ("reacher_goal", set()),
        ("hopper_params", {"cond", "broadcast_in_dim"}),  # the diagonal of inertia
    ],
)
def test_what_spring_robots_compute_has_the_robots_last(name, others, monkeypatch):
    """Of the states that episodes start in only shapes are needed."""

    def zeros(brax_env):
        shapes = jax.eval_shape(jax.vmap(brax_env.reset), keys)
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)

    monkeypatch.setattr(adapters, "starting_states", zeros)
    size = 97  # no other axis is as long
    env, tasks = envs.make(name)
    keys = jax.random.split(jax.random.key(0), size)
    task = jax.vmap(tasks.train)(keys)
    state = jax.eval_shape(lambda: jax.vmap(env.reset)(keys, task)[1])
    action = jnp.zeros((size, *env.action_space.shape))
    traced = jax.make_jaxpr(jax.vmap(env.step))(keys, state, action, task)
    shapes = [
        (equation.primitive.name, var.aval.shape)
        for equation in operations(traced.jaxpr)
        for var in equation.outvars
    ]
    assert ("dot_general", size) not in [(name, *shape[-1:]) for name, shape in shapes]
    assert sum(shape[-1:] == (size,) for _, shape in shapes) > 1000
    elsewhere = {name for name, shape in shapes if size in shape[:-1]}
    assert elsewhere == {"transpose"} | others

"""Each backward definition against central differences of its forward, and the conventions at kinks.

The compiled kernels have the definitions' bits, so the definitions are what is checked, in float64.
"""

import zlib

import numpy as np
import pytest
from _arrays import assert_same_bits, attribute_variants, operands, sizes_of

from fastbp.kernels import load
from fastbp.kernels.table import KERNELS, TABLE

REFERENCE = load("numpy", "float64")
DIFFERENTIABLE = [name for name, row in TABLE.items() if row.differentiable]
SHAPES = [(1, 1), (1, 4), (5, 1), (4, 3), (6, 7)]
STEP = 1e-6


def as_dict(kernel, returned):
    returned = returned if isinstance(returned, tuple) else (returned,)
    return {o.name: value for o, value in zip(kernel.results, returned, strict=True)}


def central_differences(f, x):
    """Return the gradient of the scalar function f at x."""
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        ends = []
        for step in (STEP, -STEP):
            moved = x.copy()
            moved[i] += step
            ends.append(f(moved))
        gradient[i] = (ends[0] - ends[1]) / (2 * STEP)
    return gradient


def assert_close(got, want, what):
    # the differences' own error: STEP**2 and the rounding of f over STEP
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8 * max(1, np.abs(want).max(initial=0)), err_msg=what)


def smooth_inputs(kernel, sizes, rng):
    """Return ordinary inputs, away from kinks and from the ends of the probabilities."""
    inputs = {}
    for name, x in operands(kernel, sizes, "float64", "ordinary", rng).items():
        domain = kernel.row.domain.get(name)
        if domain == "probability":
            x = 0.05 + 0.9 * x
        elif domain == "nonnegative":
            x = x + 0.2  # a logarithm bends too much near 0
        elif domain in ("binary", "one_hot"):
            x = rng.random(x.shape)  # targets may be soft: then no term of the gradient is multiplied by 0
        for kink in kernel.row.kinks:
            x = np.where(np.abs(x - kink) < 0.1, kink + 0.5, x)
        inputs[name] = x
    return inputs


@np.errstate(invalid="ignore", divide="ignore")  # numpy.where discards what a division by 0 gives
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_backward_is_the_derivative_of_forward(name):
    row = TABLE[name]
    forward, backward = row.kernels[f"{name}_forward"], row.kernels[f"{name}_backward"]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    largest = 0
    for batch, n in SHAPES:
        lengths = {"batch": batch, "n": n if len(forward.dims) > 1 else batch * n, "rows": 3, "width": 2}
        lengths |= {"m": 2, "k": 3, "height": 3, "c": 2, "oh": 2, "ow": 2}
        for attributes in attribute_variants(forward):
            sizes = sizes_of(forward, lengths, attributes)
            if sizes is None or 0 in sizes.values():
                continue
            divisor = {"celu": "alpha", "softplus": "beta"}.get(name, "")
            if attributes.get("eps") != forward.attributes.get("eps") or attributes.get(divisor) == 0:
                continue  # a division by zero
            if attributes.get("threshold") == 0:
                continue  # a kink at 0, which some inputs are
            inputs = smooth_inputs(forward, sizes, rng)
            outputs = as_dict(forward, REFERENCE[forward.name](*inputs.values(), **attributes))
            known = {**inputs, **outputs}
            # a loss has no upstream gradient: it starts the chain with 1
            result = "loss" if row.family == "loss" else "y"
            upstream = np.float64(1) if result == "loss" else rng.standard_normal(outputs[result].shape)
            known["d" + result] = upstream
            arguments = [known[o.name] for o in backward.inputs]
            gradients = as_dict(backward, REFERENCE[backward.name](*arguments, **attributes))
            assert gradients
            for gradient_name, got in gradients.items():
                x_name = gradient_name.removeprefix("d")

                def f(x, x_name=x_name, inputs=inputs, attributes=attributes, result=result, upstream=upstream):
                    moved = REFERENCE[forward.name](*{**inputs, x_name: x}.values(), **attributes)
                    return (as_dict(forward, moved)[result] * upstream).sum()

                want = central_differences(f, inputs[x_name])
                assert got.shape == want.shape
                assert_close(got, want, f"{gradient_name} of {name} {sizes} {attributes}")
                largest = max(largest, np.abs(want).max())
    # against zeros the comparison would say nothing
    assert largest > 0.01


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4), (5, 1, 2), (1, 6, 3)])
def test_the_other_products_are_the_gradients_of_matmul_nn(shape):
    batch, n_in, n_out = shape
    rng = np.random.default_rng(batch)
    x, w, dy = (rng.standard_normal(s) for s in ((batch, n_in), (n_in, n_out), (batch, n_out)))
    product = REFERENCE["matmul_nn"]
    assert_close(REFERENCE["matmul_nt"](dy, w), central_differences(lambda x: (product(x, w) * dy).sum(), x), "dx")
    assert_close(REFERENCE["matmul_tn"](x, dy), central_differences(lambda w: (product(x, w) * dy).sum(), w), "dw")


# ------------------------------------------------------------------------------------------ kinks
#: The derivative at each kink of the table, for both signs of a zero.
AT_KINKS = {
    "relu": {0.0: 0.0},
    "relu6": {0.0: 0.0, 6.0: 0.0},
    "leaky_relu": {0.0: 0.01},
    "elu": {0.0: 1.0},
    "selu": {0.0: 1.0507009873554805 * 1.6732632423543772},
    "hard_sigmoid": {-3.0: 0.0, 3.0: 0.0},
    "hard_tanh": {-1.0: 0.0, 1.0: 0.0},
    "hard_swish": {-3.0: 0.0, 3.0: 1.0},
    "hard_shrink": {-0.5: 0.0, 0.5: 0.0},
    "soft_shrink": {-0.5: 0.0, 0.5: 0.0},
    "prelu": {0.0: 0.25},
}


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.kinks])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_derivative_at_kinks(name, dtype):
    assert set(AT_KINKS[name]) == set(TABLE[name].kinks)
    for kink, slope in AT_KINKS[name].items():
        for x in (kink, -0.0 if kink == 0 else kink):
            forward, backward = (KERNELS[f"{name}_{way}"] for way in ("forward", "backward"))
            dy = np.array([[1, -2, 3]], dtype)
            known = {"dy": dy, "x": np.full((1, 3), x, dtype), "alpha": np.full(3, 0.25, dtype)}
            known["y"] = REFERENCE[forward.name](*(known[o.name] for o in forward.inputs))
            dx = as_dict(backward, REFERENCE[backward.name](*(known[o.name] for o in backward.inputs)))["dx"]
            # slope 0 is +0 whatever the sign of dy
            assert_same_bits(dx, np.full((1, 3), slope, dtype) if slope == 0 else dy * dy.dtype.type(slope))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_relu_beside_its_kink(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([-np.inf, -tiny, -0.0, 0.0, tiny, np.inf, np.nan], dtype)
    y = REFERENCE["relu_forward"](x)
    assert_same_bits(y, np.array([0, 0, 0, 0, tiny, np.inf, np.nan], dtype))
    for upstream in (-3.0, np.inf, np.nan):
        dx = REFERENCE["relu_backward"](np.full(7, upstream, dtype), y)
        assert_same_bits(dx, np.array([0, 0, 0, 0, upstream, upstream, 0], dtype))


# The bounds to which the losses clip a probability. float32 has nothing between 1 - 2**-24 and 1.
LOWER = {"float32": np.float32(1e-15), "float64": 1e-15}
UPPER = {"float32": np.float32(1 - 2**-24), "float64": 1 - 1e-15}
beyond = pytest.mark.parametrize("beyond", [0.0, 1e-30])
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@every_dtype
@beyond
@pytest.mark.parametrize("mean", [1.0, 0.0])
def test_binary_cross_entropy_at_the_clipping(dtype, beyond, mean):
    real = np.dtype(dtype).type
    low, high = LOWER[dtype], UPPER[dtype]
    p = np.array([beyond, beyond, 1 - beyond, 1 - beyond], dtype)
    y = np.array([1, 0, 0, 1], dtype)
    # right: the gradient is not zeroed either; wrong: steep, towards the truth
    slopes = np.array([-1 / low, 1, 1 / (1 - high), -1], dtype)
    share = real(1 / 4 if mean else 1)
    got = REFERENCE["binary_cross_entropy_backward"](p, y, mean=mean)
    np.testing.assert_array_max_ulp(got, slopes * share, maxulp=4)
    elements, loss = REFERENCE["binary_cross_entropy_forward"](p, y, mean=mean)
    assert np.isfinite(elements).all()
    assert elements[0] == -np.log(low)
    assert elements[2] == -np.log(1 - high)
    assert loss > 0
    # what the table's note says of a sure and wrong prediction
    assert round(float(elements[2]), 1) == {"float32": 16.6, "float64": 34.5}[dtype]


@every_dtype
@beyond
def test_categorical_cross_entropies_at_the_clipping(dtype, beyond):
    real = np.dtype(dtype).type
    low, high = LOWER[dtype], UPPER[dtype]
    p = np.array([[beyond, 1 - beyond], [beyond, 1 - beyond]], dtype)
    labels = np.array([0, 1])
    want = np.zeros((2, 2), dtype)
    want[0, 0], want[1, 1] = real(-0.5) / low, real(-0.5) / high
    got = REFERENCE["sparse_categorical_cross_entropy_backward"](p, labels)
    assert_same_bits(got, want)
    got = REFERENCE["categorical_cross_entropy_backward"](p, np.eye(2, dtype=dtype))
    np.testing.assert_array_max_ulp(np.abs(got), np.abs(want), maxulp=1)
    samples, _ = REFERENCE["sparse_categorical_cross_entropy_forward"](p, labels)
    assert_same_bits(samples, -np.log(np.array([low, high])))


@every_dtype
def test_upper_bound_follows_eps(dtype):
    # an eps that the dtype can tell from 1 moves the bound
    p, y = np.ones(1, dtype), np.zeros(1, dtype)
    got = REFERENCE["binary_cross_entropy_backward"](p, y, eps=1e-3)
    one = p.dtype.type(1)
    np.testing.assert_array_max_ulp(got, 1 / (one - np.array([1 - 1e-3], dtype)), maxulp=2)


@every_dtype
@pytest.mark.parametrize("loss", [name for name, row in TABLE.items() if row.family == "loss" and row.differentiable])
def test_nan_prediction_is_not_hidden(loss, dtype):
    # clipping must not make a number of it
    kernel = KERNELS[f"{loss}_forward"]
    inputs = operands(kernel, {"batch": 3, "n": 3}, dtype, "ordinary", np.random.default_rng(6))
    first = next(iter(inputs))
    inputs[first] = np.full_like(inputs[first], np.nan)
    assert np.isnan(as_dict(kernel, REFERENCE[kernel.name](*inputs.values()))["loss"])

"""Layers of windows: values and gradients against PyTorch, rules of shapes against Keras, bits, files and errors."""

import copy
import functools
import itertools
import os
import pickle
import tempfile

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import (
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    Dense,
    DepthwiseConv2D,
    Flatten,
    Input,
    Model,
    Sequential,
    load_model,
)
from fastbp import layers as L
from fastbp.kernels.portable.array import PortableArray
from fastbp.layers.base import from_config

every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])


@functools.cache
def torch():
    return pytest.importorskip("torch")


@functools.cache
def keras():
    torch()
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("KERAS_HOME", os.path.join(tempfile.gettempdir(), "keras"))  # it writes its settings there
    return pytest.importorskip("keras")


# ----------------------------------------------------------------------- what PyTorch would write
def ends(padding, size, reach, stride):
    """Return the zeros before and behind an axis, by Keras' rules."""
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return reach - 1, 0
    if padding != "same":
        return padding
    positions = (size + stride - 1) // stride
    total = max((positions - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def first(x):
    """Return a tensor with channels first."""
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def padded(x, layer, window, value=0.0, dilation=None):
    """Return a tensor, channels first, with what is around it."""
    axes = x.ndim - 2
    dilation = dilation or (1,) * axes
    flat = []
    for k in reversed(range(axes)):
        padding = layer.padding if isinstance(layer.padding, str) else layer.padding[k]
        flat += ends(padding, x.shape[2 + k], dilation[k] * (window[k] - 1) + 1, layer.strides[k])
    return torch().nn.functional.pad(x, flat, value=value)


def activated(layer, y):
    return {"identity": lambda x: x, "relu": torch().relu, "tanh": torch().tanh}[layer.activation.activation](y)


def convolved(layer, w, x):
    F = torch().nn.functional
    weight = w["w"].movedim((-1, -2), (0, 1))
    x = padded(first(x), layer, layer.kernel_size, dilation=layer.dilation_rate)
    options = {"stride": layer.strides, "dilation": layer.dilation_rate, "groups": layer.groups}
    convolve = F.conv1d if x.ndim == 3 else F.conv2d
    return activated(layer, last(convolve(x, weight, w.get("b"), **options)))


def of_channels(layer, w, x):
    F = torch().nn.functional
    weight = w["w"].movedim((-2, -1), (0, 1))  # (c, m, ...)
    channels = weight.shape[0]
    weight = weight.reshape(-1, 1, *weight.shape[2:])
    x = padded(first(x), layer, layer.kernel_size, dilation=layer.dilation_rate)
    convolve = F.conv1d if x.ndim == 3 else F.conv2d
    options = {"stride": layer.strides, "dilation": layer.dilation_rate, "groups": channels}
    return last(convolve(x, weight, w.get("b"), **options))


def depthwise(layer, w, x):
    return activated(layer, of_channels(layer, w, x))


def separable(layer, w, x):
    y = of_channels(layer, {"w": w["depthwise_w"]}, x) @ w["pointwise_w"]
    return activated(layer, y + w["b"] if "b" in w else y)


def transposed(layer, w, x):
    F = torch().nn.functional
    weight = w["w"].movedim((-1, -2), (0, 1))  # (c, filters, ...)
    x = first(x)
    convolve = F.conv_transpose1d if x.ndim == 3 else F.conv_transpose2d
    whole = convolve(x, weight, stride=layer.strides, dilation=layer.dilation_rate)
    # PyTorch's whole output, of which a part is taken
    for k, stride in enumerate(layer.strides):
        n, reach = x.shape[2 + k], layer.dilation_rate[k] * (layer.kernel_size[k] - 1) + 1
        more = None if layer.output_padding is None else layer.output_padding[k]
        if layer.padding == "valid":
            before, length = 0, (n - 1) * stride + (max(reach, stride) if more is None else reach + more)
        elif layer.padding == "same":
            length = n * stride if more is None else (n - 1) * stride + reach % 2 + more
            around = reach + (stride - 2 if more is None else reach % 2 - 2 + more)
            before = max(reach - 1 - (around // 2 + around % 2), 0)
        else:
            before, behind = layer.padding[k]
            length = (n - 1) * stride + reach - before - behind + (more or 0)
        have = whole.shape[2 + k]
        flat = [0, 0] * (whole.ndim - 3 - k) + [-before, before + length - have]
        whole = F.pad(whole, flat)
    y = last(whole)
    return activated(layer, y + w["b"] if "b" in w else y)


def largest(layer, w, x):
    F = torch().nn.functional
    x = padded(first(x), layer, layer.pool_size, value=-float("inf"))
    pool = F.max_pool1d if x.ndim == 3 else F.max_pool2d
    return last(pool(x, layer.pool_size, layer.strides))


def mean(layer, w, x):
    F = torch().nn.functional
    pool = F.avg_pool1d if x.ndim == 3 else F.avg_pool2d
    around = [padded(first(a), layer, layer.pool_size) for a in (x, torch().ones_like(x))]
    share, inside = (pool(a, layer.pool_size, layer.strides) for a in around)
    return last(share / inside)


def edges(layer, w, x):
    flat, sign = [0, 0], -1 if hasattr(layer, "cropping") else 1
    for pair in reversed(layer.cropping if sign < 0 else layer.padding):
        flat += [sign * n for n in pair]
    return torch().nn.functional.pad(x, flat)


def enlarged(layer, w, x):
    if layer.interpolation == "bilinear":
        size = tuple(n * times for n, times in zip(x.shape[1:3], layer.size, strict=True))
        return last(torch().nn.functional.interpolate(first(x), size, mode="bilinear", align_corners=False))
    for k, times in enumerate(layer.size):
        x = x.repeat_interleave(times, dim=1 + k)
    return x


def reduced(function):
    def of(layer, w, x):
        y = function(x.reshape(len(x), -1, x.shape[-1]))
        return y.reshape(len(x), *(1,) * (x.ndim - 2), -1) if layer.keepdims else y

    return of


def grouped(layer, w, x):
    y = torch().nn.functional.group_norm(first(x), layer.groups, w["gamma"], w["beta"], layer.eps)
    return last(y)


def bent(layer, w, x):
    return torch().where(x > 0, x, w["alpha"] * x)


global_mean, global_max = reduced(lambda x: x.mean(1)), reduced(lambda x: x.max(1).values)

#: What makes a layer, the shape of a row, and what PyTorch makes of weights and rows.
CASES = {
    "5x5": (lambda: Conv2D(6, 5), (9, 8, 1), convolved),
    "3x3, same": (lambda: Conv2D(5, 3, padding="same", activation="relu"), (7, 6, 4), convolved),
    "1x1": (lambda: Conv2D(5, 1, activation="tanh"), (4, 3, 6), convolved),
    "1x1 without a bias": (lambda: Conv2D(5, 1, use_bias=False), (4, 3, 6), convolved),
    "1x1 of groups": (lambda: Conv2D(4, 1, groups=2), (4, 3, 6), convolved),
    "1x1 with strides": (lambda: Conv2D(5, 1, 2), (5, 4, 6), convolved),
    "1x1 with zeros": (lambda: Conv2D(5, 1, padding=1), (3, 2, 2), convolved),
    "strides": (lambda: Conv2D(3, (3, 2), (2, 3), use_bias=False), (8, 9, 2), convolved),
    "strides, same": (lambda: Conv2D(3, (3, 4), (2, 3), "same"), (7, 8, 2), convolved),
    "strides larger than the kernel": (lambda: Conv2D(3, 2, 3, "same"), (7, 8, 2), convolved),
    "explicit padding": (lambda: Conv2D(3, 3, padding=((2, 0), (1, 3))), (4, 5, 2), convolved),
    "smaller than the kernel": (lambda: Conv2D(3, 7, padding="same"), (2, 3, 2), convolved),
    "dilation": (lambda: Conv2D(3, 3, dilation_rate=(2, 3)), (8, 9, 2), convolved),
    "dilation, same, strides": (lambda: Conv2D(3, 3, 2, "same", dilation_rate=2), (8, 9, 2), convolved),
    "groups": (lambda: Conv2D(6, 3, padding="same", groups=3), (5, 5, 6), convolved),
    "groups, no bias": (lambda: Conv2D(4, 3, 2, groups=2, use_bias=False, activation="relu"), (6, 7, 4), convolved),
    "sequence": (lambda: Conv1D(5, 3), (11, 4), convolved),
    "sequence, same": (lambda: Conv1D(5, 4, 2, "same"), (11, 4), convolved),
    "causal": (lambda: Conv1D(5, 3, padding="causal", dilation_rate=2, activation="tanh"), (9, 2), convolved),
    "causal of one": (lambda: Conv1D(5, 1, padding="causal"), (9, 2), convolved),
    "sequence, explicit, groups": (lambda: Conv1D(4, 3, padding=(2, 1), groups=2), (6, 4), convolved),
    "depthwise": (lambda: DepthwiseConv2D(3), (6, 7, 5), depthwise),
    "depthwise, same": (lambda: DepthwiseConv2D(3, 2, "same", 2, "relu"), (6, 7, 3), depthwise),
    "depthwise, dilation": (
        lambda: DepthwiseConv2D((2, 3), dilation_rate=2, padding=1, use_bias=False), (6, 7, 3), depthwise,
    ),
    "depthwise, sequence": (lambda: L.DepthwiseConv1D(3, padding="causal", depth_multiplier=3), (8, 2), depthwise),
    "separable": (lambda: L.SeparableConv2D(4, 3, padding="same", activation="relu"), (6, 5, 3), separable),
    "separable, strides": (
        lambda: L.SeparableConv2D(4, 3, 2, depth_multiplier=2, use_bias=False), (7, 8, 3), separable,
    ),
    "separable, sequence": (lambda: L.SeparableConv1D(4, 3, depth_multiplier=2), (9, 3), separable),
    "transposed": (lambda: Conv2DTranspose(4, 3), (4, 5, 3), transposed),
    "transposed, strides": (lambda: Conv2DTranspose(4, (3, 4), (2, 3), activation="relu"), (4, 5, 3), transposed),
    "transposed, large strides": (lambda: Conv2DTranspose(2, 2, 4), (3, 2, 3), transposed),
    "transposed, same": (lambda: Conv2DTranspose(4, (3, 4), 2, "same"), (4, 5, 3), transposed),
    "transposed, same, large strides": (lambda: Conv2DTranspose(4, (2, 1), 3, "same"), (4, 5, 3), transposed),
    "transposed, dilation": (lambda: Conv2DTranspose(4, 3, 2, "same", dilation_rate=2), (4, 5, 3), transposed),
    "transposed, explicit": (
        lambda: Conv2DTranspose(4, 3, 2, ((1, 0), (1, 2)), output_padding=1, use_bias=False), (4, 5, 3), transposed,
    ),
    "transposed, output padding": (lambda: Conv2DTranspose(4, 3, 2, output_padding=(1, 0)), (4, 5, 3), transposed),
    "transposed, same, output padding": (lambda: Conv2DTranspose(4, 3, 3, "same", (2, 1)), (4, 5, 3), transposed),
    "transposed, sequence": (lambda: L.Conv1DTranspose(4, 5, 2, "same"), (6, 3), transposed),
    "transposed, sequence, explicit": (lambda: L.Conv1DTranspose(4, 3, 3, (1, 0), 2), (6, 3), transposed),
    "max": (lambda: L.MaxPooling2D(), (6, 7, 3), largest),
    "max, overlapping": (lambda: L.MaxPooling2D(3, 2), (7, 8, 3), largest),
    "max, same": (lambda: L.MaxPooling2D((3, 2), (2, 1), "same"), (6, 7, 3), largest),
    "max, explicit": (lambda: L.MaxPooling2D(3, 2, ((1, 0), (2, 1))), (6, 7, 3), largest),
    "max, large": (lambda: L.MaxPooling2D(17, (3, 2), "same"), (20, 21, 2), largest),
    "max, sequence": (lambda: L.MaxPooling1D(3, 2), (9, 3), largest),
    "mean": (lambda: L.AveragePooling2D(), (6, 7, 3), mean),
    "mean, overlapping": (lambda: L.AveragePooling2D(3, 2), (7, 8, 3), mean),
    "mean, same": (lambda: L.AveragePooling2D((3, 2), (2, 1), "same"), (6, 7, 3), mean),
    "mean, explicit": (lambda: L.AveragePooling2D(3, 2, ((1, 0), (2, 1))), (6, 7, 3), mean),
    "mean, sequence": (lambda: L.AveragePooling1D(2, 1, "same"), (9, 3), mean),
    "global mean": (lambda: L.GlobalAveragePooling2D(), (4, 5, 3), global_mean),
    "global mean, kept": (lambda: L.GlobalAveragePooling2D(keepdims=True), (4, 5, 3), global_mean),
    "global mean, sequence": (lambda: L.GlobalAveragePooling1D(), (7, 3), global_mean),
    "global max": (lambda: L.GlobalMaxPooling2D(), (4, 5, 3), global_max),
    "global max, sequence, kept": (lambda: L.GlobalMaxPooling1D(keepdims=True), (7, 3), global_max),
    "zeros": (lambda: L.ZeroPadding2D(((1, 2), (0, 3))), (3, 4, 2), edges),
    "zeros all around": (lambda: L.ZeroPadding2D(), (3, 4, 2), edges),
    "no zeros": (lambda: L.ZeroPadding2D(0), (3, 4, 2), edges),
    "zeros, sequence": (lambda: L.ZeroPadding1D((0, 2)), (3, 2), edges),
    "cropped": (lambda: L.Cropping2D(((1, 2), (0, 1))), (6, 4, 2), edges),
    "cropped, sequence": (lambda: L.Cropping1D(2), (7, 2), edges),
    "enlarged": (lambda: L.UpSampling2D((2, 3)), (3, 4, 2), enlarged),
    "enlarged in width": (lambda: L.UpSampling2D((1, 2)), (3, 4, 1), enlarged),
    "enlarged, bilinear": (lambda: L.UpSampling2D((3, 2), "bilinear"), (3, 4, 2), enlarged),
    "enlarged, bilinear in height": (lambda: L.UpSampling2D((4, 1), "bilinear"), (1, 4, 2), enlarged),
    "enlarged, sequence": (lambda: L.UpSampling1D(3), (4, 2), enlarged),
    "group norm": (lambda: L.GroupNorm(3), (4, 5, 6), grouped),
    "group norm of one": (lambda: L.GroupNorm(1, eps=1e-3), (4, 5, 6), grouped),
    "instance norm": (lambda: L.GroupNorm(6), (4, 5, 6), grouped),
    "group norm of vectors": (lambda: L.GroupNorm(2), (6,), grouped),
    "slopes of channels": (lambda: L.PReLU("uniform", shared_axes=[1, 2]), (3, 4, 5), bent),
    "slopes of cells": (lambda: L.PReLU("uniform"), (3, 4, 5), bent),
}  # fmt: skip
every_case = pytest.mark.parametrize("name", CASES)
ROWS = 3


def model_of(name, dtype="float64", backend="numpy", numerics="numpy"):
    """Return a model of the layer alone, whose parameters are all drawn, and the layer."""
    make, shape, _ = CASES[name]
    layer = make()
    model = Sequential([layer], input_shape=shape, seed=1)
    model.compile(fastbp.optimizers.SGD(0.1), "mse", dtype=dtype, backend=backend, numerics=numerics)
    rng = np.random.default_rng(2)
    for parameter in layer.parameters:
        if hasattr(layer, parameter):
            setattr(layer, parameter, rng.standard_normal(getattr(layer, parameter).shape))
    return model, layer


def data_of(name, dtype="float64", rows=ROWS):
    """Return rows, and a gradient of what is made of them; of rows there are the first ones."""
    make, shape, _ = CASES[name]
    _, output_shape = make().build(shape)
    x, dy = (np.random.default_rng(k).standard_normal((8, *s)) for k, s in enumerate((shape, output_shape)))
    return x[:rows].astype(dtype), dy[:rows].astype(dtype)


def computed(model, layer, x, dy):
    """Return the output, its gradient by the rows and by the parameters, by name."""
    found = {"y": model.forward(x)}
    model.backward(dy)
    own = [name for name in layer.parameters if hasattr(layer, name)]
    found |= {f"d{name}": getattr(layer, f"d{name}").copy() for name in own}
    return {**found, "dx": model.input_gradient(x, dy=dy), "predicted": model.predict(x)}


# --------------------------------------------------------------------------- values and gradients
@every_numerics
@every_case
def test_pytorch_computes_the_same(name, numerics):
    model, layer = model_of(name, numerics=numerics)
    x, dy = data_of(name)
    found = computed(model, layer, x, dy)
    t = torch()
    rows = t.tensor(x, requires_grad=True)
    w = {p: t.tensor(getattr(layer, p).copy(), requires_grad=True) for p in layer.parameters if hasattr(layer, p)}
    want = CASES[name][2](layer, w, rows)
    assert found["y"].shape == tuple(want.shape)
    want.backward(t.tensor(dy))
    wanted = {"y": want, "predicted": want, "dx": rows.grad, **{f"d{p}": tensor.grad for p, tensor in w.items()}}
    assert wanted.keys() == found.keys()
    for key, tensor in wanted.items():
        np.testing.assert_allclose(found[key], tensor.detach().numpy(), rtol=1e-11, atol=1e-12, err_msg=key)


@every_case
def test_finite_differences_agree(name):
    make, shape, _ = CASES[name]
    model = Sequential([Dense(shape[-1], "tanh"), make(), Flatten(), Dense(2)], input_shape=shape, seed=3)
    model.compile("sgd", "mse", backend="numpy")
    x, _ = data_of(name)
    assert fastbp.gradient_check(model, x, np.random.default_rng(0).standard_normal((ROWS, 2)), sample=20)


@pytest.mark.matrix("dtype", "numerics")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@every_numerics
@pytest.mark.parametrize("backend", BACKENDS)
@every_case
def test_backends_have_one_set_of_bits(name, backend, numerics, dtype):
    x, dy = data_of(name, dtype)
    wanted = computed(*model_of(name, dtype, "numpy", numerics), x, dy)
    found = computed(*model_of(name, dtype, backend, numerics), x, dy)
    for key, array in wanted.items():
        assert_same_bits(found[key], array, key)


@every_case
def test_no_row_depends_on_its_batch(name):
    model, layer = model_of(name, "float32", numerics="portable")
    x, dy = data_of(name, "float32", rows=7)
    whole = computed(model, layer, x, dy)
    for part in (slice(0, 1), slice(2, 5), slice(6, 7)):
        found = computed(model, layer, x[part], dy[part])
        for key in ("y", "dx", "predicted"):
            assert_same_bits(found[key], whole[key][part], key)


def test_a_convolution_is_its_expression():
    """Products of patches, row by row: from the docstring, in NumPy and in portable arithmetic."""
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape).astype("f4") for shape in ((2, 6, 7, 3), (3, 2, 3, 5), (5,)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 2), axis=(1, 2))[:, ::2].transpose(0, 1, 2, 4, 5, 3)
    a, k = np.ascontiguousarray(windows).reshape(2, 2, 6, 18), w.reshape(18, 5)
    for numerics, product in (("numpy", a @ k), ("portable", a.view(PortableArray) @ k.view(PortableArray))):
        layer = Conv2D(5, (3, 2), (2, 1), activation="relu")
        model = Sequential([layer], input_shape=(6, 7, 3))
        model.compile("sgd", "mse", backend="numpy", numerics=numerics)
        layer.w, layer.b = w, b
        assert_same_bits(model.predict(x), np.maximum(np.asarray(product) + b, 0), numerics)


@every_numerics
def test_what_sees_one_cell_is_a_dense_layer(numerics):
    x, dy = data_of("1x1", "float32")
    model, layer = model_of("1x1", "float32", numerics=numerics)
    dense = Dense(5, "tanh")
    other = Sequential([dense], input_shape=x.shape[1:])
    other.compile("sgd", "mse", backend="numpy", numerics=numerics)
    dense.w, dense.b = layer.w[0, 0], layer.b
    found, wanted = computed(model, layer, x, dy), computed(other, dense, x, dy)
    assert found.pop("dw").shape == (1, 1, 6, 5)
    assert_same_bits(layer.dw[0, 0], wanted.pop("dw"))
    for key, array in wanted.items():
        assert_same_bits(found[key], array, key)
    assert not [call for call in model.program.calls if call.kernel.name.startswith("convolve")]


def test_the_first_layer_computes_no_gradient_of_images():
    def kernels(*stack):
        model = Sequential(stack, input_shape=(6, 6, 2), seed=0)
        model.compile("sgd", "mse", backend="numpy")
        return [call.kernel.name for call in model.program.calls]

    assert "convolve_dx" not in kernels(Conv2D(3, 3)) and "convolve_dw" in kernels(Conv2D(3, 3))
    assert kernels(Conv2D(3, 3), L.MaxPooling2D(), Conv2D(2, 1)).count("convolve_dx") == 0
    assert kernels(Conv2D(3, 3), L.MaxPooling2D(), Conv2D(2, 2)).count("convolve_dx") == 1
    assert "max_pool_dx" not in kernels(L.MaxPooling2D(), Conv2D(2, 2))
    assert "depthwise_dx" not in kernels(L.SeparableConv2D(3, 3))
    idle = Conv2D(3, 3)
    idle.trainable = False
    assert not {"convolve_dw", "convolve_dx", "bias_backward"} & {*kernels(idle)}


# ---------------------------------------------------------------------------------------- pooling
def test_the_first_of_equal_cells_is_taken():
    layer = L.MaxPooling2D(2)
    model = Sequential([layer], input_shape=(2, 6, 1))
    model.compile("sgd", "mse", backend="numpy", dtype="float64")
    nan = np.nan
    x = np.array([[-0.0, 0.0, -1, 3, nan, 3], [0.0, -1, 3, 3, nan, 4]]).reshape(1, 2, 6, 1)
    assert_same_bits(model.forward(x).ravel(), np.array([-0.0, 3, nan]))
    dx = model.input_gradient(x, dy=np.reshape([1.0, 2.0, 3.0], (1, 1, 3, 1)))[0, :, :, 0]
    assert dx.tolist() == [[1, 0, 0, 2, 3, 0], [0] * 6]


@pytest.mark.parametrize("size", [(20, 20), (17, 256), (256, 2)])
def test_large_windows_are_pooled_by_rows(size):
    rng = np.random.default_rng(0)
    x = np.round(rng.standard_normal((2, 40, 300, 2)), 1)  # many are equal
    x[0, 3, 5] = np.nan
    stride = (3, 5)
    layer = L.MaxPooling2D(size, stride, "same")
    model = Sequential([layer], input_shape=x.shape[1:])
    model.compile("sgd", "mse", backend="numpy", dtype="float64")
    y = model.predict(x)
    dy = np.arange(1.0, 1 + y.size).reshape(y.shape)
    want, wanted = np.empty(y.shape), np.zeros(x.shape)
    tops, lefts = (ends("same", n, k, s)[0] for n, k, s in zip(x.shape[1:3], size, stride, strict=True))
    for b, i, j, c in np.ndindex(y.shape):
        top, left = max(i * stride[0] - tops, 0), max(j * stride[1] - lefts, 0)
        window = x[b, top : i * stride[0] - tops + size[0], left : j * stride[1] - lefts + size[1], c]
        row, column = np.unravel_index(window.argmax(), window.shape)
        want[b, i, j, c] = window[row, column]
        wanted[b, top + row, left + column, c] += dy[b, i, j, c]
    assert_same_bits(y, want)
    np.testing.assert_allclose(model.input_gradient(x, dy=dy), wanted, rtol=1e-12)


def test_borders_are_no_cells():
    x = -np.ones((1, 3, 3, 1))
    for layer in (L.MaxPooling2D(2, 1, "same"), L.AveragePooling2D(3, 1, "same"), L.AveragePooling2D(2, 1, 1)):
        model = Sequential([layer], input_shape=(3, 3, 1))
        model.compile("sgd", "mse", backend="numpy")
        assert (model.predict(x) == -1).all()


# ------------------------------------------------------------------------------------ Keras' rules
def keras_layer(layer):
    """Return Keras' layer of the same arguments, or None where it has none."""
    config = {k: v for k, v in layer.get_config().items() if not k.endswith(("name", "_initializer"))}
    kind, padding = type(layer).__name__, config.get("padding")
    of_window = not kind.startswith("ZeroPadding")
    both = max(config.get("strides", (1,))) > 1 and max(config.get("dilation_rate", (1,))) > 1
    causal = padding == "causal" and kind != "Conv1D"
    if kind == "PReLU" or both or causal or (of_window and isinstance(padding, list)):
        return None
    if kind == "GroupNorm":
        kind, config = "GroupNormalization", {"groups": layer.groups, "epsilon": layer.eps}
    if config.get("activation") == "identity":
        config["activation"] = "linear"
    for key, value in config.items():
        if isinstance(value, list):
            config[key] = value[0] if len(value) == 1 else tuple(value)
    return getattr(keras().layers, kind)(**config)


@every_case
def test_shapes_are_keras_s(name):
    make, shape, _ = CASES[name]
    layer = make()
    theirs = keras_layer(layer)
    if theirs is not None:
        assert tuple(theirs.compute_output_shape((None, *shape)))[1:] == layer.build(shape)[1]


@every_case
def test_values_are_keras_s(name):
    model, layer = model_of(name, "float32")
    theirs = keras_layer(layer)
    # with PyTorch as its backend Keras pads otherwise: of transposed layers it says so, of means it repeats the border
    if theirs is None or "transposed" in name or name == "mean, same":
        return
    theirs.build((None, *CASES[name][1]))
    weights = [getattr(layer, p) for p in layer.parameters if hasattr(layer, p)]
    theirs.set_weights([w.reshape(v.shape) for w, v in zip(weights, theirs.weights, strict=True)])
    x, _ = data_of(name, "float32")
    want = np.asarray(theirs(x).detach())
    np.testing.assert_allclose(model.predict(x), want, rtol=2e-5, atol=2e-5)


def test_same_padding_with_strides_is_tensorflow_s():
    """Written down: of an odd number of zeros the smaller half is before, and an even size has none before."""
    x = np.arange(1.0, 7).reshape(1, 6, 1)
    layer = Conv1D(1, 3, 2, "same", use_bias=False, kernel_initializer="ones")
    model = Sequential([layer], input_shape=(6, 1))
    model.compile("sgd", "mse", backend="numpy")
    assert model.predict(x).ravel().tolist() == [1 + 2 + 3, 3 + 4 + 5, 5 + 6]
    other = Sequential([Conv1D(1, 3, 2, 1, use_bias=False, kernel_initializer="ones")], input_shape=(6, 1))
    other.compile("sgd", "mse", backend="numpy")
    assert other.predict(x).ravel().tolist() == [1 + 2, 2 + 3 + 4, 4 + 5 + 6]


def test_a_causal_output_sees_nothing_later():
    model, _ = model_of("causal")
    x, _ = data_of("causal")
    y = model.predict(x)
    for t in range(x.shape[1]):
        changed = x.copy()
        changed[:, t + 1 :] += 1
        assert_same_bits(model.predict(changed)[:, : t + 1], y[:, : t + 1])
        assert t + 1 == x.shape[1] or (model.predict(changed)[:, t + 1] != y[:, t + 1]).any()


def test_a_transposed_layer_is_the_gradient_of_a_convolution():
    for padding, stride in itertools.product(("valid", "same"), (1, 2, 3)):
        model = Sequential([Conv2D(4, (3, 4), stride, padding, use_bias=False)], input_shape=(12, 12, 2), seed=0)
        model.compile("sgd", "mse", backend="numpy")
        dy = np.random.default_rng(0).standard_normal((2, *model.layout.output_shape))
        dx = model.input_gradient(np.zeros((2, 12, 12, 2)), dy=dy)
        layer = Conv2DTranspose(2, (3, 4), stride, padding, use_bias=False)
        other = Sequential([layer], input_shape=dy.shape[1:])
        other.compile("sgd", "mse", backend="numpy")
        layer.w = model.layers[0].w
        y = other.predict(dy)
        # what strides leave out at the end has no gradient
        assert_same_bits(y[:, :12, :12], dx[:, : y.shape[1], : y.shape[2]])


# -------------------------------------------------------------------------------------- the models
def lenet(**options):
    model = Sequential(
        [
            Conv2D(6, 5, padding="same", activation="tanh"), L.MaxPooling2D(), Conv2D(8, 3), L.BatchNorm(),
            L.PReLU(shared_axes=[1, 2]), L.AveragePooling2D(), L.SpatialDropout2D(0.2), DepthwiseConv2D(2),
            L.GroupNorm(4), Flatten(), Dense(3),
        ],
        input_shape=(12, 12, 1), seed=0,
    )  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", **{"backend": "numpy", **options})
    return model


IMAGES = np.random.default_rng(5).standard_normal((26, 12, 12, 1)).astype("float32")
LABELS = np.random.default_rng(6).integers(3, size=26)


def fitted(model):
    history = model.fit(IMAGES, LABELS, epochs=2, batch_size=8, seed=1, verbose=0).history
    return [history["loss"], *model.get_weights(), model.predict(IMAGES), model.predict(IMAGES[:1])]


@pytest.mark.parametrize("backend", BACKENDS)
@every_numerics
def test_training_has_one_set_of_bits(backend, numerics):
    """Batches of 8, and the last one of 2."""
    for found, want in zip(
        fitted(lenet(backend=backend, numerics=numerics)), fitted(lenet(numerics=numerics)), strict=True
    ):
        assert_same_bits(found, want)


def test_files_copies_and_pickles(tmp_path):
    model = lenet()
    fitted(model)
    want = model.predict(IMAGES)
    model.save(tmp_path / "m.npz")
    for twin in (load_model(tmp_path / "m.npz"), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_same_bits(twin.predict(IMAGES), want)
        assert repr(twin.layers) == repr(model.layers)
        assert_same_bits(twin.train_on_batch(IMAGES[:8], LABELS[:8]), copy.deepcopy(model).train_on_batch(
            IMAGES[:8], LABELS[:8]
        ))  # fmt: skip


def test_a_run_that_was_killed_goes_on(tmp_path):
    def end(number, logs):
        if number == 1:
            raise KeyboardInterrupt

    options = {"epochs": 4, "batch_size": 8, "seed": 1, "verbose": 0}
    whole = lenet()
    whole.fit(IMAGES, LABELS, **options)
    with pytest.raises(KeyboardInterrupt):
        lenet().fit(IMAGES, LABELS, **options, checkpoint=tmp_path / "run.npz",
                    callbacks=[fastbp.callbacks.LambdaCallback(on_epoch_begin=end)])  # fmt: skip
    again, begun = lenet(), []
    noted = fastbp.callbacks.LambdaCallback(on_epoch_begin=lambda number, logs: begun.append(number))
    again.fit(IMAGES, LABELS, **options, checkpoint=tmp_path / "run.npz", callbacks=[noted])
    assert begun == [1, 2, 3]
    for found, want in zip(again.get_weights(), whole.get_weights(), strict=True):
        assert_same_bits(found, want)


class Block(L.Layer):
    """A residual block, with a convolution of one cell where the number of channels changes."""

    def __init__(self, filters, strides=1, name=None):
        super().__init__(name=name)
        self.first, self.norm = Conv2D(filters, 3, strides, "same", use_bias=False), L.BatchNorm()
        self.bend, self.second = L.Activation("relu"), Conv2D(filters, 3, padding="same")
        self.line = Conv2D(filters, 1, strides) if strides > 1 else None

    def call(self, x):
        y = self.second(self.bend(self.norm(self.first(x))))
        return self.bend(y + (x if self.line is None else self.line(x)))


def test_blocks_of_convolutions():
    def net():
        stack = [Conv2D(4, 3, padding="same"), Block(4), Block(6, 2), L.GlobalAveragePooling2D(), Dense(3)]
        model = Sequential(stack, input_shape=(12, 12, 1), seed=0)
        model.compile("adam", "sparse_categorical_crossentropy", backend="numpy")
        return model

    def written():
        bend = L.Activation("relu")

        def block(x, filters, strides=1):
            y = L.BatchNorm()(Conv2D(filters, 3, strides, "same", use_bias=False)(x))
            y = Conv2D(filters, 3, padding="same")(bend(y))
            return bend(y + (Conv2D(filters, 1, strides)(x) if strides > 1 else x))

        x = Input((12, 12, 1))
        h = block(block(Conv2D(4, 3, padding="same")(x), 4), 6, 2)
        model = Model(x, Dense(3)(L.GlobalAveragePooling2D()(h)), seed=0)
        model.compile("adam", "sparse_categorical_crossentropy", backend="numpy")
        return model

    for found, want in zip(fitted(net()), fitted(written()), strict=True):
        assert_same_bits(found, want)


@every_case
def test_configs(name):
    made = CASES[name][0]()
    again = from_config(type(made).__name__, made.get_config())
    assert repr(again) == repr(made) and again.get_config() == made.get_config()
    assert again.build(CASES[name][1])[1] == made.build(CASES[name][1])[1]


def test_penalties_and_constraints():
    layer = Conv2D(
        4, 3, kernel_regularizer=fastbp.regularizers.L2(0.1), bias_regularizer="l1",
        kernel_constraint=fastbp.constraints.MaxNorm(0.5), bias_constraint="non_neg", activity_regularizer="l2",
    )  # fmt: skip
    model = Sequential([layer, L.GlobalAveragePooling2D()], input_shape=(5, 5, 2), seed=0)
    model.compile("sgd", "mse", backend="numpy", dtype="float64")
    x, y = np.random.default_rng(0).standard_normal((6, 5, 5, 2)), np.ones((6, 4))
    layer.b = [0.1, -0.2, 0.3, 0.0]
    data = ((model.predict(x) - y) ** 2).mean()
    activity = 0.01 * (layer_output(layer, x) ** 2).sum() / len(x)
    loss = data + 0.1 * (layer.w**2).sum() + 0.01 * abs(layer.b).sum() + activity
    np.testing.assert_allclose(model.train_on_batch(x, y), loss, rtol=1e-7)
    norms = np.sqrt((layer.w**2).sum(axis=(0, 1, 2)))
    assert (norms <= 0.5 + 1e-12).all() and (layer.b >= 0).all() and (norms > 0.49).any()
    assert fastbp.gradient_check(model, x, y)


def layer_output(layer, x):
    alone = Sequential([copy.deepcopy(layer)], input_shape=x.shape[1:])
    alone.compile("sgd", "mse", backend="numpy", dtype="float64")
    return alone.predict(x)


def test_initial_weights_count_the_window():
    def std(layer, shape, name="w"):
        Sequential([layer], input_shape=shape, seed=0).build()
        return getattr(layer, name).std()

    he = functools.partial(fastbp.initializers.HeNormal)
    np.testing.assert_allclose(std(Conv2D(64, 5, kernel_initializer=he()), (9, 9, 16)), (2 / 400) ** 0.5, rtol=0.02)
    # Keras counts the filters of a transposed layer, and all channels of a depthwise one
    transposed = Conv2DTranspose(16, 5, kernel_initializer=he())
    np.testing.assert_allclose(std(transposed, (9, 9, 64)), (2 / 400) ** 0.5, rtol=0.02)
    wide = DepthwiseConv2D(5, depthwise_initializer=he(), depth_multiplier=8)
    np.testing.assert_allclose(std(wide, (9, 9, 16)), (2 / 400) ** 0.5, rtol=0.05)
    limit = (6 / (9 * 8 + 9 * 32)) ** 0.5
    layer = Conv2D(32, 3)
    Sequential([layer], input_shape=(9, 9, 8), seed=0).build()
    assert 0.98 * limit < abs(layer.w).max() <= limit
    square = Conv2D(18, 3, kernel_initializer="orthogonal")
    Sequential([square], input_shape=(9, 9, 2), seed=0).build()
    w = square.w.reshape(18, 18).astype(float)
    np.testing.assert_allclose(w.T @ w, np.eye(18), atol=1e-6)


def test_spatial_dropout_drops_channels():
    for layer, shape in ((L.SpatialDropout2D(0.5, seed=3), (4, 5, 6)), (L.SpatialDropout1D(0.5, seed=3), (7, 6)),
                         (L.SpatialDropout2D(0.5, seed=3), (1, 1, 6))):  # fmt: skip
        model = Sequential([layer], input_shape=shape)
        model.compile("sgd", "mse", backend="numpy", dtype="float64")
        x = np.random.default_rng(0).standard_normal((3, *shape))
        keep = np.random.default_rng(3).random((3, 6)) >= 0.5
        keep = keep.reshape(3, *(1,) * (len(shape) - 1), 6)
        want = np.where(keep, x * 2, 0)
        assert_same_bits(model.forward(x), want)
        dy = np.random.default_rng(1).standard_normal(x.shape)
        model.backward(dy)
        assert_same_bits(model.predict(x), x)


@every_numerics
def test_residual_graphs_and_shared_weights(numerics):
    """Two uses of one convolution around a sum, a strided line beside them, against PyTorch."""
    x = Input((6, 6, 4))
    again = Conv2D(4, 3, padding="same", activation="tanh", name="again")
    h = again(again(x)) + x
    y = L.Concatenate()([Conv2D(3, 3, 2, "same", name="down")(h), Conv2D(2, 1, 2, name="line")(x)])
    z = Dense(2, name="top")(L.GlobalAveragePooling2D()(L.MaxPooling2D()(y)))
    model = Model(x, z, seed=4)
    model.compile(fastbp.optimizers.SGD(0.1), "mse", backend="numpy", dtype="float64", numerics=numerics)
    rng = np.random.default_rng(0)
    data, dy = rng.standard_normal((5, 6, 6, 4)), rng.standard_normal((5, 2))
    named = {layer.name: layer for layer in model.layers}
    found = model.forward(data)
    model.backward(dy)
    t = torch()
    w = {f"{name}.{p}": t.tensor(getattr(named[name], p).copy(), requires_grad=True)
         for name in ("again", "down", "line", "top") for p in "wb"}  # fmt: skip
    rows = t.tensor(data, requires_grad=True)

    def through(name, x):
        return convolved(named[name], {p: w[f"{name}.{p}"] for p in "wb"}, x)

    h = through("again", through("again", rows)) + rows
    y = t.cat([through("down", h), through("line", rows)], -1)
    pooled = last(t.nn.functional.max_pool2d(first(y), 2)).mean((1, 2))
    want = pooled @ w["top.w"] + w["top.b"]
    want.backward(t.tensor(dy))
    np.testing.assert_allclose(found, want.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(model.input_gradient(data, dy=dy), rows.grad.numpy(), rtol=1e-10, atol=1e-13)
    for name, tensor in w.items():
        layer, _, p = name.partition(".")
        np.testing.assert_allclose(getattr(named[layer], f"d{p}"), tensor.grad.numpy(), rtol=1e-10, atol=1e-13)


@every_case
def test_programs_are_sound(name):
    model, _ = model_of(name)
    model.program.verify(model.program.plan(5))
    model.program.verify(model.program.plan(5, keep=True))


def test_gradients_of_rows():
    stack = [Conv2D(4, 3, activation="tanh"), L.MaxPooling2D(), L.SeparableConv2D(3, 2), L.GroupNorm(3), Flatten()]
    model = Sequential([*stack, Dense(3)], input_shape=(8, 8, 2), seed=0)
    model.compile("sgd", "mse", backend="numpy", dtype="float64")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 8, 8, 2)), rng.standard_normal((5, 3))
    rows = model.row_gradients(x, y)
    model.forward(x)
    model.loss(y)
    model.backward()
    whole = [getattr(layer, f"d{p}").ravel() for layer in model.layers for p in layer.parameters]
    np.testing.assert_allclose(rows.mean(axis=0), np.concatenate(whole), rtol=1e-9, atol=1e-12)


def test_listings_and_reports():
    model = lenet(backend="numpy")
    text = str(model)
    assert "Conv2D(tanh)" in text and "(None, 12, 12, 6)" in text and "GroupNorm" in text
    fitted(model)
    report = fastbp.blame(model, IMAGES[:8], LABELS[:8])
    assert "conv2d_1" in str(report)
    profile = model.program.profile(3)
    assert "convolve_dw" in str(profile)


# ------------------------------------------------------------------------------------ what is refused
@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda: Conv2D(0, 3), None, "^filters is 0; it must be at least 1$"),
        (lambda: Conv2D(2.5, 3), None, "^filters is 2.5; it must be an integer$"),
        (lambda: Conv2D(4, 0), None, r"^kernel_size is 0; it must be an .* 1, or \(height, width\)$"),
        (lambda: Conv2D(4, (3, 3, 3)), None, r"^kernel_size is \(3, 3, 3\); it must be an integer"),
        (lambda: Conv2D(4, "3"), None, "^kernel_size is '3'; it must be an integer"),
        (lambda: Conv2D(4, 3, 0), None, "^strides is 0; it must be an integer of at least 1"),
        (lambda: Conv2D(4, 3, padding="full"), None, "^padding is 'full'; it must be 'valid', 'same', an"),
        (lambda: Conv2D(4, 3, padding="causal"), None, "^padding is 'causal'; .* is for sequences: Conv1D$"),
        (lambda: Conv2D(4, 3, padding=-1), None, r"^padding is -1; .* or \(\(top, bottom\), \(left, right\)\)$"),
        (lambda: Conv2D(4, 3, padding=((1, 1),)), None, r"^padding is \(\(1, 1\),\); it must be"),
        (lambda: Conv1D(4, 3, padding=(1, 2, 3)), None, r"^padding is \(1, 2, 3\); .* \(before, behind\)$"),
        (lambda: Conv1D(4, (3, 3)), None, r"^kernel_size is \(3, 3\); .* at least 1 or a tuple"),
        (lambda: Conv2D(4, 3, dilation_rate=0), None, "^dilation_rate is 0; it must be"),
        (lambda: Conv2D(4, 3, groups=3), None, "^groups is 3; it must divide the 4 filters$"),
        (lambda: Conv2D(4, 3, groups=2), (8, 8, 3), r"conv2d_1: Conv2D: groups is 2; it must divide the 3"),
        (lambda: Conv2D(4, 3), (28, 28), r"Conv2D takes rows of shape \(height, width, channels\)"),
        (lambda: Conv2D(4, 3), (28, 28), r"input_shape=\(28, 28, 1\), and x\[..., None\] are the data$"),
        (lambda: Conv2D(4, 3), (784,), r"\(height, width, channels\), got \(784,\)$"),
        (lambda: Conv1D(4, 3), (100,), r"rows of shape \(steps, channels\), got \(100,\); .* input_shape=\(100, 1\)"),
        (lambda: Conv2D(4, 5), (4, 9, 1), "Conv2D of 5 x 5 takes images of at least 5 x 5, got rows of shape"),
        (lambda: Conv2D(4, (5, 1), padding=1), (2, 9, 1), "takes images of at least 3 x 1, got"),
        (lambda: Conv2D(4, 5, padding=1), (2, 9, 1), "takes images of at least 3 x 3, got .*; padding='same' takes"),
        (lambda: Conv2D(4, 5), (1, 28, 28), r"\(channels, height, width\), x.transpose\(0, 2, 3, 1\)"),
        (lambda: Conv1D(4, 5), (3, 100), r"takes sequences of at least 5, .*, x.transpose\(0, 2, 1\) are the data$"),
        (lambda: Conv2DTranspose(4, 3, 2, output_padding=2), None, "^output_padding is 2; .* less than strides, 2$"),
        (lambda: Conv2DTranspose(4, 3, padding=2), (1, 1, 2), r"padding is .*; it leaves nothing of rows of shape"),
        (lambda: DepthwiseConv2D(3, depth_multiplier=0), None, "^depth_multiplier is 0; it must be at least 1$"),
        (lambda: L.MaxPooling2D(0), None, "^pool_size is 0; it must be an integer of at least 1"),
        (lambda: L.MaxPooling2D(2, padding=2), None, "^padding is 2; it must be less than pool_size, 2$"),
        (lambda: L.MaxPooling2D((2, 257)), None, r"^pool_size is \(2, 257\); .*at most 256 along an axis"),
        (lambda: L.MaxPooling2D(3), (2, 9, 1), "MaxPooling2D of 3 x 3 takes images of at least 3 x 3"),
        (lambda: L.AveragePooling1D(2), (4, 4, 1), r"takes rows of shape \(steps, channels\), got \(4, 4, 1\)$"),
        (lambda: L.GlobalAveragePooling2D(), (4, 4), r"GlobalAveragePooling2D takes rows of shape"),
        (lambda: L.Cropping2D(2), (4, 9, 1), r"cropping is \(\(2, 2\), \(2, 2\)\); it leaves nothing"),
        (lambda: L.ZeroPadding2D("same"), None, "^padding is 'same'; it must be an integer of at least 0"),
        (lambda: L.UpSampling2D((2, 0)), None, r"^size is \(2, 0\); it must be an integer of at least 1"),
        (lambda: L.UpSampling2D(2, "bicubic"), None, "there is no interpolation 'bicubic'.*; .* nearest, bilinear$"),
        (lambda: L.GroupNorm(4), (3, 3, 6), r"groups is 4; it must divide the 6 channels of rows"),
        (lambda: L.GroupNorm(0), None, "^groups is 0; it must be at least 1$"),
        (lambda: L.PReLU(shared_axes=[1]), (3, 3, 6), r"shared_axes is \(1,\); .* must be \(1, 2\), all"),
        (lambda: L.PReLU(shared_axes=[1, 3]), (3, 3, 6), r"shared_axes is \(1, 3\); of rows .* it must be \(1, 2\)"),
        (lambda: L.SpatialDropout2D(0.5), (6,), r"SpatialDropout2D takes rows of shape"),
    ],
)  # fmt: skip
def test_what_is_refused(make, shape, message):
    with pytest.raises((TypeError, ValueError), match=message):
        layer = make()
        assert shape is not None
        Sequential([layer], input_shape=shape).build()

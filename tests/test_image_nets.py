"""Whole nets of images: the memory that they take, what passes make of them, the same bits whoever computes."""

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import (
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    GlobalAveragePooling2D,
    Input,
    MaxPooling2D,
    Model,
    Sequential,
    kernels,
)
from fastbp.layers import Activation

every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])


def chain(*filters, side=16, channels=3, **options):
    """Return a compiled net of convolutions 3x3 that keep the size."""
    layers = [Conv2D(n, 3, padding="same", activation="relu") for n in filters]
    model = Sequential([*layers, GlobalAveragePooling2D(), Dense(10)], input_shape=(side, side, channels), seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", **options)
    return model


@every_numerics
def test_no_buffer_holds_the_patches_of_a_batch(numerics):
    """A step takes the outputs, the gradient of the largest one and the patches of one image, whatever the batch is."""
    side, filters = 16, (8, 8, 16)
    model = chain(*filters, side=side, numerics=numerics)
    program, positions = model.program, side * side
    largest = positions * max(filters)
    for buffer in program.buffers:
        if buffer.role == "temporary":
            assert buffer.size(2) - buffer.size(1) <= largest, buffer
    per_row = 4 * (positions * sum(filters) + largest + filters[-1])
    patches = 4 * max(9 * a * (positions + b) for a, b in zip((3, *filters), filters, strict=False))
    few, many = program.plan(10).nbytes, program.plan(210).nbytes
    assert many - few == 200 * per_row
    assert few <= 10 * per_row + patches


@every_numerics
def test_normalised_images_are_made_again(numerics):
    """Many of them are not kept for the backward pass: a step takes the outputs before them, and two at a time."""

    def compiled(*filters, side=32):
        layers = [layer for n in filters for layer in (Conv2D(n, 1, use_bias=False), BatchNorm(), Activation("relu"))]
        net = Sequential([*layers, GlobalAveragePooling2D(), Dense(2)], input_shape=(side, side, 3), seed=0)
        net.compile("adam", "sparse_categorical_crossentropy", numerics=numerics)
        program = net.program
        made = [call.kernel.name for call in program.calls if call.phase == "backward"].count("normalize_affine")
        return made, (program.plan(30).nbytes - program.plan(10).nbytes) // (20 * 4 * side * side)

    # of the last layer's outputs the backward pass reads nothing
    filters = 32, 48, 48, 32
    made, per_position = compiled(*filters)
    assert made == 3 and per_position <= sum(filters) + 2 * max(filters) < sum(filters) + sum(filters[:-1])
    assert compiled(32, 48, 32)[0] == 0


@every_numerics
def test_a_prediction_takes_two_layers_and_a_row_of_patches(numerics):
    side, filters = 16, (8, 8, 16)
    program = chain(*filters, side=side, numerics=numerics).engine().compile("predict", None).program
    few, many = program.plan(10).nbytes, program.plan(210).nbytes
    assert many - few == 200 * 4 * side * side * (8 + 16)
    assert few <= 10 * 4 * side * side * (8 + 16) + 4 * side * 9 * 16


def residual():
    """Return a net with all that image nets have: strides, a shortcut, depthwise filters, normalisation, pooling."""
    x = Input((9, 8, 2))
    h = Activation("relu")(BatchNorm()(Conv2D(5, 3, padding="same", use_bias=False)(x)))
    short = Conv2D(6, 1, strides=2)(h)
    h = Activation("relu")(BatchNorm()(DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(h)))
    h = Activation("relu")(BatchNorm()(Conv2D(6, 1)(h)) + short)
    h = Conv2D(4, 2, activation="relu", groups=2)(h)
    h = MaxPooling2D(2, strides=1)(h)
    return Model(x, Dense(3)(Flatten()(h)), seed=0)


def trained(backend, numerics, threads=1):
    """Return the parameters after some steps, the last of each epoch a smaller one, and predictions."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(23, 9, 8, 2)).astype("f4"), rng.integers(3, size=23)
    model = residual()
    before = fastbp.get_num_threads()
    fastbp.set_num_threads(threads)
    try:
        model.compile("adam", "sparse_categorical_crossentropy", backend=backend, numerics=numerics)
        model.fit(x, y, batch_size=5, epochs=3, seed=0, verbose=0)
        return [*model.get_weights(), model.predict(x)]
    finally:
        fastbp.set_num_threads(before)


@every_numerics
def test_backends_and_threads_have_the_same_bits(numerics):
    want = trained("numpy", numerics)
    for backend in BACKENDS:
        for threads in (1, 3):
            for got, expected in zip(trained(backend, numerics, threads), want, strict=True):
                assert_same_bits(got, expected, f"{backend}, {threads} threads")


def test_a_prediction_does_not_depend_on_the_batch():
    rng, model = np.random.default_rng(1), residual()
    model.compile("adam", "sparse_categorical_crossentropy", numerics="portable")
    x = rng.normal(size=(70, 9, 8, 2)).astype("f4")
    whole = model.predict(x, batch_size=70)
    for k in (0, 1, 33, 69):
        assert_same_bits(model.predict(x[k : k + 1]), whole[k : k + 1])
    assert_same_bits(model.predict(x, batch_size=8), whole)


def test_relu_goes_back_behind_the_pooling():
    """In a train step; where somebody looks at the gradient between them, it stays."""
    model = Sequential(
        [Conv2D(3, 3, activation="relu"), MaxPooling2D(), Flatten(), Dense(2)], input_shape=(6, 6, 1), seed=0
    )
    model.compile("sgd", "sparse_categorical_crossentropy")

    def order(purpose):
        calls = [call.kernel.name for call in model.engine().compile(purpose, None).program.calls]
        return calls.index("relu_backward") < calls.index("max_pool_dx")

    assert order("train") and not order("steps")


@every_numerics
def test_the_step_by_hand_is_the_kernels(numerics):
    """A convolution with relu and pooling, forwards and back: layer by layer the same bits as calls on arrays."""
    rng = np.random.default_rng(2)
    x, labels = rng.normal(size=(5, 7, 6, 2)).astype("f4"), rng.integers(3, size=5)
    conv = Conv2D(4, 3, padding="same", activation="relu")
    model = Sequential([conv, MaxPooling2D(2), Flatten(), Dense(3)], input_shape=x.shape[1:], seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy", numerics=numerics)
    model.forward(x)
    model.loss(labels)
    model.backward()
    same = {"top": 1, "bottom": 1, "left": 1, "right": 1, "numerics": numerics}
    y = kernels.convolve_bias(x, conv.w, conv.b, relu=1, **same)
    assert_same_bits(conv.y, y)
    pooled, index = kernels.max_pool(y)
    assert_same_bits(model.layers[1].y, pooled)
    d = kernels.max_pool_dx(model.layers[1].dy, index, input_height=7, input_width=6)
    dz = kernels.relu_backward(d, y)
    assert_same_bits(conv.dw, kernels.convolve_dw(x, dz, kernel_height=3, kernel_width=3, **same))
    assert_same_bits(conv.db, kernels.bias_backward(dz.reshape(-1, 4), numerics=numerics))

"""Every activation, loss and optimizer against PyTorch in float64: the definitions themselves, seen by others.

Other tests compare fastbp with its own definitions, bit for bit, and those with differences; a wrong definition with
the derivative that belongs to it would pass them all. Here values come from PyTorch's functions and gradients from its
autograd. A new row or class fails until it has a counterpart here. Needs what the extra "outsiders" installs.
"""

import inspect
import itertools
import math

import numpy as np
import pytest

import fastbp
from fastbp import kernels, losses, optimizers
from fastbp.kernels.table import TABLE

torch = pytest.importorskip("torch")
F = torch.nn.functional

#: Both sides round each operation once or so; 1e-12 is some thousand times that, far below any wrong term.
RTOL = 1e-12
#: Where a formula subtracts nearly equal numbers of size 1 (1 - y, y + alpha, 1 + tanh, p - y) only this much is left;
#: the derivatives of gelu multiply what is left by 15 or so.
ATOL = 1e-15
GRADIENT_ATOL = 2e-14
#: Of subnormal results PyTorch's vectorized exp makes 0, and others have few bits.
SUBNORMAL = np.finfo(float).tiny
MISSING = "add it to COUNTERPARTS or say here why there is none"


@pytest.fixture(autouse=True)
def doubles():
    """Make float64 PyTorch's default dtype: NAdam's product of momenta has it, whatever the weights have."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def classes(module, base):
    # some have a second name
    found = dict.fromkeys(getattr(module, name) for name in module.__all__)
    return [cls for cls in found if isinstance(cls, type) and issubclass(cls, base) and cls is not base]


LOSS_CLASSES, OPTIMIZER_CLASSES = classes(losses, losses.Loss), classes(optimizers, optimizers.Optimizer)
every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])


def tensor(array, requires_grad=False):
    return torch.tensor(np.array(array), requires_grad=requires_grad)


def assert_close(got, want, what, rtol=RTOL, atol=SUBNORMAL):
    want = want.detach().numpy() if isinstance(want, torch.Tensor) else want
    np.testing.assert_allclose(got, want, rtol=rtol, atol=atol, equal_nan=True, err_msg=str(what))


# ------------------------------------------------------------------------------------ activations
ACTIVATION_COUNTERPARTS = {
    "identity": torch.nn.Identity(),
    "sigmoid": torch.sigmoid,
    "relu": F.relu,
    "tanh": torch.tanh,
    "relu6": F.relu6,
    "leaky_relu": lambda x, alpha: F.leaky_relu(x, alpha),
    "elu": F.elu,
    "selu": F.selu,
    # not F.celu, whose derivative has 1 / alpha rounded to float32
    "celu": lambda x, alpha: alpha * F.elu(x / alpha),
    # not F.hardsigmoid, whose derivative has 1 / 6 rounded to float32; Keras had 0.2 x + 0.5 before version 3
    "hard_sigmoid": lambda x: F.hardtanh(x, -3, 3) / 6 + 0.5,
    "hard_tanh": F.hardtanh,
    "hard_swish": F.hardswish,
    # F.softplus is x beyond a threshold of 20 and overflows without one; logsigmoid does neither
    "softplus": lambda x, beta: -F.logsigmoid(-beta * x) / beta,
    "log_sigmoid": F.logsigmoid,
    "hard_shrink": lambda x, threshold: F.hardshrink(x, threshold),
    "soft_shrink": lambda x, threshold: F.softshrink(x, threshold),
    "tanh_shrink": F.tanhshrink,
    "softsign": F.softsign,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_exact": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "softmax": lambda x: F.softmax(x, dim=1),
    "log_softmax": lambda x: F.log_softmax(x, dim=1),
}
#: What takes rows.
OF_ROWS = ("softmax", "log_softmax")
#: Whose value or gradient subtracts nearly equal numbers; all others are compared by RTOL alone.
CANCELS = {
    "value": {"gelu", "gelu_exact", "hard_sigmoid", "tanh_shrink"},
    # of softsign it is PyTorch's gradient that does
    "gradient": {"sigmoid", "tanh", "elu", "selu", "celu", "gelu", "gelu_exact", "silu", "mish", "softmax", "softsign",
                 "log_softmax", "tanh_shrink"},
}
#: Of which sizes of x PyTorch's own result is not the function's.
NOT_COMPARED = {
    ("hard_swish", "value"): (1e308,),  # PyTorch's x * 6 overflows
    ("celu", "value"): (1e308,),  # and so does the counterpart's x / 0.3
    ("hard_swish", "gradient"): (3,),  # up to 2.6 PyTorch had -0.5 and 1.5; test_gradients.py has the convention
    ("softsign", "gradient"): (1e100, 1e160, 1e308, np.inf),  # 0 and NaN in PyTorch; 1 / x**2 and 0 here
}
# with their negatives; from 1e154 on squares overflow
EDGES = (0, 5e-324, 1e-310, 1e-200, 1e-9, 1, 20, 37, 100, 700, 709.5, 720, 746, 1e4, 1e100, 1e160, 1e308, np.inf)


def edges(name):
    kinks = np.array(TABLE[name].kinks)
    beside = [np.nextafter(kinks, -np.inf), kinks, np.nextafter(kinks, np.inf)]
    return np.concatenate([EDGES, np.negative(EDGES), *beside])


def activation_variants(name):
    attributes = TABLE[name].attributes
    return [attributes, *({**attributes, other: value} for other in attributes for value in (0.3, 1.7))]


def activation(name, x, dy, numerics, attributes):
    """Return y and dx of a row's kernels."""
    options = {"numerics": numerics, **attributes}
    y = getattr(kernels, f"{name}_forward")(x, **options)
    known = {"x": x, "y": y, "dy": dy}
    inputs = [known[o.name] for o in TABLE[name].kernels[f"{name}_backward"].inputs]
    found = getattr(kernels, f"{name}_backward")(*inputs, **options)
    return y, found[-1] if isinstance(found, tuple) else found


def assert_activation(name, x, numerics):
    assert name in ACTIVATION_COUNTERPARTS, MISSING
    dy = np.random.default_rng(5).standard_normal(x.shape)
    for attributes in activation_variants(name):
        inputs = tensor(x, True)
        want = ACTIVATION_COUNTERPARTS[name](inputs, **attributes)
        want.backward(tensor(dy))
        found = activation(name, x, dy, numerics, attributes)
        for what, got, expected in zip(("value", "gradient"), found, (want, inputs.grad), strict=True):
            kept = ~np.isin(np.abs(x), NOT_COMPARED.get((name, what), ()))
            size = np.abs(dy).max() if what == "gradient" else 1
            atol = {"value": ATOL, "gradient": GRADIENT_ATOL}[what] * size if name in CANCELS[what] else SUBNORMAL
            assert_close(got[kept], expected.detach().numpy()[kept], (name, what, attributes), atol=atol)


@every_numerics
@pytest.mark.parametrize("name", fastbp.layers.ACTIVATIONS)
def test_activation(name, numerics):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 25)) * rng.choice([0.01, 1, 10], (40, 1))
    assert_activation(name, x, numerics)


@every_numerics
@pytest.mark.parametrize("name", [name for name in fastbp.layers.ACTIVATIONS if name not in OF_ROWS])
def test_activation_at_the_edges(name, numerics):
    # some have no limit in IEEE arithmetic (gelu(-inf) is 0 * inf): then it is NaN on both sides
    assert_activation(name, edges(name), numerics)


@every_numerics
@pytest.mark.parametrize("name", OF_ROWS)
def test_rows_at_the_edges(name, numerics):
    inf, huge = np.inf, 1e308
    rows = [[0, 0, 0], [-0.0, 0, 5e-324], [1e-300, -1e-300, 1e-9], [746, 1, 0], [800, 0, -800], [huge, huge, -huge]]
    assert_activation(name, np.array([*rows, [-inf, 0, 1], [-inf, -inf, -5], [inf, 0, 0]]), numerics)


@every_numerics
@pytest.mark.parametrize(("make", "theirs"), [(fastbp.LayerNorm, F.layer_norm), (fastbp.RMSNorm, F.rms_norm)])
def test_normalisation(make, theirs, numerics):
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((20, 7)) * rng.choice([0.01, 1, 100], (20, 1)), rng.standard_normal((20, 7))
    model = fastbp.Sequential([fastbp.Activation("identity"), make(eps=1e-4)], input_shape=7)
    model.compile("sgd", fastbp.losses.MeanSquaredError(), dtype="float64", numerics=numerics)
    layer = model.layers[1]
    for name in layer.parameters:
        setattr(layer, name, rng.uniform(0.5, 2, 7))
    weights = [tensor(getattr(layer, name), True) for name in layer.parameters]
    want = theirs(tensor(x), (7,), *weights, eps=1e-4)
    F.mse_loss(want, tensor(y)).backward()
    assert_close(model.forward(x), want.detach().numpy(), make, atol=1e-14)
    model.loss(y)
    model.backward()
    for name, weight in zip(layer.parameters, weights, strict=True):
        assert_close(getattr(layer, f"d{name}"), weight.grad.numpy(), (make, name), atol=1e-14)


@every_numerics
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("trained", [True, False])
def test_batch_norm(numerics, center, scale, trained):
    """Three steps of SGD: values, gradients and moving averages in training, values in evaluation."""
    rng = np.random.default_rng(8)
    momentum, eps, lr, n = 0.8, 1e-4, 0.1, 7
    norm = fastbp.BatchNorm(momentum, eps, center=center, scale=scale)
    model = fastbp.Sequential([fastbp.Dense(n), norm, fastbp.Dense(2)], input_shape=4, seed=1)
    norm.trainable = trained
    model.compile(optimizers.SGD(lr), "mse", dtype="float64", numerics=numerics)
    names = [name for name, there in (("gamma", scale), ("beta", center)) if there]
    for name in names:
        setattr(norm, name, rng.uniform(0.5, 2, n))
    norm.moving_mean, norm.moving_variance = rng.standard_normal(n), rng.uniform(0.5, 2, n)
    kept = {name: getattr(norm, name).copy() for name in (*names, *norm.statistics)}
    weights = [tensor(getattr(layer, name), True) for layer in (model.layers[0], model.layers[2]) for name in "wb"]
    own = {name: tensor(getattr(norm, name), trained) for name in names}
    mean, variance = (tensor(getattr(norm, name)) for name in norm.statistics)

    def forward(x, training):
        hidden = tensor(x) @ weights[0] + weights[1]
        out = F.batch_norm(hidden, mean, variance, own.get("gamma"), own.get("beta"), training, 1 - momentum, eps)
        return out @ weights[2] + weights[3]

    for rows in (20, 20, 5):
        x, y = rng.standard_normal((rows, 4)) * 3, rng.standard_normal((rows, 2))
        before = variance.clone()
        want = forward(x, trained)
        F.mse_loss(want, tensor(y)).backward()
        if trained:
            # theirs is of rows - 1
            variance.copy_(before * momentum + (variance - before * momentum) * (rows - 1) / rows)
        assert_close(model.forward(x), want, "training", atol=1e-13)
        model.loss(y)
        model.backward()
        for layer, (w, b) in ((model.layers[0], weights[:2]), (model.layers[2], weights[2:])):
            assert_close(layer.dw, w.grad, "dw", rtol=1e-11, atol=1e-13)
            # before a normalisation the gradient of a bias is 0, of which rounding remains
            assert_close(layer.db, b.grad, "db", rtol=1e-11, atol=1e-13)
        for name, weight in own.items() if trained else ():
            assert_close(getattr(norm, f"d{name}"), weight.grad, name, rtol=1e-11, atol=1e-13)
        model.update()
        with torch.no_grad():
            for weight in (*weights, *own.values()):
                if weight.requires_grad:
                    weight -= lr * weight.grad
                    weight.grad = None
        assert_close(norm.moving_mean, mean, "mean", atol=1e-14)
        assert_close(norm.moving_variance, variance, "variance")
        x = rng.standard_normal((9, 4))
        assert_close(model.predict(x), forward(x, False), "evaluation", rtol=1e-11, atol=1e-12)
    for name, value in kept.items():
        # a layer that is not trained keeps all it has
        assert (getattr(norm, name) != value).all() == trained


@every_numerics
def test_glu(numerics):
    rng = np.random.default_rng(9)
    x, dy = rng.standard_normal((20, 5, 14)) * 3, rng.standard_normal((20, 5, 7))
    model = fastbp.Sequential([fastbp.GLU()], input_shape=(5, 14))
    model.compile("sgd", dtype="float64", numerics=numerics)
    inputs = tensor(x, True)
    want = F.glu(inputs)
    want.backward(tensor(dy))
    assert_close(model.predict(x), want, "value")
    # the slope of a gate is y * (1 - y)
    assert_close(model.input_gradient(x, dy=dy), inputs.grad, "dx", atol=GRADIENT_ATOL)


@every_numerics
def test_prelu(numerics):
    rng = np.random.default_rng(9)
    x, y, alpha = rng.standard_normal((20, 7)), rng.standard_normal((20, 7)), rng.uniform(-0.5, 2, 7)
    x[0] = 0
    model = fastbp.Sequential([fastbp.Activation("identity"), fastbp.PReLU()], input_shape=7)
    model.compile("sgd", "mse", dtype="float64", numerics=numerics)
    layer = model.layers[1]
    assert (layer.alpha == torch.nn.PReLU().weight.item()).all()
    layer.alpha = alpha
    inputs, weight = tensor(x, True), tensor(alpha, True)
    want = F.prelu(inputs, weight)
    F.mse_loss(want, tensor(y)).backward()
    assert_close(model.forward(x), want, "value")
    model.loss(y)
    model.backward()
    assert_close(layer.dalpha, weight.grad, "dalpha", atol=1e-15)
    dx, _ = kernels.prelu_backward(layer.dy, x, alpha, numerics=numerics)
    # at 0 the derivative is alpha there too
    assert_close(dx, inputs.grad, "dx", atol=1e-15)


@every_numerics
def test_embedding(numerics):
    rng = np.random.default_rng(10)
    x, y = rng.integers(12, size=(30, 4)), rng.standard_normal((30, 3))
    model = fastbp.Sequential([fastbp.Embedding(12, 5), fastbp.Flatten(), fastbp.Dense(3)], input_shape=4, seed=0)
    model.compile("sgd", "mse", dtype="float64", numerics=numerics)
    table, w, b = (tensor(array, True) for array in model.get_weights())
    want = F.embedding(tensor(x), table).reshape(30, 20) @ w + b
    F.mse_loss(want, tensor(y)).backward()
    assert_close(model.forward(x), want, "value", atol=1e-15)
    model.loss(y)
    model.backward()
    assert_close(model.layers[0].dw, table.grad, "dw", atol=1e-15)


# ----------------------------------------------------------------------------------------- images
def channels_first(x, requires_grad=False):
    return tensor(np.moveaxis(x, -1, 1), requires_grad)


def channels_last(x):
    return np.moveaxis(x.detach().numpy(), 1, -1)


def padded(x, sides):
    top, bottom, left, right = sides.values()
    return F.pad(x, (left, right, top, bottom))


#: Rows that the tests here compare with PyTorch's.
WINDOW_ROWS = {
    "convolve", "convolve_bias", "convolve_dw", "convolve_dx", "depthwise", "depthwise_dw", "depthwise_dx", "max_pool",
    "max_pool_dx", "average_pool", "average_pool_dx",
}  # fmt: skip
SIDES = ("top", "bottom", "left", "right")
of_windows = pytest.mark.parametrize(
    ("stride", "sides", "dilation"),
    [((1, 1), (0, 0, 0, 0), (1, 1)), ((2, 1), (1, 2, 0, 1), (1, 2)), ((1, 3), (2, 0, 1, 1), (3, 1))],
)


def window_of(stride, sides, dilation):
    names = "stride_h", "stride_w", *SIDES, "dilation_h", "dilation_w"
    return dict(zip(names, (*stride, *sides, *dilation), strict=True))


@of_windows
@pytest.mark.parametrize("groups", [1, 2])
@every_numerics
def test_convolution(numerics, groups, stride, sides, dilation):
    rng = np.random.default_rng(11)
    x, w, b = rng.standard_normal((2, 9, 8, 4)), rng.standard_normal((3, 2, 4 // groups, 6)), rng.standard_normal(6)
    window = {**window_of(stride, sides, dilation), "groups": groups, "backend": "numpy", "numerics": numerics}
    images, weights = channels_first(x, True), tensor(w.transpose(3, 2, 0, 1), True)
    around = padded(images, dict(zip(SIDES, sides, strict=True)))
    want = F.conv2d(around, weights, None, stride, 0, dilation, groups)
    assert_close(kernels.convolve(x, w, **window), channels_last(want), "y", atol=1e-13)
    biased = F.conv2d(around, weights, tensor(b), stride, 0, dilation, groups)
    assert_close(kernels.convolve_bias(x, w, b, **window), channels_last(biased), "y", atol=1e-13)
    assert_close(kernels.convolve_bias(x, w, b, relu=1, **window), channels_last(F.relu(biased)), "relu", atol=1e-13)
    dy = rng.standard_normal(channels_last(want).shape)
    want.backward(channels_first(dy))
    dw = kernels.convolve_dw(x, dy, kernel_height=3, kernel_width=2, **window)
    assert_close(dw, weights.grad.numpy().transpose(2, 3, 1, 0), "dw", atol=1e-13)
    dx = kernels.convolve_dx(dy, w, input_height=9, input_width=8, **window)
    assert_close(dx, channels_last(images.grad), "dx", atol=1e-13)


@every_numerics
def test_transposed_convolution(numerics):
    rng = np.random.default_rng(12)
    x, w = rng.standard_normal((2, 5, 4, 6)), rng.standard_normal((3, 3, 2, 6))
    window = {**window_of((2, 3), (1, 1, 1, 1), (2, 1)), "groups": 2, "backend": "numpy", "numerics": numerics}
    # of the images that the strides lead to, those of one more row and two more columns
    want = F.conv_transpose2d(
        channels_first(x), tensor(w.transpose(3, 2, 0, 1)), None, (2, 3), (1, 1), (1, 2), 2, (2, 1)
    )
    size = {"input_height": want.shape[2], "input_width": want.shape[3]}
    assert_close(kernels.convolve_dx(x, w, **size, **window), channels_last(want), "y", atol=1e-13)


@of_windows
@every_numerics
def test_depthwise_convolution(numerics, stride, sides, dilation):
    rng = np.random.default_rng(13)
    x, w = rng.standard_normal((2, 9, 8, 3)), rng.standard_normal((3, 2, 3, 2))
    window = {**window_of(stride, sides, dilation), "backend": "numpy", "numerics": numerics}
    images, weights = channels_first(x, True), tensor(w.transpose(2, 3, 0, 1).reshape(6, 1, 3, 2), True)
    around = padded(images, dict(zip(SIDES, sides, strict=True)))
    want = F.conv2d(around, weights, None, stride, 0, dilation, 3)
    assert_close(kernels.depthwise(x, w, **window), channels_last(want), "y", atol=1e-13)
    dy = rng.standard_normal(channels_last(want).shape)
    want.backward(channels_first(dy))
    dw = kernels.depthwise_dw(x, dy, kernel_height=3, kernel_width=2, **window)
    assert_close(dw, weights.grad.numpy().reshape(3, 2, 3, 2).transpose(2, 3, 0, 1), "dw", atol=1e-13)
    dx = kernels.depthwise_dx(dy, w, input_height=9, input_width=8, **window)
    assert_close(dx, channels_last(images.grad), "dx", atol=1e-13)


@pytest.mark.parametrize("pool", [((2, 2), (2, 2), (0, 0)), ((3, 2), (1, 2), (1, 1)), ((3, 3), (2, 1), (1, 0))])
@every_numerics
def test_pools(numerics, pool):
    rng, (size, stride, padding) = np.random.default_rng(14), pool
    x = rng.integers(-3, 3, (2, 9, 8, 3)).astype(float)  # many are equal
    sides = (padding[0], padding[0], padding[1], padding[1])
    window = dict(zip(("pool_h", "pool_w", "stride_h", "stride_w", *SIDES), (*size, *stride, *sides), strict=True))
    window |= {"backend": "numpy", "numerics": numerics}
    back = {**window, "input_height": 9, "input_width": 8}
    images = channels_first(x, True)
    want, where = F.max_pool2d(images, size, stride, padding, return_indices=True)
    y, index = kernels.max_pool(x, **window)
    assert_close(y, channels_last(want), "maximum")
    rows, columns = np.arange(y.shape[1])[:, None, None], np.arange(y.shape[2])[:, None]
    rows = rows * stride[0] - padding[0] + index // size[1]
    columns = columns * stride[1] - padding[1] + index % size[1]
    assert (rows * 8 + columns == channels_last(where)).all()
    dy = rng.standard_normal(y.shape)
    want.backward(channels_first(dy))
    assert_close(kernels.max_pool_dx(dy, index, **back), channels_last(images.grad), "dx", atol=1e-15)
    images.grad = None
    want = F.avg_pool2d(images, size, stride, padding, count_include_pad=False)
    assert_close(kernels.average_pool(x, **window), channels_last(want), "mean")
    want.backward(channels_first(dy))
    assert_close(kernels.average_pool_dx(dy, **back), channels_last(images.grad), "dx", atol=1e-15)


# ----------------------------------------------------------------------------------------- losses
def reduced(elements, reduction):
    return elements.mean() if reduction == "mean" else elements.sum()


def over_rows(elements, reduction):
    return elements.sum() / (len(elements) if reduction == "mean" else 1)


def log_cosh(p, y, reduction):
    # PyTorch has none; cosh is exact for small differences, logaddexp does not overflow for large ones
    d = p - y
    return reduced(d.cosh().log() if d.abs().max() < 700 else torch.logaddexp(d, -d) - math.log(2), reduction)


def hinge(p, y, reduction, power=1):
    # PyTorch's HingeEmbeddingLoss is another function; its ranking loss of p against 0 is this one
    return reduced(F.margin_ranking_loss(p, torch.zeros_like(p), y, margin=1, reduction="none") ** power, reduction)


def focal(z, y, reduction, gamma, alpha):
    # as torchvision's sigmoid_focal_loss, with 1 - p_t as the sigmoid that it is
    weight = torch.sigmoid(z * (1 - 2 * y)) ** gamma * (alpha * y + (1 - alpha) * (1 - y))
    return reduced(weight * F.binary_cross_entropy_with_logits(z, y, reduction="none"), reduction)


def poisson(p, y, reduction, log_input, eps):
    return F.poisson_nll_loss(p, y, log_input=log_input, eps=eps, reduction=reduction)


def categorical_hinge(p, y, reduction):
    # not PyTorch's multi_margin_loss, which adds up the hinges of all other classes
    others = ((1 - y) * p).max(dim=1).values
    return over_rows(F.relu(others - (y * p).sum(dim=1) + 1), reduction)


def gaussian_nll(p, y, reduction):
    mean, log_variance = p.chunk(2, dim=1)
    return F.gaussian_nll_loss(mean, y, log_variance.exp(), eps=1e-300, reduction=reduction)


def triplet_margin(p, y, reduction, margin, eps):
    return F.triplet_margin_loss(p[::3], p[1::3], p[2::3], margin=margin, eps=eps, reduction=reduction)


def triplet_semi_hard(p, y, reduction, margin, squared):
    # neither PyTorch nor Keras has it: triplet by triplet
    losses = []
    for a in range(len(p)):
        square = [((p[a] - p[b]) ** 2).sum() for b in range(len(p))]
        distance = square if squared else [d.sqrt() for d in square]
        negatives = [n for n in range(len(p)) if y[n] != y[a]]
        for b in range(len(p)):
            if b != a and y[b] == y[a] and negatives:
                beyond = [n for n in negatives if distance[n] > distance[b]]
                n = min(beyond, key=lambda n: distance[n]) if beyond else max(negatives, key=lambda n: distance[n])
                losses.append(F.relu(distance[b] - distance[n] + margin))
    return reduced(torch.stack(losses), reduction)


def contrastive(p, y, reduction, margin):
    # PyTorch's hinge embedding loss is the second term without its square
    apart = F.hinge_embedding_loss(p, -torch.ones_like(p), margin=margin, reduction="none")
    return reduced(y * p**2 + (1 - y) * apart**2, reduction)


def binary(p, y, reduction, from_logits, label_smoothing, pos_weight):
    y = y * (1 - label_smoothing) + label_smoothing / 2
    if from_logits:
        weight = torch.tensor(pos_weight)
        return F.binary_cross_entropy_with_logits(p, y, pos_weight=weight, reduction=reduction)
    if pos_weight == 1:
        return F.binary_cross_entropy(p, y, reduction=reduction)
    # PyTorch has no such weight on probabilities, and that of a row would be of both terms
    return reduced(-pos_weight * torch.xlogy(y, p) - torch.xlogy(1 - y, 1 - p), reduction)


def categorical(p, y, reduction, from_logits, label_smoothing):
    if from_logits:
        return F.cross_entropy(p, y, label_smoothing=label_smoothing, reduction=reduction)
    # PyTorch has none on probabilities and soft targets. Keras divides each row by its sum first, nobody else does
    return over_rows(-torch.xlogy(y * (1 - label_smoothing) + label_smoothing / p.shape[1], p), reduction)


def sparse(p, y, reduction, from_logits, label_smoothing):
    if from_logits:
        return F.cross_entropy(p, y, label_smoothing=label_smoothing, reduction=reduction)
    return F.nll_loss(p.log(), y, reduction=reduction)


def focal_rows(p, y, reduction, from_logits, label_smoothing, alpha, gamma):
    y = y * (1 - label_smoothing) + label_smoothing / p.shape[1]
    log_p = F.log_softmax(p, dim=1) if from_logits else p.log()
    each = torch.tensor(alpha) * (1 - log_p.exp() if from_logits else 1 - p) ** gamma * -y * log_p
    return over_rows(each, reduction)


def dice(p, y, reduction, eps):
    share = (2 * (p * y).sum(dim=1) + eps) / (p.sum(dim=1) + y.sum(dim=1) + eps)
    return over_rows(1 - share, reduction)


def logarithms(p, y, reduction, eps):
    return reduced((p.clamp(min=eps).log1p() - y.clamp(min=eps).log1p()) ** 2, reduction)


def percent(p, y, reduction, eps):
    return reduced(100 * ((p - y) / y.abs().clamp(min=eps)).abs(), reduction)


def cosines(p, y, reduction, margin):
    # PyTorch's makes the cosines, of two inputs: test_pairs has it
    return reduced(torch.where(y > 0, 1 - p, F.relu(p - margin)), reduction)


def of_lists(p, y, reduction):
    # PyTorch takes the labels of a row, and -1 after the last
    lists = torch.full(y.shape, -1)
    for k, row in enumerate(y > 0.5):
        lists[k, : int(row.sum())] = torch.nonzero(row)[:, 0]
    return F.multilabel_margin_loss(p, lists, reduction=reduction)


def smoothings(*values, **others):
    return [{**others, "label_smoothing": value} for value in values]


#: For each row its class, arguments to try and the counterpart, function(y_pred, y_true, reduction=..., **arguments).
LOSS_COUNTERPARTS = {
    "mean_squared_error": (losses.MeanSquaredError, [{}], F.mse_loss),
    "mean_absolute_error": (losses.MeanAbsoluteError, [{}], F.l1_loss),
    "huber": (losses.Huber, [{"delta": 1.0}, {"delta": 0.3}, {"delta": 4.0}], F.huber_loss),
    "mean_absolute_percentage_error": (
        losses.MeanAbsolutePercentageError, [{"eps": eps} for eps in (1e-7, 0.5)], percent,
    ),
    "mean_squared_logarithmic_error": (
        losses.MeanSquaredLogarithmicError, [{"eps": eps} for eps in (1e-7, 0.0, 0.5)], logarithms,
    ),
    "smooth_l1": (losses.SmoothL1, [{"beta": 1.0}, {"beta": 0.3}, {"beta": 4.0}], F.smooth_l1_loss),
    # F.soft_margin_loss overflows
    "soft_margin": (losses.SoftMargin, [{}], lambda p, y, reduction: reduced(-F.logsigmoid(y * p), reduction)),
    "margin_ranking": (
        losses.MarginRanking, [{"margin": margin} for margin in (0.25, 2.5)],
        lambda p, y, reduction, margin: F.margin_ranking_loss(p, 0 * p.detach(), y, margin, reduction=reduction),
    ),
    "hinge_embedding": (
        losses.HingeEmbedding, [{"margin": margin} for margin in (0.25, 2.5)],
        lambda p, y, reduction, margin: F.hinge_embedding_loss(p, y, margin, reduction=reduction),
    ),
    "cosine_embedding": (losses.CosineEmbedding, [{"margin": margin} for margin in (0.25, -0.6)], cosines),
    "dice": (losses.Dice, [{"eps": eps} for eps in (1e-7, 1.0)], dice),
    "categorical_focal": (
        losses.CategoricalFocalCrossEntropy,
        [{"from_logits": False, "label_smoothing": smoothing, "alpha": alpha, "gamma": gamma}
         for smoothing, alpha, gamma in ((0.0, 0.25, 2.0), (0.3, 1.0, 0.0), (0.0, 0.5, 1.5))],
        focal_rows,
    ),
    "softmax_focal": (
        losses.CategoricalFocalCrossEntropy,
        [{"from_logits": True, "label_smoothing": smoothing, "alpha": alpha, "gamma": gamma}
         for smoothing, alpha, gamma in ((0.0, 0.25, 2.0), (0.3, 1.0, 0.0), (0.0, 0.5, 1.5))],
        focal_rows,
    ),
    "nll": (losses.NLL, [{}], F.nll_loss),
    "multi_margin": (
        losses.MultiMargin, [{"margin": margin, "p": p} for margin in (1.0, 0.25) for p in (1, 2)],
        lambda x, y, reduction, margin, p: F.multi_margin_loss(x, y, p, margin, reduction=reduction),
    ),
    "multi_label_margin": (losses.MultiLabelMargin, [{}], of_lists),
    "log_cosh": (losses.LogCosh, [{}], log_cosh),
    "hinge": (losses.Hinge, [{}], hinge),
    "squared_hinge": (losses.SquaredHinge, [{}], lambda p, y, reduction: hinge(p, y, reduction, 2)),
    "categorical_hinge": (losses.CategoricalHinge, [{}], categorical_hinge),
    "cosine_similarity": (
        losses.CosineSimilarity, [{"eps": eps} for eps in (1e-8, 1e-3)],
        lambda p, y, reduction, eps: over_rows(-F.cosine_similarity(p, y, dim=1, eps=eps), reduction),
    ),
    "triplet_margin": (
        losses.TripletMargin, [{"margin": margin, "eps": eps} for margin, eps in ((1.0, 1e-6), (4.0, 0.0), (0.3, 0.1))],
        triplet_margin,
    ),
    "triplet_semi_hard": (
        losses.TripletSemiHard,
        [{"margin": margin, "squared": squared} for margin in (1.0, 0.2) for squared in (False, True)],
        triplet_semi_hard,
    ),
    "gaussian_nll": (losses.GaussianNLL, [{}], gaussian_nll),
    "contrastive": (losses.Contrastive, [{"margin": margin} for margin in (1.0, 0.3, 5.0)], contrastive),
    "poisson": (losses.Poisson, [{"log_input": False, "eps": eps} for eps in (1e-7, 0.01)], poisson),
    "poisson_log": (losses.Poisson, [{"log_input": True, "eps": 1e-7}], poisson),
    "focal": (
        losses.BinaryFocalCrossEntropy,
        [{"gamma": gamma, "alpha": alpha} for gamma, alpha in ((2.0, 0.25), (0.0, 0.5), (1.0, 1.0), (3.5, 0.0))],
        focal,
    ),
    # PyTorch's logarithm stops at -100 and its derivative's denominator at 1e-12, fastbp's probabilities stop at 1e-15,
    # Keras' at 1e-7; between 1e-11 and 1 - 1e-11 all but Keras agree
    "binary_cross_entropy": (
        losses.BinaryCrossEntropy, smoothings(0.0, 0.3, from_logits=False, pos_weight=1.0), binary,
    ),
    "sigmoid_cross_entropy": (
        losses.BinaryCrossEntropy, smoothings(0.0, 0.3, from_logits=True, pos_weight=1.0), binary,
    ),
    "weighted_binary_cross_entropy": (
        losses.BinaryCrossEntropy,
        [*smoothings(0.0, 0.3, from_logits=False, pos_weight=2.5), *smoothings(0.0, from_logits=False, pos_weight=0.1)],
        binary,
    ),
    "weighted_sigmoid_cross_entropy": (
        losses.BinaryCrossEntropy,
        [*smoothings(0.0, 0.3, from_logits=True, pos_weight=2.5), *smoothings(0.0, from_logits=True, pos_weight=0.1)],
        binary,
    ),
    "categorical_cross_entropy": (
        losses.CategoricalCrossEntropy, smoothings(0.0, 0.3, from_logits=False), categorical,
    ),
    "sparse_categorical_cross_entropy": (
        losses.SparseCategoricalCrossEntropy, smoothings(0.0, from_logits=False), sparse,
    ),
    "kl_divergence": (
        losses.KLDivergence, [{}],
        lambda p, y, reduction: F.kl_div(p.log(), y, reduction={"mean": "batchmean", "sum": "sum"}[reduction]),
    ),
    "softmax_cross_entropy": (
        losses.CategoricalCrossEntropy, smoothings(0.0, 0.3, from_logits=True), categorical,
    ),
    "sparse_softmax_cross_entropy": (
        losses.SparseCategoricalCrossEntropy, smoothings(0.0, from_logits=True), sparse,
    ),
}  # fmt: skip
LOSS_ROWS = [name for name, row in TABLE.items() if row.family == "loss" and row.differentiable]


def domain_of_targets(row, name):
    """Return the domain of a row's targets, or that of labels, which its class makes rows of."""
    domain = row.domain.get(name)
    cls = LOSS_COUNTERPARTS[row.name][0] if row.name in LOSS_COUNTERPARTS else None
    return "label" if domain == "one_hot" and cls and cls.targets == "labels" else domain


def random_batch(row, rng):
    """Return y_pred and y_true from the row's domain."""
    shape = (9, 5)
    first, second = [*(o.name for o in row.kernels[f"{row.name}_forward"].inputs), None][:2]
    p = rng.standard_normal(shape) * 3
    if row.domain.get(first) == "probability":
        p = rng.uniform(0.01, 0.99, shape)
    elif row.domain.get(first) == "nonnegative":
        p = np.abs(p)
    y = {
        None: lambda: rng.standard_normal(shape),
        "sign": lambda: rng.choice([-1.0, 1.0], shape),
        # soft targets too
        "binary": lambda: rng.choice([0, 1, 0.3], shape),
        "one_hot": lambda: rng.random(shape) * rng.integers(2, size=(9, 1)) + np.eye(5)[rng.integers(5, size=9)],
        "label": lambda: rng.integers(5, size=9),
        "group": lambda: rng.permutation(np.arange(9) % 3) - 1,
        "nonnegative": lambda: rng.poisson(2, shape).astype(float),
        "probability": lambda: rng.uniform(0.01, 0.99, shape),
    }[domain_of_targets(row, second)]()
    if row.name == "gaussian_nll":
        return rng.standard_normal((9, 10)) * 3, y
    # torchvision's and the paper's focal loss are for hard targets
    return p, np.round(y) if row.name == "focal" else y


def edge_batches(row):
    """Yield y_pred and y_true of one row each, so that no value hides beside a larger one."""
    names = [*(o.name for o in row.kernels[f"{row.name}_forward"].inputs), None][:2]
    first, second = row.domain.get(names[0]), domain_of_targets(row, names[1])
    if row.name == "multi_label_margin":
        for values in np.array([[0, 0.1, 0], [1000, 0, -1000], [1e-9, -1e-9, 0.5], [37, 0, -37], [-746, 0, 2]], float):
            for bits in itertools.product((0.0, 1.0), repeat=3):
                yield values[None], np.array([bits])
        return
    if row.name == "triplet_semi_hard":
        return  # PyTorch has no derivative at a distance of 0; the rest is test_losses.py's
    if row.name == "triplet_margin":
        # the derivative where the margin is just kept, none of these, is a convention: 0 here, 1 in PyTorch
        for triplet in itertools.product((0, 1e-9, 0.25, 37, 500), repeat=3):
            yield np.array(triplet, float)[:, None], np.zeros(3)
        return
    if second == "label" or second == "one_hot":
        z = [[0, 0, 0], [1000, 0, -1000], [1e-9, -1e-9, 0], [37, 0, -37], [-746, 0, 1]]
        if first == "probability":
            z = [[1, 1e-10, 1e-14], [0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3], [1e-300 + 0.1, 0.9, 1e-9]]
        for values in np.array(z, float):
            for label in range(3):
                yield values[None], np.array([label]) if second == "label" else np.eye(3)[[label]]
        return
    size = [0, 1e-300, 1e-9, 0.3, 1, np.nextafter(1, 2), 4, 30, 37, 100, 700, 800, 1e6, 1e150]
    p = np.concatenate([size, np.negative(size)])
    if row.name == "cosine_similarity":
        rows = [[0, 0, 0], [1, 2, 3], [1e-9, 1e-10, 0], [1e-150, 1e-151, 0], [37, 0, -37], [1e150, -1e150, 1]]
        for one, other in itertools.product(np.array(rows), repeat=2):
            # below eps PyTorch's gradient is that of the norm without eps; at 0 it has none
            if not 0 < np.abs(one).max() < 1e-3:
                yield one[None], other[None]
        return
    if row.name == "gaussian_nll":
        means, log_variances = (0, 1e-300, 1e-9, 0.3, 4, 1e6), (0, 1e-9, 1, -1, 37, -37, 300, -300)
        for mean, log_variance in itertools.product(means, log_variances):
            yield np.array([[mean, log_variance]], float), np.array([[0.25]])
        return
    if first == "probability":
        p = np.array([1e-11, 1e-9, 1e-3, 0.5, 1 - 1e-9, 1 - 1e-11])
    elif first == "nonnegative":
        p = np.array(size)
    elif row.name == "poisson_log":
        p = p[np.abs(p) <= 700]
    targets = {None: [0.0], "sign": [-1.0, 1.0], "binary": [0.0, 1.0], "nonnegative": [0.0, 1.0, 7.0],
               "probability": [0.01, 0.5, 0.99]}[second]
    for value in p:
        for target in targets:
            # the derivative at the kink of a hinge is a convention: 0 here, -y in PyTorch's ranking loss
            if not (row.name == "hinge" and value * target == 1):
                yield np.array([[value]]), np.array([[target]])


def assert_loss(name, p, y):
    assert name in LOSS_COUNTERPARTS, MISSING
    cls, variants, counterpart = LOSS_COUNTERPARTS[name]
    for arguments in variants:
        for reduction in ("mean", "sum"):
            loss = cls(reduction=reduction, **arguments)
            assert loss.row.name == name and arguments.keys() == loss.get_config().keys() - {"reduction"}
            inputs = tensor(p, True)
            want = counterpart(inputs, tensor(y), reduction=reduction, **arguments)
            want.backward()
            what = (loss, p, y) if p.size < 10 else loss
            # PyTorch's cross-entropies on logits subtract numbers as large as the logits
            arrays = (p[::3], p[1::3], p[2::3]) if name == "triplet_margin" else (y, p)
            assert_close(loss(*arrays), want, what, atol=ATOL * max(1, min(np.abs(p).max(), 1000)))
            gradient = loss.gradient(*arrays)
            gradient = np.stack(gradient, axis=1).reshape(p.shape) if name == "triplet_margin" else gradient
            assert_close(gradient, inputs.grad, what, atol=ATOL)


@pytest.mark.parametrize("name", LOSS_ROWS)
def test_loss(name):
    rng = np.random.default_rng(2)
    for _ in range(5):
        assert_loss(name, *random_batch(TABLE[name], rng))


@pytest.mark.parametrize("name", LOSS_ROWS)
def test_loss_at_the_edges(name):
    for p, y in edge_batches(TABLE[name]):
        assert_loss(name, p, y)


@pytest.mark.parametrize("smoothing", [1e-3, 0.3, 1.0])
def test_smoothed_labels(smoothing):
    # of these the row is the categorical one, so that test_loss does not come to them
    rng = np.random.default_rng(6)
    loss = losses.SparseCategoricalCrossEntropy(from_logits=True, label_smoothing=smoothing)
    one_row = np.array([1]), np.array([[37, 0, -37.0]])
    for y, z in ((rng.integers(5, size=9), 3 * rng.standard_normal((9, 5))), one_row):
        inputs = tensor(z, True)
        want = F.cross_entropy(inputs, tensor(y), label_smoothing=smoothing)
        want.backward()
        assert_close(loss(y, z), want, smoothing)
        assert_close(loss.gradient(y, z), inputs.grad, smoothing, atol=ATOL)
    z, y = 3 * rng.standard_normal((9, 5)), rng.integers(-1, 4, size=9)
    assert (y == -1).any()
    loss = losses.SparseCategoricalCrossEntropy(from_logits=True, label_smoothing=smoothing, ignore_index=-1)
    inputs = tensor(z, True)
    want = F.cross_entropy(inputs, tensor(y), label_smoothing=smoothing, ignore_index=-1)
    want.backward()
    assert_close(loss(y, z), want, smoothing)
    assert_close(loss.gradient(y, z), inputs.grad, smoothing, atol=ATOL)


CLASS_WEIGHTS = [{0: 2.5, 3: 0.25}, [1.0, 0.0, 3.0, 0.5, 2.0]]


@pytest.mark.parametrize("class_weight", CLASS_WEIGHTS, ids=["dict", "list"])
@pytest.mark.parametrize("ignored", [None, 1, -100])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_weights_of_classes(smoothing, ignored, class_weight):
    rng = np.random.default_rng(7)
    z, y = 3 * rng.standard_normal((12, 5)), rng.integers(5, size=12)
    if ignored == -100:
        y[::4] = ignored
    each = np.ones(5)
    each[list(class_weight) if isinstance(class_weight, dict) else slice(5)] = (
        list(class_weight.values()) if isinstance(class_weight, dict) else class_weight
    )
    options = {"ignore_index": ignored, "class_weight": class_weight}
    theirs = {"weight": tensor(each), "ignore_index": -7 if ignored is None else ignored}
    logs = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    for reduction in ("mean", "sum", "none"):
        cases = [
            (
                losses.SparseCategoricalCrossEntropy(True, smoothing, reduction, **options),
                z,
                lambda x, r=reduction: F.cross_entropy(x, tensor(y), label_smoothing=smoothing, reduction=r, **theirs),
            )
        ]
        if not smoothing:
            nll = losses.NLL(reduction, **options)
            cases.append((nll, logs, lambda x, r=reduction: F.nll_loss(x, tensor(y), reduction=r, **theirs)))
            own = losses.SparseCategoricalCrossEntropy(False, 0.0, reduction, **options)
            of = lambda x, r=reduction: F.nll_loss(x.log(), tensor(y), reduction=r, **theirs)  # noqa: E731
            cases.append((own, np.exp(logs), of))
        for loss, given, counterpart in cases:
            inputs = tensor(given, True)
            want = counterpart(inputs)
            want.sum().backward()
            for backend in (None, "numpy", "numba"):
                assert_close(loss(y, given, backend), want, loss, atol=ATOL)
                assert_close(loss.gradient(y, given, backend), inputs.grad, loss, atol=ATOL)
    if ignored is None:
        # one-hot rows are the same classes
        hot = losses.CategoricalCrossEntropy(True, smoothing, class_weight=class_weight)
        want = F.cross_entropy(tensor(z), tensor(y), label_smoothing=smoothing, **theirs)
        assert_close(hot(np.eye(5)[y], z), want, hot)


@pytest.mark.parametrize("from_logits", [True, False])
def test_weights_of_zeros_and_ones(from_logits):
    rng = np.random.default_rng(10)
    z, y = rng.standard_normal((9, 4)), rng.choice([0.0, 1.0, 0.3], (9, 4))
    p = z if from_logits else 1 / (1 + np.exp(-z))
    each = tensor(0.5 + 3 * y)
    for reduction in ("mean", "sum"):
        loss = losses.BinaryCrossEntropy(from_logits, reduction=reduction, class_weight=[0.5, 3.5])
        inputs = tensor(p, True)
        theirs = F.binary_cross_entropy_with_logits if from_logits else F.binary_cross_entropy
        want = theirs(inputs, tensor(y), weight=each, reduction="sum") / (each.sum() if reduction == "mean" else 1)
        want.backward()
        for backend in (None, "numpy", "numba"):
            assert_close(loss(y, p, backend), want, loss)
            assert_close(loss.gradient(y, p, backend), inputs.grad, loss, atol=ATOL)


def test_alpha_of_classes():
    rng = np.random.default_rng(8)
    z, y, alpha = rng.standard_normal((9, 4)), np.eye(4)[rng.integers(4, size=9)], [0.5, 1.0, 0.0, 2.0]
    for from_logits, p in ((True, z), (False, np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))):
        loss, inputs = losses.CategoricalFocalCrossEntropy(from_logits, 0.1, alpha, 1.5), tensor(p, True)
        want = focal_rows(inputs, tensor(y), "mean", from_logits, 0.1, alpha, 1.5)
        want.backward()
        assert_close(loss(y, p), want, loss)
        assert_close(loss.gradient(y, p), inputs.grad, loss, atol=ATOL)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_pairs(reduction):
    """PyTorch's losses of two inputs are ours of their difference, or of their cosine."""
    rng = np.random.default_rng(9)
    (a, b), y = rng.standard_normal((2, 8, 5)), rng.choice([-1.0, 1.0], 8)
    cosine = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    loss = losses.CosineEmbedding(0.1, reduction)
    want = F.cosine_embedding_loss(tensor(a), tensor(b), tensor(y), 0.1, reduction=reduction)
    assert_close(loss(y, cosine), want, loss)
    loss, y = losses.MarginRanking(0.3, reduction), y[:, None]
    want = F.margin_ranking_loss(tensor(a), tensor(b), tensor(y), 0.3, reduction=reduction)
    assert_close(loss(np.broadcast_to(y, a.shape), a - b), want, loss)


def test_losses_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    p, y, labels = rng.random(50), rng.random(50), rng.integers(2, size=50)
    rows = p.reshape(10, 5) / p.reshape(10, 5).sum(axis=1, keepdims=True)
    classes = np.arange(10) % 5
    assert_close(losses.MeanSquaredError()(y, p), metrics.mean_squared_error(y, p), "squares")
    assert_close(losses.MeanAbsoluteError()(y, p), metrics.mean_absolute_error(y, p), "distances")
    assert_close(losses.BinaryCrossEntropy()(labels.astype(float), p), metrics.log_loss(labels, p), "binary")
    assert_close(losses.SparseCategoricalCrossEntropy()(classes, rows), metrics.log_loss(classes, rows), "classes")
    assert_close(losses.Hinge()(2.0 * labels - 1, 4 * p - 2), metrics.hinge_loss(labels, 4 * p - 2), "hinge")


# ------------------------------------------------------------------------------------- optimizers
class LionOfThePaper(torch.optim.Optimizer):
    """Chen et al. 2023, algorithm 2; PyTorch has none. The decay is multiplied by lr, as there."""

    def __init__(self, parameters, lr, beta1, beta2):
        super().__init__(parameters, {"lr": lr})
        self.beta1, self.beta2 = beta1, beta2

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                m = self.state[w].setdefault("m", torch.zeros_like(w))
                update = torch.sign(self.beta1 * m + (1 - self.beta1) * w.grad)
                w -= group["lr"] * (update + group["weight_decay"] * w)
                m.copy_(self.beta2 * m + (1 - self.beta2) * w.grad)


class ASGDWithoutDelay(torch.optim.ASGD):
    """PyTorch's rate of a step is that of the learning rate of the step before."""

    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                if w in self.state:
                    fallen = (1 + group["lambd"] * group["lr"] * self.state[w]["step"]) ** group["alpha"]
                    self.state[w]["eta"].fill_(group["lr"] / fallen)
        super().step()


def matrices_apart(cls, **fixed):
    """Return PyTorch's optimizer of two groups of parameters, of which one decays."""
    def make(parameters, lr, beta1, beta2, weight_decay, decay_biases=True, **others):
        others.update(fixed)
        if "eps" in others or cls is not LionOfThePaper:
            others["betas"] = beta1, beta2
        else:
            others.update(beta1=beta1, beta2=beta2)
        groups = [
            {"params": [w], "weight_decay": weight_decay if decay_biases or w.ndim > 1 else 0.0} for w in parameters
        ]
        return cls(groups, lr=lr, **others)

    return make


def rprop(parameters, lr, shrink, grow, min_step, max_step):
    return torch.optim.Rprop(parameters, lr=lr, etas=(shrink, grow), step_sizes=(min_step, max_step))


def adam_like(name, **fixed):
    def make(parameters, lr, beta1, beta2, eps, **others):
        return getattr(torch.optim, name)(parameters, lr=lr, betas=(beta1, beta2), eps=eps, **others, **fixed)

    return make


def rmsprop(parameters, rho, **others):
    return torch.optim.RMSprop(parameters, alpha=rho, **others)


ADAM = [
    {"lr": 0.05},
    {"lr": 0.05, "beta1": 0.8, "beta2": 0.6, "eps": 1e-2},  # a large eps shows where it stands
    {"lr": 0.05, "beta1": 0.0},
    {"lr": 0.05, "beta2": 0.0, "eps": 1e-2},  # without that eps the sign of each gradient, rounded or not
]
ADAM_SLOTS = {"m": "exp_avg", "v": "exp_avg_sq"}
#: For each class: arguments to try, PyTorch's optimizer from parameters and `get_config`, and the names of its state.
OPTIMIZER_COUNTERPARTS = {
    "SGD": (
        [
            {"lr": 0.03}, {"lr": 0.01, "momentum": 0.9}, {"lr": 0.01, "momentum": 0.7, "nesterov": True},
            {"lr": 0.03, "momentum": 0.8, "dampening": 0.3}, {"lr": 0.03, "momentum": 0.8, "dampening": 1.0},
        ],
        torch.optim.SGD, {"velocity": "momentum_buffer"},
    ),
    "Adam": (ADAM, adam_like("Adam"), ADAM_SLOTS),
    "AdamW": (
        [*({**a, "weight_decay": 0.3} for a in ADAM), ADAM[0], {**ADAM[1], "weight_decay": 0.3, "decay_biases": False}],
        matrices_apart(torch.optim.AdamW), ADAM_SLOTS,
    ),
    "AMSGrad": (
        [*ADAM, {**ADAM[1], "weight_decay": 0.3}, {**ADAM[1], "weight_decay": 0.3, "decay_biases": False}],
        matrices_apart(torch.optim.AdamW, amsgrad=True), {**ADAM_SLOTS, "v_max": "max_exp_avg_sq"},
    ),
    "RAdam": ([*ADAM, {"lr": 0.05, "beta2": 0.95, "eps": 1e-2}], adam_like("RAdam"), ADAM_SLOTS),
    "Adamax": (ADAM, adam_like("Adamax"), {"m": "exp_avg", "u": "exp_inf"}),
    "Nadam": ([*ADAM, *({"lr": 0.05, "momentum_decay": d} for d in (0.0, 0.3, 1.0))], adam_like("NAdam"), ADAM_SLOTS),
    "Adagrad": ([{"lr": 0.1}, {"lr": 0.1, "eps": 0.01}], torch.optim.Adagrad, {"v": "sum"}),
    "Adadelta": (
        [{}, {"lr": 0.5, "rho": 0.6, "eps": 1e-3}], torch.optim.Adadelta, {"v": "square_avg", "d": "acc_delta"},
    ),
    "RMSprop": (
        [
            {"lr": 0.01}, {"lr": 0.01, "rho": 0.6, "eps": 0.01}, {"lr": 0.01, "momentum": 0.8},
            {"lr": 0.01, "centered": True}, {"lr": 0.01, "rho": 0.95, "momentum": 0.5, "eps": 1e-3, "centered": True},
        ],
        rmsprop, {"v": "square_avg", "velocity": "momentum_buffer", "g": "grad_avg"},
    ),
    "Lion": (
        [
            {"lr": 0.01}, {"lr": 0.02, "beta1": 0.6, "beta2": 0.8, "weight_decay": 0.3},
            {"lr": 0.02, "weight_decay": 0.3, "decay_biases": False},
        ],
        matrices_apart(LionOfThePaper), {"m": "m"},
    ),
    "Rprop": (
        [{}, {"lr": 0.02, "shrink": 0.3, "grow": 1.5}, {"lr": 1e-3, "min_step": 0.015, "max_step": 0.03}],
        rprop, {"last": "prev", "step_size": "step_size"},
    ),
    "ASGD": (
        [{"lr": 0.03}, {"lr": 0.03, "lambd": 0.7, "alpha": 0.6, "t0": 3}, {"lr": 0.03, "lambd": 0.0, "t0": 12.5}],
        ASGDWithoutDelay, {"ema": "ax"},
    ),
}  # fmt: skip


def flat(tensors):
    return np.concatenate([t.detach().numpy().reshape(-1) for t in tensors])


@pytest.mark.parametrize("cls", OPTIMIZER_CLASSES, ids=lambda cls: cls.__name__)
def test_optimizer(cls):
    """20 steps on batches that change, half of them at another learning rate."""
    assert cls.__name__ in OPTIMIZER_COUNTERPARTS, MISSING
    variants, counterpart, slots = OPTIMIZER_COUNTERPARTS[cls.__name__]
    for arguments in variants:
        rng = np.random.default_rng(4)
        optimizer = cls(**arguments)
        model = fastbp.Sequential([fastbp.Dense(6, activation="tanh", input_shape=5), fastbp.Dense(3)], seed=6)
        model.compile(optimizer, "mse", dtype="float64")
        weights = [tensor(w, True) for w in model.get_weights()]
        other = counterpart(weights, **optimizer.get_config())
        start = flat(weights)
        for step in range(20):
            if step == 10:
                optimizer.lr = lr = 0.4 * optimizer.lr
                for group in other.param_groups:
                    group["lr"] = lr
            # gradients of many sizes, smaller and smaller, and one row of w that never has any
            x = rng.standard_normal((8, 5)) * [1, 0.1, 0, 1e-4, 3] / (1 + step)
            y = rng.standard_normal((8, 3)) / (1 + step)
            model.train_on_batch(x, y)
            w1, b1, w2, b2 = weights
            other.zero_grad()
            F.mse_loss(torch.tanh(tensor(x) @ w1 + b1) @ w2 + b2, tensor(y)).backward()
            other.step()
            what = f"step {step} of {optimizer}"
            # a difference of rounding in the weights is one in the next gradient: some more of it in 20 steps
            for got, want in zip(model.get_weights(), weights, strict=True):
                assert_close(got, want, what, atol=1e-12)
            for name, state in optimizer.get_state().items():
                if name in slots and slots[name] in other.state[weights[0]]:
                    want = flat([other.state[w][slots[name]] for w in weights])
                    assert_close(state, want, f"{name}, {what}", rtol=1e-11, atol=1e-11 * np.abs(want).max())
        # the comparison must be of something that moved
        assert np.abs(flat(weights) - start).max() > 0.01
        if cls is optimizers.AMSGrad and "eps" in arguments:
            assert (optimizer.get_state()["v_max"] > 2 * optimizer.get_state()["v"]).any()


#: fastbp's default where it is not PyTorch's; the docstrings say so.
OTHER_DEFAULTS = {("SGD", "lr"): 0.01, ("RMSprop", "lr"): 1e-3, ("RMSprop", "rho"): 0.9, ("RMSprop", "eps"): 1e-7}


@pytest.mark.parametrize("cls", OPTIMIZER_CLASSES, ids=lambda cls: cls.__name__)
def test_defaults_of_optimizers(cls):
    if cls is optimizers.Lion:
        pytest.skip("PyTorch has no Lion")
    # Adam's decay is another one, and 0 as well
    name = {"AMSGrad": "Adam", "Nadam": "NAdam"}.get(cls.__name__, cls.__name__)
    theirs = {k: p.default for k, p in inspect.signature(getattr(torch.optim, name)).parameters.items()}
    if "betas" in theirs:
        theirs["beta1"], theirs["beta2"] = theirs["betas"]
    theirs["rho"] = theirs.get("rho", theirs.get("alpha"))
    if cls is optimizers.Rprop:
        (theirs["shrink"], theirs["grow"]), (theirs["min_step"], theirs["max_step"]) = (
            theirs["etas"], theirs["step_sizes"],
        )  # fmt: skip
    for argument, value in cls().get_config().items():
        assert value == OTHER_DEFAULTS.get((cls.__name__, argument), theirs[argument]), argument


# ----------------------------------------------------------------------------------------- images, augmented
@every_numerics
@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 5), (2, 7, 3)])
def test_bilinear_upsampling(shape, factor, numerics):
    (height, width, c), options = shape, {"factor": float(factor), "numerics": numerics}
    rng = np.random.default_rng(factor)
    x, dy = rng.standard_normal((2, *shape)), rng.standard_normal((2, factor * height, factor * width, c))
    image = channels_first(x, True)
    want = F.interpolate(image, scale_factor=factor, mode="bilinear", align_corners=False)
    want.backward(channels_first(dy))
    tall = kernels.interpolate_forward(x.reshape(2, height, width * c), **options)
    y = kernels.interpolate_forward(tall.reshape(2 * factor * height, width, c), **options)
    assert_close(y.reshape(dy.shape), channels_last(want), shape, atol=1e-14)
    across = kernels.interpolate_backward(dy.reshape(-1, factor * width, c), **options)
    dx = kernels.interpolate_backward(across.reshape(2, factor * height, width * c), **options)
    assert_close(dx.reshape(x.shape), channels_last(image.grad), shape, atol=1e-13)


def test_flips_and_crops():
    rng = np.random.default_rng(0)
    x, u = rng.standard_normal((40, 5, 6, 3)), rng.random((40, 2))
    y = kernels.flip(x, u, vertical=1.0, horizontal=1.0)
    cut = kernels.crop_forward(x, u, spare_h=3.0, spare_w=2.0)
    dx = kernels.crop_backward(cut, u, spare_h=3.0, spare_w=2.0)
    for k, (v, h) in enumerate(u):
        axes = [axis for axis, turned in ((2, v < 0.5), (3, h < 0.5)) if turned]
        image = channels_first(x[k : k + 1], True)
        assert (y[k] == channels_last(torch.flip(image, axes))[0]).all()
        part = image[:, :, int(v * 4) :, int(h * 3) :][:, :, :2, :4]
        assert (cut[k] == channels_last(part)[0]).all()
        part.backward(part.detach())
        assert (dx[k] == channels_last(image.grad)[0]).all()


#: PyTorch has no padding that reflects the outermost pixels too, as "reflect" of Keras does (fill 2).
@pytest.mark.parametrize(("fill", "mode"), [(0.0, "constant"), (1.0, "replicate"), (3.0, "circular")])
def test_shifts(fill, mode):
    rng, bounds = np.random.default_rng(1), {"first_h": -3.0, "count_h": 7.0, "first_w": -2.0, "count_w": 5.0}
    x, dy, u = rng.standard_normal((60, 5, 4, 2)), rng.standard_normal((60, 5, 4, 2)), rng.random((60, 2))
    y = kernels.translate_forward(x, u, **bounds, fill=fill)
    dx = kernels.translate_backward(dy, u, **bounds, fill=fill)
    for k, (v, h) in enumerate(u):
        image, top, left = channels_first(x[k : k + 1], True), 6 - int(v * 7), 4 - int(h * 5)
        want = F.pad(image, (2, 2, 3, 3), mode=mode)[:, :, top : top + 5, left : left + 4]
        want.backward(channels_first(dy[k : k + 1]))
        assert (y[k] == channels_last(want)[0]).all()
        assert_close(dx[k], channels_last(image.grad)[0], (k, fill), atol=1e-14)


# ----------------------------------------------------------------------------------------- all of it
def test_nothing_is_compared_that_there_is_not():
    assert ACTIVATION_COUNTERPARTS.keys() == set(fastbp.layers.ACTIVATIONS)
    assert LOSS_COUNTERPARTS.keys() == set(LOSS_ROWS)
    assert WINDOW_ROWS == {r.name for r in TABLE.values() if r.family in ("convolution", "pooling")}
    own = {losses.CustomLoss, losses.JointLoss}
    assert {cls for cls, _, _ in LOSS_COUNTERPARTS.values()} == set(LOSS_CLASSES) - own
    assert OPTIMIZER_COUNTERPARTS.keys() == {cls.__name__ for cls in OPTIMIZER_CLASSES}
    tried = {cls(**a).row for cls in OPTIMIZER_CLASSES for a in OPTIMIZER_COUNTERPARTS[cls.__name__][0]}
    assert tried == {row.name for row in TABLE.values() if row.family == "optimizer"}


@every_numerics
def test_a_whole_training(numerics):
    """Two hidden layers, batches of unequal size, softmax inside the loss: 60 steps of Adam as PyTorch makes them."""
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((50, 6)), rng.integers(4, size=50)
    model = fastbp.Sequential([fastbp.Dense(12, activation=a) for a in ("gelu", "relu")] + [fastbp.Dense(4)], seed=8)
    loss = losses.SparseCategoricalCrossEntropy(from_logits=True)
    model.compile(optimizers.Adam(lr=0.01), loss, dtype="float64", numerics=numerics)
    weights = [tensor(w, True) for w in (model.predict(x[:1]), model.get_weights())[1]]
    other, expected = torch.optim.Adam(weights, lr=0.01), []
    model.fit(x, y, batch_size=16, epochs=15, shuffle=False, verbose=0)
    for _ in range(15):
        for rows in (slice(start, start + 16) for start in range(0, 50, 16)):
            w1, b1, w2, b2, w3, b3 = weights
            hidden = F.relu(F.gelu(tensor(x[rows]) @ w1 + b1, approximate="tanh") @ w2 + b2)
            other.zero_grad()
            value = F.cross_entropy(hidden @ w3 + b3, tensor(y[rows]))
            value.backward()
            other.step()
            expected.append(value.item())
    # Adam divides small gradients by their own size, so their rounding is not small in the weights
    assert_close(model.batch_losses, np.array(expected), "losses", rtol=1e-9)
    for got, want in zip(model.get_weights(), weights, strict=True):
        assert_close(got, want, "weights", rtol=1e-9, atol=1e-10)
    assert expected[-1] < 0.7 * expected[0]


@every_numerics
def test_rows_of_several_dimensions(numerics):
    """Each position of a row by itself, some labels ignored: PyTorch's layers, and its loss with classes in axis 1."""
    rng = np.random.default_rng(9)
    x, y = rng.standard_normal((10, 5, 6)), rng.integers(-1, 4, size=(10, 5))
    layers = [fastbp.Dense(8, activation="tanh"), fastbp.LayerNorm(), fastbp.Dense(4)]
    model = fastbp.Sequential(layers, seed=3)
    loss = losses.SparseCategoricalCrossEntropy(from_logits=True, label_smoothing=0.1, ignore_index=-1)
    model.compile("sgd", loss, dtype="float64", numerics=numerics)
    weights = [tensor(w, True) for w in (model.predict(x[:1]), model.get_weights())[1]]
    w1, b1, gamma, beta, w2, b2 = weights
    scores = F.layer_norm(torch.tanh(tensor(x) @ w1 + b1), (8,), gamma, beta, eps=1e-5) @ w2 + b2
    value = F.cross_entropy(scores.movedim(-1, 1), tensor(y), ignore_index=-1, label_smoothing=0.1)
    value.backward()
    assert_close(model.forward(x), scores, "scores", rtol=1e-11, atol=1e-13)
    assert_close(model.loss(y), value.item(), "loss")
    model.backward()
    gradients = [getattr(layer, f"d{name}") for layer in layers for name in layer.parameters]
    for got, want in zip(gradients, weights, strict=True):
        assert_close(got, want.grad, "gradient", rtol=1e-10, atol=1e-13)

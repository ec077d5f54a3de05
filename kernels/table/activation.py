"""Activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Bound, Row

if TYPE_CHECKING:
    import numpy as np

    from ..words import clip, erf, sigmoid, softplus

_BISHOP = "Bishop 2006, Pattern Recognition and Machine Learning"

IDENTITY = Row("identity", "activation", source="y = x")


@IDENTITY.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def identity_forward(x):
    return x


@IDENTITY.kernel("dy[n] -> dx[n]", inplace=["dx=dy"], split="n")
def identity_backward(dy):
    return dy


SIGMOID = Row(
    "sigmoid",
    "activation",
    saved=["y"],
    saturates=lambda y: 4 * y * (1 - y),
    note=(
        "sigmoid(x) is 1 / (1 + exp(-x)), where exp may overflow to inf and the result is then 0, as it should be; "
        "in portable numerics it is one function of at most 1 ulp"
    ),
    source=_BISHOP + ", eq. 4.59 and 4.88",
)


@SIGMOID.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def sigmoid_forward(x):
    return sigmoid(x)


@SIGMOID.kernel("dy[n], y[n] -> dx[n]", inplace=["dx=dy", "dx=y"], split="n")
def sigmoid_backward(dy, y):
    return dy * (y * (1 - y))


RELU = Row(
    "relu",
    "activation",
    kinks=[0.0],
    saved=["y"],
    dies=True,
    note="the derivative at 0 is 0; a NaN input gives a NaN output and the gradient 0",
    source="Nair & Hinton 2010, ICML",
)


@RELU.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def relu_forward(x):
    return np.maximum(x, 0)


@RELU.kernel("dy[n], y[n] -> dx[n]", inplace=["dx=dy", "dx=y"], split="n")
def relu_backward(dy, y):
    return np.where(y > 0, dy, 0)


TANH = Row(
    "tanh",
    "activation",
    saved=["y"],
    saturates=lambda y: 1 - y * y,
    source=_BISHOP + ", eq. 5.59 and 5.60",
)


@TANH.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def tanh_forward(x):
    return np.tanh(x)


@TANH.kernel("dy[n], y[n] -> dx[n]", inplace=["dx=dy", "dx=y"], split="n")
def tanh_backward(dy, y):
    return dy * (1 - y * y)


RELU6 = Row(
    "relu6",
    "activation",
    kinks=[0.0, 6.0],
    saved=["y"],
    dies=True,
    note="the derivative at 0 and 6 is 0",
    source="Krizhevsky 2010, Convolutional Deep Belief Networks on CIFAR-10",
)


@RELU6.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def relu6_forward(x):
    return np.minimum(np.maximum(x, 0), 6)


@RELU6.kernel("dy[n], y[n] -> dx[n]", inplace=["dx=dy", "dx=y"], split="n")
def relu6_backward(dy, y):
    return np.where((y > 0) & (y < 6), dy, 0)


LEAKY_RELU = Row(
    "leaky_relu",
    "activation",
    attributes={"alpha": 0.01},
    kinks=[0.0],
    saved=["x"],
    note="the derivative at 0 is alpha; PyTorch's alpha, Keras has 0.2",
    source="Maas, Hannun & Ng 2013, ICML workshop",
)


@LEAKY_RELU.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def leaky_relu_forward(x, alpha):
    return np.where(x > 0, x, alpha * x)


@LEAKY_RELU.kernel("dy[n], x[n] -> dx[n]", inplace=["dx=dy", "dx=x"], split="n")
def leaky_relu_backward(dy, x, alpha):
    return np.where(x > 0, dy, alpha * dy)


ELU = Row(
    "elu",
    "activation",
    attributes={"alpha": 1.0},
    kinks=[0.0],
    saved=["x", "y"],
    note="the derivative at 0 is alpha",
    source="Clevert, Unterthiner & Hochreiter 2016, ICLR, eq. 15",
)


@ELU.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def elu_forward(x, alpha):
    return np.where(x > 0, x, alpha * np.expm1(x))


@ELU.kernel("dy[n], x[n], y[n] -> dx[n]", inplace=["dx=dy", "dx=x", "dx=y"], split="n")
def elu_backward(dy, x, y, alpha):
    return np.where(x > 0, dy, dy * (y + alpha))


SELU = Row(
    "selu",
    "activation",
    kinks=[0.0],
    saved=["x", "y"],
    note="1.7580993408473766 is 1.0507009873554805 * 1.6732632423543772; the derivative at 0 is the left one",
    source="Klambauer et al. 2017, NeurIPS, eq. 2",
)


@SELU.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def selu_forward(x):
    return np.where(x > 0, 1.0507009873554805 * x, 1.7580993408473766 * np.expm1(x))


@SELU.kernel("dy[n], x[n], y[n] -> dx[n]", inplace=["dx=dy", "dx=x", "dx=y"], split="n")
def selu_backward(dy, x, y):
    return np.where(x > 0, 1.0507009873554805 * dy, dy * (y + 1.7580993408473766))


CELU = Row(
    "celu",
    "activation",
    attributes={"alpha": 1.0},
    bounds={"alpha": Bound("other than 0", lambda alpha: alpha != 0)},
    saved=["x", "y"],
    note="as elu, but with a continuous derivative for every alpha",
    source="Barron 2017, arXiv:1704.07483, eq. 2",
)


@CELU.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def celu_forward(x, alpha):
    return np.where(x > 0, x, alpha * np.expm1(x / alpha))


@CELU.kernel("dy[n], x[n], y[n] -> dx[n]", inplace=["dx=dy", "dx=x", "dx=y"], split="n")
def celu_backward(dy, x, y, alpha):
    return np.where(x > 0, dy, dy * (y / alpha + 1))


HARD_SIGMOID = Row(
    "hard_sigmoid",
    "activation",
    kinks=[-3.0, 3.0],
    saved=["x"],
    saturates=lambda y: ((y > 0) & (y < 1)).astype(float),
    note="the derivative at -3 and 3 is 0",
    source="Howard et al. 2019, ICCV (MobileNetV3), section 5.2",
)


@HARD_SIGMOID.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def hard_sigmoid_forward(x):
    return clip(x + 3, 0, 6) / 6


@HARD_SIGMOID.kernel("dy[n], x[n] -> dx[n]", inplace=["dx=dy", "dx=x"], split="n")
def hard_sigmoid_backward(dy, x):
    return np.where((x > -3) & (x < 3), dy / 6, 0)


HARD_TANH = Row(
    "hard_tanh",
    "activation",
    kinks=[-1.0, 1.0],
    saved=["y"],
    saturates=lambda y: (abs(y) < 1).astype(float),
    note="the derivative at -1 and 1 is 0",
    source="Collobert 2004, Large Scale Machine Learning, PhD thesis",
)


@HARD_TANH.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def hard_tanh_forward(x):
    return clip(x, -1, 1)


@HARD_TANH.kernel("dy[n], y[n] -> dx[n]", inplace=["dx=dy", "dx=y"], split="n")
def hard_tanh_backward(dy, y):
    return np.where((y > -1) & (y < 1), dy, 0)


HARD_SWISH = Row(
    "hard_swish",
    "activation",
    kinks=[-3.0, 3.0],
    saved=["x"],
    note="the derivative is 0 at -3 and 1 at 3",
    source="Howard et al. 2019, ICCV (MobileNetV3), section 5.2",
)


@HARD_SWISH.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def hard_swish_forward(x):
    return x * (clip(x + 3, 0, 6) / 6)


@HARD_SWISH.kernel("dy[n], x[n] -> dx[n]", inplace=["dx=dy", "dx=x"], split="n")
def hard_swish_backward(dy, x):
    return np.where(x <= -3, 0, np.where(x >= 3, dy, dy * (x / 3 + 0.5)))


SOFTPLUS = Row(
    "softplus",
    "activation",
    attributes={"beta": 1.0},
    bounds={"beta": Bound("other than 0", lambda beta: beta != 0)},
    saved=["x"],
    note=(
        "log(1 + exp(beta x)) / beta. softplus(x) is max(x, 0) + log1p(exp(-abs(x))); in portable numerics it is one "
        "function of at most 1 ulp. PyTorch's is x where beta x is beyond 20"
    ),
    source="Dugas et al. 2001, NIPS; PyTorch's beta",
)


@SOFTPLUS.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def softplus_forward(x, beta):
    return softplus(beta * x) / beta if beta - 1 else softplus(x)


@SOFTPLUS.kernel("dy[n], x[n] -> dx[n]", inplace=["dx=dy", "dx=x"], split="n")
def softplus_backward(dy, x, beta):
    return dy * sigmoid(beta * x if beta - 1 else x)


LOG_SIGMOID = Row(
    "log_sigmoid",
    "activation",
    saved=["x"],
    note="-softplus(-x), which cannot overflow",
    source=_BISHOP + ", eq. 4.59",
)


@LOG_SIGMOID.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def log_sigmoid_forward(x):
    return -softplus(-x)


@LOG_SIGMOID.kernel("dy[n], x[n] -> dx[n]", inplace=["dx=dy", "dx=x"], split="n")
def log_sigmoid_backward(dy, x):
    return dy * sigmoid(-x)


HARD_SHRINK = Row(
    "hard_shrink",
    "activation",
    attributes={"threshold": 0.5},
    bounds={"threshold": Bound("at least 0", lambda threshold: threshold >= 0)},
    kinks=[-0.5, 0.5],
    saved=["x"],
    dies=True,
    note="the derivative at -threshold and threshold is 0",
    source="Donoho & Johnstone 1994, Biometrika 81, eq. 11",
)


@HARD_SHRINK.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def hard_shrink_forward(x, threshold):
    return np.where((x >= -threshold) & (x <= threshold), 0, x)


@HARD_SHRINK.kernel("dy[n], x[n] -> dx[n]", inplace=["dx=dy", "dx=x"], split="n")
def hard_shrink_backward(dy, x, threshold):
    return np.where((x >= -threshold) & (x <= threshold), 0, dy)


SOFT_SHRINK = Row(
    "soft_shrink",
    "activation",
    attributes={"threshold": 0.5},
    bounds={"threshold": Bound("at least 0", lambda threshold: threshold >= 0)},
    kinks=[-0.5, 0.5],
    saved=["x"],
    dies=True,
    note="the derivative at -threshold and threshold is 0; a NaN stays one",
    source="Donoho & Johnstone 1994, Biometrika 81, eq. 11",
)


@SOFT_SHRINK.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def soft_shrink_forward(x, threshold):
    return np.where(x > threshold, x - threshold, np.where(x < -threshold, x + threshold, x * 0))


@SOFT_SHRINK.kernel("dy[n], x[n] -> dx[n]", inplace=["dx=dy", "dx=x"], split="n")
def soft_shrink_backward(dy, x, threshold):
    return np.where((x >= -threshold) & (x <= threshold), 0, dy)


TANH_SHRINK = Row(
    "tanh_shrink",
    "activation",
    saved=["x"],
    note="x - tanh(x): of a small x, whose cube over 3 it is, few bits are right",
    source="PyTorch's Tanhshrink, Keras' tanh_shrink",
)


@TANH_SHRINK.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def tanh_shrink_forward(x):
    return x - np.tanh(x)


@TANH_SHRINK.kernel("dy[n], x[n] -> dx[n]", inplace=["dx=dy", "dx=x"], split="n")
def tanh_shrink_backward(dy, x):
    t = np.tanh(x)
    return dy * (t * t)


SOFTSIGN = Row(
    "softsign",
    "activation",
    saved=["x"],
    saturates=lambda y: (1 - abs(y)) ** 2,
    source="Glorot & Bengio 2010, AISTATS",
)


@SOFTSIGN.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def softsign_forward(x):
    return x / (1 + np.abs(x))


@SOFTSIGN.kernel("dy[n], x[n] -> dx[n]", inplace=["dx=dy", "dx=x"], split="n")
def softsign_backward(dy, x):
    d = 1 + np.abs(x)
    return dy / (d * d)


GELU = Row(
    "gelu",
    "activation",
    saved=["x"],
    note="the form with tanh; 0.7978845608028654 is sqrt(2 / pi). PyTorch's and Keras' default is gelu_exact",
    source="Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2",
)


@GELU.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def gelu_forward(x):
    t = np.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x)))
    return 0.5 * x * (1 + t)


@GELU.kernel("dy[n], x[n] -> dx[n]", inplace=["dx=dy", "dx=x"], split="n")
def gelu_backward(dy, x):
    z = x * x
    t = np.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x)))
    slope = (1 - t * t) * (0.7978845608028654 * (1 + 0.134145 * z))
    return dy * (0.5 * (1 + t) + 0.5 * x * slope)


GELU_EXACT = Row(
    "gelu_exact",
    "activation",
    saved=["x"],
    note="x times the normal distribution function. NumPy has no erf: it is the portable one in both numerics",
    source="Hendrycks & Gimpel 2016, arXiv:1606.08415, eq. 1",
)


@GELU_EXACT.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def gelu_exact_forward(x):
    return 0.5 * x * (1 + erf(0.7071067811865476 * x))


@GELU_EXACT.kernel("dy[n], x[n] -> dx[n]", inplace=["dx=dy", "dx=x"], split="n")
def gelu_exact_backward(dy, x):
    p = 0.5 * (1 + erf(0.7071067811865476 * x))
    return dy * (p + x * (0.3989422804014327 * np.exp(-0.5 * (x * x))))


SILU = Row(
    "silu",
    "activation",
    saved=["x"],
    note="also called swish",
    source="Elfwing, Uchibe & Doya 2018, Neural Networks 107, eq. 11",
)


@SILU.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def silu_forward(x):
    return x * sigmoid(x)


@SILU.kernel("dy[n], x[n] -> dx[n]", inplace=["dx=dy", "dx=x"], split="n")
def silu_backward(dy, x):
    s = sigmoid(x)
    return dy * (s * (1 + x * (1 - s)))


MISH = Row(
    "mish",
    "activation",
    saved=["x"],
    source="Misra 2020, BMVC",
)


@MISH.kernel("x[n] -> y[n]", inplace=["y=x"], split="n")
def mish_forward(x):
    return x * np.tanh(softplus(x))


@MISH.kernel("dy[n], x[n] -> dx[n]", inplace=["dx=dy", "dx=x"], split="n")
def mish_backward(dy, x):
    t = np.tanh(softplus(x))
    return dy * (t + x * (1 - t * t) * sigmoid(x))


SOFTMAX = Row(
    "softmax",
    "activation",
    saved=["y"],
    note="over the last axis; the row's maximum is subtracted first, so that exp cannot overflow",
    source=_BISHOP + ", eq. 4.104 and 4.106",
)


@SOFTMAX.kernel("x[batch,n] -> y[batch,n]", inplace=["y=x"], split="batch")
def softmax_forward(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@SOFTMAX.kernel(
    "dy[batch,n], y[batch,n] -> scratch[batch,n], dx[batch,n]",
    inplace=["dx=dy", "dx=y"],
    split="batch",
    work=["scratch"],
)
def softmax_backward(dy, y):
    weighted = dy * y
    return y * (dy - weighted.sum(axis=1, keepdims=True))


LOG_SOFTMAX = Row(
    "log_softmax",
    "activation",
    saved=["y"],
    note="over the last axis; the row's maximum is subtracted first, so that exp cannot overflow",
    source=_BISHOP + ", eq. 4.104",
)


@LOG_SOFTMAX.kernel("x[batch,n] -> y[batch,n]", split="batch")
def log_softmax_forward(x):
    z = x - x.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


@LOG_SOFTMAX.kernel("dy[batch,n], y[batch,n] -> dx[batch,n]", inplace=["dx=y"], split="batch")
def log_softmax_backward(dy, y):
    return dy - np.exp(y) * dy.sum(axis=1, keepdims=True)

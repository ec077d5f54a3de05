"""Optimizers: what changes a parameter, and what counts their steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Row

if TYPE_CHECKING:
    import numpy as np

    from ..words import clip

SGD = Row("sgd", "optimizer", source="Robbins & Monro 1951, Ann. Math. Stat. 22")


@SGD.kernel("w[n], dw[n], lr[1]:f8 -> w[n]", split="n")
def sgd_update(w, dw, lr):
    return w - w.dtype.type(lr[0]) * dw


MOMENTUM = Row(
    "momentum",
    "optimizer",
    attributes={"momentum": 0.9, "nesterov": 0.0},
    note="PyTorch's form: the velocity is a sum of gradients, the learning rate enters at the end",
    source="Sutskever et al. 2013, ICML; Polyak 1964",
)


@MOMENTUM.kernel("w[n], dw[n], velocity[n], lr[1]:f8 -> w[n], velocity[n]", split="n")
def momentum_update(w, dw, velocity, lr, momentum, nesterov):
    velocity = momentum * velocity + dw
    return w - w.dtype.type(lr[0]) * (dw + momentum * velocity if nesterov else velocity), velocity


DAMPENED = Row(
    "dampened",
    "optimizer",
    attributes={"momentum": 0.9, "dampening": 0.5},
    domain={"first": "binary"},
    note="the velocity begins with the first gradient; first holds whether an update is that one, and the next",
    source="PyTorch's SGD(dampening)",
)


@DAMPENED.kernel("first[2]:f8 -> first[2]:f8")
def dampened_advance(first, momentum, dampening):
    return np.array([first[1], 0 * first[1]])


@DAMPENED.kernel("w[n], dw[n], velocity[n], first[2]:f8, lr[1]:f8 -> w[n], velocity[n]", split="n")
def dampened_update(w, dw, velocity, first, lr, momentum, dampening):
    velocity = momentum * velocity + w.dtype.type(1 - dampening * (1 - first[0])) * dw
    return w - w.dtype.type(lr[0]) * velocity, velocity


ADAM = Row(
    "adam",
    "optimizer",
    attributes={"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    domain={"v": "nonnegative", "power": "power"},
    note=(
        "power holds beta1**step and beta2**step as running products; eps counts after the bias correction, "
        "as in the paper's algorithm 1"
    ),
    source="Kingma & Ba 2015, ICLR, algorithm 1 in the order of its section 2",
)


@ADAM.kernel("power[2]:f8 -> power[2]:f8")
def adam_advance(power, beta1, beta2, eps):
    return power * np.array([beta1, beta2])


@ADAM.kernel("w[n], dw[n], m[n], v[n], power[2]:f8, lr[1]:f8 -> w[n], m[n], v[n]", split="n")
def adam_update(w, dw, m, v, power, lr, beta1, beta2, eps):
    c = np.sqrt(1 - power[1])
    rate = w.dtype.type(lr[0] * c / (1 - power[0]))
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * (dw * dw)
    return w - rate * (m / (np.sqrt(v) + w.dtype.type(eps * c))), m, v


ADAMW = Row(
    "adamw",
    "optimizer",
    attributes={"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01},
    domain={"v": "nonnegative", "power": "power"},
    note="Adam with decay of the weights apart from the gradient; power as in Adam",
    source="Loshchilov & Hutter 2019, ICLR, algorithm 2",
)


@ADAMW.kernel("w[n], dw[n], m[n], v[n], power[2]:f8, lr[1]:f8 -> w[n], m[n], v[n]", split="n")
def adamw_update(w, dw, m, v, power, lr, beta1, beta2, eps, weight_decay):
    c = np.sqrt(1 - power[1])
    rate = w.dtype.type(lr[0] * c / (1 - power[0]))
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * (dw * dw)
    return w * w.dtype.type(1 - lr[0] * weight_decay) - rate * (m / (np.sqrt(v) + w.dtype.type(eps * c))), m, v


AMSGRAD = Row(
    "amsgrad",
    "optimizer",
    attributes={"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0},
    domain={"v": "nonnegative", "v_max": "nonnegative", "power": "power"},
    note="Adam with the largest v so far, and decay of the weights as in AdamW; power as in Adam",
    source="Reddi, Kale & Kumar 2018, ICLR, algorithm 2, with Adam's bias correction as in PyTorch",
)


@AMSGRAD.kernel("w[n], dw[n], m[n], v[n], v_max[n], power[2]:f8, lr[1]:f8 -> w[n], m[n], v[n], v_max[n]", split="n")
def amsgrad_update(w, dw, m, v, v_max, power, lr, beta1, beta2, eps, weight_decay):
    w = w * w.dtype.type(1 - lr[0] * weight_decay) if weight_decay else w
    c = np.sqrt(1 - power[1])
    rate = w.dtype.type(lr[0] * c / (1 - power[0]))
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * (dw * dw)
    v_max = np.where(v_max >= v, v_max, v)
    return w - rate * (m / (np.sqrt(v_max) + w.dtype.type(eps * c))), m, v, v_max


ADAMAX = Row(
    "adamax",
    "optimizer",
    attributes={"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    domain={"u": "nonnegative", "power": "power"},
    note="eps is added to the gradient's size, as in PyTorch; power as in Adam",
    source="Kingma & Ba 2015, ICLR, algorithm 2",
)


@ADAMAX.kernel("w[n], dw[n], m[n], u[n], power[2]:f8, lr[1]:f8 -> w[n], m[n], u[n]", split="n")
def adamax_update(w, dw, m, u, power, lr, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * dw
    a = np.abs(dw) + eps
    b = beta2 * u
    u = np.where(b >= a, b, a)
    return w - w.dtype.type(lr[0] / (1 - power[0])) * (m / u), m, u


NADAM = Row(
    "nadam",
    "optimizer",
    attributes={"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "decay": 0.9998367253526753},
    domain={"v": "nonnegative", "power": "power"},
    note=(
        "power holds the product of the momenta beta1 (1 - decay**step / 2), beta2**step and decay**step as running "
        "products; decay is 0.96**0.004, as in PyTorch, where Keras has 0.96"
    ),
    source="Dozat 2016, ICLR workshop",
)


@NADAM.kernel("power[3]:f8 -> power[3]:f8")
def nadam_advance(power, beta1, beta2, eps, decay):
    decayed = power[2] * decay
    return np.array([power[0] * (beta1 * (1 - 0.5 * decayed)), power[1] * beta2, decayed])


@NADAM.kernel("w[n], dw[n], m[n], v[n], power[3]:f8, lr[1]:f8 -> w[n], m[n], v[n]", split="n")
def nadam_update(w, dw, m, v, power, lr, beta1, beta2, eps, decay):
    mu = beta1 * (1 - 0.5 * power[2])
    after = beta1 * (1 - 0.5 * (power[2] * decay))
    c = np.sqrt(1 - power[1])
    now = w.dtype.type(lr[0] * c * (1 - mu) / (1 - power[0]))
    ahead = w.dtype.type(lr[0] * c * after / (1 - power[0] * after))
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * (dw * dw)
    return w - (now * dw + ahead * m) / (np.sqrt(v) + w.dtype.type(eps * c)), m, v


RADAM = Row(
    "radam",
    "optimizer",
    attributes={"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    domain={"v": "nonnegative", "power": "power"},
    note=(
        "power holds beta1**step, beta2**step and (step + 1) * beta2**step as running numbers; rectified once the "
        "length of the average is above 5, as in PyTorch, the paper has 4; eps is added before the bias correction"
    ),
    source="Liu et al. 2020, ICLR, algorithm 2",
)


@RADAM.kernel("power[3]:f8 -> power[3]:f8")
def radam_advance(power, beta1, beta2, eps):
    return np.array([power[0] * beta1, power[1] * beta2, beta2 * (power[2] + power[1])])


@RADAM.kernel("w[n], dw[n], m[n], v[n], power[3]:f8, lr[1]:f8 -> w[n], m[n], v[n]", split="n")
def radam_update(w, dw, m, v, power, lr, beta1, beta2, eps):
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * (power[2] - power[1]) / (1 - power[1])
    above = (length - 4) * (length - 2) * longest
    below = (longest - 4) * (longest - 2) * length
    rate = lr[0] / (1 - power[0])
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * (dw * dw)
    step = m / (np.sqrt(v) + eps) if length > 5 else m
    return w - w.dtype.type(rate * np.sqrt((1 - power[1]) * (above / below)) if length > 5 else rate) * step, m, v


ADAGRAD = Row(
    "adagrad",
    "optimizer",
    attributes={"eps": 1e-10},
    domain={"v": "nonnegative"},
    source="Duchi, Hazan & Singer 2011, JMLR 12",
)


@ADAGRAD.kernel("w[n], dw[n], v[n], lr[1]:f8 -> w[n], v[n]", split="n")
def adagrad_update(w, dw, v, lr, eps):
    v = v + dw * dw
    return w - w.dtype.type(lr[0]) * (dw / (np.sqrt(v) + eps)), v


ADADELTA = Row(
    "adadelta",
    "optimizer",
    attributes={"rho": 0.9, "eps": 1e-6},
    domain={"v": "nonnegative", "d": "nonnegative"},
    source="Zeiler 2012, arXiv:1212.5701, algorithm 1",
)


@ADADELTA.kernel("w[n], dw[n], v[n], d[n], lr[1]:f8 -> w[n], v[n], d[n]", split="n")
def adadelta_update(w, dw, v, d, lr, rho, eps):
    v = rho * v + (1 - rho) * (dw * dw)
    step = np.sqrt(d + eps) / np.sqrt(v + eps) * dw
    d = rho * d + (1 - rho) * (step * step)
    return w - w.dtype.type(lr[0]) * step, v, d


RMSPROP = Row(
    "rmsprop",
    "optimizer",
    attributes={"rho": 0.9, "momentum": 0.0, "eps": 1e-7, "centered": 0.0},
    domain={"v": "nonnegative"},
    note="eps is outside the root and the learning rate outside the velocity, as in PyTorch",
    source="Tieleman & Hinton 2012, lecture 6.5; centered: Graves 2013, arXiv:1308.0850, eq. 38-45",
)


@RMSPROP.kernel("w[n], dw[n], v[n], velocity[n], g[n], lr[1]:f8 -> w[n], v[n], velocity[n], g[n]", split="n")
def rmsprop_update(w, dw, v, velocity, g, lr, rho, momentum, eps, centered):
    v = rho * v + (1 - rho) * (dw * dw)
    g = rho * g + (1 - rho) * dw if centered else g
    scale = np.sqrt(v - g * g) + eps if centered else np.sqrt(v) + eps
    velocity = momentum * velocity + dw / scale
    return w - w.dtype.type(lr[0]) * velocity, v, velocity, g


RPROP = Row(
    "rprop",
    "optimizer",
    attributes={"shrink": 0.5, "grow": 1.2, "min_step": 1e-6, "max_step": 50.0},
    domain={"step_size": "nonnegative"},
    note=(
        "where the gradient turns its sign there is no step, and the next one does not see that; a step size of 0 is "
        "one that was never set, and begins with the learning rate"
    ),
    source="Riedmiller & Braun 1993, ICNN, with Igel & Huesken 2000, NC, variant without weight-backtracking",
)


@RPROP.kernel("w[n], dw[n], last[n], step_size[n], lr[1]:f8 -> w[n], last[n], step_size[n]", split="n")
def rprop_update(w, dw, last, step_size, lr, shrink, grow, min_step, max_step):
    turned = dw * last
    step_size = np.where(step_size > 0, step_size, w.dtype.type(lr[0]))
    step_size = np.where(turned > 0, step_size * grow, np.where(turned < 0, step_size * shrink, step_size))
    step_size = clip(step_size, min_step, max_step)
    last = np.where(turned < 0, 0, dw)
    return w - np.where(last > 0, step_size, np.where(last < 0, -step_size, last)), last, step_size


ASGD = Row(
    "asgd",
    "optimizer",
    attributes={"lambd": 1e-4},
    note="the row average has the average, a schedule the learning rates",
    source="Polyak & Juditsky 1992, SIAM J. Control Optim. 30; Xu 2011, arXiv:1107.2490; PyTorch's ASGD",
)


@ASGD.kernel("w[n], dw[n], lr[1]:f8 -> w[n]", split="n")
def asgd_update(w, dw, lr, lambd):
    return w * w.dtype.type(1 - lr[0] * lambd) - w.dtype.type(lr[0]) * dw


LION = Row(
    "lion",
    "optimizer",
    attributes={"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0},
    source="Chen et al. 2023, NeurIPS, algorithm 2",
)


@LION.kernel("w[n], dw[n], m[n], lr[1]:f8 -> w[n], m[n]", split="n")
def lion_update(w, dw, m, lr, beta1, beta2, weight_decay):
    c = beta1 * m + (1 - beta1) * dw
    s = np.where(c > 0, 1, np.where(c < 0, -1, c))
    m = beta2 * m + (1 - beta2) * dw
    return w * w.dtype.type(1 - lr[0] * weight_decay) - w.dtype.type(lr[0]) * s, m

"""Losses: a value for the batch and the gradient of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Row

if TYPE_CHECKING:
    import numpy as np

    from ..words import below_one, clip, semi_hard, sigmoid, softplus

_LABELS = "it goes to the elements that labels name"
_PAIRS = "it is of all pairs of classes"

_BISHOP = "Bishop 2006, Pattern Recognition and Machine Learning"
_CLIP = (
    "Probabilities are clipped to [1e-15, 1 - 1e-15]. float32 has no number between 1 - 2**-24 and 1, so "
    "its upper bound is 1 - 2**-24: a sure and wrong binary prediction costs 16.6 there, 34.5 in float64. "
    "The gradient is taken at the clipped probability, not zeroed, so that a saturated wrong output still learns."
)

MEAN_SQUARED_ERROR = Row(
    "mean_squared_error",
    "loss",
    attributes={"mean": 1.0},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="mean over all elements of the batch, or with mean=0 their sum",
    source=_BISHOP + ", eq. 1.2 (there a half of the sum)",
)


@MEAN_SQUARED_ERROR.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def mean_squared_error_forward(y_pred, y_true, mean):
    d = y_pred - y_true
    elements = d * d
    return elements, elements.sum() / (y_pred.size if mean else 1)


@MEAN_SQUARED_ERROR.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def mean_squared_error_backward(y_pred, y_true, mean):
    return (y_pred - y_true) * (2 / (y_pred.size if mean else 1))


MEAN_ABSOLUTE_ERROR = Row(
    "mean_absolute_error",
    "loss",
    attributes={"mean": 1.0},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="the derivative at a difference of 0 is 0",
    source=_BISHOP + ", section 1.5.5",
)


@MEAN_ABSOLUTE_ERROR.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def mean_absolute_error_forward(y_pred, y_true, mean):
    elements = np.abs(y_pred - y_true)
    return elements, elements.sum() / (y_pred.size if mean else 1)


@MEAN_ABSOLUTE_ERROR.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def mean_absolute_error_backward(y_pred, y_true, mean):
    d = y_pred - y_true
    f = 1 / (y_pred.size if mean else 1)
    return np.where(d > 0, f, np.where(d < 0, -f, d * f))


MEAN_ABSOLUTE_PERCENTAGE_ERROR = Row(
    "mean_absolute_percentage_error",
    "loss",
    attributes={"mean": 1.0, "eps": 1e-7},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="in percent of abs(y_true), which counts as eps where it is less; the derivative at a difference of 0 is 0",
    source="Keras' MeanAbsolutePercentageError",
)


@MEAN_ABSOLUTE_PERCENTAGE_ERROR.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def mean_absolute_percentage_error_forward(y_pred, y_true, mean, eps):
    elements = 100 * np.abs((y_pred - y_true) / np.maximum(np.abs(y_true), eps))
    return elements, elements.sum() / (y_pred.size if mean else 1)


@MEAN_ABSOLUTE_PERCENTAGE_ERROR.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def mean_absolute_percentage_error_backward(y_pred, y_true, mean, eps):
    d = y_pred - y_true
    f = 100 / (y_pred.size if mean else 1)
    return np.where(d > 0, f, np.where(d < 0, -f, d * f)) / np.maximum(np.abs(y_true), eps)


MEAN_SQUARED_LOGARITHMIC_ERROR = Row(
    "mean_squared_logarithmic_error",
    "loss",
    attributes={"mean": 1.0, "eps": 1e-7},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="of log1p of both; what is below eps counts as eps, with a derivative of 0",
    source="Keras' MeanSquaredLogarithmicError",
)


@MEAN_SQUARED_LOGARITHMIC_ERROR.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def mean_squared_logarithmic_error_forward(y_pred, y_true, mean, eps):
    d = np.log1p(np.maximum(y_pred, eps)) - np.log1p(np.maximum(y_true, eps))
    elements = d * d
    return elements, elements.sum() / (y_pred.size if mean else 1)


@MEAN_SQUARED_LOGARITHMIC_ERROR.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def mean_squared_logarithmic_error_backward(y_pred, y_true, mean, eps):
    d = np.log1p(np.maximum(y_pred, eps)) - np.log1p(np.maximum(y_true, eps))
    return np.where(y_pred < eps, 0, d / (1 + y_pred)) * (2 / (y_pred.size if mean else 1))



HUBER = Row(
    "huber",
    "loss",
    attributes={"mean": 1.0, "delta": 1.0},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note=(
        "half a square up to delta, delta times the distance beyond: Keras' and PyTorch's HuberLoss; PyTorch's "
        "SmoothL1Loss is this divided by delta"
    ),
    source="Huber 1964, Ann. Math. Stat. 35",
)


@HUBER.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def huber_forward(y_pred, y_true, mean, delta):
    a = np.abs(y_pred - y_true)
    elements = np.where(a <= delta, 0.5 * (a * a), delta * (a - 0.5 * delta))
    return elements, elements.sum() / (y_pred.size if mean else 1)


@HUBER.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def huber_backward(y_pred, y_true, mean, delta):
    return clip(y_pred - y_true, -delta, delta) * (1 / (y_pred.size if mean else 1))


SMOOTH_L1 = Row(
    "smooth_l1",
    "loss",
    attributes={"mean": 1.0, "beta": 1.0},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="half a square over beta up to beta, the distance less beta / 2 beyond: huber divided by delta",
    source="Girshick 2015, ICCV; PyTorch's SmoothL1Loss",
)


@SMOOTH_L1.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def smooth_l1_forward(y_pred, y_true, mean, beta):
    a = np.abs(y_pred - y_true)
    elements = np.where(a < beta, 0.5 * (a * a) / beta, a - 0.5 * beta)
    return elements, elements.sum() / (y_pred.size if mean else 1)


@SMOOTH_L1.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def smooth_l1_backward(y_pred, y_true, mean, beta):
    return clip((y_pred - y_true) / beta, -1, 1) * (1 / (y_pred.size if mean else 1))



LOG_COSH = Row(
    "log_cosh",
    "loss",
    attributes={"mean": 1.0},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note=(
        "log(cosh(d)) = abs(d) + log(1 + exp(-2 abs(d))) - log(2), which cannot overflow; the rounding of the "
        "difference is some 1e-7 in float32 near 0"
    ),
    source="Keras' LogCosh",
)


@LOG_COSH.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def log_cosh_forward(y_pred, y_true, mean):
    a = np.abs(y_pred - y_true)
    elements = a + np.log1p(np.exp(-2 * a)) - 0.6931471805599453
    return elements, elements.sum() / (y_pred.size if mean else 1)


@LOG_COSH.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def log_cosh_backward(y_pred, y_true, mean):
    return np.tanh(y_pred - y_true) * (1 / (y_pred.size if mean else 1))


HINGE = Row(
    "hinge",
    "loss",
    attributes={"mean": 1.0},
    domain={"y_true": "sign"},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="targets are -1 and 1; the derivative at a margin of 1 is 0",
    source=_BISHOP + ", eq. 7.44",
)


@HINGE.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def hinge_forward(y_pred, y_true, mean):
    elements = np.maximum(1 - y_true * y_pred, 0)
    return elements, elements.sum() / (y_pred.size if mean else 1)


@HINGE.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def hinge_backward(y_pred, y_true, mean):
    f = -1 / (y_pred.size if mean else 1)
    return np.where(y_true * y_pred < 1, y_true * f, 0)


SQUARED_HINGE = Row(
    "squared_hinge",
    "loss",
    attributes={"mean": 1.0},
    domain={"y_true": "sign"},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="targets are -1 and 1",
    source="Chang, Hsieh & Lin 2008, JMLR 9 (L2 loss)",
)


@SQUARED_HINGE.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def squared_hinge_forward(y_pred, y_true, mean):
    m = np.maximum(1 - y_true * y_pred, 0)
    elements = m * m
    return elements, elements.sum() / (y_pred.size if mean else 1)


@SQUARED_HINGE.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def squared_hinge_backward(y_pred, y_true, mean):
    m = np.maximum(1 - y_true * y_pred, 0)
    return m * y_true * (-2 / (y_pred.size if mean else 1))


SOFT_MARGIN = Row(
    "soft_margin",
    "loss",
    attributes={"mean": 1.0},
    domain={"y_true": "sign"},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="log(1 + exp(-y_true y_pred)), a softplus, which cannot overflow; targets are -1 and 1",
    source="PyTorch's SoftMarginLoss; Hastie, Tibshirani & Friedman 2009, eq. 10.18",
)


@SOFT_MARGIN.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def soft_margin_forward(y_pred, y_true, mean):
    elements = softplus(-y_true * y_pred)
    return elements, elements.sum() / (y_pred.size if mean else 1)


@SOFT_MARGIN.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def soft_margin_backward(y_pred, y_true, mean):
    return y_true * sigmoid(-y_true * y_pred) * (-1 / (y_pred.size if mean else 1))


MARGIN_RANKING = Row(
    "margin_ranking",
    "loss",
    attributes={"mean": 1.0, "margin": 0.0},
    domain={"y_true": "sign"},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="y_pred is the difference of a pair, y_true 1 where the first is to be higher; the slope at the margin is 0",
    source="PyTorch's MarginRankingLoss; Herbrich, Graepel & Obermayer 1999, ICANN",
)


@MARGIN_RANKING.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def margin_ranking_forward(y_pred, y_true, mean, margin):
    elements = np.maximum(margin - y_true * y_pred, 0)
    return elements, elements.sum() / (y_pred.size if mean else 1)


@MARGIN_RANKING.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def margin_ranking_backward(y_pred, y_true, mean, margin):
    f = -1 / (y_pred.size if mean else 1)
    return np.where(y_true * y_pred < margin, y_true * f, 0)


HINGE_EMBEDDING = Row(
    "hinge_embedding",
    "loss",
    attributes={"mean": 1.0, "margin": 1.0},
    domain={"y_true": "sign"},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="y_pred is the distance of a pair, y_true 1 where the two belong together; the derivative at the margin is 0",
    source="PyTorch's HingeEmbeddingLoss",
)


@HINGE_EMBEDDING.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def hinge_embedding_forward(y_pred, y_true, mean, margin):
    elements = np.where(y_true > 0, y_pred, np.maximum(margin - y_pred, 0))
    return elements, elements.sum() / (y_pred.size if mean else 1)


@HINGE_EMBEDDING.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def hinge_embedding_backward(y_pred, y_true, mean, margin):
    f = 1 / (y_pred.size if mean else 1)
    return np.where(y_true > 0, f, np.where(y_pred < margin, y_pred.dtype.type(-f), 0))


COSINE_EMBEDDING = Row(
    "cosine_embedding",
    "loss",
    attributes={"mean": 1.0, "margin": 0.0},
    domain={"y_true": "sign"},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="y_pred is the cosine of a pair, y_true 1 where the two belong together; the derivative at the margin is 0",
    source="PyTorch's CosineEmbeddingLoss",
)


@COSINE_EMBEDDING.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def cosine_embedding_forward(y_pred, y_true, mean, margin):
    elements = np.where(y_true > 0, 1 - y_pred, np.maximum(y_pred - margin, 0))
    return elements, elements.sum() / (y_pred.size if mean else 1)


@COSINE_EMBEDDING.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def cosine_embedding_backward(y_pred, y_true, mean, margin):
    f = 1 / (y_pred.size if mean else 1)
    return np.where(y_true > 0, -f, np.where(y_pred > margin, y_pred.dtype.type(f), 0))



CONTRASTIVE = Row(
    "contrastive",
    "loss",
    attributes={"mean": 1.0, "margin": 1.0},
    domain={"y_true": "binary"},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="y_pred is the distance of a pair, y_true 1 where the two belong together",
    source="Hadsell, Chopra & LeCun 2006, CVPR, eq. 4 (there half of it, and Y = 1 - y_true)",
)


@CONTRASTIVE.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def contrastive_forward(y_pred, y_true, mean, margin):
    m = np.maximum(margin - y_pred, 0)
    elements = y_true * (y_pred * y_pred) + (1 - y_true) * (m * m)
    return elements, elements.sum() / (y_pred.size if mean else 1)


@CONTRASTIVE.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def contrastive_backward(y_pred, y_true, mean, margin):
    m = np.maximum(margin - y_pred, 0)
    return (y_true * y_pred - (1 - y_true) * m) * (2 / (y_pred.size if mean else 1))


POISSON = Row(
    "poisson",
    "loss",
    attributes={"mean": 1.0, "eps": 1e-7},
    domain={"y_pred": "nonnegative", "y_true": "nonnegative"},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="negative log-likelihood of counts without the term of y_true alone; y_pred is the rate",
    source="Keras' Poisson; PyTorch's PoissonNLLLoss(log_input=False, eps=1e-7)",
)


@POISSON.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def poisson_forward(y_pred, y_true, mean, eps):
    elements = y_pred - y_true * np.log(y_pred + eps)
    return elements, elements.sum() / (y_pred.size if mean else 1)


@POISSON.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def poisson_backward(y_pred, y_true, mean, eps):
    return (1 - y_true / (y_pred + eps)) * (1 / (y_pred.size if mean else 1))


POISSON_LOG = Row(
    "poisson_log",
    "loss",
    attributes={"mean": 1.0},
    domain={"y_true": "nonnegative"},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="as poisson, y_pred being the logarithm of the rate",
    source="PyTorch's PoissonNLLLoss(log_input=True)",
)


@POISSON_LOG.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def poisson_log_forward(y_pred, y_true, mean):
    elements = np.exp(y_pred) - y_true * y_pred
    return elements, elements.sum() / (y_pred.size if mean else 1)


@POISSON_LOG.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def poisson_log_backward(y_pred, y_true, mean):
    return (np.exp(y_pred) - y_true) * (1 / (y_pred.size if mean else 1))


GAUSSIAN_NLL = Row(
    "gaussian_nll",
    "loss",
    attributes={"mean": 1.0},
    domain={"inverse": "nonnegative"},
    saved=["y_pred", "y_true", "inverse"],
    mean_over="elements",
    sample="elements",
    note="each row of y_pred holds n means and then n logarithms of variances; the constant log(2 pi) / 2 is left out",
    source="Nix & Weigend 1994, ICNN; PyTorch's GaussianNLLLoss, which takes variances",
)


@GAUSSIAN_NLL.kernel("y_pred[batch,2,n], y_true[batch,n] -> inverse[batch,n], elements[batch,n], loss[]")
def gaussian_nll_forward(y_pred, y_true, mean):
    d = y_pred[:, 0] - y_true
    inverse = np.exp(-y_pred[:, 1])
    elements = 0.5 * (y_pred[:, 1] + d * (d * inverse))
    return inverse, elements, elements.sum() / (y_true.size if mean else 1)


@GAUSSIAN_NLL.kernel(
    "y_pred[batch,2,n], y_true[batch,n], inverse[batch,n] -> dy_pred[batch,2,n]", inplace=["dy_pred=y_pred"]
)
def gaussian_nll_backward(y_pred, y_true, inverse, mean):
    d = y_pred[:, 0] - y_true
    s = d * inverse
    return np.stack([s, 0.5 * (1 - d * s)], axis=1) * (1 / (y_true.size if mean else 1))


FOCAL = Row(
    "focal",
    "loss",
    attributes={"mean": 1.0, "gamma": 2.0, "alpha": 0.25},
    domain={"y_true": "binary"},
    saved=["logits", "y_true"],
    mean_over="elements",
    sample="elements",
    note=(
        "(1 - p_t)**gamma times binary cross-entropy on logits, weighted by alpha where y_true is 1 and 1 - alpha "
        "where it is 0. (1 - p_t)**gamma is exp(-gamma m), m = -log(1 - p_t) a softplus"
    ),
    source="Lin et al. 2017, ICCV, eq. 5",
)


@FOCAL.kernel("logits[n], y_true[n] -> elements[n], loss[]")
def focal_forward(logits, y_true, mean, gamma, alpha):
    u = softplus(logits)
    w = u - logits
    m = y_true * u + (1 - y_true) * w
    elements = np.exp(-gamma * m) * (u - y_true * logits) * (alpha * y_true + (1 - alpha) * (1 - y_true))
    return elements, elements.sum() / (logits.size if mean else 1)


@FOCAL.kernel("logits[n], y_true[n] -> dlogits[n]", inplace=["dlogits=logits"])
def focal_backward(logits, y_true, mean, gamma, alpha):
    u = softplus(logits)
    w = u - logits
    p = sigmoid(logits)
    m = y_true * u + (1 - y_true) * w
    slope = y_true * p - (1 - y_true) * (1 - p)
    d = p - y_true - gamma * (u - y_true * logits) * slope
    return np.exp(-gamma * m) * d * (alpha * y_true + (1 - alpha) * (1 - y_true)) * (1 / (logits.size if mean else 1))


BINARY_CROSS_ENTROPY = Row(
    "binary_cross_entropy",
    "loss",
    attributes={"mean": 1.0, "eps": 1e-15},
    domain={"y_pred": "probability", "y_true": "binary"},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note=_CLIP,
    source=_BISHOP + ", eq. 4.90",
)


@BINARY_CROSS_ENTROPY.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def binary_cross_entropy_forward(y_pred, y_true, mean, eps):
    q = clip(y_pred, eps, below_one(y_pred, eps))
    elements = -y_true * np.log(q) - (1 - y_true) * np.log(1 - q)
    return elements, elements.sum() / (y_pred.size if mean else 1)


@BINARY_CROSS_ENTROPY.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def binary_cross_entropy_backward(y_pred, y_true, mean, eps):
    q = clip(y_pred, eps, below_one(y_pred, eps))
    return (q - y_true) / (q * (1 - q)) * (1 / (y_pred.size if mean else 1))


SIGMOID_CROSS_ENTROPY = Row(
    "sigmoid_cross_entropy",
    "loss",
    attributes={"mean": 1.0},
    domain={"y_true": "binary"},
    saved=["logits", "y_true"],
    mean_over="elements",
    sample="elements",
    note="binary cross-entropy on logits; log1p of exp(-abs(z)) cannot overflow",
    source=_BISHOP + ", eq. 4.90 and 4.91; the stable form as in the TensorFlow documentation",
)


@SIGMOID_CROSS_ENTROPY.kernel("logits[n], y_true[n] -> elements[n], loss[]")
def sigmoid_cross_entropy_forward(logits, y_true, mean):
    elements = np.maximum(logits, 0) - logits * y_true + np.log1p(np.exp(-np.abs(logits)))
    return elements, elements.sum() / (logits.size if mean else 1)


@SIGMOID_CROSS_ENTROPY.kernel("logits[n], y_true[n] -> dlogits[n]", inplace=["dlogits=logits"])
def sigmoid_cross_entropy_backward(logits, y_true, mean):
    return (sigmoid(logits) - y_true) * (1 / (logits.size if mean else 1))


WEIGHTED_BINARY_CROSS_ENTROPY = Row(
    "weighted_binary_cross_entropy",
    "loss",
    attributes={"mean": 1.0, "eps": 1e-15, "pos_weight": 2.0},
    domain={"y_pred": "probability", "y_true": "binary"},
    saved=["y_pred", "y_true"],
    mean_over="elements",
    sample="elements",
    note="binary_cross_entropy with the term of y_true times pos_weight. " + _CLIP,
    source="the weight as in PyTorch's BCEWithLogitsLoss",
)


@WEIGHTED_BINARY_CROSS_ENTROPY.kernel("y_pred[n], y_true[n] -> elements[n], loss[]")
def weighted_binary_cross_entropy_forward(y_pred, y_true, mean, eps, pos_weight):
    q = clip(y_pred, eps, below_one(y_pred, eps))
    elements = -pos_weight * y_true * np.log(q) - (1 - y_true) * np.log(1 - q)
    return elements, elements.sum() / (y_pred.size if mean else 1)


@WEIGHTED_BINARY_CROSS_ENTROPY.kernel("y_pred[n], y_true[n] -> dy_pred[n]", inplace=["dy_pred=y_pred"])
def weighted_binary_cross_entropy_backward(y_pred, y_true, mean, eps, pos_weight):
    q = clip(y_pred, eps, below_one(y_pred, eps))
    return ((1 - y_true) / (1 - q) - pos_weight * y_true / q) * (1 / (y_pred.size if mean else 1))


WEIGHTED_SIGMOID_CROSS_ENTROPY = Row(
    "weighted_sigmoid_cross_entropy",
    "loss",
    attributes={"mean": 1.0, "pos_weight": 2.0},
    domain={"y_true": "binary"},
    saved=["logits", "y_true"],
    mean_over="elements",
    sample="elements",
    note=(
        "sigmoid_cross_entropy with the term of y_true times pos_weight: the softplus of the logit, and of its "
        "negative, cannot overflow"
    ),
    source="PyTorch's BCEWithLogitsLoss",
)


@WEIGHTED_SIGMOID_CROSS_ENTROPY.kernel("logits[n], y_true[n] -> elements[n], loss[]")
def weighted_sigmoid_cross_entropy_forward(logits, y_true, mean, pos_weight):
    t = np.log1p(np.exp(-np.abs(logits)))
    elements = (1 - y_true) * (np.maximum(logits, 0) + t) + pos_weight * y_true * (np.maximum(-logits, 0) + t)
    return elements, elements.sum() / (logits.size if mean else 1)


@WEIGHTED_SIGMOID_CROSS_ENTROPY.kernel("logits[n], y_true[n] -> dlogits[n]", inplace=["dlogits=logits"])
def weighted_sigmoid_cross_entropy_backward(logits, y_true, mean, pos_weight):
    p = sigmoid(logits)
    return ((1 - y_true) * p - pos_weight * y_true * (1 - p)) * (1 / (logits.size if mean else 1))


CATEGORICAL_CROSS_ENTROPY = Row(
    "categorical_cross_entropy",
    "loss",
    attributes={"mean": 1.0, "eps": 1e-15},
    domain={"y_pred": "probability", "y_true": "one_hot"},
    saved=["y_pred", "y_true"],
    mean_over="rows",
    sample="elements",
    note=_CLIP,
    source=_BISHOP + ", eq. 4.108",
)


@CATEGORICAL_CROSS_ENTROPY.kernel("y_pred[batch,n], y_true[batch,n] -> elements[batch,n], loss[]")
def categorical_cross_entropy_forward(y_pred, y_true, mean, eps):
    q = clip(y_pred, eps, below_one(y_pred, eps))
    elements = -y_true * np.log(q)
    return elements, elements.sum() / (len(y_pred) if mean else 1)


@CATEGORICAL_CROSS_ENTROPY.kernel("y_pred[batch,n], y_true[batch,n] -> dy_pred[batch,n]", inplace=["dy_pred=y_pred"])
def categorical_cross_entropy_backward(y_pred, y_true, mean, eps):
    q = clip(y_pred, eps, below_one(y_pred, eps))
    return y_true / q * (-1 / (len(y_pred) if mean else 1))


CATEGORICAL_FOCAL = Row(
    "categorical_focal",
    "loss",
    attributes={"mean": 1.0, "eps": 1e-15, "gamma": 2.0, "alpha": 0.25},
    domain={"y_pred": "probability", "y_true": "one_hot"},
    saved=["y_pred", "y_true"],
    mean_over="rows",
    sample="elements",
    note="categorical_cross_entropy with each term times alpha (1 - p)**gamma. " + _CLIP,
    source="Lin et al. 2017, ICCV, eq. 5; Keras' CategoricalFocalCrossentropy",
)


@CATEGORICAL_FOCAL.kernel("y_pred[batch,n], y_true[batch,n] -> elements[batch,n], loss[]")
def categorical_focal_forward(y_pred, y_true, mean, eps, gamma, alpha):
    q = clip(y_pred, eps, below_one(y_pred, eps))
    elements = -alpha * y_true * np.exp(gamma * np.log(1 - q)) * np.log(q)
    return elements, elements.sum() / (len(y_pred) if mean else 1)


@CATEGORICAL_FOCAL.kernel("y_pred[batch,n], y_true[batch,n] -> dy_pred[batch,n]", inplace=["dy_pred=y_pred"])
def categorical_focal_backward(y_pred, y_true, mean, eps, gamma, alpha):
    q = clip(y_pred, eps, below_one(y_pred, eps))
    slope = gamma * np.log(q) / (1 - q) - 1 / q
    return alpha * y_true * np.exp(gamma * np.log(1 - q)) * slope * (1 / (len(y_pred) if mean else 1))


DICE = Row(
    "dice",
    "loss",
    attributes={"mean": 1.0, "eps": 1e-7},
    domain={"y_pred": "probability", "y_true": "probability", "overlap": "nonnegative", "size": "nonnegative"},
    saved=["y_true", "overlap", "size"],
    mean_over="rows",
    sample="sample_loss",
    note="1 less twice the overlap of a row over the sum of both sizes, with eps in both parts of the fraction",
    source="Milletari, Navab & Ahmadi 2016, 3DV; Keras' Dice(axis=-1)",
)


@DICE.kernel(
    "y_pred[batch,n], y_true[batch,n] -> "
    "elements[batch,n], overlap[batch], size[batch], sample_loss[batch], loss[]",
    work=["elements"],
)
def dice_forward(y_pred, y_true, mean, eps):
    overlap = 2 * (y_true * y_pred).sum(axis=1) + eps
    size = (y_true + y_pred).sum(axis=1) + eps
    sample_loss = 1 - overlap / size
    return overlap, size, sample_loss, sample_loss.sum() / (len(y_pred) if mean else 1)


@DICE.kernel("y_true[batch,n], overlap[batch], size[batch] -> dy_pred[batch,n]", inplace=["dy_pred=y_true"])
def dice_backward(y_true, overlap, size, mean, eps):
    share = (overlap / size)[:, None]
    return (share - 2 * y_true) / size[:, None] * (1 / (len(y_true) if mean else 1))



KL_DIVERGENCE = Row(
    "kl_divergence",
    "loss",
    attributes={"mean": 1.0, "eps": 1e-15},
    domain={"y_pred": "probability", "y_true": "probability"},
    saved=["y_pred", "y_true"],
    mean_over="rows",
    sample="elements",
    note=(
        "a sum over each row, the mean over rows: Keras' KLDivergence, PyTorch's KLDivLoss(reduction='batchmean') of "
        "log(y_pred). " + _CLIP
    ),
    source="Kullback & Leibler 1951, Ann. Math. Stat. 22",
)


@KL_DIVERGENCE.kernel("y_pred[batch,n], y_true[batch,n] -> elements[batch,n], loss[]")
def kl_divergence_forward(y_pred, y_true, mean, eps):
    q = clip(y_pred, eps, below_one(y_pred, eps))
    t = clip(y_true, eps, below_one(y_true, eps))
    elements = t * (np.log(t) - np.log(q))
    return elements, elements.sum() / (len(y_pred) if mean else 1)


@KL_DIVERGENCE.kernel("y_pred[batch,n], y_true[batch,n] -> dy_pred[batch,n]", inplace=["dy_pred=y_pred"])
def kl_divergence_backward(y_pred, y_true, mean, eps):
    q = clip(y_pred, eps, below_one(y_pred, eps))
    t = clip(y_true, eps, below_one(y_true, eps))
    return t / q * (-1 / (len(y_pred) if mean else 1))


SPARSE_CATEGORICAL_CROSS_ENTROPY = Row(
    "sparse_categorical_cross_entropy",
    "loss",
    attributes={"mean": 1.0, "eps": 1e-15},
    domain={"y_pred": "probability", "y_true": "label"},
    saved=["y_pred", "y_true"],
    mean_over="rows",
    sample="sample_loss",
    note=_CLIP,
    source=_BISHOP + ", eq. 4.108 with one-hot targets",
)


@SPARSE_CATEGORICAL_CROSS_ENTROPY.kernel(
    "y_pred[batch,n], y_true[batch]:i8 -> sample_loss[batch], loss[]", by_hand=_LABELS
)
def sparse_categorical_cross_entropy_forward(y_pred, y_true, mean, eps):
    p = y_pred[np.arange(len(y_true)), y_true]
    q = clip(p, eps, below_one(p, eps))
    sample_loss = -np.log(q)
    return sample_loss, sample_loss.sum() / (len(q) if mean else 1)


@SPARSE_CATEGORICAL_CROSS_ENTROPY.kernel("y_pred[batch,n], y_true[batch]:i8 -> dy_pred[batch,n]", by_hand=_LABELS)
def sparse_categorical_cross_entropy_backward(y_pred, y_true, mean, eps):
    i = np.arange(len(y_true))
    p = y_pred[i, y_true]
    q = clip(p, eps, below_one(p, eps))
    dy_pred = np.zeros_like(y_pred)
    dy_pred[i, y_true] = -1 / (len(q) if mean else 1) / q
    return dy_pred


SOFTMAX_CROSS_ENTROPY = Row(
    "softmax_cross_entropy",
    "loss",
    attributes={"mean": 1.0},
    domain={"y_true": "one_hot", "probabilities": "probability"},
    saved=["probabilities", "y_true"],
    mean_over="rows",
    sample="sample_loss",
    note="categorical cross-entropy on logits, softmax included; targets need not sum to one",
    source=_BISHOP + ", eq. 4.108 and 4.109",
)


@SOFTMAX_CROSS_ENTROPY.kernel(
    "logits[batch,n], y_true[batch,n] -> probabilities[batch,n], elements[batch,n], sample_loss[batch], loss[]",
    work=["elements"],
)
def softmax_cross_entropy_forward(logits, y_true, mean):
    z = logits - logits.max(axis=1, keepdims=True)
    e = np.exp(z)
    s = e.sum(axis=1, keepdims=True)
    probabilities = e / s
    elements = y_true * (z - np.log(s))
    sample_loss = -elements.sum(axis=1)
    return probabilities, sample_loss, sample_loss.sum() / (len(z) if mean else 1)


@SOFTMAX_CROSS_ENTROPY.kernel(
    "probabilities[batch,n], y_true[batch,n] -> dlogits[batch,n]", inplace=["dlogits=probabilities"]
)
def softmax_cross_entropy_backward(probabilities, y_true, mean):
    return (probabilities * y_true.sum(axis=1, keepdims=True) - y_true) * (1 / (len(y_true) if mean else 1))


SPARSE_SOFTMAX_CROSS_ENTROPY = Row(
    "sparse_softmax_cross_entropy",
    "loss",
    attributes={"mean": 1.0},
    domain={"y_true": "label", "probabilities": "probability"},
    saved=["probabilities", "y_true"],
    mean_over="rows",
    sample="sample_loss",
    note="sparse categorical cross-entropy on logits, softmax included",
    source=_BISHOP + ", eq. 4.108 and 4.109",
)


@SPARSE_SOFTMAX_CROSS_ENTROPY.kernel(
    "logits[batch,n], y_true[batch]:i8 -> probabilities[batch,n], sample_loss[batch], loss[]",
    by_hand=_LABELS,
)
def sparse_softmax_cross_entropy_forward(logits, y_true, mean):
    z = logits - logits.max(axis=1, keepdims=True)
    e = np.exp(z)
    s = e.sum(axis=1, keepdims=True)
    probabilities = e / s
    sample_loss = np.log(s)[:, 0] - z[np.arange(len(z)), y_true]
    return probabilities, sample_loss, sample_loss.sum() / (len(z) if mean else 1)


@SPARSE_SOFTMAX_CROSS_ENTROPY.kernel(
    "probabilities[batch,n], y_true[batch]:i8 -> dlogits[batch,n]",
    inplace=["dlogits=probabilities"],
    by_hand=_LABELS,
)
def sparse_softmax_cross_entropy_backward(probabilities, y_true, mean):
    dlogits = probabilities.copy()
    dlogits[np.arange(len(y_true)), y_true] -= 1
    dlogits *= 1 / (len(y_true) if mean else 1)
    return dlogits


@SPARSE_SOFTMAX_CROSS_ENTROPY.kernel(
    "logits[batch,n], y_true[batch]:i8 -> sample_loss[batch], loss[], dlogits[batch,n]", by_hand=_LABELS
)
def sparse_softmax_cross_entropy_and_gradient(logits, y_true, mean):
    z = logits - logits.max(axis=1, keepdims=True)
    e = np.exp(z)
    s = e.sum(axis=1, keepdims=True)
    own = np.arange(len(z)), y_true
    sample_loss = np.log(s)[:, 0] - z[own]
    dlogits = e / s
    dlogits[own] -= 1
    dlogits *= 1 / (len(z) if mean else 1)
    return sample_loss, sample_loss.sum() / (len(z) if mean else 1), dlogits


SOFTMAX_FOCAL = Row(
    "softmax_focal",
    "loss",
    attributes={"mean": 1.0, "eps": 1e-15, "gamma": 2.0, "alpha": 0.25},
    domain={"y_true": "one_hot", "probabilities": "probability"},
    saved=["probabilities", "slope", "y_true"],
    mean_over="rows",
    sample="sample_loss",
    note=(
        "categorical_focal on logits, softmax included: p is clipped in (1 - p)**gamma, not in its logarithm. slope is "
        "p times the derivative of each term by p"
    ),
    source="Lin et al. 2017, ICCV, eq. 5; Keras' CategoricalFocalCrossentropy",
)


@SOFTMAX_FOCAL.kernel(
    "logits[batch,n], y_true[batch,n] -> "
    "probabilities[batch,n], slope[batch,n], elements[batch,n], sample_loss[batch], loss[]",
    work=["elements"],
)
def softmax_focal_forward(logits, y_true, mean, eps, gamma, alpha):
    z = logits - logits.max(axis=1, keepdims=True)
    e = np.exp(z)
    s = e.sum(axis=1, keepdims=True)
    probabilities = e / s
    log_p = z - np.log(s)
    q = clip(probabilities, eps, below_one(logits, eps))
    focus = np.exp(gamma * np.log(1 - q))
    slope = alpha * focus * (gamma * probabilities / (1 - q) * log_p - 1)
    elements = alpha * y_true * focus * log_p
    sample_loss = -elements.sum(axis=1)
    return probabilities, slope, sample_loss, sample_loss.sum() / (len(z) if mean else 1)


@SOFTMAX_FOCAL.kernel("probabilities[batch,n], slope[batch,n], y_true[batch,n] -> dlogits[batch,n]")
def softmax_focal_backward(probabilities, slope, y_true, mean, eps, gamma, alpha):
    elements = y_true * slope
    return (elements - probabilities * elements.sum(axis=1, keepdims=True)) * (1 / (len(y_true) if mean else 1))


NLL = Row(
    "nll",
    "loss",
    attributes={"mean": 1.0},
    domain={"y_true": "one_hot"},
    saved=["y_true"],
    mean_over="rows",
    sample="elements",
    note="y_pred are the logarithms of probabilities, as log_softmax makes them; those of other classes may be -inf",
    source="PyTorch's NLLLoss",
)


@NLL.kernel("y_pred[batch,n], y_true[batch,n] -> elements[batch,n], loss[]")
def nll_forward(y_pred, y_true, mean):
    elements = np.where(y_true > 0, -y_true * y_pred, 0)
    return elements, elements.sum() / (len(y_pred) if mean else 1)


@NLL.kernel("y_true[batch,n] -> dy_pred[batch,n]")
def nll_backward(y_true, mean):
    return y_true * (-1 / (len(y_true) if mean else 1))


MULTI_MARGIN = Row(
    "multi_margin",
    "loss",
    attributes={"mean": 1.0, "margin": 1.0, "squared": 0.0},
    domain={"y_true": "one_hot"},
    saved=["y_pred", "y_true"],
    mean_over="rows",
    sample="sample_loss",
    note="the hinges of all other classes, or their squares, over the number of classes; the slope at the margin is 0",
    source="PyTorch's MultiMarginLoss; Weston & Watkins 1999, ESANN",
)


@MULTI_MARGIN.kernel(
    "y_pred[batch,n], y_true[batch,n] -> elements[batch,n], sample_loss[batch], loss[]", work=["elements"]
)
def multi_margin_forward(y_pred, y_true, mean, margin, squared):
    own = (y_true * y_pred).sum(axis=1, keepdims=True)
    m = np.maximum(margin - own + y_pred, 0)
    elements = (1 - y_true) * (m * m if squared else m)
    sample_loss = elements.sum(axis=1) / y_pred.shape[1]
    return sample_loss, sample_loss.sum() / (len(y_pred) if mean else 1)


@MULTI_MARGIN.kernel("y_pred[batch,n], y_true[batch,n] -> dy_pred[batch,n]")
def multi_margin_backward(y_pred, y_true, mean, margin, squared):
    own = (y_true * y_pred).sum(axis=1, keepdims=True)
    m = np.maximum(margin - own + y_pred, 0)
    slope = (1 - y_true) * (2 * m if squared else np.where(m > 0, y_pred.dtype.type(1), 0))
    f = 1 / (y_pred.shape[1] * (len(y_pred) if mean else 1))
    return (slope - y_true * slope.sum(axis=1, keepdims=True)) * f


MULTI_LABEL_MARGIN = Row(
    "multi_label_margin",
    "loss",
    attributes={"mean": 1.0},
    domain={"y_true": "binary"},
    saved=["y_pred", "y_true"],
    mean_over="rows",
    sample="sample_loss",
    note=(
        "the hinges of all pairs of a class of the row, where y_true is above 1/2, and one that is none, over the "
        "number of classes; the derivative at a margin of 1 is 0"
    ),
    source="PyTorch's MultiLabelMarginLoss, which takes lists of labels",
)


@MULTI_LABEL_MARGIN.kernel(
    "y_pred[batch,n], y_true[batch,n] -> elements[batch,n], sample_loss[batch], loss[]",
    work=["elements"],
    cost=lambda batch, n: batch * n * n,
    by_hand=_PAIRS,
)
def multi_label_margin_forward(y_pred, y_true, mean):
    own = y_true > 0.5
    elements = np.zeros_like(y_pred)
    for j in range(y_pred.shape[1]):
        m = np.maximum(1 - (y_pred[:, j : j + 1] - y_pred), 0)
        elements += np.where(own[:, j : j + 1] & ~own, m, 0)
    sample_loss = elements.sum(axis=1) / max(y_pred.shape[1], 1)
    return sample_loss, sample_loss.sum() / (len(y_pred) if mean else 1)


@MULTI_LABEL_MARGIN.kernel(
    "y_pred[batch,n], y_true[batch,n] -> dy_pred[batch,n]", cost=lambda batch, n: batch * n * n, by_hand=_PAIRS
)
def multi_label_margin_backward(y_pred, y_true, mean):
    own = y_true > 0.5
    dy_pred = np.zeros_like(y_pred)
    for j in range(y_pred.shape[1]):
        active = own[:, j : j + 1] & ~own & (1 - (y_pred[:, j : j + 1] - y_pred) > 0)
        dy_pred += active
        dy_pred[:, j] -= active.sum(axis=1)
    dy_pred *= 1 / (max(y_pred.shape[1], 1) * (len(y_pred) if mean else 1))
    return dy_pred



CATEGORICAL_HINGE = Row(
    "categorical_hinge",
    "loss",
    attributes={"mean": 1.0},
    domain={"y_true": "one_hot"},
    saved=["y_pred", "y_true", "sample_loss"],
    mean_over="rows",
    sample="sample_loss",
    note=(
        "how far the largest other output is from being 1 below the true one; the true one's place counts among the "
        "others with 0. Of equals the first has the slope; the derivative at a margin of 1 is 0"
    ),
    source="Keras' CategoricalHinge; Crammer & Singer 2001, JMLR 2",
)


@CATEGORICAL_HINGE.kernel(
    "y_pred[batch,n], y_true[batch,n] -> elements[batch,n], sample_loss[batch], loss[]", work=["elements"]
)
def categorical_hinge_forward(y_pred, y_true, mean):
    elements = y_true * y_pred
    m = ((1 - y_true) * y_pred).max(axis=1) - elements.sum(axis=1) + 1
    sample_loss = np.maximum(m, 0)
    return sample_loss, sample_loss.sum() / (len(m) if mean else 1)


@CATEGORICAL_HINGE.kernel(
    "y_pred[batch,n], y_true[batch,n], sample_loss[batch] -> dy_pred[batch,n]",
    inplace=["dy_pred=y_pred"],
    by_hand="it goes to the element that is the largest",
)
def categorical_hinge_backward(y_pred, y_true, sample_loss, mean):
    i = np.arange(len(y_true))
    j = ((1 - y_true) * y_pred).argmax(axis=1)
    slope = -y_true
    slope[i, j] += 1 - y_true[i, j]
    return np.where(sample_loss[:, None] > 0, slope, 0) * (1 / (len(y_true) if mean else 1))


COSINE_SIMILARITY = Row(
    "cosine_similarity",
    "loss",
    attributes={"mean": 1.0, "eps": 1e-8},
    domain={"norm_pred": "nonnegative", "norm_true": "nonnegative"},
    saved=["y_pred", "y_true", "norm_pred", "norm_true", "sample_loss"],
    mean_over="rows",
    sample="sample_loss",
    note=(
        "minus the cosine of the angle between the rows; a norm below eps counts as eps, so that the cosine with a "
        "zero vector is 0, and the gradient there -y_true / (norm(y_true) eps)"
    ),
    source="Keras' CosineSimilarity; eps as in PyTorch's cosine_similarity",
)


@COSINE_SIMILARITY.kernel(
    "y_pred[batch,n], y_true[batch,n] -> "
    "elements[batch,n], norm_pred[batch], norm_true[batch], sample_loss[batch], loss[]",
    work=["elements"],
)
def cosine_similarity_forward(y_pred, y_true, mean, eps):
    norm_pred = np.sqrt((y_pred * y_pred).sum(axis=1))
    norm_true = np.sqrt((y_true * y_true).sum(axis=1))
    elements = y_pred / np.maximum(norm_pred, eps)[:, None] * (y_true / np.maximum(norm_true, eps)[:, None])
    sample_loss = -elements.sum(axis=1)
    return norm_pred, norm_true, sample_loss, sample_loss.sum() / (len(y_pred) if mean else 1)


@COSINE_SIMILARITY.kernel(
    "y_pred[batch,n], y_true[batch,n], norm_pred[batch], norm_true[batch], sample_loss[batch] -> dy_pred[batch,n]",
    inplace=["dy_pred=y_pred"],
)
def cosine_similarity_backward(y_pred, y_true, norm_pred, norm_true, sample_loss, mean, eps):
    a = np.maximum(norm_pred, eps)[:, None]
    b = np.maximum(norm_true, eps)[:, None]
    s = np.where(norm_pred > eps, sample_loss, 0)[:, None]
    return (y_true / b + s * (y_pred / a)) / a * (-1 / (len(y_pred) if mean else 1))


TRIPLET_MARGIN = Row(
    "triplet_margin",
    "loss",
    attributes={"mean": 1.0, "margin": 1.0, "eps": 1e-6},
    saved=["y_pred", "length", "sample_loss"],
    note=(
        "rows in threes: anchor, positive, negative, anchor ...; rows after the last whole three have no loss. length "
        "holds the distance to the anchor, sample_loss the loss of the three in the anchor's row. The derivative of a "
        "distance of 0 is 0, and so is that of the loss where the margin is just kept"
    ),
    source="Balntas et al. 2016, BMVC; eps as in PyTorch's TripletMarginLoss",
)


@TRIPLET_MARGIN.kernel(
    "y_pred[batch,n] -> elements[batch,n], length[batch], sample_loss[batch], loss[]",
    work=["elements"],
    by_hand="rows in threes",
)
def triplet_margin_forward(y_pred, mean, margin, eps):
    k = len(y_pred) // 3
    anchor, positive, negative = (y_pred[i : 3 * k : 3] for i in range(3))
    p = anchor - positive + eps
    q = anchor - negative + eps
    elements = np.zeros_like(y_pred)
    elements[1 : 3 * k : 3] = p * p
    elements[2 : 3 * k : 3] = q * q
    length = np.sqrt(elements.sum(axis=1))
    sample_loss = np.zeros_like(length)
    sample_loss[: 3 * k : 3] = np.maximum(length[1 : 3 * k : 3] - length[2 : 3 * k : 3] + margin, 0)
    return length, sample_loss, sample_loss.sum() / (max(k, 1) if mean else 1)


@TRIPLET_MARGIN.kernel(
    "y_pred[batch,n], length[batch], sample_loss[batch] -> dy_pred[batch,n]", by_hand="rows in threes"
)
def triplet_margin_backward(y_pred, length, sample_loss, mean, margin, eps):
    k = len(y_pred) // 3
    anchor, positive, negative = (y_pred[i : 3 * k : 3] for i in range(3))
    near = length[1 : 3 * k : 3, None]
    far = length[2 : 3 * k : 3, None]
    active = sample_loss[: 3 * k : 3, None] > 0
    f = 1 / (max(k, 1) if mean else 1)
    u = np.where(active & (near > 0), (anchor - positive + eps) / near, 0) * f
    v = np.where(active & (far > 0), (anchor - negative + eps) / far, 0) * f
    dy_pred = np.zeros_like(y_pred)
    dy_pred[: 3 * k : 3] = u - v
    dy_pred[1 : 3 * k : 3] = -u
    dy_pred[2 : 3 * k : 3] = v
    return dy_pred


TRIPLET_SEMI_HARD = Row(
    "triplet_semi_hard",
    "loss",
    attributes={"mean": 1.0, "margin": 1.0, "squared": 0.0},
    domain={"y_true": "group"},
    saved=["y_pred", "pull", "count"],
    note=(
        "every pair of one group, anchor and positive, with the anchor's nearest negative beyond the positive, or "
        "where there is none its farthest; of equally distant ones the first. An anchor without a negative makes no "
        "triplet; NaN counts as nearest. pull sums what draws each pair together, over its distance: 0 where that is 0"
    ),
    source="Schroff, Kalenichenko & Philbin 2015, CVPR, section 3.2; TensorFlow Addons' TripletSemiHardLoss",
)


@TRIPLET_SEMI_HARD.kernel(
    "y_pred[batch,n], y_true[batch]:i8 -> "
    "pairwise[batch,batch], elements[batch,batch], pull[batch,batch], count[]:i8, loss[]",
    work=["pairwise", "elements"],
    cost=lambda batch, n: batch * batch * n,
    by_hand="products and mining",
)
def triplet_semi_hard_forward(y_pred, y_true, mean, margin, squared):
    products = y_pred @ y_pred.T
    s = products.diagonal()
    pairwise = np.maximum(s[:, None] + s - 2 * products, 0)
    if not squared:
        pairwise = np.sqrt(pairwise)
    elements, slope, count = semi_hard(pairwise, y_true, margin)
    if not squared:
        slope = np.where(pairwise > 0, slope / pairwise, 0)
    return slope + slope.T, count, elements.sum() / (max(count, 1) if mean else 1)


@TRIPLET_SEMI_HARD.kernel(
    "y_pred[batch,n], pull[batch,batch], count[]:i8 -> dy_pred[batch,n]",
    cost=lambda batch, n: batch * batch * n,
    by_hand="a product",
)
def triplet_semi_hard_backward(y_pred, pull, count, mean, margin, squared):
    f = (2 if squared else 1) / (max(int(count), 1) if mean else 1)
    return (pull.sum(axis=1, keepdims=True) * y_pred - pull @ y_pred) * f


SMOOTH_LABELS = Row(
    "smooth_labels",
    "loss",
    attributes={"smoothing": 0.1, "share": 0.5},
    domain={"y_true": "binary"},
    note="targets less sure of themselves, before a cross-entropy: share is 1/2 for binary ones, 1 / n for n classes",
    source="Szegedy et al. 2016, CVPR, section 7",
)


@SMOOTH_LABELS.kernel("y_true[n] -> smoothed[n]", split="n")
def smooth_labels(y_true, smoothing, share):
    return y_true * (1 - smoothing) + smoothing * share


SMOOTH_ONE_HOT = Row(
    "smooth_one_hot",
    "loss",
    attributes={"smoothing": 0.1},
    domain={"y_true": "label"},
    note="smooth_labels of labels as one-hot rows; of y_pred it reads the shape alone",
    source="Szegedy et al. 2016, CVPR, section 7",
)


@SMOOTH_ONE_HOT.kernel("y_pred[batch,n], y_true[batch]:i8 -> smoothed[batch,n]", split="batch", by_hand=_LABELS)
def smooth_one_hot(y_pred, y_true, smoothing):
    smoothed = np.zeros_like(y_pred)
    smoothed[np.arange(len(y_true)), y_true] = 1 - smoothing
    smoothed += smoothing * (1 / y_pred.shape[1])
    return smoothed


CHECK_FINITE = Row(
    "check_finite",
    "loss",
    domain={"loss": "finite"},
    note="stops the program before the update when the loss is NaN or infinite",
    source="-",
)


@CHECK_FINITE.kernel("loss[] -> ", by_hand="it returns a status alone")
def check_finite(loss):
    return ()

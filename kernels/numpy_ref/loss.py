"""Losses: a value for the batch and the gradient of it."""

import numpy as np

from .common import below_one, clip


def _bounded(p, eps):
    return clip(p, eps, below_one(p, eps))


def _count(n, mean):
    return n if mean else 1


def _check_labels(labels, n):
    # NumPy would take -1 for the last class
    if labels.size and not (0 <= labels.min() and labels.max() < n):
        raise IndexError(f"labels must be in 0 .. {n - 1}")


def sparse_categorical_cross_entropy_forward(y_pred, y_true, mean=1.0, eps=1e-15):
    _check_labels(y_true, y_pred.shape[1])
    sample_loss = -np.log(_bounded(y_pred[np.arange(len(y_true)), y_true], eps))
    return sample_loss, sample_loss.sum() / _count(len(y_true), mean)


def sparse_categorical_cross_entropy_backward(y_pred, y_true, mean=1.0, eps=1e-15):
    _check_labels(y_true, y_pred.shape[1])
    i = np.arange(len(y_true))
    dy_pred = np.zeros_like(y_pred)
    dy_pred[i, y_true] = (-1 / _count(len(y_true), mean)) / _bounded(y_pred[i, y_true], eps)
    return dy_pred


def _softmax_parts(logits):
    z = logits - logits.max(axis=1, keepdims=True)
    e = np.exp(z)
    s = e.sum(axis=1, keepdims=True)
    return z, e / s, np.log(s)


def softmax_cross_entropy_forward(logits, y_true, mean=1.0):
    z, probabilities, log_s = _softmax_parts(logits)
    elements = y_true * (z - log_s)
    sample_loss = -elements.sum(axis=1)
    return probabilities, elements, sample_loss, sample_loss.sum() / _count(len(z), mean)


def softmax_cross_entropy_backward(probabilities, y_true, mean=1.0):
    return (probabilities * y_true.sum(axis=1, keepdims=True) - y_true) * (1 / _count(len(y_true), mean))


def sparse_softmax_cross_entropy_forward(logits, y_true, mean=1.0):
    _check_labels(y_true, logits.shape[1])
    z, probabilities, log_s = _softmax_parts(logits)
    sample_loss = log_s[:, 0] - z[np.arange(len(z)), y_true]
    return probabilities, sample_loss, sample_loss.sum() / _count(len(z), mean)


def sparse_softmax_cross_entropy_backward(probabilities, y_true, mean=1.0):
    _check_labels(y_true, probabilities.shape[1])
    dlogits = probabilities.copy()
    dlogits[np.arange(len(y_true)), y_true] -= 1
    dlogits *= 1 / _count(len(y_true), mean)
    return dlogits


def gaussian_nll_forward(y_pred, y_true, mean=1.0):
    d, log_variance = y_pred[:, 0] - y_true, y_pred[:, 1]
    inverse = np.exp(-log_variance)
    elements = 0.5 * (log_variance + d * (d * inverse))
    return inverse, elements, elements.sum() / _count(y_true.size, mean)


def gaussian_nll_backward(y_pred, y_true, inverse, mean=1.0):
    d = y_pred[:, 0] - y_true
    slope = d * inverse
    return np.stack([slope, 0.5 * (1 - d * slope)], axis=1) * (1 / _count(y_true.size, mean))


def categorical_hinge_forward(y_pred, y_true, mean=1.0):
    elements = y_true * y_pred
    margin = ((1 - y_true) * y_pred).max(axis=1) - elements.sum(axis=1) + 1
    sample_loss = np.maximum(margin, 0)
    return elements, sample_loss, sample_loss.sum() / _count(len(y_pred), mean)


def categorical_hinge_backward(y_pred, y_true, sample_loss, mean=1.0):
    i, j = np.arange(len(y_true)), ((1 - y_true) * y_pred).argmax(axis=1)
    slope = -y_true
    slope[i, j] += 1 - y_true[i, j]
    return np.where(sample_loss[:, None] > 0, slope, 0) * (1 / _count(len(y_true), mean))


def cosine_similarity_forward(y_pred, y_true, mean=1.0, eps=1e-8):
    norms = [np.sqrt((x * x).sum(axis=1)) for x in (y_pred, y_true)]
    a, b = (np.maximum(norm, eps)[:, None] for norm in norms)
    elements = (y_pred / a) * (y_true / b)
    sample_loss = -elements.sum(axis=1)
    return elements, *norms, sample_loss, sample_loss.sum() / _count(len(y_pred), mean)


def cosine_similarity_backward(y_pred, y_true, norm_pred, norm_true, sample_loss, mean=1.0, eps=1e-8):
    a, b = (np.maximum(norm, eps)[:, None] for norm in (norm_pred, norm_true))
    s = np.where(norm_pred > eps, sample_loss, 0)[:, None]
    return (y_true / b + s * (y_pred / a)) / a * (-1 / _count(len(y_pred), mean))


def _threes(rows):
    k = len(rows) // 3
    return [rows[i : 3 * k : 3] for i in range(3)]


def triplet_margin_forward(y_pred, mean=1.0, margin=1.0, eps=1e-6):
    anchor, positive, negative = _threes(y_pred)
    elements = np.zeros_like(y_pred)
    for rows, other in zip(_threes(elements)[1:], (positive, negative), strict=True):
        d = anchor - other + eps
        rows[...] = d * d
    length = np.sqrt(elements.sum(axis=1))
    sample_loss = np.zeros_like(length)
    _, near, far = _threes(length)
    _threes(sample_loss)[0][...] = np.maximum(near - far + margin, 0)
    return elements, length, sample_loss, sample_loss.sum() / _count(max(len(anchor), 1), mean)


def triplet_margin_backward(y_pred, length, sample_loss, mean=1.0, margin=1.0, eps=1e-6):
    anchor, positive, negative = _threes(y_pred)
    active, factor = _threes(sample_loss)[0] > 0, 1 / _count(max(len(anchor), 1), mean)
    u, v = (
        np.where((active & (distance > 0))[:, None], (anchor - other + eps) / distance[:, None], 0) * factor
        for distance, other in zip(_threes(length)[1:], (positive, negative), strict=True)
    )
    dy_pred = np.zeros_like(y_pred)
    for rows, slope in zip(_threes(dy_pred), (u - v, -u, v), strict=True):
        rows[...] = slope
    return dy_pred


def _mined(pairwise, y_true, margin):
    """Return the hinge of each pair (anchor, positive), how often each pair is one less a negative one, and a count."""
    other = y_true[:, None] != y_true
    farthest = np.where(other, pairwise, -1).argmax(axis=1)
    key = np.where(np.isnan(pairwise), -1, pairwise)
    elements, weights, count = np.zeros_like(pairwise), np.zeros_like(pairwise), 0
    for a in np.flatnonzero(other.any(axis=1)):
        distances = pairwise[a]
        positives, order = np.flatnonzero(~other[a]), np.flatnonzero(other[a])
        positives = positives[positives != a]
        order = order[key[a, order].argsort(kind="stable")]
        fits = ~(distances[order] <= distances[positives, None])
        negatives = np.where(fits.any(axis=1), order[fits.argmax(axis=1)], farthest[a])
        elements[a, positives] = np.maximum(distances[positives] - distances[negatives] + margin, 0)
        active = elements[a, positives] > 0
        weights[a, positives[active]] = 1
        np.subtract.at(weights[a], negatives[active], 1)
        count += len(positives)
    return elements, weights, count


def triplet_semi_hard_forward(y_pred, y_true, mean=1.0, margin=1.0, squared=0.0):
    products = y_pred @ y_pred.T
    s = products.diagonal()
    pairwise = np.maximum(s[:, None] + s - 2 * products, 0)
    if not squared:
        pairwise = np.sqrt(pairwise)
    # comparisons and single operations, which are exact: plain arrays will do
    elements, slope, count = _mined(np.asarray(pairwise), np.asarray(y_true), margin)
    if not squared:
        slope = np.where(pairwise > 0, slope / pairwise, 0)
    loss = elements.view(type(y_pred)).sum() / _count(max(count, 1), mean)
    return pairwise, elements, slope + slope.T, count, loss


def triplet_semi_hard_backward(y_pred, pull, count, mean=1.0, margin=1.0, squared=0.0):
    factor = (2 if squared else 1) / _count(max(int(count), 1), mean)
    return (pull.sum(axis=1, keepdims=True) * y_pred - pull @ y_pred) * factor


def smooth_one_hot(y_pred, y_true, smoothing=0.1):
    _check_labels(y_true, y_pred.shape[1])
    smoothed = np.zeros_like(y_pred)
    smoothed[np.arange(len(y_true)), y_true] = 1 - smoothing
    smoothed += smoothing * (1 / y_pred.shape[1])
    return smoothed


def check_finite(loss):
    if not np.isfinite(loss):
        raise FloatingPointError("the loss is not finite")
    return ()

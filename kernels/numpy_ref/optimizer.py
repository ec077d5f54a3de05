"""What an optimizer counts; the updates themselves are their expressions in the table."""

import numpy as np


def adam_advance(power, beta1=0.9, beta2=0.999, eps=1e-8):
    return power * np.array([beta1, beta2])


def nadam_advance(power, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.9998367253526753):
    decayed = power[2] * decay
    return np.array([power[0] * (beta1 * (1 - 0.5 * decayed)), power[1] * beta2, decayed])

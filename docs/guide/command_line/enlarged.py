"""Writes digits.npz: the handwritten digits as images of 16 by 16 pixels, each pixel of theirs four times, as bytes."""

import numpy as np

from fastbp.datasets import load_digits

x, y = load_digits()
images = (255 * x).astype(np.uint8).reshape(-1, 8, 8)
np.savez("digits.npz", x=images.repeat(2, axis=1).repeat(2, axis=2), y=y)

"""fastbp: backpropagation at the machine's speed, with NumPy's bits."""

import os

# in a checkout the kernels lie beside the package, in an installed one inside it
if not os.path.isdir(os.path.join(__path__[0], "kernels")):
    __path__.append(os.path.dirname(__path__[0]))

from . import kernels
from ._version import __version__

__all__ = ["__version__", "kernels"]

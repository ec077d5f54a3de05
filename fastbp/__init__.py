"""fastbp: backpropagation at the machine's speed, with NumPy's bits.

>>> import fastbp
>>> model = fastbp.Sequential([fastbp.Dense(256, activation="relu"), fastbp.Dense(10)], input_shape=64)
>>> model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
>>> model.count_params()
19210
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

# in a checkout the kernels lie beside the package, in an installed one inside it
if not os.path.isdir(os.path.join(__path__[0], "kernels")):
    __path__.append(os.path.dirname(__path__[0]))

from . import (
    _threadpoolctl,
    callbacks,
    constraints,
    initializers,
    kernels,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
    schedules,
)
from ._version import __version__
from .callbacks import Callback, History
from .kernels.threads import get_num_threads, set_num_threads
from .layers import *
from .loading import load_model
from .model import Model, Sequential
from .naming import elsewhere
from .results import Evaluation
from .tensor import Input, Tensor

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "BlameLog",
    "Callback",
    "Evaluation",
    "History",
    "Input",
    "Model",
    "Sequential",
    "Tensor",
    "__version__",
    "blame",
    "callbacks",
    "constraints",
    "custom",
    "datasets",
    "get_num_threads",
    "gradient_check",
    "initializers",
    "insight",
    "io",
    "kernels",
    "layers",
    "load_model",
    "losses",
    "lr_range_test",
    "metrics",
    "minimize",
    "optimizers",
    "regularizers",
    "schedules",
    "selfcheck",
    "set_num_threads",
    "show_versions",
    "table",
]
__all__ += layers.__all__

# now, and not with the first program: limits that are entered in between must be felt
_threadpoolctl.register()


def __getattr__(name: str) -> Any:
    # what a script may never need is imported when first asked for
    if name in ("custom", "datasets", "insight", "io", "sklearn", "table"):
        return importlib.import_module(f"{__name__}.{name}")
    if name == "minimize":
        from ._minimize import minimize

        return minimize
    if name in ("BlameLog", "blame", "gradient_check", "lr_range_test"):
        return getattr(importlib.import_module(f"{__name__}.insight"), name)
    if name == "selfcheck":
        from ._selfcheck import selfcheck

        return selfcheck
    if name == "show_versions":
        from ._show_versions import show_versions

        return show_versions
    return elsewhere(__name__, name)

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

from . import _threadpoolctl, initializers, kernels, layers, losses, optimizers
from ._version import __version__
from .kernels.threads import get_num_threads, set_num_threads
from .layers.base import *
from .layers.core import *
from .model import Model, Sequential
from .naming import elsewhere
from .results import Evaluation
from .tensor import Input, Tensor

if TYPE_CHECKING:
    from typing import Any

    from . import callbacks, constraints, metrics, regularizers, schedules
    from .callbacks import Callback, History
    from .layers import *
    from .loading import load_model

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
#: With the names of all layers this is `__all__`, which says so once it is asked for.
_BESIDES: list[str] = globals().pop("__all__")
#: What a script may never need is imported when first asked for: modules, and names of modules.
_MODULES = (
    "callbacks", "constraints", "custom", "datasets", "insight", "io", "metrics", "regularizers", "schedules",
    "sklearn", "table",
)  # fmt: skip
_NAMES = {
    "BlameLog": "insight",
    "Callback": "callbacks",
    "History": "callbacks",
    "blame": "insight",
    "gradient_check": "insight",
    "load_model": "loading",
    "lr_range_test": "insight",
    "minimize": "_minimize",
    "selfcheck": "_selfcheck",
    "show_versions": "_show_versions",
}

# now, and not with the first program: limits that are entered in between must be felt
_threadpoolctl.register()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _NAMES:
        found = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
        return globals().setdefault(name, found)
    here = globals()
    if "__all__" not in here and (name == "__all__" or not name.startswith("_")):
        public = {key: getattr(layers, key) for key in layers.__all__}
        here.update({**public, **here, "__all__": [*_BESIDES, *public]})
    return here[name] if name in here else elsewhere(__name__, name)


def __dir__() -> list[str]:
    return [*{*globals(), *__getattr__("__all__")}]

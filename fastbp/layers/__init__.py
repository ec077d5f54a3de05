"""Layers: shapes, parameters, and the calls that they add to a program."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ..naming import elsewhere

# what stands in a module's `__all__` is public here, and a layer in `fastbp` as well
from .base import *
from .base import default_name as default_name
from .base import from_config as from_config
from .core import *

if TYPE_CHECKING:
    from typing import Any

    from .families import *


def __getattr__(name: str) -> Any:
    # a net of dense layers needs no other family: all of them are imported where a name is asked for that is not here
    here = globals()
    if "__all__" not in here and (name == "__all__" or not name.startswith("_")):
        families = vars(importlib.import_module(".families", __name__))
        public = {key: value for key, value in families.items() if not key.startswith("_")}
        here.update({**public, **here, "__all__": [*public]})  # what somebody has set stays
    return here[name] if name in here else elsewhere(__name__, name)


def __dir__() -> list[str]:
    __getattr__("__all__")
    return [*globals()]

"""Layers: shapes, parameters, and the calls that they add to a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

# what stands in a module's `__all__` is public here, and a layer in `fastbp` as well
from ..naming import elsewhere
from . import (
    arithmetic,
    augmentation,
    base,
    convolution,
    core,
    embedding,
    merge,
    norm,
    operators,
    pooling,
    random,
    reduce,
    shape,
)
from .arithmetic import *
from .augmentation import *
from .base import *
from .base import default_name as default_name
from .base import from_config as from_config
from .convolution import *
from .core import *
from .embedding import *
from .merge import *
from .norm import *
from .pooling import *
from .random import *
from .reduce import *
from .shape import *

if TYPE_CHECKING:
    from typing import Any

__all__: list[str] = []
__all__ += arithmetic.__all__
__all__ += augmentation.__all__
__all__ += base.__all__
__all__ += convolution.__all__
__all__ += core.__all__
__all__ += embedding.__all__
__all__ += merge.__all__
__all__ += norm.__all__
__all__ += operators.__all__
__all__ += pooling.__all__
__all__ += random.__all__
__all__ += reduce.__all__
__all__ += shape.__all__


def __getattr__(name: str) -> Any:
    return elsewhere(__name__, name)

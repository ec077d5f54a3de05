"""The families of layers: all that is public in `fastbp.layers`, by the modules that have it in their `__all__`."""

from .arithmetic import *
from .augmentation import *
from .base import *
from .convolution import *
from .core import *
from .embedding import *
from .merge import *
from .norm import *
from .operators import *
from .pooling import *
from .random import *
from .reduce import *
from .shape import *

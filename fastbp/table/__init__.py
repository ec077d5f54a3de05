"""Tables: files of rows and named columns, read by one grammar, and what becomes of columns before a net sees them."""

from .columns import Column
from .grammar import TableError
from .model import PreparedModel
from .preparation import Preparation
from .reading import place, read

__all__ = ["Column", "Preparation", "PreparedModel", "TableError", "place", "read"]

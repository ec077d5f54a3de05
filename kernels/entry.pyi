from collections.abc import Callable
from typing import Any

def make(
    *,
    name: bytes,
    doc: bytes,
    operands: tuple[tuple[int, tuple[int, ...], bool, bool, int], ...],
    n_inputs: int,
    n_sizes: int,
    results: tuple[int, ...],
    values: tuple[float, ...],
    names: tuple[str, ...],
    bounds: tuple[Callable[[float], bool] | None, ...],
    backends: tuple[str, ...],
    numerics: tuple[str, ...],
    apart: bool,
    find: Callable[[str, str, str], tuple[int, int, int]],
    fail: Callable[[int], None],
    otherwise: Callable[..., Any] | None,
    lengths: Callable[[tuple[int, ...], tuple[float, ...]], tuple[int, ...]] | None,
) -> Callable[..., Any]: ...

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

def convert_finite(x: np.ndarray, y: np.ndarray) -> bool: ...

class Runner:
    n_calls: int
    batch: int
    failed: int
    steps: int
    keep: Any

    def __init__(
        self,
        calls: list[Any],
        n_buffers: int,
        pool: int = 0,
        portable: bool = False,
        counter: np.ndarray | None = None,
        turns: Any = None,
        views: Sequence[tuple[int, int, int, int]] = (),
        accumulated: tuple[np.ndarray, int, int] | None = None,
    ) -> None: ...
    def bind(self, buffer: int, array: np.ndarray | None) -> None: ...
    def set_batch(self, batch: int) -> None: ...
    def set_sizes(self, call: int, sizes: list[tuple[int, int]]) -> None: ...
    def run(self, first: int, last: int, commit: int, counted: bool = False) -> int: ...
    def run_steps(
        self,
        first: int,
        last: int,
        commit: int,
        rows: int,
        batch: int,
        cursors: list[tuple[int, int, int]],
        arrays: list[np.ndarray],
        on_pause: Callable[[int], None] | None = None,
        interval: float = 0.1,
    ) -> int: ...

class Entry:
    def __init__(
        self,
        runner: Runner,
        ports: list[tuple[Any, ...]],
        results: list[tuple[int, np.dtype, tuple[Any, ...] | None]],
        span: tuple[int, int, int],
        capacity: int,
        turn: tuple[Any, ...],
    ) -> None: ...
    @property
    def run(self) -> Callable[..., Any]: ...
    @property
    def fits(self) -> Callable[..., bool | None]: ...

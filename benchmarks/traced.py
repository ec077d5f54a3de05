"""Traced functions beside kernels that are compiled from the same expressions: ``python -m benchmarks.traced``.

Five pairs of expressions in pure arithmetic, forward and backward. The generator writes them in C as if they were rows
of the table, gcc compiles that with the package's flags for the CPU level in use; beside it run the accumulator machine
of the backend cython and, with --numba, what that backend compiles. All write the same bits, which is checked. Prints
the compiled time and the ratios to it, the fastest of many turns, and their geometric means. Needs gcc.
"""

import argparse
import ctypes
import math
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from fastbp import kernels
from fastbp.kernels import cython_ext
from fastbp.kernels.backend import BACKENDS
from fastbp.kernels.codegen import languages
from fastbp.kernels.dtypes import REALS

from .common import DTYPES
from .twins import timer

HERE = Path(__file__).parent
ACTIVATIONS = {
    "bent_identity": (
        "y = (np.sqrt(x * x + 1) - 1) / 2 + x",
        "dx = dy * (x / (2 * np.sqrt(x * x + 1)) + 1)",
    ),
    "rational_swish": (
        "y = x * (0.5 + 0.5 * (x / (1 + np.abs(x))))",
        "d = 1 + np.abs(x); dx = dy * (0.5 + 0.5 * (x / d) + 0.5 * (x / (d * d)))",
    ),
    "polynomial": (
        "y = ((((0.1 * x + 0.2) * x + 0.3) * x + 0.4) * x + 0.5) * x + 0.6",
        "dx = dy * ((((0.5 * x + 0.8) * x + 0.9) * x + 0.8) * x + 0.5)",
    ),
    "piecewise": ("y = np.where(x > 0, x * x, 0.1 * x)", "dx = np.where(x > 0, dy * (2 * x), 0.1 * dy)"),
    "clipped": ("y = x * clip(x + 3, 0, 6) / 6", "dx = dy * x"),
}
LENGTHS = (96, 1024, 8192, 1000000)
FLAGS = [
    "-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic", "-ffp-contract=off", "-fno-math-errno",
    "-fno-trapping-math", "-fno-strict-aliasing", "-falign-loops=64", "-w", "-shared", "-fPIC",
]  # fmt: skip
#: Turns of each side, and the seconds of a turn.
TURNS, SECONDS = 31, 5e-5


def compiled(names, dtype, folder):
    """Return the addresses of kernels that gcc compiles now."""
    source, library = Path(folder) / "traced.c", Path(folder) / f"traced_{dtype}.so"
    rows = [kernels.KERNELS[name] for name in names]
    exported = [
        f"int {name}(fastbp_real **b, const intptr_t *s, const double *a, const fastbp_primitive *p) "
        f"{{ return fastbp_{name}(b, s, a, p); }}\n"
        for name in names
    ]
    source.write_text(languages.c_source(rows) + "".join(exported))
    level = cython_ext.level()
    flags = [f"-march=x86-64-{level}"] * level.startswith("v") + ["-mprefer-vector-width=512"] * (level == "v4")
    flags += [f"-DFASTBP_ITEM={REALS[dtype].code[1]}", f"-I{kernels.get_include()}"]
    subprocess.run(["gcc", *FLAGS, *flags, source, "-o", library], check=True)
    found = ctypes.CDLL(str(library))
    return {name: ctypes.cast(getattr(found, name), ctypes.c_void_p).value for name in names}


def aligned(values, dtype):
    """Return an array that begins with a cache line."""
    block = np.empty(values.size + 16, dtype)
    array = block[-block.ctypes.data % 64 // block.itemsize :][: values.size]
    array[:] = values
    return array


def times(time_calls, kernel, sides, n, dtype):
    """Return the seconds of a call of each side, an address and the numbers it is given."""
    rng, length = np.random.default_rng(0), np.array([n], np.intp)
    arrays = [aligned(2 * rng.standard_normal(n), dtype) for _ in kernel.inputs]
    results = [aligned(np.zeros(n), dtype) for _ in sides]
    given = []
    for (address, numbers), result in zip(sides, results, strict=True):
        buffers = np.array([array.ctypes.data for array in (*arrays, result)], np.intp)
        given.append((address, buffers, np.array([*numbers, 0], np.float64)))
    table, best = kernels.primitives_address(dtype), [math.inf] * len(sides)
    calls = [1] * len(sides)
    for turn in range(TURNS):
        for k, (address, buffers, numbers) in enumerate(given):
            pointers = buffers.ctypes.data, length.ctypes.data, numbers.ctypes.data
            best[k] = min(best[k], time_calls(address, *pointers, table, calls[k]) / calls[k])
            calls[k] = calls[k] if turn else max(1, math.ceil(SECONDS / max(best[k], 1e-9)))
    for result in results:
        assert result.tobytes() == results[0].tobytes(), kernel.name
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numba", action="store_true", help="what the backend numba compiles, too")
    backends = ["cython", "numba"][: 1 + parser.parse_args().numba]
    for name, expressions in ACTIVATIONS.items():
        kernels.add_row(name, "activation", *expressions)
    names = [f"{name}_{part}" for name in ACTIVATIONS for part in ("forward", "backward")]
    with tempfile.TemporaryDirectory() as folder:
        time_calls = timer(folder)
        for dtype in DTYPES:
            addresses, ratios = compiled(names, dtype, folder), {}
            loaded = {backend: kernels.load(backend, dtype, names) for backend in backends}
            for name in names:
                kernel, cells = kernels.KERNELS[name], []
                sides = [(addresses[name], ())]
                sides += [(loaded[backend][name], BACKENDS[backend].attributes(kernel, {})) for backend in backends]
                for n in LENGTHS:
                    base, *others = times(time_calls, kernel, sides, n, dtype)
                    for backend, seconds in zip(backends, others, strict=True):
                        ratios.setdefault((backend, n), []).append(seconds / base)
                    cells.append(f"{base * 1e9:9.0f} ns" + "".join(f" {seconds / base:5.2f}" for seconds in others))
                print(f"{dtype} {name:24}", *cells, flush=True)
            for (backend, n), values in sorted(ratios.items()):
                mean = math.exp(sum(map(math.log, values)) / len(values))
                print(f"{dtype} {backend} {n}: geometric mean {mean:.2f}, at most {max(values):.2f}")


if __name__ == "__main__":
    main()

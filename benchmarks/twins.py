"""Kernels of this checkout beside those of another one: ``python -m benchmarks.twins OTHER [KERNEL ...]``.

Both are loaded into one process from folders that are built in place, and called in turns with the same buffers and
the same primitives; the fastest of many turns counts. Prints the ratio of each kernel, this checkout's time over the
other's, as a geometric mean over lengths, batches, dtypes and numerics, and the calls that were slower twice. Without
names: the kernels that are written from their definitions here. Needs gcc.
"""

import argparse
import ctypes
import importlib
import importlib.util
import itertools
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np

from fastbp import kernels
from fastbp.kernels import cython_ext
from fastbp.kernels.dtypes import REALS
from fastbp.kernels.primitives import capsule_address

from .bench_kernels import operand
from .common import DTYPES, NUMERICS

HERE = Path(__file__).parent
LENGTHS = (3, 10, 64, 256, 1024)
BATCHES = (1, 32, 256)
#: Turns of each side in a cell, and the seconds of a turn.
TURNS, SECONDS = 25, 1e-5
#: A cell is slower where it takes so many times as long, or where it is shorter than SHORT, so many seconds more.
SLOWER, SHORT, MORE = 1.15, 30e-9, 7e-9
#: What Numba compiled: its addresses are used.
ALIVE = []


def timer(folder):
    """Return the compiled `time_calls` of twins.c."""
    library = Path(folder) / "twins.so"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", HERE / "twins.c", "-o", library], check=True)
    function = ctypes.CDLL(str(library)).time_calls
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_void_p] * 5 + [ctypes.c_int]
    return function


def cython_kernels(root, dtype, names):
    """Return the addresses of a checkout's compiled kernels by name."""
    module = f"_{REALS[dtype].code}_{cython_ext.level()}"
    path = next((root / "kernels" / "cython_ext").glob(f"{module}.*"))
    spec = importlib.util.spec_from_file_location(f"{package_of(root)}.{module}", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return {name: capsule_address(loaded.__pyx_capi__[name]) for name in names}


def numba_kernels(root, dtype, names):
    """Return the addresses of a checkout's kernels by name, compiled now from its sources."""
    from numba import cfunc, types

    # packages without their __init__, which would register the kernels with Numba a second time
    top = package_of(root)
    for name, folder in {"": "fastbp", ".kernels": "kernels", ".kernels.numba_jit": "kernels/numba_jit"}.items():
        sys.modules.setdefault(top + name, ModuleType(top + name)).__path__ = [str(root / folder)]
    common, functions = (importlib.import_module(f"{top}.kernels.numba_jit.{name}") for name in ("common", "functions"))
    signature = types.int32(*common.kernel_types(getattr(types, dtype)))
    compiled = {name: cfunc(signature, **common.OPTIONS)(functions.kernel_function(name)) for name in names}
    ALIVE.append(compiled)
    return {name: function.address for name, function in compiled.items()}


def package_of(root):
    """Return the name under which a checkout is imported."""
    return f"twin_{abs(hash(root))}"


def cell(time_calls, kernel, addresses, primitives, sizes, dtype, turns=TURNS):
    """Return the seconds of one call of each of some twins."""
    rng = np.random.default_rng(0)
    arrays = {o.name: operand(kernel, o, sizes, dtype, rng) for o in kernel.inputs}
    for name in arrays if kernel.updates else ():
        # what is updated again and again is to stay as it is
        if kernel.row.domain.get(name) == "nonnegative":
            arrays[name] = np.asarray(arrays[name] / 10, dtype)
    for o in kernel.outputs:
        shape = tuple(sizes[d] if isinstance(d, str) else d for d in o.dims)
        arrays.setdefault(o.name, np.zeros(shape, dtype if o.dtype == "real" else np.float64))
    buffers = np.array([arrays[o.name].ctypes.data for o in kernel.operands], np.intp)
    lengths = np.array([sizes[d] for d in kernel.dims], np.intp)
    attributes = np.array([*kernel.attributes.values(), 0], np.float64)
    given = buffers.ctypes.data, lengths.ctypes.data, attributes.ctypes.data, primitives
    once = min(time_calls(address, *given, 1) for address in addresses for _ in range(3))
    calls = max(1, math.ceil(SECONDS / max(once, 1e-9)))
    best = [math.inf] * len(addresses)
    for turn in range(turns):
        for k in range(len(addresses)) if turn % 2 else reversed(range(len(addresses))):
            best[k] = min(best[k], time_calls(addresses[k], *given, calls) / calls)
    return best


def shapes(kernel):
    """Yield the sizes of a kernel's cells, by dimension."""
    if len(kernel.dims) == 2:
        yield from (dict(zip(kernel.dims, pair, strict=True)) for pair in itertools.product(BATCHES, LENGTHS))
    else:
        yield from ({dim: n for dim in kernel.dims} for n in (LENGTHS if kernel.dims else (1,)))


def is_slower(ours, theirs):
    """Whether a cell is to be looked at."""
    return ours - theirs > MORE if min(ours, theirs) < SHORT else ours > SLOWER * theirs


def geometric(values):
    """Return the geometric mean."""
    return math.exp(sum(map(math.log, values)) / len(values))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("kernels", nargs="*")
    parser.add_argument("--backend", choices=("cython", "numba"), default="cython")
    parser.add_argument("--cells", action="store_true", help="print every cell")
    options = parser.parse_args()
    load = {"cython": cython_kernels, "numba": numba_kernels}[options.backend]
    names = options.kernels or [name for name, kernel in kernels.KERNELS.items() if not kernel.by_hand]
    ratios, suspects = {name: [] for name in names}, []
    with tempfile.TemporaryDirectory() as folder:
        time_calls = timer(folder)
        for dtype in DTYPES:
            found = [load(root, dtype, names) for root in (HERE.parent, options.other.resolve())]
            for name, numerics in itertools.product(names, NUMERICS):
                kernel, primitives = kernels.KERNELS[name], kernels.primitives_address(dtype, numerics, "cython")
                for sizes in shapes(kernel):
                    given = time_calls, kernel, [side[name] for side in found], primitives, sizes, dtype
                    ours, theirs = cell(*given)
                    if is_slower(ours, theirs):
                        ours, theirs = map(min, (ours, theirs), cell(*given, turns=8 * TURNS))
                    ratios[name].append(ours / theirs)
                    times = f"{ours * 1e9:.1f} ns, {theirs * 1e9:.1f}, {ours / theirs:.2f}"
                    line = f"{name} {numerics} {dtype} {'x'.join(map(str, sizes.values()))}: {times}"
                    suspects += [line] * is_slower(ours, theirs)
                    if options.cells:
                        print(line, flush=True)
    for name, values in sorted(ratios.items(), key=lambda item: -geometric(item[1])):
        print(f"{name:40} {geometric(values):.3f}   {min(values):.2f} to {max(values):.2f}")
    everything = [value for values in ratios.values() for value in values]
    print(f"{'all':40} {geometric(everything):.3f} of {len(everything)}")
    print(*(f"slower twice: {line}" for line in suspects), sep="\n")


if __name__ == "__main__":
    main()

"""fastbp's benchmarks: an asv suite, and in `peers` side-by-side runs with other libraries.

Whatever imports this package measures with the BLAS kernel that OpenBLAS itself picks, and on one thread unless
``BENCHMARKS_THREADS`` says otherwise.
"""

import os
import sys

# these choose another BLAS kernel or another SIMD level: NumPy would be slower than its users know it
_STEERING = ("OPENBLAS_", "GOTO_", "MKL_", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES")
_COUNT = os.environ.get("BENCHMARKS_THREADS", "1")
_THREADS = {f"{name}_NUM_THREADS": _COUNT for name in ("OPENBLAS", "OMP", "MKL", "BLIS", "NUMEXPR", "NUMBA", "FASTBP")}

_stray = [name for name, value in os.environ.items() if value and name.startswith(_STEERING) and name not in _THREADS]
if "numpy" in sys.modules and (_stray or os.environ.get("OPENBLAS_NUM_THREADS") != _COUNT):
    # OpenBLAS reads its environment once, when NumPy loads it; asv itself imports NumPy, so asv.conf.json cleans too
    raise ImportError(
        "numpy was imported before benchmarks could clean the environment; import benchmarks first, or set "
        f"OPENBLAS_NUM_THREADS={_COUNT}{' and unset ' + ', '.join(_stray) if _stray else ''} before the process starts"
    )
for _name in _stray:
    del os.environ[_name]
os.environ.update(_THREADS)

"""Every entry works in a thread with a stack of 128 KiB, as musl gives it; products also without memory for panels."""

import os
import shutil
import subprocess
import sys

import pytest
from _arrays import BACKENDS, DTYPES

HERE = os.path.dirname(os.path.abspath(__file__))
KERNELS = os.path.join(os.path.dirname(HERE), "kernels")

CODE = """
import sys, threading
import numpy as np
import fastbp
from fastbp import kernels
from fastbp.kernels.table import KERNELS

sys.path.append(sys.argv[4])
from _arrays import SIZES, filled_sizes, free_dims, operands

backend, numerics, dtype = sys.argv[1:4]
rng = np.random.default_rng(0)
# Numba compiles a kernel in a second
large = ["kl_divergence_forward", "gelu_exact_backward", "batch_norm_forward", "sparse_softmax_cross_entropy_forward"]
names = large if backend == "numba" else list(KERNELS)
inputs = {}
for name in names:
    count = len(free_dims(KERNELS[name]))
    sizes = filled_sizes(KERNELS[name], SIZES[count][-1] if count < len(SIZES) else [9] * count)
    inputs[name] = operands(KERNELS[name], sizes, dtype, "ordinary", rng).values()
many = lambda x: np.tanh(x) * np.exp(-x * x) + np.where(x > 0, 1 / (1 + x * x), np.log1p(x * x))
act = fastbp.custom.activation(many, "many")
model = fastbp.Sequential([fastbp.Dense(300, activation=act), fastbp.Dense(10)], input_shape=300, seed=0)
model.compile("adam", "sparse_categorical_crossentropy", numerics=numerics, backend=backend, dtype=dtype)
x, y = rng.normal(size=(70, 300)).astype(dtype), np.arange(70) % 10
wide = np.ones((700, 700), dtype)
done = []

def work():
    model.fit(x, y, batch_size=64, verbose=0)
    model.predict(x)
    model.train_on_batch(x, y)
    for name, arrays in inputs.items():
        getattr(kernels, name)(*arrays, backend=backend, numerics=numerics)
    for name in ("matmul_nn", "matmul_nt", "matmul_tn") if backend != "numpy" else ():
        getattr(kernels, name)(wide, wide, backend=backend, numerics=numerics)
    done.append(True)

if backend == "numba":
    work()  # a compiler wants more
threading.stack_size(128 * 1024)
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(len(done))
"""


@pytest.mark.matrix("dtype")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
@pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
def test_a_stack_of_128_kib(backend, numerics, dtype):
    command = [sys.executable, "-c", CODE, backend, numerics, dtype, HERE]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == str(1 + (backend == "numba")), f"exit status {done.returncode}: {done.stderr}"


@pytest.mark.skipif(not os.path.isdir(os.path.join(KERNELS, "portable")), reason="not in a checkout")
@pytest.mark.skipif(shutil.which("cc") is None or os.name == "nt", reason="needs a C compiler")
@pytest.mark.parametrize("item", [4, 8])
def test_the_same_bits_without_memory(tmp_path, item):
    nothing = tmp_path / "nothing.c"
    nothing.write_text("#include <stddef.h>\nint posix_memalign(void **p, size_t a, size_t n) { return 12; }\n")
    found = []
    for extra in ([], [nothing]):
        source = os.path.join(HERE, "portable_primitives.c")
        command = ["cc", "-O1", "-ffp-contract=off", f"-DFASTBP_ITEM={item}", f"-I{KERNELS}", source, *extra]
        subprocess.run([*command, "-o", tmp_path / "program", "-lm", "-pthread"], check=True)
        found.append(subprocess.run([tmp_path / "program"], capture_output=True, text=True, check=True).stdout)
    assert found[0] == found[1] and len(found[0].splitlines()) > 80

import ctypes
import subprocess

import numpy as np

from fastbp import kernels

flags = ["-O2", "-shared", "-fPIC", f"-I{kernels.get_include()}"]
subprocess.run(["cc", *flags, "softmax_layer.c", "-o", "softmax_layer.so"], check=True)
softmax_layer = ctypes.CDLL("./softmax_layer.so").softmax_layer

addresses = kernels.load("cython", "float32", ["dense", "softmax_forward"])
table = (ctypes.c_void_p * 2)(addresses["dense"], addresses["softmax_forward"])
primitives = ctypes.c_void_p(kernels.primitives_address("float32"))

rng = np.random.default_rng(0)
x, w, b = (rng.normal(size=shape).astype(np.float32) for shape in ((5, 3), (3, 4), (4,)))
y = np.empty((5, 4), np.float32)
pointers = [ctypes.c_void_p(array.ctypes.data) for array in (x, w, b, y)]
assert softmax_layer(table, primitives, *pointers, *map(ctypes.c_ssize_t, (5, 3, 4))) == 0
print("the bits of the kernels on arrays:", (y == kernels.softmax_forward(kernels.dense(x, w, b))).all())

"""The primitives of numerics "portable": one bit pattern for a given input, on every CPU.

Only operations that IEEE 754 defines to the last bit are used: + - * /, sqrt, fma, comparisons and
conversions. Each primitive stands here twice, and tests hold the two together:

=================  ==================================  =================
primitive          definition, on NumPy arrays         compiled
=================  ==================================  =================
fma                `fma.fma`                           ``fma.h``
exp, tanh ...      `elementary`                        ``elementary.h``
matmul, sum        `array.matmul`, `array.sum_`        ``matmul.h``, ``sum.h``
=================  ==================================  =================

`array.PortableArray` is what makes the references of `fastbp.kernels.numpy_ref` portable.
"""

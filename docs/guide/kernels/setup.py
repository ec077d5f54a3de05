from Cython.Build import cythonize
from setuptools import Extension, setup

from fastbp.kernels import get_include

setup(ext_modules=cythonize([Extension("forward", ["forward.pyx"], include_dirs=[get_include()])]))

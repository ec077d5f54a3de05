"""Measure the largest errors of the functions of portable numerics: `python benchmarks/accuracy.py [name ...]`.

float32: all 2**32 inputs against the C library in double (some minutes a function); pow: random operands.
float64: random inputs against libquadmath. Needs gcc; --quick takes seconds.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
NAMES = [
    "exp", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus", "erf", "pow", "sin", "cos", "arctan", "sinh", "cosh",
]  # fmt: skip
FLAGS = ["-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fno-strict-aliasing"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--quick", action="store_true", help="a sample only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for item in (4, 8):
            program = Path(folder) / f"accuracy{item}"
            include = HERE.parent / "kernels" / "portable"
            command = ["gcc", *FLAGS, f"-DFASTBP_ITEM={item}", f"-I{include}", HERE / "accuracy.c", "-o", program]
            subprocess.run([*command, "-lquadmath", "-lm"], check=True)
            for name in options.names:
                # count, and for float32 the distance of neighbouring inputs
                full = (2**32, 1) if item == 4 and name != "pow" else (10**8, 1)
                count, stride = (2**20, 4093 if item == 4 else 1) if options.quick else full
                subprocess.run([program, name, str(count), str(stride)], check=True)


if __name__ == "__main__":
    main()

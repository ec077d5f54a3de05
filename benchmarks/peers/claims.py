"""What fastbp claims about its speed: one table; and whether measured figures bear it out.

`FIGURES` names what can be claimed, as keys of a flat dict that `report.figures` makes:

- ``step/NET/PEER/NUMERICS``: the peer's time of a train step over that of `fit`; of the fastest peer ``best``;
- ``row/NET/best/NUMERICS``, ``array/NET/best/NUMERICS``: the same of predictions;
- ``row/NET/NUMERICS us``, ``row/NET/NUMERICS floor``: a predicted row; over reading the weights once;
- ``array/NET/NUMERICS peak``: share of the FMA peak of predicting a large array;
- ``memory/NUMERICS/PEER``: peak memory of training 784-1024-1024-10 over the peer's;
- ``threads/NET/NUMERICS``: how many times faster on all CPUs than on one;
- ``layers``: the slowest single layer of images over oneDNN;
- ``matmul/FORM/MxKxN/DTYPE/NUMERICS peak`` and ``... numpy``: share of the peak; times as fast as `np.matmul`;
- ``train_on_batch/NET us``, ``import ms``, ``first step``, ``interrupt ms``: fastbp by itself.
"""

from itertools import product
from typing import NamedTuple

from ..common import NETS
from ..images import IMAGE_NETS
from .own import MATMULS

__all__ = ["CLAIMS", "IMAGE_CLAIMS", "Claim"]


class Claim(NamedTuple):
    """A statement about a median.

    Attributes
    ----------
    text : str
    key : str
        Of the figure, see above.
    bound : {"least", "most"}
        Whether `limit` is the least or the most that the figure may be.
    limit : float
    """

    text: str
    key: str
    bound: str
    limit: float

    def holds(self, figures, allowance=0.0):
        """Whether the claim holds, with `allowance` a fraction of the limit; None if it was not measured."""
        value = figures.get(self.key)
        if value is None:
            return None
        return value >= self.limit * (1 - allowance) if self.bound == "least" else value <= self.limit * (1 + allowance)

    def line(self, figures, allowance=0.0):
        """Return a line that says so."""
        verdict = {True: "holds  ", False: "FAILS  ", None: "no data"}[self.holds(figures, allowance)]
        value = f"{figures[self.key]:.4g}" if self.key in figures else "not measured"
        return f"{verdict} {self.text}: {value}, claimed at {self.bound} {self.limit:g}"


# a step of a fit epoch at least so many times faster than the peer's, for NETS in order
_FASTER = (
    ("numpy", "numpy", (20, 5, 1.6, 1.2)),
    ("numpy", "jax", (12, 3, 1.1, 1.05)),
    ("portable", "jax_scan", (8, 2.2, 1.3, 1.2)),
    ("portable", "numpy", (50, 8, 2, 1.3)),
    ("portable", "torch", (150, 16, 2.7, 2.2)),
)


def _matmul_claims():
    small, squares, training = MATMULS[:2], MATMULS[2:4], MATMULS[4:]
    for (m, k, n), form, dtype in product(MATMULS, ("nn", "nt", "tn"), ("float32", "float64")):
        sizes, double = (m, k, n), dtype == "float64"
        where = f"matmul/{form}/{m}x{k}x{n}/{dtype}/portable"
        if sizes in training or sizes == squares[-1]:
            yield Claim(f"{where}, share of the peak", f"{where} peak", "least",
                        0.85 if double else 0.88 if form == "nt" else 0.90)  # fmt: skip
        elif sizes in squares and not double:
            yield Claim(f"{where}, share of the peak", f"{where} peak", "least", 0.75 if form == "nt" else 0.85)
        if not double:
            limit = 5 if sizes in small else 1
            yield Claim(f"{where}, times as fast as np.matmul", f"{where} numpy", "least", limit)


#: All of them, in the order in which they are told.
CLAIMS = (
    *(
        Claim(f"{net}: fit, {numerics} numerics, over {peer}", f"step/{net}/{peer}/{numerics}", "least", limit)
        for numerics, peer, limits in _FASTER
        for net, limit in zip(NETS, limits, strict=True)
    ),
    # with the check of its data, and next to what the fit that it is compared with does instead
    *(Claim(f"{net}: train_on_batch over a step of fit, us", f"train_on_batch/{net} us", "most", 4) for net in NETS),
    Claim("one row of 64-128-10, numpy numerics, us", "row/64-128-10 b32/numpy us", "most", 3),
    Claim("one row of 64-128-10, portable numerics, us", "row/64-128-10 b32/portable us", "most", 1.5),
    Claim(f"one row of {NETS[2]}, portable, over a read of the weights", f"row/{NETS[2]}/portable floor", "most", 1.2),
    Claim(f"a large array, {NETS[2]}, portable, share of the peak", f"array/{NETS[2]}/portable peak", "least", 0.85),
    Claim("import fastbp after import numpy, ms", "import ms", "most", 40),
    Claim("fresh process to its first trained step, over plain NumPy's", "first step", "most", 1.4),
    Claim("Ctrl-C to KeyboardInterrupt, the slowest, ms", "interrupt ms", "most", 50),
    Claim("peak memory of training 784-1024-1024-10, over torch's", "memory/portable/torch", "most", 0.5),
    Claim(f"{NETS[3]}: all CPUs over one", f"threads/{NETS[3]}/portable", "least", 1.8),
    # a tie will do
    *(Claim(f"{net}: all CPUs over one, never slower", f"threads/{net}/portable", "least", 0.97) for net in NETS[:3]),
    *_matmul_claims(),
)

# fastbp's time over that of the fastest peer, for IMAGE_NETS in order
_OF_BEST = {"portable": (0.33, 0.9, 0.85, 0.6), "numpy": (0.6, None, None, None)}

#: The same of nets of images.
IMAGE_CLAIMS = (
    *(
        Claim(f"{net}: the fastest peer over fit, {numerics}", f"step/{net}/best/{numerics}", "least", 1 / limit)
        for numerics, limits in _OF_BEST.items()
        for net, limit in zip(IMAGE_NETS, limits, strict=True)
        if limit
    ),
    Claim("one image of LeNet-5: the fastest peer over it", f"row/{IMAGE_NETS[0]}/best/portable", "least", 10.9 / 6.5),
    Claim("256 images of LeNet-5: the fastest peer over it", f"array/{IMAGE_NETS[0]}/best/portable", "least", 1 / 0.6),
    Claim("single layers: the slowest over oneDNN", "layers", "most", 1.15),
    *(Claim(f"{net}: all CPUs over one", f"threads/{net}/portable", "least", 1.7) for net in IMAGE_NETS),
)

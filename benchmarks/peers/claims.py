"""What fastbp claims about its speed, and whether measured figures bear it out."""

from ..common import NETS

__all__ = ["Claim", "latency_claims", "speed_claims"]

# a step of a fit epoch at least so many times faster than the peer's
_FASTER = {
    "numpy": dict(zip(NETS, (20, 5, 1.6, 1.2), strict=True)),
    "jax": dict(zip(NETS, (12, 3, 1.1, 1.05), strict=True)),
}


class Claim:
    """A statement about a median.

    Attributes
    ----------
    text, unit : str
    value, limit : float
        Measured and claimed.
    least : bool
        Whether `limit` is the least that `value` may be, else the most.
    """

    def __init__(self, text, value, limit, unit, least=False):
        self.text, self.value, self.limit, self.unit, self.least = text, float(value), limit, unit, least

    def holds(self, allowance=0.0):
        """Whether the claim holds, with `allowance` a fraction of the limit."""
        if self.least:
            return self.value >= self.limit * (1 - allowance)
        return self.value <= self.limit * (1 + allowance)

    def line(self, allowance=0.0):
        """Return a line that says so."""
        verdict = "holds" if self.holds(allowance) else "FAILS"
        bound = "at least" if self.least else "at most"
        return f"{verdict}  {self.text}: {self.value:.4g} {self.unit}, claimed {bound} {self.limit:g}"

    def as_dict(self, allowance=0.0):
        """Return plain data for JSON."""
        return {
            "claim": self.text, "value": self.value, "limit": self.limit, "unit": self.unit,
            "bound": "least" if self.least else "most", "holds": self.holds(allowance),
        }  # fmt: skip


def speed_claims(net, ratios, beside, gather):
    """Return the claims about one net.

    Parameters
    ----------
    net : str
    ratios : dict of str to float
        By peer: its median time over that of `fit`.
    beside, gather : float
        Microseconds of `train_on_batch` beside its kernels, and of the gathering that it is spared.
    """
    claims = [
        Claim(f"{net}: fit over {peer}", ratios[peer], limits[net], "x", least=True)
        for peer, limits in _FASTER.items()
        if peer in ratios
    ]
    return [
        *claims,
        # with the check of its data, and next to what the fit that it is compared with does instead
        Claim(f"{net}: train_on_batch over a step of fit", beside - gather, 4, "us"),
    ]


def latency_claims(predict, imported, first_step, interrupt):
    """Return the other claims.

    Parameters
    ----------
    predict : float
        Microseconds of one row of 64-128-10.
    imported : float
        Milliseconds of ``import fastbp`` after ``import numpy``.
    first_step : float
        A fresh process to its first trained step, over the plain NumPy script's.
    interrupt : float
        Milliseconds of the slowest answer to Ctrl-C.
    """
    return [
        Claim("predict, one row of 64-128-10", predict, 3, "us"),
        Claim("import fastbp after import numpy", imported, 40, "ms"),
        Claim("fresh process to its first trained step, over plain NumPy's", first_step, 1.4, "x"),
        Claim("Ctrl-C to KeyboardInterrupt, the slowest", interrupt, 50, "ms"),
    ]

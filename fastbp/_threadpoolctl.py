"""fastbp among the libraries whose threads threadpoolctl lists and limits, where that is installed."""

from __future__ import annotations

from ._version import __version__

__all__ = ["register"]


def register() -> None:
    """Tell threadpoolctl how to find the pool of threads, and how to ask and to set their number."""
    try:
        import threadpoolctl
    except ImportError:
        return
    # before 3.3 it knows a library by its file name alone, and ours is a common one
    if tuple(map(int, threadpoolctl.__version__.split(".")[:2])) < (3, 3):
        return

    class Threads(threadpoolctl.LibController):
        user_api = internal_api = "fastbp"
        filename_prefixes = ("pool.",)
        check_symbols = ("fastbp_get_num_threads", "fastbp_set_num_threads")

        def get_num_threads(self):
            return self.dynlib.fastbp_get_num_threads()

        def set_num_threads(self, num_threads):
            self.dynlib.fastbp_set_num_threads(num_threads)

        def get_version(self):
            return __version__

    threadpoolctl.register(Threads)

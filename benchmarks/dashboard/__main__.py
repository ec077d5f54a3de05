"""Measure the commits that were not measured yet and make the dashboard: ``python -m benchmarks.dashboard``.

Needs ``pip install -e ".[dashboard]"``. Ends with the address of the first page, or serves the pages with ``--serve``.
"""

import argparse
import contextlib
import functools
import http.server
import sys

from .. import history
from ..selection import SELECTIONS
from .publish import publish


def arguments():
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard", description=__doc__)
    parser.add_argument("--selection", choices=SELECTIONS, default="history", help="of benchmarks (default: history)")
    parser.add_argument("--most", type=int, help="commits, spread over all (default: all)")
    parser.add_argument("--publish", action="store_true", help="measure nothing, only make the pages")
    parser.add_argument("--serve", type=int, metavar="PORT", help="serve the pages on this machine, until Ctrl-C")
    return parser.parse_args()


def main():
    """Measure, publish, serve; return 1 if a benchmark failed somewhere."""
    options = arguments()
    failures = 0
    if not options.publish:
        history.run(options.selection, most=options.most)
        failures = history.report()
    html = publish(history.ROOT / "asv.conf.json")
    print(f"The first page: {html / 'index.html'}", flush=True)
    if options.serve is not None:
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(html))
        with http.server.ThreadingHTTPServer(("127.0.0.1", options.serve), handler) as server:
            print(f"serving on port {server.server_address[1]} of this machine", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                server.serve_forever()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

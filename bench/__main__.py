"""`make bench`: runs every benchmark, or those named on the command line."""

import sys

from bench import noop

BENCHMARKS = {"noop": noop.main}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        BENCHMARKS[name]()

"""`python -m dev.benchmarks [NAME [ARGUMENT …]]`: print figures, all the quick ones by default."""

import importlib
import signal
import sys
from itertools import takewhile

QUICK = ("cli", "page", "site", "publish", "points", "cl2_reports", "probes", "overhead")
NAMES = (
    *QUICK,
    "hostile",
    "gateway",
    "merge",
    "repeat",
    "faults",
    "explained",
    "explain_cost",
    "verdicts",
    "steps",
    "bisect",
    "tables",
    "watches",
)


def main(argv: list[str]) -> int:
    """Run the benchmarks that are named, the arguments after the last name going to it."""
    if argv and argv[0] not in NAMES:
        print(f"there is no benchmark `{argv[0]}`; known: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell's `&` lets it be ignored
        signal.signal(number, signal.default_int_handler)
    names = list(takewhile(NAMES.__contains__, argv))
    try:
        for name in names or QUICK:
            print(f"== {name}", flush=True)
            importlib.import_module(f"dev.benchmarks.{name}").main(argv[len(names) :])
    except KeyboardInterrupt:
        print("interrupted: everything that was started is stopped", file=sys.stderr)
        return 130
    return 0


sys.exit(main(sys.argv[1:]))

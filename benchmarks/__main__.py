"""`python -m benchmarks [NAME [ARGUMENT …]]`: print figures, all the quick ones by default."""

import importlib
import sys

QUICK = ("cli", "points", "overhead")
NAMES = (*QUICK, "repeat")


def main(argv: list[str]) -> int:
    """Run the benchmarks that are named, the arguments after the last name going to it."""
    if argv and argv[0] not in NAMES:
        print(f"there is no benchmark `{argv[0]}`; known: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    names = [name for name in argv if name in NAMES]
    rest = [word for word in argv if word not in NAMES]
    for name in names or QUICK:
        print(f"== {name}", flush=True)
        importlib.import_module(f"benchmarks.{name}").main(rest)
    return 0


sys.exit(main(sys.argv[1:]))

"""Coverage-guided fuzzing by atheris: `python -m dev.fuzz --seconds 600 results points`.

Each reader runs in a process of its own, from its seeds, until the time is over or something is
found. What made a reader fail is kept in the folder and named. It prints
rows of docs/results/fuzzing.csv at the end.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

from dev.fuzz.readers import READERS
from dev.fuzz.seeds import seeds

_HANG_S = 20
_MEMORY_MB = 1500
_LONGEST = 200_000  # bytes of an input


def main() -> int:
    """Fuzz the readers that are named, or all, and return how many failed."""
    parser = argparse.ArgumentParser(prog="python -m dev.fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="of each reader (default: 60)")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"), help="corpus and findings")
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(READERS))
    args = parser.parse_args()
    if unknown := [name for name in args.readers if name not in READERS]:
        parser.error(f"`{unknown[0]}` is not one of {', '.join(READERS)}")
    rows = [_fuzz(name, args.seconds, args.out) for name in args.readers or READERS]
    print("reader,inputs,seconds,crashes,hangs,corpus")
    for name, *rest in rows:
        print(",".join([name, *map(str, rest)]))
    return sum(crashes + hangs for _, _, _, crashes, hangs, _ in rows)


def _fuzz(name: str, seconds: int, out: Path) -> tuple[str, int, int, int, int, int]:
    """Fuzz one reader; return its name, inputs, seconds, crashes, hangs and size of the corpus."""
    corpus = out / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    found = out / name / "found-"
    began = time.monotonic()
    with (out / name / "log.txt").open("wb") as log:
        ended = subprocess.run(  # ours, and atheris ends the process that it fuzzes in
            [
                *(sys.executable, "-m", "dev.fuzz.one", name, str(corpus)),
                *(f"-max_total_time={seconds}", f"-timeout={_HANG_S}", f"-max_len={_LONGEST}"),
                *(f"-rss_limit_mb={_MEMORY_MB}", f"-artifact_prefix={found}"),
                *("-print_final_stats=1", f"-report_slow_units={_HANG_S}"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    took = round(time.monotonic() - began)
    said = (out / name / "log.txt").read_text(encoding="utf-8", errors="replace")
    units = re.findall(r"number_of_executed_units: (\d+)|^#(\d+)\t", said, re.MULTILINE)
    inputs = int(max((a or b for a, b in units), key=int, default="0"))
    kept = [path.name.removeprefix("found-") for path in found.parent.glob("found-*")]
    crashes, hangs = (sum(one.startswith(kind) for one in kept) for kind in ("crash", "timeout"))
    crashes += sum(one.startswith("oom") for one in kept)
    crashes = crashes or int(ended.returncode != 0 and not hangs)  # not every end leaves a file
    if kept:
        print(f"{name}: see {found.parent}: {', '.join(kept)}", file=sys.stderr)
    return name, inputs, took, crashes, hangs, len(list(corpus.iterdir()))


if __name__ == "__main__":
    sys.exit(main())

"""The command line and environment of k6, and the meaning of its exit code and its log."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.drivers.k6.settings import K6
from pipeline.drivers.k6.summarize import arms_not_prepared
from pipeline.model.ports import Program, Target
from pipeline.model.subject import Arm
from pipeline.system.errors import LoadError

POINTS = "points.csv.gz"
LOG = "k6.log"
CA = "ca.pem"
_MOST_CHARACTERS = 300  # of a message
_MESSAGE = re.compile(r"""\bmsg=("(?:\\.|[^"\\])*"|\S+)""")
SLACK_S = 300.0
"""Seconds that k6 may take longer than the load, for its setup and its last iterations."""

# From the source of k6 1.1 and 2.2, errext/exitcodes; its documentation has no table of them.
_EXIT_CODES = {
    97: "the cloud run failed",
    99: "a threshold failed, and scripts must have none",
    100: "setup() took too long",
    101: "teardown() took too long",
    103: "it was stopped through its REST API",
    104: "its options are not valid",
    105: "it was stopped from outside",
    106: "its REST API could not be started",
    107: "the script threw an exception",
    108: "the script ended the run",
    109: "k6 itself crashed",
    110: "the script marked the test as failed",
}


def argv(program: Program, settings: K6, scripts: Path) -> list[str]:
    """Return the command of a k6 without a REST API, so that two can run at once."""
    return [str(program.path), *arguments(scripts / settings.script), "--address="]


def arguments(script: Path) -> list[str]:
    """Return the arguments of k6; secrets such as tokens are in files.

    The summary is switched off by `handleSummary` in each script, which works in k6 1 and 2.
    """
    return [
        "run",
        "--quiet",
        "--out=csv",
        "--system-tags=status,error_code,expected_response,name,scenario",
        str(script),
    ]


def environment(
    settings: K6, targets: Mapping[Arm, Target], out: Path, seed: int, results: Path | None = None
) -> dict[str, str]:
    """Return the environment variables of k6 and of the script.

    Args:
        settings: Load.
        targets: Builds under test.
        out: Folder with the CA certificates.
        seed: Seed of the load.
        results: Folder that receives the points, by default `out`.
    """
    variables = {name: str(value) for name, value in settings.parameters.items()}
    variables |= {
        "ARMS": ",".join(targets),
        "SEED": str(seed),
        **({"PROJECTS": str(settings.projects)} if settings.projects else {}),
        **({"OBJECTS": str(settings.objects)} if settings.objects else {}),
        "OBJECT_BYTES": str(settings.object_bytes),
        "DURATION_S": f"{settings.duration_s:g}",
        "REQUEST_TIMEOUT_S": f"{settings.request_timeout_s:g}",
        "DEADLINE_S": f"{settings.deadline_s:g}",
        "SETUP_S": f"{settings.setup_s:g}",
        "WARMUP_S": f"{settings.warmup_s:g}",
        "SSL_CERT_FILE": str(out / CA),
        "GOGC": "400",  # fewer garbage collections leave more CPU to the builds
        "K6_AUTO_EXTENSION_RESOLUTION": "false",  # an import never downloads another k6
        "K6_CSV_FILENAME": str((results or out) / POINTS),  # as an argument it may have no `=`
        "K6_CSV_TIME_FORMAT": "unix_micro",
        "K6_NO_USAGE_REPORT": "true",
        "NO_COLOR": "1",
    }
    if settings.rate is None:
        variables["ITERATIONS"] = str(settings.iterations)
        variables["LONGEST_S"] = f"{settings.longest_s:g}"
    else:
        variables["RATE"] = f"{len(targets) * settings.rate:g}"
    for arm, target in targets.items():
        variables[f"{arm.upper()}_URL"] = target.url
        variables[f"{arm.upper()}_TOKEN_FILE"] = str(target.token_file)
    if any(target.needs_organization_path for target in targets.values()):
        variables["ORGANIZATION_PATH"] = "yes"
    return variables


def authorities(targets: Mapping[Arm, Target]) -> str:
    """Return the CA certificates of all targets as PEM."""
    return "".join(sorted({target.ca_file.read_text() for target in targets.values()}))


def log_errors(log: Path) -> list[str]:
    """Return the first line of each error message in a log of k6."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if "level=error" in line]
    return [_message(line).strip().partition("\n")[0][:_MOST_CHARACTERS] for line in lines]


def _message(line: str) -> str:
    """Return the field `msg` of a line of logfmt, or the whole line if it has none."""
    if (match := _MESSAGE.search(line)) is None:
        return line
    try:
        return str(json.loads(match[1]))
    except ValueError:  # without quotes, or with an escape of Go alone
        return match[1].strip('"')


def setup_failures(folder: Path, arms: Iterable[Arm]) -> dict[Arm, str]:
    """Return the reason by the arms that the script's setup gave up; empty for another failure."""
    try:
        failed = arms_not_prepared(folder / POINTS)
    except LoadError:  # k6 was killed, or left nothing: that failure has its own error
        return {}
    text = next(iter(log_errors(folder / LOG)), "")
    reason = text.removeprefix("Error: ")
    return {arm: reason or "the setup was not done in time" for arm in arms if arm in failed}


def describe_exit(code: int) -> str:
    """Return an exit code of k6 with its meaning, as the end of a sentence."""
    known = _EXIT_CODES.get(code)
    return f"exited with {code}" + (f": {known}" if known else "")

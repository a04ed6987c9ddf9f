"""The command of k6: its arguments and variables, and what its exit code and its log mean."""

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
SLACK_S = 300.0
"""k6 with its set-up and the end of its last iterations may take that much longer than the load."""

# From k6's source, errext/exitcodes; its documentation has no table of them.
_EXIT_CODES = {
    97: "the cloud run failed",
    99: "a threshold failed, and scripts must have none",
    100: "setup() took too long",
    101: "teardown() took too long",
    103: "the load could not be scheduled",
    104: "its options are not valid",
    105: "it was stopped from outside",
    106: "its REST API could not be started",
    107: "the script threw an exception",
    108: "the script ended the run",
    109: "k6 itself crashed",
}


def argv(program: Program, settings: K6, out: Path, scripts: Path) -> list[str]:
    """Return the command of a k6 that runs alone: without its REST API, so that two can run.

    Args:
        program: k6.
        settings: The load.
        out: Folder for the raw points.
        scripts: Folder with the script, and with `lib/`.
    """
    return [str(program.path), *arguments(scripts / settings.script, out), "--address="]


def arguments(script: Path, out: Path) -> list[str]:
    """Return the arguments of k6; what they must not show, such as tokens, is in files.

    No summary is asked for in a way that k6 1 and 2 share: `handleSummary` in each script.

    Args:
        script: To be run.
        out: Folder for the raw points.
    """
    return [
        "run",
        "--quiet",
        f"--out=csv={out / POINTS}",
        "--system-tags=status,error_code,expected_response,name,scenario",
        str(script),
    ]


def environment(
    settings: K6, targets: Mapping[Arm, Target], out: Path, seed: int
) -> dict[str, str]:
    """Return the variables that tell k6 and the script what to do."""
    variables = {name: str(value) for name, value in settings.parameters.items()}
    variables |= {
        "ARMS": ",".join(targets),
        "SEED": str(seed),
        **({"PROJECTS": str(settings.projects)} if settings.projects else {}),
        **({"OBJECTS": str(settings.objects)} if settings.objects else {}),
        "OBJECT_BYTES": str(settings.object_bytes),
        **_amount(settings, len(targets)),
        "DURATION_S": f"{settings.duration_s:g}",
        "REQUEST_TIMEOUT_S": f"{settings.request_timeout_s:g}",
        "DEADLINE_S": f"{settings.deadline_s:g}",
        "SETUP_S": f"{settings.setup_s:g}",
        "WARMUP_S": f"{settings.warmup_s:g}",
        "SSL_CERT_FILE": str(out / CA),
        "GOGC": "400",  # k6 collects its garbage less often, and takes less from the builds
        "K6_AUTO_EXTENSION_RESOLUTION": "false",  # an import never downloads another k6
        "K6_CSV_TIME_FORMAT": "unix_micro",
        "K6_NO_USAGE_REPORT": "true",
        "NO_COLOR": "1",
    }
    for arm, target in targets.items():
        variables[f"{arm.upper()}_URL"] = target.url
        variables[f"{arm.upper()}_TOKEN_FILE"] = str(target.token_file)
    return variables


def _amount(settings: K6, arms: int) -> dict[str, str]:
    if settings.rate is None:
        return {"ITERATIONS": str(settings.iterations), "LONGEST_S": f"{settings.longest_s:g}"}
    return {"RATE": f"{arms * settings.rate:g}"}


def authorities(targets: Mapping[Arm, Target]) -> str:
    """Return the certificates of the authorities of all targets, PEM."""
    return "".join(sorted({target.ca_file.read_text() for target in targets.values()}))


def complaints(log: Path) -> list[str]:
    """Return the messages of k6's log that are errors."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if "level=error" in line]
    return [re.sub(r"^.*?\bmsg=", "", line)[:200] for line in lines]


def unprepared(folder: Path, arms: Iterable[Arm]) -> dict[Arm, str]:
    """Return why the script's setup gave up, for each arm that it could not prepare.

    Empty where k6 failed for another reason.

    Args:
        folder: Where k6 left its points and its log.
        arms: That were to have load.
    """
    try:
        failed = arms_not_prepared(folder / POINTS)
    except LoadError:  # k6 was killed, or left nothing: another failure, which has its own error
        return {}
    said = next(iter(complaints(folder / LOG)), "")
    reason = said.strip('"').removeprefix("Error: ").partition("\\n")[0]
    return {arm: reason or "the setup was not done in time" for arm in arms if arm in failed}


def meaning(code: int) -> str:
    """Return what an exit code says."""
    known = _EXIT_CODES.get(code)
    return f"exited with {code}" + (f": {known}" if known else "")

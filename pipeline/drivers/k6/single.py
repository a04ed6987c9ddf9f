"""Run a script of k6 once against one build, outside of a measurement of two."""

from collections.abc import Callable
from pathlib import Path

from pipeline.drivers.k6.command import (
    CA,
    LOG,
    argv,
    describe_exit,
    environment,
    log_errors,
    setup_failures,
)
from pipeline.drivers.k6.settings import K6, SCRIPTS
from pipeline.model.ports import Program, Target
from pipeline.model.subject import Arm
from pipeline.system import paths, processes
from pipeline.system.errors import LoadError


def run_script(
    settings: K6,
    target: Target,
    program: Program,
    out: Path,
    *,
    seed: int,
    check: Callable[[], None],
) -> str:
    """Run a script until it ends; return why its setup gave up, or an empty string.

    The points are in `out`.  `check` is called often; an exception from it ends the script.

    Raises:
        CommandError: k6 failed, and not only some of what it sent.
        LoadError: What `check` raises.
    """
    (out / CA).write_text(target.ca_file.read_text(encoding="utf-8"), encoding="utf-8")
    try:
        processes.run(
            argv(program, settings, paths.project_path(SCRIPTS)),
            output=out / LOG,
            timeout_s=2 * settings.longest_s,
            env=environment(settings, {Arm.CANDIDATE: target}, out, seed),
            hide=("K6_",),
            check=check,
        )
    except (LoadError, processes.CommandError) as error:
        if reason := setup_failures(out, [Arm.CANDIDATE]).get(Arm.CANDIDATE, ""):
            return reason
        if isinstance(error, processes.CommandError) and error.status:
            code = error.status.exit_code
            ended = f"{error.status}" if code is None else describe_exit(code)
            said = "".join(f": {text}" for text in log_errors(out / LOG)[:1])
            message = f"k6 {settings.script} {ended}{said}"
            raise processes.CommandError(
                error.argv, error.status, error.tail, message=message
            ) from error
        raise
    return ""

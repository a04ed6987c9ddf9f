"""Apply a load with k6: one process on this machine, or one in each load pod.

k6 runs one of `k6_scripts/`, writes raw points, and judges nothing.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.drivers.k6 import command
from pipeline.drivers.k6.command import CA, LOG, POINTS, SLACK_S
from pipeline.drivers.k6.pods import measure_in_pods
from pipeline.drivers.k6.restarts import serve_restarts
from pipeline.drivers.k6.settings import K6
from pipeline.drivers.k6.summarize import read_points
from pipeline.drivers.k6.validity import judge
from pipeline.model.ports import Load, Program, Span, Target, check_all
from pipeline.model.subject import Arm
from pipeline.system import processes
from pipeline.system.errors import LoadError


@dataclass(frozen=True, slots=True)
class K6Driver:
    """Implements `Driver` with k6."""

    settings: K6
    program: Program

    def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
        """See `Driver.measure`."""
        settings = self.settings
        if any(target.pods for target in targets.values()):
            return measure_in_pods(settings, self.program, targets, out, seed)
        (out / CA).write_text(command.authorities(targets))
        used_s = processes.cpu_of_children_s()
        began = time.monotonic()
        restarted = targets if settings.restarts else {}
        try:
            with settings.laid_out() as scripts, serve_restarts(restarted) as restarts:

                def check() -> None:
                    nonlocal used_s
                    before_s = processes.cpu_of_children_s()
                    restarts.handle()
                    used_s += processes.cpu_of_children_s() - before_s  # of what was killed
                    check_all(targets)

                processes.run(
                    command.argv(self.program, settings, scripts),
                    output=out / LOG,
                    timeout_s=settings.longest_s + SLACK_S,
                    env={
                        **command.environment(settings, targets, out, seed),
                        **restarts.variables,
                    },
                    hide=("K6_",),  # variables of the user would change the load
                    check=check,
                )
        except processes.CommandError as error:
            check_all(targets)  # a build that died is the reason
            if failed := command.setup_failures(out, targets):
                now = time.time()
                return Load.without_readings(targets, Span(now, now), failed)
            raise _load_error(settings.script, error) from error
        machine_s = (time.monotonic() - began) * (os.cpu_count() or 1)
        cpu = (processes.cpu_of_children_s() - used_s) / machine_s
        points = read_points(out / POINTS, list(targets), is_open=settings.rate is not None)
        return judge(settings, points, cpu, command.log_errors(out / LOG))


def _load_error(script: str, error: processes.CommandError) -> LoadError:
    """Return the error of a k6 that failed, with the meaning of its exit code."""
    code = error.status.exit_code if error.status else None
    message = f"{error}" if code is None else f"k6 {script} {command.describe_exit(code)}"
    return LoadError(message, hint=error.hint)

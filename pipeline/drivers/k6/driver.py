"""Apply a load with k6: one process on this machine, or one in each load pod.

k6 runs one of `k6_scripts/`, writes raw points, and judges nothing.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.drivers.k6 import pods
from pipeline.drivers.k6.command import (
    CA,
    LOG,
    POINTS,
    SLACK_S,
    argv,
    authorities,
    complaints,
    environment,
    meaning,
    unprepared,
)
from pipeline.drivers.k6.settings import K6
from pipeline.drivers.k6.summarize import read_points
from pipeline.drivers.k6.validity import judge
from pipeline.model.ports import Load, Program, Span, Target
from pipeline.model.subject import Arm
from pipeline.system import processes
from pipeline.system.errors import LoadError


@dataclass(frozen=True, slots=True)
class K6Driver:
    """Applies one load with one k6; see the port `Driver`.

    Attributes:
        settings: The load.
        program: k6.
    """

    settings: K6
    program: Program

    def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
        """Apply the load once.

        Args:
            targets: One or both arms.
            out: Existing empty folder; receives the raw points and the log of k6.
            seed: Of the arm and the work of each iteration.

        Raises:
            LoadError: The load could not be applied, or k6 left nothing that can be read.
        """
        if any(target.pods for target in targets.values()):
            return pods.measure(self.settings, self.program, targets, out, seed)
        (out / CA).write_text(authorities(targets))
        used_s = processes.cpu_of_children_s()
        began = time.monotonic()
        try:
            with self.settings.laid_out() as scripts:
                command = argv(self.program, self.settings, out, scripts)
                self._run(command, environment(self.settings, targets, out, seed), targets, out)
        except LoadError:
            for target in targets.values():
                target.check()  # a build that died has failed in another way
            if failed := unprepared(out, targets):
                return Load.without_readings(targets, Span(time.time(), time.time()), failed)
            raise
        machine_s = (time.monotonic() - began) * (os.cpu_count() or 1)
        cpu = (processes.cpu_of_children_s() - used_s) / machine_s
        points = read_points(out / POINTS, list(targets), is_open=self.settings.rate is not None)
        return judge(self.settings, points, cpu, complaints(out / LOG))

    def _run(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        targets: Mapping[Arm, Target],
        out: Path,
    ) -> None:
        def check() -> None:
            for target in targets.values():
                target.check()

        try:
            processes.run(
                command,
                output=out / LOG,
                timeout_s=self.settings.longest_s + SLACK_S,
                env=env,
                hide=("K6_",),  # the user's own would change the load
                check=check,
            )
        except processes.CommandError as error:
            code = error.status.exit_code if error.status else None
            message = str(error) if code is None else f"k6 {self.settings.script} {meaning(code)}"
            raise LoadError(message, hint=error.hint) from error

"""Apply a load with the program `watch-herd`: one process on this machine, or one in each load pod.

A process holds all watches of its Projects, for both arms.
"""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.drivers.created_objects import delete_objects
from pipeline.drivers.watch_herd.config import CONFIG, LOG, RESULT, SLACK_S, HerdRun
from pipeline.drivers.watch_herd.pods import run_in_pods
from pipeline.drivers.watch_herd.result import HerdResult, judge_herd, read_result
from pipeline.drivers.watch_herd.settings import PROGRAM, WatchHerd
from pipeline.model.ports import Load, Program, Target, check_all
from pipeline.model.subject import Arm
from pipeline.system import processes
from pipeline.system.errors import LoadError


@dataclass(frozen=True, slots=True)
class WatchHerdDriver:
    """Implements `Driver` with watches of our own program."""

    settings: WatchHerd
    program: Program

    def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
        """See `Driver.measure`."""
        run = HerdRun(self.settings, targets, f"herd-{seed:08x}-{int(time.time()):x}", seed)
        pods = next((one.pods for one in targets.values() if one.pods), None)
        try:
            if pods is None:
                return judge_herd(self.settings, {PROGRAM: self._run_here(run, out)})
            parts, invalid = run_in_pods(pods, self.program, run, out)
        finally:
            delete_objects(targets, run.name)
        load = judge_herd(self.settings, parts)
        return dataclasses.replace(load, invalid=(*invalid, *load.invalid))

    def _run_here(self, run: HerdRun, out: Path) -> HerdResult:
        (out / CONFIG).write_text(run.config(run.targets), encoding="utf-8")
        try:
            processes.run(
                [str(self.program.path), str(out / CONFIG), str(out / RESULT)],
                output=out / LOG,
                timeout_s=self.settings.most_s + SLACK_S,
                check=lambda: check_all(run.targets),
            )
        except processes.CommandError as error:
            check_all(run.targets)  # a build that died is the reason
            raise LoadError(f"watch-herd failed: {error}", hint=error.hint) from error
        return read_result(out / RESULT)

"""Apply a load with the program `watch-herd`, which holds all watches in one process."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.drivers.created_objects import delete_objects
from pipeline.drivers.watch_herd.result import judge_herd, read_result
from pipeline.drivers.watch_herd.settings import SETTLE_S, WatchHerd
from pipeline.model.ports import Load, Program, Target, check_all
from pipeline.model.replicas import by_component
from pipeline.model.subject import Arm
from pipeline.system import processes
from pipeline.system.errors import LoadError

CONFIG, RESULT, LOG = "herd.json", "herd-result.json", "watch-herd.log"
_SLACK_S = 60.0


@dataclass(frozen=True, slots=True)
class WatchHerdDriver:
    """Implements `Driver` with watches of our own program."""

    settings: WatchHerd
    program: Program

    def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
        """See `Driver.measure`."""
        settings = self.settings
        run = f"herd-{seed:08x}-{int(time.time()):x}"
        config = {
            "run": run,
            "seed": seed,
            "arms": [
                {
                    "name": arm,
                    "url": target.url,
                    "ca_file": str(target.ca_file),
                    "token_file": str(target.token_file),
                    "admin_token_file": str(target.admin_token_file),
                    "metrics": list(by_component(target.metrics).get("server", {}).values()),
                    "organization_path": target.needs_organization_path,
                }
                for arm, target in targets.items()
            ],
            **{
                name: getattr(settings, name)
                for name in ("watches", "rate", "list_rate", "projects", "objects", "object_bytes")
            },
            **{
                name: getattr(settings, name)
                for name in ("duration_s", "watch_list", "page_size", "drain_s", "sync_s")
            },
            "watch_timeout_s": settings.watch_timeout_s,
            "list_ways": list(settings.list_ways),
            "settle_s": SETTLE_S,
            "setup_s": settings.setup_s,
            "request_s": settings.request_timeout_s,
        }
        (out / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")
        try:
            processes.run(
                [str(self.program.path), str(out / CONFIG), str(out / RESULT)],
                output=out / LOG,
                timeout_s=settings.most_s + _SLACK_S,
                check=lambda: check_all(targets),
            )
        except processes.CommandError as error:
            check_all(targets)  # a build that died is the reason
            raise LoadError(f"watch-herd failed: {error}", hint=error.hint) from error
        finally:
            delete_objects(targets, run)
        return judge_herd(settings, read_result(out / RESULT), os.cpu_count() or 1)

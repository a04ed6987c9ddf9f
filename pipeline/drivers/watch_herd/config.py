"""The config of the program `watch-herd`, and the files that it reads and leaves."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.drivers.watch_herd.settings import SETTLE_S, WatchHerd
from pipeline.model.ports import Target
from pipeline.model.replicas import by_component
from pipeline.model.subject import Arm

CONFIG, RESULT, LOG = "herd.json", "herd-result.json", "watch-herd.log"
SLACK_S = 60.0
"""Seconds that the program may take longer than the load."""


@dataclass(frozen=True, slots=True)
class HerdRun:
    """One application of a load.

    Attributes:
        settings: Settings of the load.
        targets: Targets of one or both arms.
        name: Beginning of the name of every object of the load.
        seed: Random seed of the load.
    """

    settings: WatchHerd
    targets: Mapping[Arm, Target]
    name: str
    seed: int

    def config(self, targets: Mapping[Arm, Target]) -> str:
        """Return the content of the config, for targets as the program reaches them."""
        settings = self.settings
        config = {
            "run": self.name,
            "seed": self.seed,
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
        return json.dumps(config, indent=1)

"""Endpoints at which ClusterLoader2 reaches the servers: directly, or through a gateway."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.drivers.clusterloader2.phases import CONFIGS
from pipeline.drivers.monitoring import monitor
from pipeline.model.ports import Program, Target
from pipeline.model.subject import Arm
from pipeline.system import paths
from pipeline.system.errors import ConfigError
from pipeline.system.private_folder import private_folder

SCRAPE_S = 2.0
"""Scrape interval of our own Prometheus, in seconds: Milo's text has 17,000 lines."""

RULES = "prometheus/rules.yml"
"""Recording rules of our own Prometheus, relative to the configs."""

_ARM = "{arm}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The way by which a client reaches a server.

    Attributes:
        url: Base URL, without a trailing slash.
        ca_file: PEM file of the authority that signed the certificate shown there.
        token_file: File with the bearer token of the load's user.
        check: Function that raises LoadError when a gateway before the server has ended.
        counts: Function that returns the gateway's request counts by outcome (passed, answered,
            refused, failed); empty if the client talks to the server directly.
    """

    url: str
    ca_file: Path
    token_file: Path
    check: Callable[[], None] = lambda: None
    counts: Callable[[], Mapping[str, int]] = dict


@contextmanager
def open_endpoints(
    targets: Mapping[Arm, Target],
    out: Path,
    watchers: Mapping[str, Program],
    prometheus_url: str = "",
) -> Iterator[Mapping[Arm, Endpoint]]:
    """Open an endpoint for every target; leaving the context closes them.

    Args:
        targets: Targets of one or both arms.
        out: Existing folder for the files of a Prometheus and a gateway.
        watchers: `gateway`, and `prometheus` unless one exists; empty to start neither.
        prometheus_url: URL of an existing Prometheus; `{arm}` in it stands for the arm.

    Raises:
        ConfigError: One Prometheus would be asked about both arms.
        LoadError: A Prometheus or a gateway did not start, or a component is not scraped.
    """
    if prometheus_url and len(targets) > 1 and _ARM not in prometheus_url:
        raise ConfigError(
            f"the Prometheus at {prometheus_url} would be asked about both builds at once, and"
            " answer with the sum of them",
            hint=f"run one for each, and write `prometheus_url` with {_ARM} in it, such as"
            f" http://prometheus-{_ARM}:9090; or leave it out, and both are started",
        )
    with ExitStack() as stack:
        endpoints = {}
        for arm, target in targets.items():
            url, ca_file, token_file = target.url, target.ca_file, target.token_file.absolute()
            if not watchers:
                endpoints[arm] = Endpoint(url, ca_file.absolute(), token_file)
                continue
            folder = out / arm / "monitoring"
            folder.mkdir(parents=True)
            monitored = stack.enter_context(
                monitor(
                    target,
                    watchers,
                    folder,
                    stack.enter_context(private_folder(folder)),
                    scrape_s=SCRAPE_S,
                    rules=[paths.project_path(CONFIGS, RULES)],
                    prometheus_url=prometheus_url.replace(_ARM, arm),
                )
            )
            ca_file = monitored.ca_file.absolute()
            endpoints[arm] = Endpoint(
                monitored.url, ca_file, token_file, monitored.check, monitored.counts
            )
        yield endpoints

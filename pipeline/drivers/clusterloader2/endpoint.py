"""Where ClusterLoader2 finds a server: at the server itself, or at a gateway before it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.drivers.clusterloader2.phases import CONFIGS
from pipeline.drivers.monitoring import monitored
from pipeline.model.ports import Program, Target
from pipeline.model.subject import Arm
from pipeline.system import paths
from pipeline.system.errors import ConfigError
from pipeline.system.private_folder import private_folder

SCRAPE_S = 2.0
"""Between two scrapes of a Prometheus of our own: the text of Milo has 17,000 lines."""


RULES = "prometheus/rules.yml"
"""Recording rules of such a Prometheus, below the configs."""

_ARM = "{arm}"


@dataclass(frozen=True, slots=True)
class Door:
    """How a client reaches a server.

    Attributes:
        url: Base URL, without a trailing slash.
        ca_file: PEM file of the authority that signed the certificate that is shown there.
        token_file: Holds the bearer token of the load's user.
        check: Raises LoadError when what stands before the server has ended.
        counts: Returns how many requests what stands there has passed, answered, refused, and how
            many failed; nothing where nothing stands there.
    """

    url: str
    ca_file: Path
    token_file: Path
    check: Callable[[], None]
    counts: Callable[[], Mapping[str, int]]


@contextmanager
def doors(
    targets: Mapping[Arm, Target],
    out: Path,
    watchers: Mapping[str, Program],
    prometheus_url: str = "",
) -> Iterator[Mapping[Arm, Door]]:
    """Open a door to every target; leaving closes them.

    Args:
        targets: One or both arms.
        out: Existing folder for what a Prometheus and a gateway leave.
        watchers: `gateway`, and `prometheus` unless there is one already; nothing where nobody is
            to watch.
        prometheus_url: Of a Prometheus that exists; `{arm}` in it stands for the arm.

    Raises:
        ConfigError: One Prometheus is to be asked about both arms.
        LoadError: A Prometheus or a gateway did not start, or a component is not seen by it.
    """
    if prometheus_url and len(targets) > 1 and _ARM not in prometheus_url:
        raise ConfigError(
            f"the Prometheus at {prometheus_url} would be asked about both builds at once, and"
            " answer with the sum of them",
            hint=f"run one for each, and write `prometheus_url` with {_ARM} in it, such as"
            f" http://prometheus-{_ARM}:9090; or leave it out, and both are started",
        )
    with ExitStack() as stack:
        opened = {}
        for arm, target in targets.items():
            if watchers:
                folder = out / arm / "monitoring"
                url = prometheus_url.replace(_ARM, arm)
                opened[arm] = _watched(stack, target, folder, watchers, url)
            else:
                opened[arm] = Door(
                    target.url,
                    target.ca_file.absolute(),
                    target.token_file.absolute(),
                    lambda: None,
                    dict,
                )
        yield opened


def _watched(
    stack: ExitStack,
    target: Target,
    out: Path,
    watchers: Mapping[str, Program],
    prometheus_url: str,
) -> Door:
    out.mkdir(parents=True)
    private = stack.enter_context(private_folder(out))
    rules = [paths.ours(CONFIGS, RULES)]
    found = stack.enter_context(
        monitored(
            target,
            watchers,
            out,
            private,
            scrape_s=SCRAPE_S,
            rules=rules,
            prometheus_url=prometheus_url,
        )
    )
    token = target.token_file.absolute()
    return Door(found.url, found.ca_file.absolute(), token, found.check, found.counts)

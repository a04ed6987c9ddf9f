"""What a Prometheus and a gateway are told, wherever they run; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.system import tls

METRICS = "/milo-perf/gateway/metrics"
"""Where a gateway has its own."""


def prometheus_args(config: Path, data: Path, address: str) -> tuple[str, ...]:
    """Return the arguments of a Prometheus.

    Args:
        config: File with its configuration.
        data: Folder for what it collects.
        address: At which it listens.
    """
    return (
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=1d",
        f"--web.listen-address={address}",
        "--log.level=warn",
    )


def gateway_args(
    url: str, ca_file: Path, prometheus_url: str, identity: tls.Identity
) -> tuple[str, ...]:
    """Return the arguments of a gateway, but for where it listens.

    Args:
        url: Of the API server.
        ca_file: Of its authority.
        prometheus_url: Of the Prometheus that is asked.
        identity: That the gateway shows, with paths as it sees them.
    """
    return (
        f"--upstream={url}",
        f"--upstream-ca={ca_file}",
        f"--prometheus={prometheus_url}",
        f"--cert={identity.certificate}",
        f"--key={identity.key}",
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """A target as a Prometheus sees it.

    Attributes:
        metrics: URL of each component's text; each is a job of the component's name.
        ca_file: Of the authority of those of `https:`.
        token_file: Of an administrator, for the same.
    """

    metrics: Mapping[str, str]
    ca_file: Path
    token_file: Path


def configuration(
    target: Seen, url: str, gateway: tuple[str, Path], scrape_s: float, rules: Sequence[Path]
) -> dict[str, Any]:
    """Return the configuration of a Prometheus that scrapes a target, the gateway and itself.

    Args:
        target: What is loaded.
        url: Of the Prometheus.
        gateway: URL of its metrics, and its authority.
        scrape_s: Seconds between two scrapes, and between two evaluations of the rules.
        rules: Files of recording rules.
    """
    every = f"{round(1000 * scrape_s)}ms"
    jobs = [
        _job(name, address, target.ca_file, target.token_file)
        for name, address in target.metrics.items()
    ]
    jobs += [
        _job("prometheus", f"{url}/metrics", None, None),
        _job("gateway", *gateway, None),
    ]
    return {
        "global": {
            "scrape_interval": every,
            "scrape_timeout": every,
            "evaluation_interval": every,
        },
        "rule_files": [str(path.absolute()) for path in rules],
        "scrape_configs": jobs,
    }


def _job(name: str, url: str, ca_file: Path | None, token_file: Path | None) -> dict[str, Any]:
    parts = urlsplit(url)
    job: dict[str, Any] = {
        "job_name": name,
        "scheme": parts.scheme,
        "metrics_path": parts.path,
        "static_configs": [{"targets": [parts.netloc]}],
    }
    if parts.scheme == "https":
        job["tls_config"] = {"ca_file": str(ca_file)}
        if token_file:
            job["authorization"] = {"credentials_file": str(token_file)}
    return job

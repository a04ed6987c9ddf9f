"""The API of a cluster is reached by a kubeconfig, whose token is read anew when it expires."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.environments.api import Api
from pipeline.system.errors import ConfigError, LaunchError
from tests.clusters import FakeCluster, kubeconfig, running
from tests.loopback import answering

NAMESPACES = "/api/v1/namespaces/"
BUSY = {"state": {"waiting": {"reason": "ContainerCreating"}}}


def test_an_expired_token_is_read_anew_once(tmp_path: Path) -> None:
    cluster = FakeCluster(token="new")
    with running(cluster, tmp_path, token="old") as config:
        api = Api(str(config))
        kubeconfig(config, _url(config), "new")
        assert api.request("GET", "/version") == {"gitVersion": "v1.34.4"}
    assert cluster.asked == ["GET /version", "GET /version"]


def test_a_token_that_is_never_taken_is_told(tmp_path: Path) -> None:
    cluster = FakeCluster(token="another")
    with (
        running(cluster, tmp_path, token="old") as config,
        pytest.raises(LaunchError, match="401: Unauthorized") as caught,
    ):
        Api(str(config)).request("GET", "/version")
    assert "log in again" in caught.value.hint
    assert len(cluster.asked) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.unlink(), id="missing"),
        pytest.param(lambda path: path.write_text("clusters: ["), id="broken"),
        pytest.param(lambda path: path.write_text("[]"), id="another thing"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_one_clear_error(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    config = kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1", "t")
    spoil(config)
    with pytest.raises(ConfigError, match="this kubeconfig cannot be used"):
        Api(str(config))


def test_a_context_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    config = kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1", "t")
    with pytest.raises(ConfigError, match="other"):
        Api(str(config), "other")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"\xff\xfe", 200, id="not UTF-8"),
        pytest.param(b"\xff\xfe", 500, id="a refusal that is not UTF-8"),
        pytest.param(b"[" * 200_000, 200, id="deep"),
        pytest.param(b"[" * 200_000, 403, id="a refusal that is deep"),
    ],
)
def test_an_api_server_that_answers_with_something_else_is_one_clear_error(
    tmp_path: Path, data: bytes, status: int
) -> None:
    with answering(lambda request, _: request.say(data, status)) as url:
        config = kubeconfig(tmp_path / "kubeconfig", url, "t")
        with pytest.raises(LaunchError) as caught:
            Api(str(config), retry_s=0.05, pause_s=0.1).request("GET", "/version")
    assert len(str(caught.value)) < 1_000


def _url(config: Path) -> str:
    import json

    return str(json.loads(config.read_text())["clusters"][0]["cluster"]["server"])

"""etcd is asked through its JSON gateway, and nonsense is never a number."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.model.ports import Span
from pipeline.probes.etcd import EtcdProbe, count_keys, list_keys, names_left, orphaned_keys
from pipeline.system.errors import LoadError, NetworkError, ProbeError
from tests.loopback import Request, answering, probe_values, serving, target


class Store:
    """A gateway with keys, one more revision for each change of them."""

    def __init__(self, *found: str) -> None:
        self.keys = list(found)
        self.revision = 10
        self.size = 4096

    def answer(self, request: Request, body: bytes) -> None:
        if request.path == "/v3/maintenance/status":
            request.say(json.dumps({"dbSize": str(self.size), "dbSizeInUse": "1024"}))
            return
        asked = json.loads(body)
        first, end = (base64.b64decode(asked[name]) for name in ("key", "range_end"))
        found = sorted(key.encode() for key in self.keys)
        found = [key for key in found if key >= first and (end == b"\0" or key < end)]
        said: dict[str, object] = {"header": {"revision": str(self.revision)}}
        if found:
            said["count"] = str(len(found))
        if not asked.get("count_only"):
            page = found[: asked["limit"]]
            said["kvs"] = [{"key": base64.b64encode(key).decode()} for key in page]
            said["more"] = len(page) < len(found)
        request.say(json.dumps(said))


@pytest.fixture
def store() -> Iterator[tuple[Store, str]]:
    one = Store()
    with answering(one.answer) as url:
        yield one, url


PROJECT = "/registry/resourcemanager.miloapis.com/projects/"
LIVE, DEAD = "life-1abc-m2x-7", "life-1abc-m2x-70"


def test_what_is_there_after_is_told_less_what_was_there_before(
    store: tuple[Store, str], tmp_path: Path
) -> None:
    etcd, url = store
    etcd.keys = ["/projects/a/secrets/default/s", "/registry/secrets/default/s"]
    with EtcdProbe().watch(target(url), tmp_path) as watch:
        etcd.keys += [f"/projects/b/iam.miloapis.com/users/{i}" for i in range(7)]
        etcd.revision, etcd.size = 30, 10240
        seen = probe_values(watch.readings(Span(0, 1)))

    assert seen == {
        "etcd.keys_added": 7,
        "etcd.revisions": 20,
        "etcd.names_left": 0,
        "etcd.keys_left": 7,
        "etcd.db_bytes": 10240,
        "etcd.db_bytes_added": 6144,
        "etcd.db_used_bytes": 1024,
    }
    kept = json.loads((tmp_path / "etcd-keys-after.json").read_text())
    assert kept["projects"] == {"secrets": 1, "iam.miloapis.com/users": 7}
    assert kept["others"] == {"secrets": 1}


def test_keys_elsewhere_that_name_a_deleted_project_are_left() -> None:
    found = [
        PROJECT + LIVE,
        f"/registry/infrastructure.miloapis.com/projectcontrolplanes/{LIVE}",
        f"/registry/infrastructure.miloapis.com/projectcontrolplanes/{DEAD}",
        f"/registry/quota.miloapis.com/resourcegrants/default/{DEAD}-grant",
        f"/registry/events/default/{DEAD}.1873",
        f"/registry/leases/default/{DEAD}",
        "/registry/namespaces/organization-life-1abc-m2x",
        "compact_rev_key",
    ]

    assert names_left(found) == [found[2], found[3]]


def test_keys_of_deleted_projects_are_left_and_those_of_living_ones_are_not() -> None:
    ours = [
        f"/projects/{LIVE}/namespaces/default",
        f"/projects/{LIVE}/namespaces/milo-system",
        f"/projects/{DEAD}/namespaces/default",
        f"/projects/{DEAD}/secrets/default/s",
    ]

    assert orphaned_keys(ours, [PROJECT + LIVE, PROJECT + "other"]) == ours[2:]


def test_what_an_earlier_workload_left_is_not_told_again(
    store: tuple[Store, str], tmp_path: Path
) -> None:
    etcd, url = store
    etcd.keys = [f"/registry/roles/default/{DEAD}"]
    with EtcdProbe().watch(target(url), tmp_path) as watch:
        etcd.keys.append(f"/registry/roles/default/{DEAD}-again")
        seen = probe_values(watch.readings(Span(0, 1)))

    assert seen["etcd.names_left"] == 1


def test_many_keys_are_listed_page_by_page(store: tuple[Store, str]) -> None:
    etcd, url = store
    etcd.keys = [f"/projects/p/secrets/default/{i:06}" for i in range(11_000)]

    assert list_keys(url, b"/projects/", b"/projects0") == etcd.keys


def test_too_many_keys_are_not_listed_but_counted(
    store: tuple[Store, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.probes.etcd.MAX_LISTED_KEYS", 10)
    etcd, url = store
    with EtcdProbe().watch(target(url), tmp_path) as watch:
        etcd.keys = [f"/registry/secrets/default/{i:06}" for i in range(6_000)]
        seen = probe_values(watch.readings(Span(0, 1)))

    assert "etcd.names_left" not in seen
    assert "etcd.keys_left" not in seen
    assert seen["etcd.keys_added"] == 0
    assert json.loads((tmp_path / "etcd-keys-after.json").read_text())["others"] is None


def test_an_etcd_that_cannot_be_reached_is_an_error(tmp_path: Path) -> None:
    remote = target("https://x", etcd_url="")
    with pytest.raises(LoadError, match="cannot be reached"), EtcdProbe().watch(remote, tmp_path):
        pass


def test_etcd_leaves_a_count_of_zero_out() -> None:
    with serving("{}") as url:
        assert count_keys(url) == 0


@pytest.mark.parametrize("answer", ["not JSON", '{"count":"many"}', "[]"])
def test_an_etcd_that_answers_nonsense_is_an_error(answer: str) -> None:
    with serving(answer) as url, pytest.raises((NetworkError, ProbeError)):
        count_keys(url)


def test_an_etcd_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(NetworkError, match="no answer"):
        count_keys("http://127.0.0.1:1")

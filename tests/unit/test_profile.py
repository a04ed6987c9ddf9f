"""How Milo is started: the profiles, and what they read of Milo's manifests."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.environments import bootstrap
from pipeline.environments.components import manager_command, server_command
from pipeline.environments.credentials import Credentials
from pipeline.environments.local import LocalSettings
from pipeline.environments.milo_manifests import at_url
from pipeline.environments.profile import Profile, read_manifests
from pipeline.environments.registry import from_values, to_values
from pipeline.model.health import Status
from pipeline.model.ports import Artifact, Target
from pipeline.model.request import RunRequest
from pipeline.model.results import Machine
from pipeline.model.subject import Arm, Product, Subject
from pipeline.runs.request import (
    require_same_profile,
    resolve,
    resolve_environment,
)
from pipeline.system.errors import ConfigError, LaunchError, PipelineError
from tests.loopback import Request, answering, target
from tests.milo_trees import WEBHOOK, deployment, write_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path)


def milo(manifests: Path | None = None) -> Artifact:
    subject = Subject("binary:/milo", "sha256:00")
    return Artifact(subject, Path("/milo"), product=Product.MILO, manifests=manifests)


def production(quota: str = "", **values: object) -> LocalSettings:
    return LocalSettings.model_validate({"profile": f"production{quota}", **values})


def test_a_profile_takes_flags_and_limits_of_the_deployments(tree: Path) -> None:
    manifests = read_manifests(milo(tree), production())
    assert manifests.server_flags == ("--v=4", "--logging-format=json")
    assert manifests.manager_flags == ("--v=4", "--logging-format=json", "--leader-elect=true")
    assert manifests.server_variables == {"GOMEMLIMIT": "1GiB"}
    assert manifests.manager_variables == {"GOMEMLIMIT": "512MiB"}


def test_flags_of_the_profile_replace_ours_and_those_of_the_spec_win() -> None:
    paths = Credentials(*(Path("/pki", name) for name in "abcdefgh"))
    artifact = replace(milo(), arguments=("--v=1",), manager_arguments=("--v=2",))
    server = server_command(artifact, 1, "http://e", paths, flags=("--v=4",))
    manager = manager_command(
        artifact, 1, 2, Path("/k"), paths, flags=("--v=4", "--leader-elect=true")
    )
    assert [flag for flag in server if flag.startswith("--v=")] == ["--v=4", "--v=1"]
    assert [flag for flag in manager if flag.startswith("--v=")] == ["--v=4", "--v=2"]
    assert "--leader-elect=false" not in manager
    assert "--leader-elect=false" in manager_command(artifact, 1, 2, Path("/k"), paths)


def test_profiles_of_contention_are_switched_on_where_an_artifact_asks_for_it() -> None:
    paths = Credentials(*(Path("/pki", name) for name in "abcdefgh"))
    for is_profiled in (False, True):
        artifact = replace(milo(), is_profiled=is_profiled)
        server = server_command(artifact, 1, "http://e", paths)
        manager = manager_command(artifact, 1, 2, Path("/k"), paths)
        assert all(
            ("--contention-profiling=true" in one) is is_profiled for one in (server, manager)
        )


def test_quota_is_only_in_its_own_profile(tree: Path) -> None:
    assert read_manifests(milo(tree), production()).quota == ()
    with_quota = read_manifests(milo(tree), production("+quota"))
    assert [one["kind"] for one in with_quota.quota] == [
        "ResourceRegistration",
        "ClaimCreationPolicy",
    ]
    assert with_quota.quota_types == ("core/secrets",)


def test_the_minimal_profile_reads_nothing_and_says_nothing() -> None:
    manifests = read_manifests(milo(Path("/nowhere")), LocalSettings())
    assert (manifests.webhooks, manifests.server_flags) == ((), ())
    assert LocalSettings().facts == {"environment": "local"}
    assert not LocalSettings().has_fsync


def test_the_settings_name_manifests_for_builds_that_have_none(tree: Path, tmp_path: Path) -> None:
    settings = production(manifests=str(tree))
    assert read_manifests(milo(), settings).webhooks
    with pytest.raises(ConfigError, match=f"there is no folder {tmp_path}/other"):
        read_manifests(milo(tmp_path / "other"), settings)


def test_production_waits_for_the_disk_unless_it_is_told_not_to() -> None:
    assert production().facts == {
        "environment": "local",
        "profile": "production",
        "etcd fsync": "on",
    }
    assert not production(etcd_fsync=False).has_fsync
    assert LocalSettings(etcd_fsync=True).facts == {"environment": "local", "etcd fsync": "on"}


def test_the_settings_of_a_profile_are_stored_and_read_again() -> None:
    settings = production("+quota", manifests="/src/milo")
    assert from_values(to_values(settings), "request.json") == settings


def test_a_profile_that_does_not_exist_is_refused_with_those_that_do() -> None:
    request = RunRequest(profile="prod")
    with pytest.raises(ConfigError, match="no profile `prod`; write one of minimal, production"):
        resolve_environment(request, LocalSettings())


def test_a_request_changes_the_profile_of_the_suite() -> None:
    settings = resolve_environment(RunRequest(profile="production"), LocalSettings())
    assert isinstance(settings, LocalSettings)
    assert settings.profile is Profile.PRODUCTION


def test_the_default_baseline_of_a_profile_has_its_name() -> None:
    request = RunRequest(candidate="binary:/milo", profile="production+quota", suite="pr")
    with pytest.raises(ConfigError, match="has nothing to be compared with"):
        resolve(request)


@pytest.mark.parametrize(
    ("artifact", "message"),
    [
        pytest.param(
            Artifact(Subject("reference", "sha256:00"), Path("/r")),
            "`reference` has no profile production",
            id="reference",
        ),
        pytest.param(milo(), "needs the manifests of `binary:/milo`", id="no manifests"),
    ],
)
def test_a_build_without_the_profile_is_refused(artifact: Artifact, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_manifests(artifact, production())


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        pytest.param("apiserver/deployment.yaml", None, "cannot be read", id="no Deployment"),
        pytest.param("apiserver/deployment.yaml", "kind: Pod", "no Deployment in it", id="a Pod"),
        pytest.param("apiserver/deployment.yaml", "a: [", "is not YAML", id="no YAML"),
        pytest.param(
            "apiserver/deployment.yaml", "kind: Deployment", "does not have the form", id="empty"
        ),
        pytest.param(
            "apiserver/deployment.yaml",
            deployment("apiserver", "half"),
            "limits.memory is half",
            id="a limit that is no quantity",
        ),
        pytest.param(
            "webhook/manifests.yaml",
            "---".join(
                WEBHOOK.format(kind=k, name="m") for k in ("Mutating", "Validating")
            ).replace("service", "url"),
            "does not have the form",
            id="webhooks without a Service",
        ),
        pytest.param(
            "webhook/manifests.yaml",
            WEBHOOK.format(kind="Mutating", name="m"),
            "no ValidatingWebhookConfiguration",
            id="half of the webhooks",
        ),
    ],
)
def test_manifests_that_are_not_milos_are_one_clear_error(
    tree: Path, path: str, text: str | None, message: str
) -> None:
    file = tree / "config" / path
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(LaunchError, match=message):
        read_manifests(milo(tree), production())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["kind", "spec", "template", "containers", "webhooks", "args"]),
                    inner | st.just("Deployment"),
                    max_size=4,
                )
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    ),
    path=st.sampled_from(["apiserver/deployment.yaml", "webhook/manifests.yaml"]),
)
def test_no_file_of_manifests_makes_us_crash(tree: Path, content: bytes, path: str) -> None:
    file = tree / "config" / path
    kept = file.read_bytes()
    try:
        file.write_bytes(content)
        at_url(read_manifests(milo(tree), production()).webhooks, "https://x", "Y2E=")
    except PipelineError as error:
        assert str(tree) in str(error)  # noqa: PT017 (most contents are refused, some are not)
    finally:
        file.write_bytes(kept)


@given(st.lists(st.text("abc/-", min_size=1, max_size=12), max_size=5))
def test_every_webhook_calls_its_own_path_at_the_url(paths: list[str]) -> None:
    hooks = [{"name": p, "clientConfig": {"service": {"path": f"/{p}", "port": 1}}} for p in paths]
    (changed,) = at_url([{"kind": "k", "webhooks": hooks}], "https://127.0.0.1:9", "Y2E=")
    assert [one["clientConfig"] for one in changed["webhooks"]] == [
        {"url": f"https://127.0.0.1:9/{path}", "caBundle": "Y2E="} for path in paths
    ]
    assert [one["name"] for one in changed["webhooks"]] == paths


def test_results_of_two_profiles_are_never_compared() -> None:
    minimal, other = Machine({}, {}), Machine({"profile": "production"}, {})
    require_same_profile(minimal, Machine({"profile": "minimal"}, {}), "a and b")
    with pytest.raises(ConfigError, match=r"a and b cannot be compared.*minimal and production"):
        require_same_profile(minimal, other, "a and b")


def test_the_doctor_says_what_a_profile_lacks(tree: Path) -> None:
    assert LocalSettings().checks() == []
    (unknown,) = production().checks()
    assert unknown.status is Status.WARNING
    assert "each build must bring Milo's manifests" in unknown.found
    (ready,) = production("+quota", manifests=str(tree)).checks()
    assert ready.status is Status.OK
    (tree / "config/services/quota/claim-policies/secrets.yaml").unlink()
    (missing,) = production("+quota", manifests=str(tree)).checks()
    assert missing.status is Status.MISSING
    assert "no ClaimCreationPolicy" in missing.found
    assert missing.fix


@dataclass
class FakeMilo:
    """The part of a control plane that is set up before a run."""

    refuse: str = ""
    refuse_status: int = 403
    condition: str = "True"
    has_webhooks: bool = True
    created: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: Request, body: bytes) -> None:
        if request.command == "GET":
            names = ("Ready", "Active", "Established")
            conditions = [{"type": name, "status": self.condition} for name in names]
            request.say(json.dumps({"status": {"conditions": conditions}, "items": []}))
            return
        one = json.loads(body)
        with self.lock:
            self.created.append(one)
            self.paths.append(request.path)
        is_outside = "dryRun" in request.path and self.has_webhooks
        if is_outside or one["kind"] == self.refuse:
            request.say(json.dumps({"message": "denied by a test"}), self.refuse_status)
        else:
            request.say("{}", 201)


@contextmanager
def serving(fake: FakeMilo, tmp_path: Path) -> Iterator[Target]:
    files = {name: tmp_path / name for name in ("ca.pem", "load.token")}
    files["ca.pem"].write_text("CERTIFICATE")
    files["load.token"].write_text("token-of-load")
    with answering(fake.answer) as url:
        yield replace(
            target(url, metrics={"server": f"{url}/metrics"}),
            ca_file=files["ca.pem"],
            token_file=files["load.token"],
            needs_organization_path=True,
        )


SetUp = Callable[[FakeMilo, float], None]


@pytest.fixture
def set_up(tree: Path, tmp_path: Path) -> SetUp:
    def run(fake: FakeMilo, timeout_s: float) -> None:
        with serving(fake, tmp_path) as one:
            manifests = read_manifests(milo(tree), production("+quota"))
            bootstrap.set_up_production(
                one,
                "admin",
                manifests,
                "https://127.0.0.1:9",
                arm="candidate",
                timeout_s=timeout_s,
            )

    return run


def test_production_creates_users_roles_webhooks_and_quota(set_up: SetUp) -> None:
    fake = FakeMilo()
    set_up(fake, 5.0)
    kinds = [one["kind"] for one in fake.created]
    assert kinds == [
        *("User", "User", "Role", "Role"),
        *("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "Project"),
        *("ResourceRegistration", "ClaimCreationPolicy", "GrantCreationPolicy"),
    ]
    hook = fake.created[4]["webhooks"][0]
    assert hook["clientConfig"]["url"] == "https://127.0.0.1:9/one"
    grant = fake.created[-1]["spec"]["target"]["resourceGrantTemplate"]["spec"]
    assert [one["resourceType"] for one in grant["allowances"]] == ["core/secrets"]


@pytest.mark.parametrize("kind", ["User", "Role", "ValidatingWebhookConfiguration"])
def test_an_object_that_is_refused_is_named_with_the_answer(set_up: SetUp, kind: str) -> None:
    with pytest.raises(LaunchError, match=rf"refused {kind} .*denied by a test"):
        set_up(FakeMilo(refuse=kind), 5.0)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_webhook_that_refuses_the_first_project_is_an_error(tmp_path: Path, status: int) -> None:
    fake = FakeMilo(refuse="Project", refuse_status=status)
    with (
        serving(fake, tmp_path) as one,
        pytest.raises(LaunchError, match=rf"the candidate refused Project .*{status}: denied") as e,
    ):
        bootstrap.create_first_projects({Arm.CANDIDATE: one}, "admin", 5.0)
    assert "do the manifests belong to the version" in e.value.hint


def test_webhooks_that_never_act_are_an_error(set_up: SetUp) -> None:
    with pytest.raises(LaunchError, match="a Project outside of an Organization is accepted"):
        set_up(FakeMilo(has_webhooks=False), 0.2)


def test_a_policy_that_never_becomes_ready_is_named(set_up: SetUp) -> None:
    with pytest.raises(LaunchError, match="ResourceRegistration secrets-per-project is not Active"):
        set_up(FakeMilo(condition="False"), 0.2)


def test_the_first_project_is_created_in_its_organization_by_the_user(tmp_path: Path) -> None:
    fake = FakeMilo()
    with serving(fake, tmp_path) as one:
        bootstrap.create_first_projects({Arm.BASELINE: one}, "admin", 5.0)
    root = "/apis/resourcemanager.miloapis.com/v1alpha1"
    assert fake.paths == [
        f"{root}/organizations",
        f"{root}/organizations/milo-perf/control-plane{root}/projects",
        "/projects/milo-perf-first/control-plane/api/v1/namespaces/default/secrets",
    ]


def test_creates_that_are_denied_for_lack_of_a_grant_are_an_error(tmp_path: Path) -> None:
    with (
        serving(FakeMilo(refuse="Secret"), tmp_path) as one,
        pytest.raises(LaunchError, match=r"refused Secret milo-perf-first.*tried for 0.2 s") as e,
    ):
        bootstrap.create_first_projects({Arm.BASELINE: one}, "admin", 0.2)
    assert "is there a grant" in e.value.hint

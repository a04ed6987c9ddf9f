"""A number that cannot work is refused at the start, in a sentence, and nothing is built for it."""

import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from pipeline import toolchain
from pipeline.commands import main, options
from pipeline.drivers.registry import DRIVER_SETTINGS
from pipeline.environments.cluster_settings import LoadPodSettings, Resources
from pipeline.environments.registry import ENVIRONMENT_SETTINGS
from pipeline.model.bounds import MAX_SECONDS
from pipeline.model.capacity import CountedResource
from pipeline.model.headroom import Headroom
from pipeline.model.request import CapacityRequest, SoakRequest
from pipeline.runs.capacity import run as capacity
from pipeline.runs.request import max_pairs
from pipeline.runs.soak import run as soak
from pipeline.runs.suite_file import MetricSettings, Suite, Workload
from pipeline.system import tls
from pipeline.system.errors import ConfigError, Exit
from tests.fakes import tiny

MODELS: tuple[type[BaseModel], ...] = (
    *(Suite, Workload, MetricSettings, Resources, LoadPodSettings),
    *DRIVER_SETTINGS.values(),
    *ENVIRONMENT_SETTINGS.values(),
)
ANY_AMOUNT = {"margin", "tolerance", "floor", "parameters"}
"""Fields that take any amount of the unit of their metric, or whatever a script reads."""

BUILDS = ["--candidate", "binary:no-such-milo", "--against", "binary:no-such-milo"]
LINES = {
    "run": ["run", "--suite", "smoke", *BUILDS],
    "plan": ["plan", "--suite", "smoke"],
    "deploy": ["deploy", "--suite", "smoke", *BUILDS],
    "capacity": ["capacity", "objects", "--limit", "db<1GB"],
    "soak": ["soak", "--for", "1m"],
    "evaluate": ["evaluate"],
    "baseline calibrate": ["baseline", "calibrate", "--suite", "smoke"],
    "releases": ["releases", "v1=reference", "v2=reference?cpu=1ms", "--suite", "smoke"],
    "cluster create": [
        *("cluster", "create", "--project=p-12345", "--location=us-central1-a", "--run=x"),
        *("--account=a@p-12345.iam.gserviceaccount.com", "--budget-usd=1"),
    ],
}
"""A command line for each command whose numbers need no folder of an earlier one."""

LARGE = ("999999999", "9" * 30, "9" * 5000, "1e300", "999999999h", f"{'9' * 400}h", "nan", "inf")
SMALL = ("-1", "0", "1e-300")
FREE = {
    ("cluster create", "--budget-usd"): "any amount of dollars is a bound",
    ("run", "--pull-request"): "GitHub knows which numbers exist",
    ("capacity", "--forecast"): "a forecast refuses by itself what the sizes do not justify",
}


def numeric_options() -> Iterator[tuple[str, str]]:
    """Yield each option of each command that has a type of its own: a number or a time."""
    for parser in options.parsers_of(main.build_parser()):
        for action in parser._actions:  # noqa: SLF001 (argparse has no public list of them)
            if action.type not in (None, Path) and not action.choices and action.option_strings:
                yield parser.prog.removeprefix("milo-perf "), action.option_strings[0]


@pytest.fixture
def nothing_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def built(*_: object, **__: object) -> typing.NoReturn:
        raise AssertionError("something was built")

    for name in ("artifact", "programs_of"):
        monkeypatch.setattr(toolchain, name, built)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("nothing_is_built")
@pytest.mark.parametrize("value", LARGE)
@pytest.mark.parametrize(("command", "option"), list(numeric_options()))
def test_a_number_that_is_too_large_is_refused(
    command: str, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    is_free = option == "--seed" or (command, option) in FREE
    if is_free and value in ("999999999", "1e300"):
        return
    words = [*LINES.get(command, command.split()), f"{option}={value}"]
    if command not in LINES and value == "999999999":
        return  # it is refused with the folder in which it has a meaning
    refuse(words, capsys)


@pytest.mark.usefixtures("nothing_is_built")
@pytest.mark.parametrize("value", SMALL)
@pytest.mark.parametrize(
    ("command", "option"),
    [
        *(("capacity", f"--{name}") for name in ("rate", "hold", "start", "projects", "budget")),
        *(("capacity", f"--{name}") for name in ("object-bytes", "forecast")),
        *(("soak", f"--{name}") for name in ("projects", "objects", "object-bytes", "for")),
        *(("run", f"--{name}") for name in ("pairs", "budget")),
        *(("evaluate", f"--{name}") for name in ("repetitions", "faults")),
    ],
)
def test_a_number_that_is_too_small_is_refused(
    command: str, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse([*LINES[command], f"{option}={value}"], capsys)


def refuse(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main.main(words)
    except SystemExit as stopped:
        code = typing.cast("int", stopped.code)
    said = capsys.readouterr().err
    assert code == Exit.BAD_ARGUMENTS, said
    assert re.search(r"error: .*\w", said), said
    assert "Traceback" not in said
    assert all(len(line) < 1000 for line in said.splitlines()), said


def numeric_fields() -> Iterator[Any]:
    for model in dict.fromkeys(MODELS):
        for name, field in model.model_fields.items():
            if name not in ANY_AMOUNT and {int, float} & set(parts(field.annotation)):
                yield pytest.param(model, field, id=f"{model.__name__}-{name}")


def parts(annotation: object) -> Iterator[object]:
    """Yield the types of an annotation, without those of a container."""
    origin = typing.get_origin(annotation)
    if origin is Annotated or origin is typing.Union or isinstance(annotation, types.UnionType):
        for one in typing.get_args(annotation):
            yield from parts(one)
    else:
        yield annotation


@pytest.mark.parametrize(("model", "field"), list(numeric_fields()))
def test_every_number_of_a_suite_or_an_environment_has_bounds(
    model: type[BaseModel], field: FieldInfo
) -> None:
    annotated: Any = Annotated[field.annotation, field]
    adapter: TypeAdapter[Any] = TypeAdapter(annotated)
    for value in (-1, 10**12, 1e300, float("inf")):
        with pytest.raises(ValidationError):
            adapter.validate_python(value)
    assert model


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objects": 400_000}, "a cycle of 1,600,006 requests.* does not end within 1300 s"),
        ({"object_bytes": 2**20 + 1}, "object_bytes: .*less than or equal to 1048576"),
        ({"limits": ("ready<99999999m",)}, "column 7: expected a smaller number"),
    ],
)
def test_a_soak_that_cannot_be_measured_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        soak.question_of(SoakRequest(60.0, **changes))
    soak.question_of(SoakRequest(MAX_SECONDS, objects=1000))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate": 0.01, "hold_s": 60.0}, "begins nothing in 60 s"),
        ({"rate": 9_000.0}, "needs 45,000 VUs"),
        ({"start": 9_000_000}, "iterations: .*less than or equal to 10000000"),
    ],
)
def test_a_search_that_cannot_be_measured_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"k6 cannot apply this load: .*{said}"):
        capacity.question_of(CapacityRequest(CountedResource.OBJECTS, ("db<1GB",), **changes))


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("k6", {"script": "idle.js", "rate": 0.01}, "begins nothing in 10 s"),
        ("k6", {"script": "idle.js", "rate": 9e3, "request_timeout_s": 30}, "540,000 VUs"),
        (
            "clusterloader2",
            {"config": "object-crud", "rate": 0.1, "objects": 100},
            "takes 2,000 s.*given up after 180 s",
        ),
        (
            "watch-herd",
            {"watches": 2, "projects": 1, "rate": 0.01},
            "begins nothing in 10 s",
        ),
    ],
)
def test_a_load_that_cannot_be_sent_is_refused(
    kind: str, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        DRIVER_SETTINGS[kind].model_validate({"kind": kind, "duration_s": 10.0, **settings})


@pytest.mark.usefixtures("nothing_is_built")
@pytest.mark.parametrize(
    "words",
    [
        ["soak", "--for=1m", "--objects=100000"],
        ["capacity", "objects", "--limit=db<1GB", "--start=100000"],
        ["capacity", "projects", "--limit=db<1GB", "--start=1000"],
    ],
)
def test_one_build_that_cannot_fit_the_machine_is_refused(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = Headroom(memory=1e9, memory_total=2e9, files=1e6, disk=1e12)
    monkeypatch.setattr(toolchain, "headroom", lambda *_: small)
    assert main.main(words) == Exit.BAD_ARGUMENTS
    assert "do not fit this machine: memory: a launch needs about" in capsys.readouterr().err


def test_certificates_outlive_the_longest_soak() -> None:
    assert tls._LIFETIME.total_seconds() > MAX_SECONDS + 86_400  # noqa: SLF001 (a constant)


def test_invalid_pairs_have_room_in_the_results(tmp_path: Path) -> None:
    suite = tiny(tmp_path)
    assert [max_pairs(suite.model_copy(update={"max_invalid": n})) for n in (0, 1, 900, 1000)] == [
        *(1000, 999, 100, 0)
    ]

"""Builds that are equal byte for byte."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.model.ports import Artifact
from pipeline.model.results import PROFILE
from pipeline.model.subject import Product, Subject
from pipeline.toolchain.same_build import is_same_build

BUILD = Artifact(Subject("binary:a", "sha256:aa"), Path("a"), Product.MILO, ("--x=1",))
PRODUCTION = {PROFILE: "production"}


def manifests(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_copy_of_a_binary_is_the_same_build() -> None:
    copy = replace(BUILD, subject=Subject("source:b@v2", "sha256:aa"), binary=Path("b"))
    assert is_same_build(BUILD, copy, {})
    assert is_same_build(BUILD, copy, PRODUCTION), "neither has manifests"


@pytest.mark.parametrize(
    "other",
    [
        replace(BUILD, subject=Subject("binary:a", "sha256:bb")),
        replace(BUILD, arguments=("--x=2",)),
        replace(BUILD, manager_arguments=("--x=1",)),
        replace(BUILD, variables={"GOGC": "15"}),
        replace(BUILD, image="milo@sha256:aa"),
    ],
)
def test_another_program_or_setting_is_another_build(other: Artifact) -> None:
    assert not is_same_build(BUILD, other, {})
    assert not is_same_build(other, BUILD, {})


@pytest.mark.parametrize(
    ("files", "is_same"),
    [
        ({"config/webhook.yaml": "a"}, True),
        ({"config/webhook.yaml": "b"}, False),
        ({"config/other.yaml": "a"}, False),
        ({"config/webhook.yaml": "a", "config/more.yaml": ""}, False),
        (None, False),
    ],
)
def test_manifests_count_where_the_profile_applies_them(
    tmp_path: Path, files: Mapping[str, str] | None, *, is_same: bool
) -> None:
    one, other = (
        replace(BUILD, manifests=None if given is None else manifests(tmp_path / name, given))
        for name, given in (("one", {"config/webhook.yaml": "a"}), ("other", files))
    )
    assert is_same_build(one, other, {})
    assert is_same_build(one, other, PRODUCTION) is is_same
    assert is_same_build(other, one, PRODUCTION) is is_same

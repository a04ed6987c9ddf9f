"""A spec names a build, and only a build that there is."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.subject import Spec, parse_spec


@pytest.mark.parametrize(
    "text",
    [
        "reference",
        "reference?slow-create=20ms",
        "reference?slow-create=20ms&cpu=200us",
        f"reference@{'a' * 40}",
        f"reference@{'0' * 40}?errors=0.5%",
        "binary:/opt/milo",
        "binary:../a b/milo?env.GOGC=50&flag.v=2",
        f"binary@sha256:{'a' * 64}?env.GOGC=50",
        f"image:ghcr.io/milo-os/milo:v0.30.0@sha256:{'a' * 64}?env.GOGC=50",
        "source:../milo@v0.30.0",
        "source:.@feat/shared-cache?flag.shared-etcd-client-pool-size=8",
    ],
)
def test_a_spec_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_spec(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("milo", "is not a subject"),
        ("", "is not a subject"),
        ("reference@abc", "is not a subject"),
        ("reference:./reference", "is not a subject"),
        ("image:ghcr.io/milo-os/milo:v0.30.0", "is not a subject"),
        ("binary", "is not a subject"),
        ("binary:./milo@v1", "is not a subject"),
        ("binary@sha256:abc", "is not a subject"),
        ("source:../milo", "is not a subject"),
        ("source@v1", "is not a subject"),
        ("reference?", "name=value"),
        ("reference?cpu", "name=value"),
        ("reference?cpu=1ms&cpu=2ms", "`cpu` is set twice"),
    ],
)
def test_what_is_no_spec_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_spec(text)


@given(
    st.text(max_size=40)
    | st.from_regex(r"(reference|binary:.+|source:.+@.+)\?[a-z.]+=.*", fullmatch=True)
)
def test_a_text_is_a_spec_that_is_written_the_same_or_an_error_in_words(text: str) -> None:
    spec: Spec | None = None
    with contextlib.suppress(ValueError):
        spec = parse_spec(text)

    assert spec is None or str(spec) == text

"""Go profiles are read by their published format, within limits, whatever they are."""

import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model.profiles import StackProfile
from pipeline.storage import pprof
from pipeline.system.errors import ProbeError

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
PROFILES = st.builds(
    StackProfile,
    st.just((("contentions", "count"), ("delay", "nanoseconds"))),
    st.dictionaries(
        st.lists(NAMES, min_size=1, max_size=4).map(tuple),
        st.tuples(st.integers(0, 2**60), st.integers(0, 2**60)).map(
            lambda pair: (float(pair[0]), float(pair[1]))
        ),
        max_size=20,
    ),
)


def gzipped(body: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


SMALL = pprof.dump_profile(
    StackProfile((("cpu", "nanoseconds"),), {("a.F", "b.G"): (3.0,), ("c.H", "b.G"): (4.0,)})
)


@given(PROFILES)
@settings(max_examples=20, deadline=None)
def test_what_is_written_is_read_again(profile: StackProfile) -> None:
    assert pprof.parse_profile(pprof.dump_profile(profile), "profile") == profile


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_changed_bytes_are_a_profile_or_one_clear_error(data: st.DataObject) -> None:
    body = bytearray(zlib.decompress(SMALL, 16 + zlib.MAX_WBITS))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ProbeError):
        profile = pprof.parse_profile(gzipped(bytes(body)), "server-cpu.pb.gz")
        assert all(len(values) == len(profile.types) for values in profile.stacks.values())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut off"),
        (b"not gzip", "not a gzipped profile"),
        (SMALL[:-9], "cut off"),
        (gzipped(b"\x0a"), "not a message of profile.proto"),
        (gzipped(b""), "sample types"),
        (b"\x1f\x8b" + bytes(pprof.MAX_BYTES), "more than 16 MiB is not read"),
        (gzipped(bytes(pprof.LIMITS.size + 1)), "unpacks to more than 48 MiB"),
    ],
)
def test_a_broken_or_huge_profile_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(ProbeError, match=r"^server-heap\.pb\.gz: ") as error:
        pprof.parse_profile(data, "server-heap.pb.gz")

    assert reason in str(error.value)


def test_stacks_deeper_and_more_than_the_limits_are_refused() -> None:
    deep = StackProfile((("cpu", "nanoseconds"),), {("f",) * 40: (1.0,)})
    limits = pprof.ProfileLimits(depth=30)
    with pytest.raises(ProbeError, match="more than 30 frames"):
        pprof.parse_profile(pprof.dump_profile(deep), "p", limits)
    with pytest.raises(ProbeError, match="at most 1 samples"):
        pprof.parse_profile(SMALL, "p", pprof.ProfileLimits(samples=1))


def varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


NAMED = b"".join(field(6, name) for name in (b"", b"cpu", b"nanoseconds", b"main.f"))
TYPED = field(1, field(1, 1) + field(2, 2)) + NAMED + field(5, field(1, 1) + field(2, 3))
LINE, ONE = field(4, field(1, 1)), field(2, b"\x05")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(
            TYPED
            + field(4, field(1, 1) + LINE * 900_000)
            + field(2, field(1, b"\x01" * 2_000) + ONE),
            "more than 2,000 frames",
            id="inlined functions",
        ),
        pytest.param(TYPED + field(4, b"") * 1_500_000, "at most 1,000,000 names", id="locations"),
        pytest.param(TYPED + field(5, b"") * 1_500_000, "at most 1,000,000 names", id="functions"),
        pytest.param(TYPED + field(6, b"") * 1_500_000, "at most 1,000,000 names", id="names"),
        pytest.param(
            TYPED + field(4, LINE * 1_500_000), "at most 1,000,000 names", id="lines of a location"
        ),
        pytest.param(TYPED + field(1, b"") * 40, "sample types, at most 32", id="types"),
    ],
)
def test_a_small_file_that_unpacks_to_very_much_is_refused_at_once(
    body: bytes, reason: str
) -> None:
    """Two kilobytes took three gigabytes, and 57 ended the command: a build under test says it."""
    data = gzipped(body)
    assert len(data) < 2**17
    tracemalloc.start()
    with pytest.raises(ProbeError, match=reason):
        pprof.parse_profile(data, "p")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100 * 2**20


@pytest.mark.parametrize("number", [-1, -3, 4, 2**62])
def test_a_name_by_a_wrong_number_is_no_name(number: int) -> None:
    wrong = number % 2**64
    for body in (
        field(1, field(1, wrong) + field(2, 2)) + NAMED,
        field(1, field(1, 1) + field(2, wrong)) + NAMED,
        TYPED + field(5, field(1, 2) + field(2, wrong)),
    ):
        with pytest.raises(ProbeError, match="has the number of a name"):
            pprof.parse_profile(gzipped(body), "p")


def test_profiles_of_one_kind_add_up() -> None:
    one = pprof.parse_profile(SMALL, "p")
    total = pprof.sum_profiles([one, one])
    assert total is not None
    assert total.column("cpu") == {("a.F", "b.G"): 6.0, ("c.H", "b.G"): 8.0}
    assert pprof.sum_profiles([]) is None
    with pytest.raises(ProbeError, match="different sample types"):
        pprof.sum_profiles([one, StackProfile((("x", "count"),))])

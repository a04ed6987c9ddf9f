"""Go profiles are read by their published format, within limits, whatever they are."""

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


def test_profiles_of_one_kind_add_up() -> None:
    one = pprof.parse_profile(SMALL, "p")
    total = pprof.sum_profiles([one, one])
    assert total is not None
    assert total.column("cpu") == {("a.F", "b.G"): 6.0, ("c.H", "b.G"): 8.0}
    assert pprof.sum_profiles([]) is None
    with pytest.raises(ProbeError, match="different sample types"):
        pprof.sum_profiles([one, StackProfile((("x", "count"),))])

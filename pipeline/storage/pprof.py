"""Read Go profiles: gzipped messages of pprof's published `profile.proto`.

The protobuf library decodes them.  Only the fields that we use are described here, with the numbers
of the published file; protobuf skips all others.  A profile comes from a build under test, so it is
hostile: its sizes are limited before anything of it is kept.

Source:
    github.com/google/pprof, proto/profile.proto.
"""

import sys
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from operator import add
from pathlib import Path
from typing import Any

from pipeline.model.profiles import Stack, StackProfile
from pipeline.system.errors import ProbeError

MAX_BYTES = 16 * 2**20
"""Largest size of a compressed profile; those of Milo have up to 1 MiB."""


@dataclass(frozen=True, slots=True)
class ProfileLimits:
    """Limits of a decompressed profile.

    Attributes:
        size: Bytes.
        types: Sample types.
        samples: Samples.
        entries: Names, functions, locations and lines of locations.
        depth: Frames of a stack; inlined functions are frames of one location.
        frames: Frames of all stacks.
        name: Bytes of a name that are kept.
    """

    size: int = 48 * 2**20
    types: int = 32
    samples: int = 300_000
    entries: int = 1_000_000
    depth: int = 2_000
    frames: int = 5_000_000
    name: int = 500


LIMITS = ProfileLimits()

_GZIP = 16 + zlib.MAX_WBITS
_INT64, _UINT64, _BYTES, _MESSAGE = 3, 4, 12, 11
_MESSAGES: Mapping[str, Mapping[str, tuple[int, int, bool, str]]] = {
    "ValueType": {"type": (1, _INT64, False, ""), "unit": (2, _INT64, False, "")},
    "Sample": {"location_id": (1, _UINT64, True, ""), "value": (2, _INT64, True, "")},
    "Line": {"function_id": (1, _UINT64, False, "")},
    "Location": {"id": (1, _UINT64, False, ""), "line": (4, _MESSAGE, True, "Line")},
    "Function": {"id": (1, _UINT64, False, ""), "name": (2, _INT64, False, "")},
    "Profile": {
        "sample_type": (1, _MESSAGE, True, "ValueType"),
        "sample": (2, _MESSAGE, True, "Sample"),
        "location": (4, _MESSAGE, True, "Location"),
        "function": (5, _MESSAGE, True, "Function"),
        "string_table": (6, _BYTES, True, ""),
    },
}
"""Number, type, whether it is repeated, and message of each field, by message."""


def read_profile(path: Path) -> StackProfile:
    """Return the profile in a file.

    Raises:
        ProbeError: The file is missing, too large or not a profile.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ProbeError(f"{path.name}: cannot be read: {error.strerror}") from error
    return parse_profile(data, path.name)


def parse_profile(data: bytes, name: str, limits: ProfileLimits = LIMITS) -> StackProfile:
    """Return the profile in gzipped bytes; `name` is for messages.

    Raises:
        ProbeError: The bytes exceed a limit, or are not a profile.
    """
    try:
        return _stack_profile(_decode(_decompress(data, limits)), limits)
    except ValueError as error:
        raise ProbeError(f"{name}: {error}") from error


def write_profile(path: Path, profile: StackProfile) -> None:
    """Write a profile that `go tool pprof` opens, for profiles that were merged.

    Raises:
        OSError: The file cannot be written.
    """
    path.write_bytes(dump_profile(profile))


def dump_profile(profile: StackProfile) -> bytes:
    """Return the gzipped bytes of a profile; its values are rounded to integers."""
    message = _message_class()()
    strings: dict[str, int] = {"": 0}
    ids: dict[str, int] = {}

    def index(text: str) -> int:
        return strings.setdefault(text, len(strings))

    for kind, unit in profile.types:
        message.sample_type.add(type=index(kind), unit=index(unit))
    for stack, values in profile.stacks.items():
        for function in stack:
            if function not in ids:
                number = ids[function] = len(ids) + 1
                message.function.add(id=number, name=index(function))
                message.location.add(id=number).line.add(function_id=number)
        message.sample.add(location_id=[ids[one] for one in stack], value=map(round, values))
    message.string_table.extend(text.encode() for text in strings)
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    return packer.compress(message.SerializeToString()) + packer.flush()


def sum_profiles(profiles: Iterable[StackProfile]) -> StackProfile | None:
    """Return the sum of profiles with equal sample types; None if there are none.

    Raises:
        ProbeError: Their sample types differ.
    """
    types: tuple[tuple[str, str], ...] | None = None
    total: dict[Stack, tuple[float, ...]] = {}
    for one in profiles:
        if types is not None and one.types != types:
            raise ProbeError("profiles of one kind have different sample types")
        types = one.types
        for stack, values in one.stacks.items():
            before = total.get(stack)
            total[stack] = (
                values
                if before is None
                else tuple(a + b for a, b in zip(before, values, strict=True))
            )
    return None if types is None else StackProfile(types, total)


def _decompress(data: bytes, limits: ProfileLimits) -> bytes:
    if len(data) > MAX_BYTES:
        raise ValueError(f"a profile of more than {MAX_BYTES / 2**20:g} MiB is not read")
    unpacker = zlib.decompressobj(_GZIP)
    try:
        body = unpacker.decompress(data, limits.size + 1)
    except zlib.error:
        raise ValueError("not a gzipped profile") from None
    if len(body) > limits.size:
        raise ValueError(f"it unpacks to more than {limits.size / 2**20:g} MiB")
    if not unpacker.eof:
        raise ValueError("the profile is cut off")
    return body


def _decode(body: bytes) -> Any:  # noqa: ANN401 (the class is made at run time)
    from google.protobuf.message import DecodeError

    message = _message_class()()
    try:
        message.ParseFromString(body)
    except DecodeError:
        raise ValueError("not a message of profile.proto") from None
    return message


def _stack_profile(message: Any, limits: ProfileLimits) -> StackProfile:  # noqa: ANN401 (as above)
    if not 0 < len(message.sample_type) <= limits.types or len(message.sample) > limits.samples:
        raise ValueError(
            f"a profile has sample types, at most {limits.types}, and at most {limits.samples:,}"
            " samples"
        )
    entries = sum(map(len, (message.string_table, message.function, message.location)))
    if entries <= limits.entries:
        entries += sum(len(one.line) for one in message.location)
    if entries > limits.entries:
        raise ValueError(f"a profile has at most {limits.entries:,} names, functions and locations")
    strings = dict(
        enumerate(
            sys.intern(one[: limits.name].decode(errors="replace")) for one in message.string_table
        )
    )
    try:
        types = tuple((strings[one.type], strings[one.unit]) for one in message.sample_type)
        functions = {one.id: strings[one.name] or "?" for one in message.function}
        locations = {
            one.id: tuple([functions[line.function_id] for line in one.line]) or ("?",)
            for one in message.location
        }
        return StackProfile(types, _stacks(message.sample, locations, len(types), limits))
    except KeyError:
        raise ValueError(
            "the profile has the number of a name, function or location that is not in it"
        ) from None


def _stacks(
    samples: Sequence[Any],
    locations: Mapping[int, tuple[str, ...]],
    width: int,
    limits: ProfileLimits,
) -> dict[Stack, tuple[float, ...]]:
    frames = 0
    lengths = {one: len(names) for one, names in locations.items()}
    longest = max(lengths.values(), default=1)
    stacks: dict[Stack, tuple[int, ...]] = {}
    for sample in samples:
        ids = list(sample.location_id)
        values = tuple(sample.value)
        if len(values) != width or min(values) < 0:
            raise ValueError("a sample has not one value, 0 or above, for each sample type")
        if len(ids) * longest > limits.depth and (
            len(ids) > limits.depth or sum(map(lengths.__getitem__, ids)) > limits.depth
        ):
            raise ValueError(f"a stack has more than {limits.depth:,} frames")
        stack = tuple(chain.from_iterable(map(locations.__getitem__, ids))) or ("?",)
        frames += len(stack)
        if frames > limits.frames:
            raise ValueError(f"the stacks have more than {limits.frames:,} frames")
        before = stacks.get(stack)
        stacks[stack] = values if before is None else tuple(map(add, before, values))
    return {stack: tuple(map(float, total)) for stack, total in stacks.items()}


@cache
def _message_class() -> Any:  # noqa: ANN401 (protobuf loads late)
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name="milo-perf/profile.proto", package="milo_perf.pprof", syntax="proto3"
    )
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, (number, kind, is_repeated, of) in fields.items():
            described.field.add(
                name=name,
                number=number,
                type=kind,
                label=3 if is_repeated else 1,
                type_name=f".{file.package}.{of}" if of else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.Profile"))

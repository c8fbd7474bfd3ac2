"""
What a single value of config.yaml may look like: durations, sizes, numbers, names.

The parsers say how to write it right, without repeating what was written: it may be a secret.
"""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, SecretStr

_DURATION = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_LONGEST = timedelta(days=3650)

MAX_FIELD_VALUE = 4096
"""Longest value of a header that a route sets, characters."""
DURATION_PATTERN = r"^[0-9]{1,9}(ms|s|m|h|d)$"
SIZE_PATTERN = r"^[0-9]{1,12}(B|KiB|MiB|GiB)$"
HOST_PATTERN = r"^[A-Za-z0-9.:_-]{1,253}$"
SCOPE_PATTERN = r"^[\x21\x23-\x5B\x5D-\x7E]+$"
METHOD_PATTERN = r"^[A-Z]+$"
HEADER_PATTERN = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
KEY_PREFIX_PATTERN = r"^[A-Za-z0-9_.-]{1,32}$"
PATH_PREFIX_PATTERN = r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$|^$"
SEGMENT_PATTERN = r"^[A-Za-z0-9_-]+$"
HASH_ON_PATTERN = r"^(client|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+)$"
CHECK_PATH_PATTERN = r"^/[!$-;=?-Z_a-z~]*$"
AUDIENCE_PATTERN = r"^[!-~]+$"
CLIENT_ID_PATTERN = r"^[\x20-\x7e]+$"
BASIC_USERNAME_PATTERN = r"^[^:\x00-\x1f\x7f]+$"
BEGINNING_PATTERN = r"^[A-Za-z0-9._~+/-]{2,64}$"
NAME_PATTERN = r"^[A-Za-z0-9_.-]+$"


def parse_duration(value: object) -> timedelta:
    """Read ``250ms``, ``30s``, ``10m``, ``1h`` or ``30d``; a bare number is refused because it has no unit."""
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"([0-9]{1,9})(ms|s|m|h|d)", str(value))
    if found is None:
        raise ValueError("write a duration with its unit, like 250ms, 30s, 10m, 1h or 30d")
    duration = timedelta(milliseconds=int(found[1]) * _DURATION[found[2]])
    if duration > _LONGEST:
        raise ValueError("write a duration of at most 3650d")
    return duration


def parse_flag(value: object) -> bool:
    """Read ``true`` or ``false``, quoted or not; pydantic alone would take on, yes, 1 and more."""
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise ValueError("write true or false")
    return value == "true"


def parse_strip_prefix(value: object) -> bool | str:
    """Read ``true``, ``false`` or a path."""
    if value in ("true", "false"):
        return value == "true"
    if not isinstance(value, bool | str):
        raise ValueError("write true, or the part of the path to remove, like /api")
    return value


def parse_whole(value: object) -> int:
    """Read decimal digits, quoted or not; pydantic alone would take true, 8e3 and 8_000 too."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or re.fullmatch(r"-?[0-9]{1,18}", value) is None:
        raise ValueError("write a whole number")
    return int(value)


def parse_network(value: object) -> IPv4Network | IPv6Network:
    """Read a CIDR or a single address; host bits are refused: 10.1.2.3/8 may mean 10.0.0.0/8 or one machine."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ip_network(value if isinstance(value, str) else "")
    except ValueError:
        pass
    try:
        meant = ip_network(value if isinstance(value, str) else "", strict=False)
    except ValueError:
        raise ValueError("write a network like 10.0.0.0/8, fd00::/8 or a single address") from None
    raise ValueError(f"the address has bits beyond its mask: write {meant}, or the single address without a mask")


def _more_than_nothing(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("write a duration above zero")
    return value


def check_field_value(value: SecretStr) -> SecretStr:
    """RFC 9110 section 5.5: visible characters, spaces and tabs within, in Latin-1; a line of a head has an end."""
    text = value.get_secret_value()
    if re.fullmatch(r"[\t\x20-\x7e\x80-\xff]*", text) is None:
        raise ValueError("a header's value is one line of Latin-1 characters, without control characters")
    if text != text.strip(" \t"):
        raise ValueError("a header's value neither begins nor ends with a space")
    if len(text) > MAX_FIELD_VALUE:
        raise ValueError(f"write at most {MAX_FIELD_VALUE} characters")
    return value


def check_basic_part(value: SecretStr) -> SecretStr:
    """RFC 7617 section 2: neither user-id nor password holds a control character."""
    if re.search(r"[\x00-\x1f\x7f]", value.get_secret_value()):
        raise ValueError("it holds a control character (RFC 7617 section 2): remove it; a file may end in one line break only")
    return value


def check_client_secret(value: SecretStr) -> SecretStr:
    """RFC 6749 appendix A.2: VSCHAR."""
    if re.fullmatch(r"[\x20-\x7e]+", value.get_secret_value()) is None:
        raise ValueError("it holds a character that is not printable ASCII (RFC 6749 appendix A.2)")
    return value


def parse_size(value: object) -> int:
    """Read ``64KiB``, ``10MiB``, ``1GiB`` or ``512B``; a bare number is refused because it has no unit."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        raise ValueError("write a size with its unit, like 64KiB or 10MiB")
    found = re.fullmatch(r"([0-9]{1,12})(B|KiB|MiB|GiB)", str(value))
    if found is None:
        raise ValueError("write a size with its unit, like 64KiB or 10MiB")
    return int(found[1]) * _SIZE[found[2]]


def write_duration(value: timedelta) -> str:
    """The way config.yaml writes it, in the largest unit that leaves no rest."""
    milliseconds = round(value / timedelta(milliseconds=1))
    if not milliseconds:
        return "0s"
    unit = next((u for u in ("d", "h", "m", "s") if milliseconds % _DURATION[u] == 0), "ms")
    return f"{milliseconds // _DURATION[unit]}{unit}"


def write_size(value: int) -> str:
    """The way config.yaml writes it, in the largest unit that leaves no rest."""
    unit = next((u for u in ("GiB", "MiB", "KiB") if value and value % _SIZE[u] == 0), "B")
    return f"{value // _SIZE[unit]}{unit}"


Flag = Annotated[bool, BeforeValidator(parse_flag)]
StripPrefix = Annotated[bool | str, BeforeValidator(parse_strip_prefix)]
AS_WHOLE = BeforeValidator(parse_whole)
"""Stands last in an ``Annotated``, behind bounds: in front of them the JSON Schema would lose these."""
_READ_DURATION = BeforeValidator(parse_duration, json_schema_input_type=Annotated[str, Field(pattern=DURATION_PATTERN)])
_AS_WRITTEN = PlainSerializer(write_duration, str)
Duration = Annotated[timedelta, _READ_DURATION, _AS_WRITTEN]
SomeTime = Annotated[timedelta, AfterValidator(_more_than_nothing), _READ_DURATION, _AS_WRITTEN]
"""A duration above zero."""
_READ_SIZE = BeforeValidator(parse_size, json_schema_input_type=Annotated[str, Field(pattern=SIZE_PATTERN)])
Size = Annotated[int, _READ_SIZE, PlainSerializer(write_size, str)]
Port = Annotated[int, Field(ge=0, le=65535), AS_WHOLE]
Host = Annotated[str, Field(pattern=HOST_PATTERN)]
Secret = Annotated[SecretStr, Field(min_length=1)]
SealingSecret = Annotated[SecretStr, Field(min_length=32, max_length=4096)]
Scope = Annotated[str, Field(pattern=SCOPE_PATTERN, max_length=128)]
"""RFC 6749 section 3.3 scope-token."""
Method = Annotated[str, Field(pattern=METHOD_PATTERN, max_length=32)]
HeaderValue = Annotated[SecretStr, AfterValidator(check_field_value)]
"""RFC 9110 section 5.5 field-value; it may be a secret."""
ShownValue = Annotated[SecretStr, Field(min_length=1), AfterValidator(check_field_value)]
"""The value of a header that is a credential."""
ClientSecret = Annotated[SecretStr, Field(min_length=1), AfterValidator(check_client_secret)]
BasicPassword = Annotated[SecretStr, Field(min_length=1), AfterValidator(check_basic_part)]
BasicUsername = Annotated[str, Field(pattern=BASIC_USERNAME_PATTERN, max_length=256)]
"""RFC 7617 section 2 user-id."""
HeaderName = Annotated[str, Field(pattern=HEADER_PATTERN, max_length=256)]
"""RFC 9110 section 5.1 field-name."""
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(parse_network, json_schema_input_type=str)]
AllowWord = Literal["semicolon", "encoded_slash", "double_slash", "underscore_headers"]
IssuerAlgorithm = Literal[
    "ES256", "ES384", "ES512", "Ed25519", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"
]
"""Asymmetric signatures (RFC 7518 section 3.1, RFC 9864); `gateway.oauth.key_sets` has keys for these."""

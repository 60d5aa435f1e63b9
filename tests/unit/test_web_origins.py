"""Hosts and origins in one spelling."""

import pytest

from projectnil.domain.web_origins import is_ip_address, parse_authority, parse_origin


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("LocalHost", ("localhost", None)),
        ("one.example.:8080", ("one.example", 8080)),
        ("one.example:", ("one.example", None)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[0:0::1]:80", ("[::1]", 80)),
        ("[::ffff:127.0.0.1]", ("[::ffff:7f00:1]", None)),
        ("[fe80::1%25eth0]:1", ("[fe80::1]", 1)),
    ],
)
def test_a_host_is_read_in_any_spelling(text: str, parsed: tuple[str, int | None]) -> None:
    assert parse_authority(text) == parsed


@pytest.mark.parametrize(
    "text", ["", ".", ":80", "a:b", "a:65536", "a@b", "a/b", "a b", "::1", "[::1", "[one.example]", "ä.example", "a\n"]
)
def test_what_is_not_a_host_is_refused(text: str) -> None:
    assert parse_authority(text) is None


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("http://ONE.example:80", "http://one.example"),
        ("https://one.example:443", "https://one.example"),
        ("http://one.example:443", "http://one.example:443"),
        ("HTTP://[0::1]:8080", "http://[::1]:8080"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
    ],
)
def test_an_origin_is_read_in_any_spelling(text: str, parsed: str) -> None:
    assert parse_origin(text) == parsed


@pytest.mark.parametrize("text", ["null", "", "one.example", "http://", "http://a/", "http://a b", "http://a http://b"])
def test_what_is_not_an_origin_is_refused(text: str) -> None:
    assert parse_origin(text) is None


def test_only_whole_addresses_are_addresses() -> None:
    assert [host for host in ("1.2.3.4", "[::1]", "127.1", "0x7f000001", "1.2.3.4.5", "a") if is_ip_address(host)] == [
        "1.2.3.4",
        "[::1]",
    ]

"""CEL functions on addresses, ranges of addresses and URLs."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from shared.text.cel import Function

_IP, _CIDR, _URL = "ip", "cidr", "url"
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def _address(text: str) -> Address:
    found = ipaddress.ip_address(text)
    if "%" in text:
        raise ValueError(f"IP address {text!r} with zone value is not allowed")
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        raise ValueError(f"IPv4-mapped IPv6 address {text!r} is not allowed")
    return found


def _range(text: str) -> Network:
    address, slash, length = text.partition("/")
    if not slash or not length.isdecimal():
        raise ValueError(f"network address parse error during conversion from string: {text!r}")
    _address(address)
    return ipaddress.ip_interface(text)


def _makes(parse: Callable[[str], Any]) -> Callable[[str], bool]:
    def succeeds(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return succeeds


def _ip(given: Any) -> Any:
    """`ip("10.0.0.1")`, and `cidr(…).ip()`."""
    if isinstance(given, dict) and _CIDR in given:
        return {_IP: str(_range(given[_CIDR]).ip)}
    if not isinstance(given, str):
        raise ValueError("no such overload")
    return {_IP: str(_address(given))}


def _cidr(text: str) -> dict[str, str]:
    return {_CIDR: str(_range(text))}


def _of_ip(decide: Callable[[Address], Any]) -> Callable[[Any], Any]:
    def decided(given: Any) -> Any:
        if not isinstance(given, dict) or _IP not in given:
            raise ValueError("no such overload")
        return decide(ipaddress.ip_address(given[_IP]))

    return decided


def _global_unicast(address: Address) -> bool:
    broadcast = address == ipaddress.IPv4Address("255.255.255.255")
    return not (
        address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local or broadcast
    )


def _link_local_multicast(address: Address) -> bool:
    block = "224.0.0.0/24" if address.version == 4 else "ff02::/16"
    return address in ipaddress.ip_network(block)


def _of_cidr(given: Any) -> Network:
    if not isinstance(given, dict) or _CIDR not in given:
        raise ValueError("no such overload")
    return ipaddress.ip_interface(given[_CIDR])


def _contains_ip(one: Any, other: Any) -> bool:
    address = _address(other) if isinstance(other, str) else ipaddress.ip_address(other[_IP])
    return address in _of_cidr(one).network


def _contains_cidr(one: Any, other: Any) -> bool:
    outer = _of_cidr(one).network
    inner = (_range(other) if isinstance(other, str) else _of_cidr(other)).network
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # same version


def _url(text: str) -> dict[str, str]:
    parts = urlsplit(text)
    if not parts.scheme and not text.startswith("/"):
        raise ValueError(f"URL parse error during conversion from string: parse {text!r}: invalid URI for request")
    parts.port  # noqa: B018 - a ValueError when it is none
    return {_URL: text}


def _of_url(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def reader(given: Any) -> Any:
        if not isinstance(given, dict) or _URL not in given:
            raise ValueError("no such overload")
        return read(urlsplit(given[_URL]))

    return reader


def _host(parts: Any) -> str:
    return str(parts.netloc.rpartition("@")[2])


FUNCTIONS = [
    Function("ip", ("string",), "dyn", _ip, member=False),
    Function("ip", ("dyn",), "dyn", _ip),
    Function("isIP", ("string",), "bool", _makes(_address), member=False),
    Function("ip.isCanonical", ("string",), "bool", lambda text: str(_address(text)) == text, member=False),
    Function("family", ("dyn",), "int", _of_ip(lambda address: address.version)),
    Function("isUnspecified", ("dyn",), "bool", _of_ip(lambda address: address.is_unspecified)),
    Function("isLoopback", ("dyn",), "bool", _of_ip(lambda address: address.is_loopback)),
    Function("isLinkLocalUnicast", ("dyn",), "bool", _of_ip(lambda address: address.is_link_local)),
    Function("isLinkLocalMulticast", ("dyn",), "bool", _of_ip(_link_local_multicast)),
    Function("isGlobalUnicast", ("dyn",), "bool", _of_ip(_global_unicast)),
    Function("cidr", ("string",), "dyn", _cidr, member=False),
    Function("isCIDR", ("string",), "bool", _makes(_range), member=False),
    Function("containsIP", ("dyn", "dyn"), "bool", _contains_ip),
    Function("containsCIDR", ("dyn", "dyn"), "bool", _contains_cidr),
    Function("prefixLength", ("dyn",), "int", lambda given: _of_cidr(given).network.prefixlen),
    Function("masked", ("dyn",), "dyn", lambda given: {_CIDR: str(_of_cidr(given).network)}),
    Function("url", ("string",), "dyn", _url, member=False),
    Function("isURL", ("string",), "bool", _makes(_url), member=False),
    Function("getScheme", ("dyn",), "string", _of_url(lambda parts: parts.scheme)),
    Function("getHost", ("dyn",), "string", _of_url(_host)),
    Function("getHostname", ("dyn",), "string", _of_url(lambda parts: parts.hostname or "")),
    Function("getPort", ("dyn",), "string", _of_url(lambda parts: str(parts.port or ""))),
    Function(
        "getEscapedPath", ("dyn",), "string", _of_url(lambda parts: quote(unquote(parts.path), safe="/:@!$&'()*+,;=~"))
    ),
    Function("getQuery", ("dyn",), "dyn", _of_url(lambda parts: parse_qs(parts.query, keep_blank_values=True))),
]

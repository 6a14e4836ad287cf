"""Which network addresses an HTTP job may connect to.

The host is looked up once, every address of the answer is checked, and the connection goes to a checked
address: a second answer of the name server (DNS rebinding) is never asked for. Sources of the table: the
IANA special-purpose registries for IPv4 and IPv6 (RFC 6890 and successors) and the metadata services of the
large clouds.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from schedules.http.allowed import Rule
from schedules.http.errors import AddressRefusedError, UnreachableError
from schedules.http.urls import Address, NormalUrl
from schedules.texts import gettext as _

Resolver: TypeAlias = Callable[[str, int], Sequence[str]]

MAX_ADDRESSES: Final = 32

_KINDS_V4: Final = tuple(
    (ipaddress.IPv4Network(network), kind)
    for network, kind in (
        ("169.254.0.0/16", _("link-local, where clouds keep their metadata")),
        ("168.63.129.16/32", _("a cloud's metadata service")),
        ("100.100.100.200/32", _("a cloud's metadata service")),
        ("192.0.0.192/32", _("a cloud's metadata service")),
        ("0.0.0.0/8", _("unspecified")),
        ("127.0.0.0/8", _("loopback")),
        ("10.0.0.0/8", _("private")),
        ("172.16.0.0/12", _("private")),
        ("192.168.0.0/16", _("private")),
        ("100.64.0.0/10", _("private")),
        ("198.18.0.0/15", _("private")),
        ("192.0.0.0/24", _("reserved")),
        ("192.0.2.0/24", _("reserved")),
        ("192.88.99.0/24", _("reserved")),
        ("198.51.100.0/24", _("reserved")),
        ("203.0.113.0/24", _("reserved")),
        ("224.0.0.0/4", _("multicast")),
        ("240.0.0.0/4", _("reserved")),
    )
)
_KINDS_V6: Final = tuple(
    (ipaddress.IPv6Network(network), kind)
    for network, kind in (
        ("fd00:ec2::/32", _("a cloud's metadata service")),
        ("fd20:ce::254/128", _("a cloud's metadata service")),
        ("::/128", _("unspecified")),
        ("::1/128", _("loopback")),
        ("fc00::/7", _("private")),
        ("fec0::/10", _("private")),
        ("fe80::/10", _("link-local")),
        ("ff00::/8", _("multicast")),
        ("2001::/23", _("reserved")),
        ("2001:db8::/32", _("reserved")),
        ("2002::/16", _("reserved")),
        ("3fff::/20", _("reserved")),
        ("5f00::/16", _("reserved")),
        ("100::/64", _("reserved")),
    )
)
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_INNER: Final = frozenset({"loopback", "private"})
"""What a host that is listed by name may lead to; the other kinds must be listed as addresses."""


def plain(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6-mapped one (::ffff:127.0.0.1), else the address itself."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def kind_of(address: Address) -> str | None:
    """Name what makes an address unfit for the outside world; None for a public one."""
    address = plain(address)
    if isinstance(address, ipaddress.IPv4Address):
        for network4, kind in _KINDS_V4:
            if address in network4:
                return kind
        return None if address.is_global else _("not public")
    if address in _NAT64:
        # Networks without IPv4 reach it through this prefix (RFC 6052): what counts is the address inside.
        return kind_of(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    for network6, kind in _KINDS_V6:
        if address in network6:
            return kind
    return None if address in _GLOBAL_V6 and address.is_global else _("not public")


def check_address(address: Address, *, url: NormalUrl, rule: Rule) -> None:
    """Raise `AddressRefusedError` unless the rule lets a request for the URL go to this address.

    A wildcard rule: public addresses only. A rule that lists an address: that address. A rule that lists a
    name: public, private and loopback addresses, but never link-local, metadata, multicast or reserved
    ones.
    """
    if rule.literal and rule.address is not None and address == rule.address:
        return
    kind = kind_of(address)
    if kind is None or (rule.literal and rule.address is None and kind in _INNER):
        return
    values = {"host": url.host, "address": address, "kind": kind, "origin": url.origin}
    if url.address is not None:
        text = (
            _(
                "%(address)s is refused: the address is %(kind)s; to allow it, list %(origin)s/ in "
                "SCHEDULES_HTTP_ALLOWED."
            )
            if kind in _INNER
            else _("%(address)s is refused: the address is %(kind)s; to allow it, list the address itself.")
        )
    else:
        text = (
            _(
                "%(host)s leads to %(address)s, which is refused: the address is %(kind)s; to allow it, list "
                "%(origin)s/ in SCHEDULES_HTTP_ALLOWED."
            )
            if kind in _INNER
            else _(
                "%(host)s leads to %(address)s, which is refused: the address is %(kind)s; to allow it, list "
                "the address itself."
            )
        )
    raise AddressRefusedError(text % values)


def look_up(host: str, port: int) -> list[str]:
    """Ask the system's resolver for every address of a host. Raises `OSError`."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def checked_addresses(
    url: NormalUrl, *, rule: Rule, resolver: Resolver = look_up, timeout: float
) -> tuple[str, ...]:
    """Look the host up once and return its addresses, all of which may be called.

    One unfit address refuses them all: a name that mixes public and inner addresses is an attack or a
    mistake. Raises `AddressRefusedError`; `UnreachableError` when the name has no address or the lookup
    takes longer than `timeout` seconds.
    """
    if url.address is not None:
        check_address(url.address, url=url, rule=rule)
        return (str(url.address),)
    found = _look_up_in_time(url, resolver, timeout)
    if not found:
        raise UnreachableError(_("%(host)s has no address.") % {"host": url.host})
    if len(found) > MAX_ADDRESSES:
        raise AddressRefusedError(
            _("%(host)s has %(count)s addresses: at most %(most)s are allowed.")
            % {"host": url.host, "count": len(found), "most": MAX_ADDRESSES}
        )
    checked: list[str] = []
    for text in found:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise AddressRefusedError(
                _("%(host)s leads to %(text)s, which is not an address.")
                % {"host": url.host, "text": repr(text)}
            ) from None
        check_address(address, url=url, rule=rule)
        checked.append(str(plain(address)))
    return tuple(dict.fromkeys(checked))


def _look_up_in_time(url: NormalUrl, resolver: Resolver, timeout: float) -> Sequence[str]:
    """Run the lookup in a thread of its own: the system's resolver knows no timeout."""
    found: list[Sequence[str]] = []
    failed: list[Exception] = []

    def ask() -> None:
        try:
            found.append(resolver(url.host, url.port))
        except Exception as error:  # noqa: BLE001 - carried to the caller's thread, where it is told apart
            failed.append(error)

    thread = threading.Thread(target=ask, name="schedules-look-up", daemon=True)
    thread.start()
    thread.join(timeout)
    if failed:
        if isinstance(failed[0], OSError | UnicodeError):
            raise UnreachableError(
                _("%(host)s cannot be looked up: %(error)s.") % {"host": url.host, "error": failed[0]}
            ) from None
        raise failed[0]
    if not found:
        raise UnreachableError(
            _("%(host)s could not be looked up within %(seconds)s s.")
            % {"host": url.host, "seconds": f"{timeout:.1f}"}
        )
    return found[0]

"""Read a URL in one way only, so that what was compared is what is called.

Most attacks on a list of allowed URLs live in the difference between two readers of the same text. So a URL
is brought into one normal form (RFC 3986 section 6.2.2, UTS 46 for names), that form is compared, and that
form is sent. Whatever two readers might understand differently is refused rather than guessed.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote, unquote_to_bytes

import idna

from schedules.http.errors import UrlRefusedError
from schedules.texts import gettext as _

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
MAX_LENGTH: Final = 4096

_PARTS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_DOUBLE_ESCAPE = re.compile(r"%25(?:2[ef5]|5c|0[0-9a-f])", re.IGNORECASE)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_SAFE = "/%:@!$&'()*+,;=-._~"
_QUERY_SAFE = _PATH_SAFE + "?"


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalUrl:
    """A URL in its normal form."""

    scheme: str
    host: str
    """Lower case ASCII, an IPv6 address without its brackets."""
    port: int
    path: str
    """Starts with a slash; without dot segments; escapes in upper case."""
    query: str = ""
    address: Address | None = None
    """The address, when the host is written as one."""

    @property
    def authority(self) -> str:
        """Return the host and a port that is not the scheme's own, as the Host header wants it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Return scheme, host and port."""
        return f"{self.scheme}://{self.authority}"

    @property
    def target(self) -> str:
        """Return path and query, as the request line wants them."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def shown(self) -> str:
        """Return the URL without its query: queries are a favourite place for tokens."""
        return f"{self.origin}{self.path}"

    def __str__(self) -> str:
        return f"{self.origin}{self.target}"


def normalise(url: str) -> NormalUrl:
    """Bring a URL into its normal form.

    Raises `UrlRefusedError` when it is no absolute http or https URL, or when readers could disagree on it.
    """
    if not isinstance(url, str) or not url:
        raise UrlRefusedError(
            _("The URL is empty: write an absolute one, such as https://api.example.com/v1/jobs/name.")
        )
    if len(url) > MAX_LENGTH:
        raise UrlRefusedError(
            _("The URL is %(count)s characters long: at most %(most)s are allowed.")
            % {"count": len(url), "most": MAX_LENGTH}
        )
    _refuse_characters(url)
    parts = _PARTS.fullmatch(url)
    if parts is None:
        raise UrlRefusedError(
            _("%(url)s is not an absolute URL: it must start with http:// or https://.")
            % {"url": _short(url)}
        )
    scheme = parts["scheme"].lower()
    if scheme not in DEFAULT_PORTS:
        raise UrlRefusedError(
            _("%(scheme)s is not allowed as a scheme: only http and https are.") % {"scheme": _short(scheme)}
        )
    host, address, port = _authority(parts["authority"], scheme)
    return NormalUrl(
        scheme=scheme,
        host=host,
        address=address,
        port=port,
        path=_path(parts["path"]),
        query=_query(parts["query"] or ""),
    )


def _short(text: str) -> str:
    """Quote the offending part without repeating a query, which may hold a token."""
    text = text.partition("?")[0]
    return repr(text if len(text) <= 120 else text[:117] + "...")


def _refuse_characters(url: str) -> None:
    for character in url:
        if character == "\\":
            raise UrlRefusedError(
                _("The URL holds a backslash, which some readers take for a slash: remove it.")
            )
        if character == "#":
            raise UrlRefusedError(_("The URL holds a fragment (#), which is never sent: remove it."))
        if ord(character) <= 0x20 or unicodedata.category(character) in {"Cc", "Cs", "Zs", "Zl", "Zp"}:
            raise UrlRefusedError(
                _("The URL holds white space or a control character (U+%(code)s): remove it.")
                % {"code": f"{ord(character):04X}"}
            )


def _authority(authority: str, scheme: str) -> tuple[str, Address | None, int]:
    if "@" in authority:
        raise UrlRefusedError(
            _("The URL holds a user name or password before the host: use a header, Bearer secret:NAME.")
        )
    if "%" in authority:
        raise UrlRefusedError(_("The URL holds an escape (%) in its host: write the host in plain letters."))
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise UrlRefusedError(
                _("%(authority)s is not a host: an IPv6 address is written as [::1]:8000.")
                % {"authority": _short(authority)}
            )
        try:
            address: Address | None = ipaddress.IPv6Address(host)
        except ValueError:
            raise UrlRefusedError(_("%(host)s is not an IPv6 address.") % {"host": _short(host)}) from None
        return str(address), address, _port(rest[1:], scheme)
    host, _colon, port = authority.partition(":")
    host = _name(host)
    return host, _ipv4(host), _port(port, scheme)


def _port(text: str, scheme: str) -> int:
    if not text:
        return DEFAULT_PORTS[scheme]
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise UrlRefusedError(
            _("%(port)s is not a port: a number from 1 to 65535 is.") % {"port": _short(text)}
        )
    return int(text)


def _name(host: str) -> str:
    """Return the host in lower case ASCII (UTS 46, not transitional: the form that is also looked up)."""
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True, std3_rules=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise UrlRefusedError(
                _("%(host)s is not a host name that can be looked up.") % {"host": _short(host)}
            ) from None
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRefusedError(
            _("%(host)s is not a host name: letters, digits, hyphens and dots are allowed.")
            % {"host": _short(host)}
        )
    for label in labels:
        if label.startswith("xn--"):
            try:
                idna.decode(label)
            except (idna.IDNAError, UnicodeError):
                raise UrlRefusedError(
                    _("%(label)s is not a valid international name.") % {"label": _short(label)}
                ) from None
    return host


def _ipv4(host: str) -> ipaddress.IPv4Address | None:
    """Return the address when the host is one; refuse short, octal, hexadecimal and single-number spellings.

    As the WHATWG URL standard: a host whose last label is a number is an address. Its odd spellings (`127.1`,
    `0177.0.0.1`, `0x7f000001`, `2130706433`) are read differently by different libraries.
    """
    if not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return None
    try:
        return ipaddress.IPv4Address(host)
    except ValueError:
        raise UrlRefusedError(
            _("%(host)s is not a plain IPv4 address: write four decimal numbers, such as 192.0.2.1.")
            % {"host": _short(host)}
        ) from None


def _path(path: str) -> str:
    _refuse_escapes(path)
    if "//" in path:
        raise UrlRefusedError(
            _("The URL's path holds an empty segment (//), which some servers drop: remove it.")
        )
    path = _ESCAPE.sub(_unreserved_or_upper, path)
    path = quote(path, safe=_PATH_SAFE)
    kept: list[str] = []
    segments = path.split("/")[1:] or [""]
    for number, segment in enumerate(segments):
        if segment.partition(";")[0] in {".", ".."} and ";" in segment:
            raise UrlRefusedError(_("The URL's path holds a dot segment with a parameter (..;): remove it."))
        last = number == len(segments) - 1
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
            continue
        if last:
            kept.append("")  # RFC 3986 5.2.4: "/a/." is "/a/"
    return "/" + "/".join(kept)


def _query(query: str) -> str:
    if _BROKEN_ESCAPE.search(query):
        raise UrlRefusedError(_("The URL's query holds a % that is not followed by two hexadecimal digits."))
    return quote(query, safe=_QUERY_SAFE)


def _refuse_escapes(path: str) -> None:
    if _BROKEN_ESCAPE.search(path):
        raise UrlRefusedError(_("The URL's path holds a % that is not followed by two hexadecimal digits."))
    if _DOUBLE_ESCAPE.search(path):
        raise UrlRefusedError(
            _("The URL's path holds a doubly escaped slash, dot or control character: remove it.")
        )
    try:
        decoded = unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise UrlRefusedError(_("The URL's path holds escapes that are not UTF-8.")) from None
    if decoded.count("/") != path.count("/") or "\\" in decoded:
        raise UrlRefusedError(
            _("The URL's path holds an escaped slash or backslash: write it plainly or remove it.")
        )
    for character in decoded:
        if unicodedata.category(character) == "Cc":
            raise UrlRefusedError(_("The URL's path holds an escaped control character: remove it."))
        if ord(character) > 127 and set(unicodedata.normalize("NFKC", character)) & set("/\\.%?#"):
            # Full-width slashes and dots become plain ones on servers that fold characters.
            raise UrlRefusedError(
                _("The URL's path holds %(character)s, a look-alike of / or . : remove it.")
                % {"character": repr(character)}
            )


def _unreserved_or_upper(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()

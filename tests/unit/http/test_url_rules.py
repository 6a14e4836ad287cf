"""URL tricks: what each one becomes, and whether a schedule may call it.

One table for refusals, one for what is allowed and how it is sent. docs/http-jobs.md tells their rules.
"""

from __future__ import annotations

import pytest

from schedules.http.allowed import RuleError, read_rule
from schedules.http.errors import AddressRefusedError, InvalidRequestError, UrlRefusedError
from schedules.http.request import check_url
from schedules.http.urls import normalise

LITERAL = (
    "http://127.0.0.1:8000/v1/jobs/",
    "https://api.example.com/v1/jobs/",
    "https://bücher.example/v1/jobs/",
    "http://[::1]:8000/v1/jobs/",
    "https://hooks.example.net/in",
)
WILD = ("https://*", "http://*.example.org:8080/hooks/", "https://*.other-port.example:8443/")

ALLOWED = [
    # the plain ones
    ("http://127.0.0.1:8000/v1/jobs/news", "http://127.0.0.1:8000/v1/jobs/news"),
    ("http://127.0.0.1:8000/v1/jobs/", "http://127.0.0.1:8000/v1/jobs/"),
    ("http://127.0.0.1:8000/v1/jobs/a/b?x=1&y=%2F", "http://127.0.0.1:8000/v1/jobs/a/b?x=1&y=%2F"),
    ("https://hooks.example.net/in", "https://hooks.example.net/in"),
    ("https://hooks.example.net/in?a=b", "https://hooks.example.net/in?a=b"),
    ("https://hooks.example.net/in/x", "https://hooks.example.net/in/x"),
    # case of scheme and host
    ("HTTP://127.0.0.1:8000/v1/jobs/news", "http://127.0.0.1:8000/v1/jobs/news"),
    ("https://API.Example.COM/v1/jobs/news", "https://api.example.com/v1/jobs/news"),
    # default and empty port, trailing dot
    ("https://api.example.com:443/v1/jobs/news", "https://api.example.com/v1/jobs/news"),
    ("https://api.example.com:/v1/jobs/news", "https://api.example.com/v1/jobs/news"),
    ("https://api.example.com./v1/jobs/news", "https://api.example.com/v1/jobs/news"),
    # international names in both spellings, full-width letters, dots and digits
    ("https://BÜCHER.example/v1/jobs/x", "https://xn--bcher-kva.example/v1/jobs/x"),
    ("https://xn--bcher-kva.example/v1/jobs/x", "https://xn--bcher-kva.example/v1/jobs/x"),
    ("https://ａｐｉ.example.com/v1/jobs/x", "https://api.example.com/v1/jobs/x"),
    ("https://api。example。com/v1/jobs/x", "https://api.example.com/v1/jobs/x"),
    ("http://①②⑦.⓪.⓪.①:8000/v1/jobs/x", "http://127.0.0.1:8000/v1/jobs/x"),
    # dot segments that stay inside, also escaped
    ("http://127.0.0.1:8000/v1/jobs/./news", "http://127.0.0.1:8000/v1/jobs/news"),
    ("http://127.0.0.1:8000/v1/jobs/old/../news", "http://127.0.0.1:8000/v1/jobs/news"),
    ("http://127.0.0.1:8000/v1/jobs/old/%2e%2E/news", "http://127.0.0.1:8000/v1/jobs/news"),
    ("http://127.0.0.1:8000/x/../v1/jobs/news", "http://127.0.0.1:8000/v1/jobs/news"),
    ("http://127.0.0.1:8000/../../v1/jobs/news", "http://127.0.0.1:8000/v1/jobs/news"),
    ("http://127.0.0.1:8000/v1/jobs/...", "http://127.0.0.1:8000/v1/jobs/..."),
    # escapes: unreserved ones are undone, others are written in upper case
    ("http://127.0.0.1:8000/v1/%6aobs/n%65ws", "http://127.0.0.1:8000/v1/jobs/news"),
    ("http://127.0.0.1:8000/v1/jobs/%c3%bc", "http://127.0.0.1:8000/v1/jobs/%C3%BC"),
    ("http://127.0.0.1:8000/v1/jobs/ü", "http://127.0.0.1:8000/v1/jobs/%C3%BC"),
    ('http://127.0.0.1:8000/v1/jobs/"<x>', "http://127.0.0.1:8000/v1/jobs/%22%3Cx%3E"),
    ("http://127.0.0.1:8000/v1/jobs/a@b:c", "http://127.0.0.1:8000/v1/jobs/a@b:c"),
    ("http://127.0.0.1:8000/v1/jobs/x?next=http://evil.example/../", None),
    # IPv6 in any spelling of the listed address
    ("http://[::1]:8000/v1/jobs/x", "http://[::1]:8000/v1/jobs/x"),
    ("http://[0:0:0:0:0:0:0:1]:8000/v1/jobs/x", "http://[::1]:8000/v1/jobs/x"),
    # the outside world, where a wildcard allows it
    ("https://example.com/anything", "https://example.com/anything"),
    ("https://93.184.215.14/x", "https://93.184.215.14/x"),
    ("https://[2606:4700::6810:84e5]/x", "https://[2606:4700::6810:84e5]/x"),
    ("http://a.example.org:8080/hooks/x", "http://a.example.org:8080/hooks/x"),
    ("http://a.b.example.org:8080/hooks/x", "http://a.b.example.org:8080/hooks/x"),
    ("https://one.other-port.example:8443/x", "https://one.other-port.example:8443/x"),
]

REFUSED = [
    # schemes
    ("ftp://127.0.0.1:8000/v1/jobs/x", "scheme"),
    ("file:///etc/passwd", "scheme"),
    ("gopher://127.0.0.1:6379/_FLUSHALL", "scheme"),
    ("javascript:alert(1)", "absolute"),
    ("data:text/plain,x", "absolute"),
    ("jar:http://127.0.0.1:8000/v1/jobs/!/x", "absolute"),
    ("//127.0.0.1:8000/v1/jobs/x", "absolute"),
    ("/v1/jobs/x", "absolute"),
    ("http:/127.0.0.1:8000/v1/jobs/x", "absolute"),
    ("http:127.0.0.1:8000/v1/jobs/x", "absolute"),
    ("", "empty"),
    ("https:///v1/jobs/x", "host name"),
    # another host, port or scheme than the listed one
    ("https://127.0.0.1:8000/v1/jobs/x", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://127.0.0.1/v1/jobs/x", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://127.0.0.1:8001/v1/jobs/x", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://localhost:8000/v1/jobs/x", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://api.example.com/v1/jobs/x", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://example.com/", "none of SCHEDULES_HTTP_ALLOWED"),
    ("https://example.com:8443/", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://example.org:8080/hooks/x", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://evilexample.org:8080/hooks/x", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://a.example.org:8080/other", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://127.0.0.1.evil.example:8000/v1/jobs/x", "none of SCHEDULES_HTTP_ALLOWED"),
    # user information: the classic way to make one reader see another host
    ("http://127.0.0.1:8000@evil.example/v1/jobs/x", "user name"),
    ("http://evil.example@127.0.0.1:8000/v1/jobs/x", "user name"),
    ("http://user:pass@127.0.0.1:8000/v1/jobs/x", "user name"),
    ("http://@127.0.0.1:8000/v1/jobs/x", "user name"),
    ("http://127.0.0.1:8000%40evil.example/v1/jobs/x", "escape"),
    # backslashes, fragments, white space, control characters
    ("http://127.0.0.1:8000\\@evil.example/v1/jobs/x", "backslash"),
    ("http:\\\\127.0.0.1:8000\\v1\\jobs\\x", "backslash"),
    ("http://127.0.0.1:8000/v1/jobs\\..\\admin", "backslash"),
    ("http://127.0.0.1:8000/v1/jobs/x#fragment", "fragment"),
    ("http://127.0.0.1:8000#@evil.example/v1/jobs/x", "fragment"),
    (" http://127.0.0.1:8000/v1/jobs/x", "white space"),
    ("http://127.0.0.1:8000/v1/jobs/x\n", "white space"),
    ("http://127.0.0.1:8000/v1/jobs/x HTTP/1.1\r\nHost: evil", "white space"),
    ("ht\ttp://127.0.0.1:8000/v1/jobs/x", "white space"),
    ("http://127.0.0.1:8000/v1/jobs/x\x00", "control"),
    ("http://127.0.0.1:8000/v1/jobs/x\u2028y", "white space"),
    ("http://127.0.0.1:8000/v1/jobs/\x7f", "control"),
    # paths that leave the prefix, or that a server could read as leaving it
    ("http://127.0.0.1:8000/v1/jobs", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://127.0.0.1:8000/v1/jobsecrets", "none of SCHEDULES_HTTP_ALLOWED"),
    ("https://hooks.example.net/inside", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://127.0.0.1:8000/V1/JOBS/x", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://127.0.0.1:8000/v1/jobs/../admin", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://127.0.0.1:8000/v1/jobs/..", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://127.0.0.1:8000/v1/jobs/%2e%2e/admin", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://127.0.0.1:8000/v1/jobs/.%2E/admin", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://127.0.0.1:8000/v1/jobs/a/../../../admin", "none of SCHEDULES_HTTP_ALLOWED"),
    ("http://127.0.0.1:8000/v1/jobs/..%2fadmin", "escaped slash"),
    ("http://127.0.0.1:8000/v1/jobs/..%5Cadmin", "escaped slash"),
    ("http://127.0.0.1:8000/v1%2Fjobs%2Fx", "escaped slash"),
    ("http://127.0.0.1:8000/v1/jobs/%252e%252e/admin", "doubly"),
    ("http://127.0.0.1:8000/v1/jobs/..%252fadmin", "doubly"),
    ("http://127.0.0.1:8000/v1/jobs/..%255cadmin", "doubly"),
    ("http://127.0.0.1:8000/v1/jobs/%25252e/x", "doubly"),
    ("http://127.0.0.1:8000/v1/jobs/..;/admin", "parameter"),
    ("http://127.0.0.1:8000/v1/jobs/..;x=1/admin", "parameter"),
    ("http://127.0.0.1:8000/v1/jobs//../../admin", "empty segment"),
    ("http://127.0.0.1:8000//evil.example/v1/jobs/x", "empty segment"),
    ("http://127.0.0.1:8000/v1/jobs/%c0%ae%c0%ae/admin", "not UTF-8"),
    ("http://127.0.0.1:8000/v1/jobs/..%c0%afadmin", "not UTF-8"),
    ("http://127.0.0.1:8000/v1/jobs/..%EF%BC%8Fadmin", "look-alike"),
    ("http://127.0.0.1:8000/v1/jobs/．．/admin", "look-alike"),
    ("http://127.0.0.1:8000/v1/jobs/‥/admin", "look-alike"),
    ("http://127.0.0.1:8000/v1/jobs/x%00.html", "control"),
    ("http://127.0.0.1:8000/v1/jobs/x%0d%0aHost:%20evil", "control"),
    ("http://127.0.0.1:8000/v1/jobs/100%", "hexadecimal"),
    ("http://127.0.0.1:8000/v1/jobs/%u002e", "hexadecimal"),
    ("http://127.0.0.1:8000/v1/jobs/x?a=%zz", "hexadecimal"),
    # other spellings of addresses
    ("https://2130706433/", "plain IPv4"),
    ("https://0x7f000001/", "plain IPv4"),
    ("https://0x7f.0.0.1/", "plain IPv4"),
    ("https://017700000001/", "plain IPv4"),
    ("https://0177.0.0.1/", "plain IPv4"),
    ("https://127.1/", "plain IPv4"),
    ("https://127.0.0.01/", "plain IPv4"),
    ("https://127.0.0.1.1/", "plain IPv4"),
    ("https://256.0.0.1/", "plain IPv4"),
    ("https://1.0x/", "plain IPv4"),
    ("https://٣.1.1.1/", "host name"),
    # hosts and ports that are none
    ("https://exa%6dple.com/", "escape"),
    ("https://-x.example/", "host name"),
    ("https://a..example/", "host name"),
    ("https://./", "host name"),
    ("https://exam!ple.com/", "host name"),
    ("https://xn--a/", "international"),
    ("https://" + "a" * 64 + ".example/", "host name"),
    ("https://example.com:0/", "port"),
    ("https://example.com:65536/", "port"),
    ("https://example.com:443:80/", "port"),
    ("https://example.com:４４３/", "port"),
    ("https://example.com:0443/", "port"),
    ("https://::1/", "host name"),
    ("https://[::1/", "IPv6"),
    ("https://[::1]evil.example/", "IPv6"),
    ("https://[fe80::1%25eth0]/", "escape"),
    ("https://[127.0.0.1]/", "IPv6"),
    ("https://[v1.x]/", "IPv6"),
    ("https://*/", "host name"),
    ("https://example.com/" + "a" * 5000, "long"),
    # addresses that a wildcard does not reach
    ("https://127.0.0.1/", "loopback"),
    ("https://127.255.255.254/", "loopback"),
    ("https://0.0.0.0/", "unspecified"),
    ("https://10.0.0.1/", "private"),
    ("https://172.31.255.255/", "private"),
    ("https://192.168.1.1/", "private"),
    ("https://100.64.0.1/", "private"),
    ("https://169.254.169.254/latest/meta-data/", "metadata"),
    ("https://①⑥⑨.②⑤④.①⑥⑨.②⑤④/latest/", "metadata"),
    ("https://169.254.169.254./latest/", "metadata"),
    ("https://100.100.100.200/", "metadata"),
    ("https://168.63.129.16/", "metadata"),
    ("https://192.0.0.192/", "metadata"),
    ("https://198.18.0.1/", "private"),
    ("https://192.0.2.1/", "reserved"),
    ("https://224.0.0.1/", "multicast"),
    ("https://240.0.0.1/", "reserved"),
    ("https://255.255.255.255/", "reserved"),
    ("https://[::1]/", "loopback"),
    ("https://[::]/", "unspecified"),
    ("https://[::ffff:127.0.0.1]/", "loopback"),
    ("https://[::ffff:7f00:1]/", "loopback"),
    ("https://[::ffff:169.254.169.254]/", "metadata"),
    ("https://[::ffff:10.0.0.1]/", "private"),
    ("https://[::127.0.0.1]/", "not public"),
    ("https://[64:ff9b::a9fe:a9fe]/", "metadata"),
    ("https://[64:ff9b::7f00:1]/", "loopback"),
    ("https://[64:ff9b:1::1]/", "not public"),
    ("https://[2002:7f00:1::]/", "reserved"),
    ("https://[2001::1]/", "reserved"),
    ("https://[2001:db8::1]/", "reserved"),
    ("https://[fd00:ec2::254]/", "metadata"),
    ("https://[fd12::1]/", "private"),
    ("https://[fec0::1]/", "private"),
    ("https://[fe80::1]/", "link-local"),
    ("https://[ff02::1]/", "multicast"),
]


def test_the_tables_hold_at_least_sixty_different_tricks() -> None:
    urls = [url for url, _ in [*ALLOWED, *REFUSED]]
    assert len(set(urls)) == len(urls) >= 60


@pytest.mark.parametrize("url,sent", ALLOWED)
def test_url_is_allowed_and_sent_in_its_normal_form(url: str, sent: str | None) -> None:
    normal, _ = check_url(url, allowed=LITERAL + WILD)
    assert str(normal) == (sent or url)


@pytest.mark.parametrize("url,sent", ALLOWED)
def test_a_normal_form_is_its_own_normal_form(url: str, sent: str | None) -> None:
    once = normalise(url)
    assert normalise(str(once)) == once


# A wildcard would let other hosts through, so the tricks meet the listed ones alone unless they need one.
@pytest.mark.parametrize("url,reason", REFUSED)
def test_url_is_refused(url: str, reason: str) -> None:
    with pytest.raises((InvalidRequestError, AddressRefusedError), match=reason):
        check_url(url, allowed=LITERAL + (WILD if _reaches_outside(url) else WILD[1:]))


def _reaches_outside(url: str) -> bool:
    return url.startswith("https://") and "hooks.example.net" not in url and ":8000" not in url


@pytest.mark.parametrize("url,reason", [row for row in REFUSED if row[0].startswith("https://")])
def test_nothing_refused_becomes_allowed_without_wildcards(url: str, reason: str) -> None:
    with pytest.raises((InvalidRequestError, AddressRefusedError)):
        check_url(url, allowed=LITERAL)


def test_an_inner_address_is_allowed_once_it_is_listed_literally() -> None:
    url = "http://169.254.169.254/latest/"
    with pytest.raises(AddressRefusedError, match="metadata"):
        check_url(url, allowed=["http://*"])
    assert check_url(url, allowed=["http://169.254.169.254/latest/", "http://*"])[1].literal


def test_a_mapped_address_is_not_the_listed_plain_one() -> None:
    with pytest.raises(UrlRefusedError):
        check_url("http://[::ffff:127.0.0.1]:8000/v1/jobs/x", allowed=LITERAL)


def test_nothing_is_allowed_by_an_empty_list() -> None:
    with pytest.raises(UrlRefusedError, match="none"):
        check_url("http://127.0.0.1:8000/v1/jobs/x", allowed=[])


def test_an_error_does_not_repeat_the_query_which_may_hold_a_token() -> None:
    for url in ("http://evil.example/x?token=hunter2", "evil?token=hunter2", "ftp://x/?token=hunter2"):
        with pytest.raises(UrlRefusedError) as refusal:
            check_url(url, allowed=LITERAL)
        assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "https://*evil.example/",
        "https://a.*.example/",
        "https://api.*/",
        "api.example.com/v1/",
        "ftp://*",
        "https://api.example.com/v1/?x=1",
        "https://user@api.example.com/",
        "https://*:99999/",
        "https://*.0x7f/",
        "",
    ],
)
def test_an_entry_that_cannot_be_read_is_named(entry: str) -> None:
    with pytest.raises(RuleError, match="SCHEDULES_HTTP_ALLOWED"):
        read_rule(entry)

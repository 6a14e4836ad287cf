"""The settings of HTTP jobs, with errors of this package: a setting that cannot be used is not retried."""

from __future__ import annotations

from schedules.conf import ConfError, conf
from schedules.http.errors import InvalidRequestError, SigningKeyError
from schedules.texts import text_of


def http_allowed() -> tuple[str, ...]:
    """Return the prefixes that HTTP jobs may call. Raises `InvalidRequestError`."""
    try:
        return conf.http_allowed
    except ConfError as error:
        raise InvalidRequestError(text_of(error)) from None


def signing_keys() -> tuple[str, ...]:
    """Return the keys that requests are signed with, the one in use first. Raises `SigningKeyError`."""
    try:
        return conf.signing_keys
    except ConfError as error:
        raise SigningKeyError(str(error)) from None


def http_proxy() -> str:
    """Return the proxy that is set on purpose; '' for none. Raises `InvalidRequestError`."""
    try:
        return conf.http_proxy
    except ConfError as error:
        raise InvalidRequestError(text_of(error)) from None


def http_ca_bundle() -> str:
    """Return the file of trusted authorities; '' for certifi's. Raises `InvalidRequestError`."""
    try:
        return conf.http_ca_bundle
    except ConfError as error:
        raise InvalidRequestError(text_of(error)) from None

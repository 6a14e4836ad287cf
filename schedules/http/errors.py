"""What can go wrong with an HTTP job, and whether trying again can help.

The worker reads two attributes and needs to know no class: `retryable` (False: the retries that are left are
not used) and `retry_after` (seconds that the other side asked us to wait, or None).
No text of these errors holds a resolved secret, the query of a URL or a signing key.
"""

from __future__ import annotations


class HttpJobError(Exception):
    """An HTTP job did not succeed."""

    retryable: bool = True

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The status that was answered; None when there was no answer."""
        self.retry_after = retry_after
        """Seconds to wait before the next attempt, as the answer's `Retry-After` says."""

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling of exceptions.
        return (_rebuild, (type(self), str(self), self.status, self.retry_after))


def _rebuild(
    kind: type[HttpJobError], message: str, status: int | None, retry_after: float | None
) -> HttpJobError:
    return kind(message, status=status, retry_after=retry_after)


class PermanentHttpError(HttpJobError):
    """The same request would fail again: it is not retried."""

    retryable = False


class RetryableHttpError(HttpJobError):
    """The same request may succeed later: it is retried as the schedule says."""


class InvalidRequestError(PermanentHttpError, ValueError):
    """The request cannot be sent as it is written: the text says what is wrong and what is allowed."""


class UrlRefusedError(InvalidRequestError):
    """The URL is not one that a schedule may call."""


class AddressRefusedError(PermanentHttpError):
    """The name of the host leads to an address that a schedule may not call."""


class SecretError(PermanentHttpError):
    """A named secret is missing in the environment or cannot be used where it is named."""


class SigningKeyError(PermanentHttpError, ValueError):
    """A signing key is not what the Standard Webhooks specification asks for."""


class UnreachableError(RetryableHttpError):
    """No connection, or one that broke off before the answer was complete."""


class DeadlineError(RetryableHttpError):
    """The answer was not complete within the request's timeout."""

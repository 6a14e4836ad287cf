"""The receiving side: functions of a backend that schedules call over HTTP.

    from schedules.router import job_endpoint

    @job_endpoint("breaking-news")
    def breaking_news(payload):
        ...

`verify_delivery` is the same check as a plain function, for backends that are not Django.
"""

from __future__ import annotations

from schedules.router.endpoints import EndpointError, job_endpoint
from schedules.router.verification import (
    BodyError,
    Delivery,
    DeliveryRefusedError,
    MemoryReplays,
    Replays,
    verify_delivery,
)

__all__ = [
    "BodyError",
    "Delivery",
    "DeliveryRefusedError",
    "EndpointError",
    "MemoryReplays",
    "Replays",
    "job_endpoint",
    "verify_delivery",
]

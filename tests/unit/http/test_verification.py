"""Is a delivery genuine? Bytes and headers in, a Delivery or a refusal out; no Django, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from schedules.http.errors import SigningKeyError
from schedules.http.signing import sign
from schedules.router.verification import (
    BodyError,
    Delivery,
    DeliveryRefusedError,
    MemoryReplays,
    verify_delivery,
)

NOW = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
KEY, NEW_KEY, STRANGE_KEY = ("whsec_" + letter * 32 for letter in "ABC")
SCHEDULE = "0b8e6a52-9d0e-4f0e-8c62-6a6c8c4e1a11"
JOB_ID = f"{SCHEDULE}_{int(NOW.timestamp())}"
BODY = '{"a":"ü"}'.encode()


def signed(
    *, body: bytes = BODY, at: datetime = NOW, keys: tuple[str, ...] = (KEY,), message_id: str = JOB_ID
) -> dict[str, str]:
    timestamp = int(at.timestamp())
    return {
        "Webhook-Id": message_id,
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": sign(keys=keys, message_id=message_id, timestamp=timestamp, body=body),
        "Idempotency-Key": message_id,
        "Content-Type": "application/json",
        "X-Schedule-Name": "T%C3%A4glich",
        "X-Schedule-Attempt": "2",
    }


def verify(headers: Mapping[str, str], **changes: object) -> Delivery:
    given = {"body": BODY, "keys": [KEY], "now": NOW, "replays": MemoryReplays()} | changes
    return verify_delivery(headers=headers, **given)  # type: ignore[arg-type]


def test_a_genuine_delivery_tells_its_slot() -> None:
    delivery = verify(signed())
    assert delivery.key == JOB_ID
    assert delivery.schedule_id == SCHEDULE
    assert delivery.scheduled_for == NOW
    assert delivery.schedule_name == "Täglich"
    assert delivery.attempt == 2
    assert delivery.payload == {"a": "ü"}


def test_what_the_reference_library_signs_is_genuine() -> None:
    headers = signed() | {"Webhook-Signature": Webhook(KEY).sign(JOB_ID, NOW, BODY.decode())}
    assert verify(headers).key == JOB_ID


def _without(name: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda headers: {key: value for key, value in headers.items() if key != name}


def _with(name: str, value: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda headers: headers | {name: value}


TAMPERED = {
    "no id": (_without("Webhook-Id"), "not signed"),
    "no timestamp": (_without("Webhook-Timestamp"), "not signed"),
    "no signature": (_without("Webhook-Signature"), "not signed"),
    "empty signature": (_with("Webhook-Signature", ""), "not signed"),
    "another id": (_with("Webhook-Id", "other"), "No signature matches"),
    "another moment": (_with("Webhook-Timestamp", str(int(NOW.timestamp()) + 1)), "No signature matches"),
    "a fraction": (_with("Webhook-Timestamp", f"{int(NOW.timestamp())}.5"), "cannot be read"),
    "not a number": (_with("Webhook-Timestamp", "now"), "cannot be read"),
    "infinite": (_with("Webhook-Timestamp", "inf"), "cannot be read"),
    "far future": (_with("Webhook-Timestamp", "99999999999"), "No signature matches"),
    "other digits": (_with("Webhook-Timestamp", "١٧٧٢"), "cannot be read"),
    "id with a dot": (_with("Webhook-Id", f"{JOB_ID}.1"), "cannot be read"),
    "id with a line": (_with("Webhook-Id", f"{JOB_ID}\n"), "cannot be read"),
    "not base64": (_with("Webhook-Signature", "v1,???"), "No signature matches"),
    "no comma": (_with("Webhook-Signature", "v1"), "No signature matches"),
    "not ASCII": (_with("Webhook-Signature", "v1,ü\udcff"), "No signature matches"),
    "unsigned key": (_with("Idempotency-Key", "another"), "not the signed webhook-id"),
}


@pytest.mark.parametrize("trick", TAMPERED)
def test_a_tampered_header_is_refused(trick: str) -> None:
    change, reason = TAMPERED[trick]
    with pytest.raises(DeliveryRefusedError, match=reason):
        verify(change(signed()))


@pytest.mark.parametrize("body", [BODY + b" ", b"", BODY.replace(b"a", b"b"), b"\xff\xfe"])
def test_a_tampered_body_is_refused(body: bytes) -> None:
    with pytest.raises(DeliveryRefusedError, match="No signature matches"):
        verify(signed(), body=body)


def test_the_borders_of_the_signed_content_cannot_be_moved() -> None:
    """`id.timestamp.body` of one message must not be another's."""
    moment = str(int(NOW.timestamp()))
    headers = signed(body=f"{moment}.evil".encode(), message_id="x")
    headers |= {"Webhook-Id": f"x.{moment}", "Idempotency-Key": f"x.{moment}"}
    with pytest.raises(DeliveryRefusedError):
        verify(headers, body=b"evil")


def test_a_signature_of_another_version_does_not_count() -> None:
    signature = signed()["Webhook-Signature"].removeprefix("v1,")
    for other in (f"v1a,{signature}", f"v2,{signature}", f",{signature}", signature):
        with pytest.raises(DeliveryRefusedError, match="No signature matches"):
            verify(signed() | {"Webhook-Signature": other})


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_clocks_may_differ_by_five_minutes(seconds: int) -> None:
    assert verify(signed(at=NOW + timedelta(seconds=seconds)))


@pytest.mark.parametrize("seconds", [-301, 301, -86_400])
def test_clocks_may_not_differ_by_more(seconds: int) -> None:
    with pytest.raises(DeliveryRefusedError, match="more than 300 s"):
        verify(signed(at=NOW + timedelta(seconds=seconds)))


def test_keys_are_exchanged_without_a_gap() -> None:
    """Sender and receiver change at different times; in between, one of both signatures or keys fits."""
    assert verify(signed(keys=(KEY,)), keys=[NEW_KEY, KEY])
    assert verify(signed(keys=(NEW_KEY, KEY)), keys=[KEY])
    assert verify(signed(keys=(NEW_KEY, KEY)), keys=[NEW_KEY])
    assert verify(signed(keys=(NEW_KEY,)), keys=[NEW_KEY, KEY])
    with pytest.raises(DeliveryRefusedError, match="No signature matches"):
        verify(signed(keys=(KEY,)), keys=[NEW_KEY])
    with pytest.raises(DeliveryRefusedError, match="No signature matches"):
        verify(signed(keys=(STRANGE_KEY,)), keys=[NEW_KEY, KEY])


def test_a_replay_is_refused_and_a_second_attempt_is_not() -> None:
    replays = MemoryReplays()
    assert verify(signed(), replays=replays)
    with pytest.raises(DeliveryRefusedError, match="a replay"):
        verify(signed(), replays=replays)
    assert verify(signed(at=NOW + timedelta(seconds=1)), replays=replays)


def test_a_replay_is_remembered_for_as_long_as_its_signature_is_valid() -> None:
    asked: list[tuple[str, int]] = []

    class Spy:
        def first_time(self, key: str, seconds: int) -> bool:
            asked.append((key, seconds))
            return True

    verify(signed(at=NOW + timedelta(seconds=300)), replays=Spy())
    assert asked[0][1] > 600


def test_a_forged_delivery_does_not_use_up_the_genuine_one() -> None:
    replays = MemoryReplays()
    with pytest.raises(DeliveryRefusedError):
        verify(signed(), body=b"forged", replays=replays)
    assert verify(signed(), replays=replays)


def test_without_keys_nothing_is_genuine() -> None:
    with pytest.raises(DeliveryRefusedError, match="no signing keys"):
        verify(signed(), keys=[])


@pytest.mark.parametrize("key", ["", "whsec_", "password", "whsec_AAAA", "whsec_" + "A" * 92, "A" * 31])
def test_a_key_that_is_none_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(SigningKeyError, match="key 2") as refusal:
        verify(signed(), keys=[KEY, key])
    assert not key or key not in str(refusal.value) or key == "whsec_"


def test_every_signature_is_compared_in_constant_time(monkeypatch) -> None:
    """No early end: how long it takes tells nothing about which key or signature fits."""
    from schedules.router import verification

    compared: list[bytes] = []
    real = verification.hmac.compare_digest

    def spy(expected: bytes, given: bytes) -> bool:
        compared.append(given)
        return bool(real(expected, given))

    monkeypatch.setattr(verification.hmac, "compare_digest", spy)
    verify(signed(keys=(KEY, NEW_KEY)), keys=[KEY, NEW_KEY, STRANGE_KEY])
    assert len(compared) == 6


def test_a_flood_of_signatures_is_not_compared() -> None:
    flood = " ".join(["v1,AAAA"] * 1000 + [signed()["Webhook-Signature"]])
    with pytest.raises(DeliveryRefusedError, match="No signature matches"):
        verify(signed() | {"Webhook-Signature": flood})


@pytest.mark.parametrize("body", [b"{", b"NaN", b"[Infinity]", b'{"a":', b"[" * 100_000])
def test_a_genuine_body_that_is_no_json_says_so(body: bytes) -> None:
    delivery = verify(signed(body=body), body=body)
    with pytest.raises(BodyError, match="not JSON"):
        _ = delivery.payload


def test_a_body_of_another_type_is_left_alone() -> None:
    delivery = verify(signed(body=b"{") | {"Content-Type": "text/plain"}, body=b"{")
    assert (delivery.payload, delivery.body) == (None, b"{")
    assert verify(signed(body=b""), body=b"").payload is None


def test_a_memory_of_replays_forgets_the_oldest_first_and_what_is_over() -> None:
    replays = MemoryReplays(limit=2)
    assert [replays.first_time(key, 60) for key in "aabcb"] == [True, False, True, True, False]
    assert replays.first_time("a", 60)
    assert replays.first_time("z", -1)
    assert replays.first_time("z", 60)

"""What processors tell every ingress: nothing is lost between them, and nothing is too long for Postgres."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.notifications import (
    NOTIFICATION_MAX_BYTES,
    POSITIONS_MAX,
    decode_notification,
    encode_notifications,
)

OFFSETS = st.dictionaries(st.integers(0, 999_999), st.integers(0, 2**62), min_size=1, max_size=3 * POSITIONS_MAX)
CELL = st.none() | st.integers(0, 10**6) | st.text(max_size=250)
ROWS = st.lists(
    st.dictionaries(st.text(max_size=20), CELL, max_size=19).map(lambda row: row | {"command_id": "id"}), max_size=30
)


@pytest.mark.slow
@given(OFFSETS, ROWS)
def test_all_of_it_arrives_and_the_positions_last(next_offsets: dict[int, int], rows: list[dict[str, object]]) -> None:
    payloads = list(encode_notifications(next_offsets, rows))
    assert all(len(payload.encode()) <= NOTIFICATION_MAX_BYTES for payload in payloads)
    notifications = [decode_notification(payload) for payload in payloads]
    assert rows == [row for notification in notifications for row in notification.outcomes]
    assert next_offsets == {
        key: offset for notification in notifications for key, offset in notification.next_offsets.items()
    }
    first = next(number for number, notification in enumerate(notifications) if notification.next_offsets)
    assert all(notification.next_offsets and not notification.outcomes for notification in notifications[first + 1 :])


def _row(text: str) -> dict[str, str]:
    return {"command_id": "id", "reason": text}


def test_one_command_is_one_notice() -> None:
    assert 1 == len(list(encode_notifications({3: 17}, [_row("x" * 700)])))


def test_what_is_too_long_is_left_out() -> None:
    [payload] = encode_notifications({3: 17}, [_row("x" * NOTIFICATION_MAX_BYTES), _row("short")])
    assert [_row("short")] == decode_notification(payload).outcomes


@pytest.mark.parametrize(
    "payload",
    [
        *("", "x", "{}", "[]", "7"),
        '{"next": [], "outcomes": []}',
        '{"next": {"x": 1}, "outcomes": []}',
        '{"next": {"1": null}, "outcomes": []}',
        '{"next": {}, "outcomes": [7]}',
        '{"next": {}, "outcomes": [[7]]}',
        '{"next": {}, "outcomes": [{}]}',
        '{"next": {}, "outcomes": [{"command_id": 7}]}',
    ],
)
def test_what_is_no_notice(payload: str) -> None:
    with pytest.raises(ValueError, match="no notification"):
        decode_notification(payload)

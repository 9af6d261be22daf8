"""New ids: one for one, the same everywhere, and nothing else changes."""

import uuid
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from replay.rewrite import Rewriter
from schemas.commands import (
    FINISHES,
    RESERVES,
    ActivateConnection,
    AdjustBalance,
    Amount,
    Command,
    Edition,
    Reserve,
)
from schemas.records import encode_command, read_command
from schemas.words import AfterFinal, Kind, Verb
from tests.support.commands import NOON, stamps
from tests.support.platform import activate, adjust, deactivate, issued, reactivate

IDS = st.uuids().map(str)


def reserve(allocation_id: str, connection_id: str, **fields: Any) -> Reserve:
    return RESERVES[Kind.DEALLOCATION](
        **stamps(allocation_id),
        amount=Amount(currency="BTC", quantity="5"),
        client_id=str(uuid.uuid4()),
        connection_id=connection_id,
        partners_connection_id="account",
        edition=Edition(),
        after_final=AfterFinal.REISSUE,
        **fields,
    )


@given(st.sets(IDS, min_size=2, max_size=50), st.text(max_size=20))
def test_different_ids_stay_different(ids: set[str], seed: str) -> None:
    rewriter = Rewriter(seed)
    new = {rewriter.map(each) for each in ids}
    assert len(ids) == len(new)
    assert not ids & new
    assert new == {Rewriter(seed).map(each) for each in ids}


@given(IDS, st.lists(st.text(max_size=20), min_size=2, max_size=20, unique=True))
def test_other_seeds_make_other_ids(old: str, seeds: list[str]) -> None:
    assert len(seeds) == len({Rewriter(seed).map(old) for seed in seeds})


@given(IDS, IDS)
def test_an_id_is_the_same_one_wherever_it_stands(allocation_id: str, connection_id: str) -> None:
    rewriter = Rewriter("seed")
    opened = reserve(
        allocation_id, connection_id, partner_allocation_id=allocation_id.upper(), notes="a note", initiated_by="x"
    )
    rewritten = rewriter.command(opened)
    assert isinstance(rewritten, Reserve)
    assert (
        rewriter.map(allocation_id),
        rewriter.map(opened.command_id),
        rewriter.map(connection_id),
        rewriter.map(allocation_id),
        "a note",
    ) == (
        rewritten.allocation_id,
        rewritten.command_id,
        rewritten.connection_id,
        rewritten.partner_allocation_id,
        rewritten.notes,
    )
    cleared = FINISHES[Kind.DEALLOCATION, Verb.CLEAR](**stamps(allocation_id))
    assert rewritten.allocation_id == rewriter.command(cleared).allocation_id
    changed = {"allocation_id", "command_id", "connection_id", "partners_connection_id", "partner_allocation_id"}
    assert opened.model_dump(exclude=changed) == rewritten.model_dump(exclude=changed)


def test_connections_can_be_kept() -> None:
    opened = reserve(str(uuid.uuid4()), str(uuid.uuid4()))
    rewritten = Rewriter("seed", keep_connections=True).command(opened)
    assert isinstance(rewritten, Reserve)
    assert opened.allocation_id != rewritten.allocation_id
    same = {"connection_id", "partners_connection_id"}
    assert opened.model_dump(include=same) == rewritten.model_dump(include=same)
    connected = activate(opened.connection_id, of=issued())
    kept = Rewriter("seed", keep_connections=True).command(connected)
    assert connected.model_dump(exclude={"command_id"}) == kept.model_dump(exclude={"command_id"})


def test_a_connection_its_reserves_and_adjustments_stay_together() -> None:
    """Of another seed, all is another: the token, the account of the platform, the connection."""
    connection_id, token = str(uuid.uuid4()), "token"
    reserved = reserve(str(uuid.uuid4()), connection_id)
    asked = [
        activate(connection_id, token, issued("account")),
        deactivate(connection_id),
        reactivate(connection_id),
        adjust(connection_id, {"BTC": -5}),
        reserved,
    ]
    rewriter = Rewriter("seed")
    activated, *others, adjusted, opened = map(rewriter.command, asked)
    assert isinstance(activated, ActivateConnection)
    assert isinstance(adjusted, AdjustBalance)
    assert isinstance(opened, Reserve)
    assert activated.issued is not None
    assert {rewriter.map(connection_id)} == {
        *(activated.subject_id, *(each.subject_id for each in others), adjusted.connection_id, opened.connection_id)
    }
    assert activated.issued.partners_connection_id == opened.partners_connection_id != "account"
    assert rewriter.map(asked[3].subject_id) == adjusted.adjustment_id
    again = Rewriter("seed").command(activate(str(uuid.uuid4()), token))
    other = Rewriter("other").command(asked[0])
    assert isinstance(again, ActivateConnection)
    assert isinstance(other, ActivateConnection)
    assert 3 == len({asked[0].token_hash, activated.token_hash, other.token_hash})  # type: ignore[attr-defined]
    assert activated.token_hash == again.token_hash
    for command in (activated, *others, adjusted, opened):
        read_command(encode_command(command))


def test_headers_are_changed_where_they_hold_an_id_and_nowhere_else() -> None:
    command: Command = reserve(str(uuid.uuid4()), str(uuid.uuid4()))
    rewriter = Rewriter("seed")
    other = str(uuid.uuid4()).encode()
    headers = (
        ("id", command.allocation_id.encode()),
        ("link", b"command=" + command.command_id.encode() + b";x"),
        ("other", other),
        ("raw", b"\xff\x00"),
        ("absent", None),
    )
    assert (
        ("id", rewriter.map(command.allocation_id).encode()),
        ("link", b"command=" + rewriter.map(command.command_id).encode() + b";x"),
        *headers[2:],
    ) == rewriter.headers(command, headers)


def test_times_are_not_the_rewriters_business() -> None:
    command = reserve(str(uuid.uuid4()), str(uuid.uuid4()))
    assert NOON == Rewriter("seed").command(command).received_at

"""A check: its number, what it comes from, what it needs to be told, and what it does."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from bitgo.conformance.sources import Source
from bitgo.conformance.terms import Terms
from schemas.words import Kind

if TYPE_CHECKING:
    from bitgo.conformance.probe import Probe

Body = Callable[..., Awaitable[None]]


class Need(StrEnum):
    """What a check can not do without. The value is why it is skipped where that is missing."""

    UNPUBLISHED = "rests on what BitGo does not publish and the contract chose: --unpublished"
    REJECTION = "needs an allocation that the partner rejects: --rejects CURRENCY:QUANTITY"
    OWN_ACCOUNT = "needs a connection that holds nothing, and --account names one for all checks"
    ENTERPRISE = "needs the id in the paths of the read endpoints: --enterprise-id"
    CONNECTIONS = "connections are checked when asked for: --connections"
    CONNECTION_TOKEN = "needs a connection token that was not used yet: --connection-token"  # noqa: S105 - no secret


def missing(need: Need, terms: Terms) -> bool:
    given = {
        Need.UNPUBLISHED: terms.unpublished,
        Need.REJECTION: terms.rejects is not None,
        Need.OWN_ACCOUNT: terms.account is None,
        Need.ENTERPRISE: terms.enterprise_id is not None,
        Need.CONNECTIONS: terms.connections,
        Need.CONNECTION_TOKEN: bool(terms.connection_tokens),
    }
    return not given[need]


@dataclass(frozen=True)
class Check:
    id: str
    group: str
    title: str
    section: str
    source: Source
    needs: tuple[Need, ...]
    run: Callable[["Probe"], Awaitable[None]]

    def lacks(self, terms: Terms) -> str | None:
        """Why it can not run under these terms."""
        return next((need.value for need in self.needs if missing(need, terms)), None)


@dataclass(frozen=True)
class Group:
    """Checks of one subject. Reports are compared over years: a number is never reused, a new row ends its list."""

    name: str
    title: str
    section: str
    source: Source
    needs: tuple[Need, ...] = ()
    checks: list[Check] = field(default_factory=list)

    def add(
        self,
        number: str,
        title: str,
        run: Callable[["Probe"], Awaitable[None]],
        *,
        section: str | None = None,
        source: Source | None = None,
        needs: Iterable[Need] = (),
    ) -> None:
        everything = (*self.needs, *needs)
        check = Check(
            f"{self.name}-{number}", self.name, title, section or self.section, source or self.source, everything, run
        )
        self.checks.append(check)

    def check(self, number: int, title: str, **details: Any) -> Callable[[Body], Body]:
        """The function takes a Probe."""

        def register(body: Body) -> Body:
            self.add(f"{number:02}", title, body, **details)
            return body

        return register

    def both_kinds(self, number: int, title: str, **details: Any) -> Callable[[Body], Body]:
        """The function takes a Probe and a Kind. `{kind}` and `{a_kind}` in the title are replaced."""

        def register(body: Body) -> Body:
            for kind in Kind:
                self.add(
                    f"{number:02}{kind[0]}",
                    title.format(kind=kind, a_kind=_WITH_ARTICLE[kind]),
                    _of(body, kind),
                    **details,
                )
            return body

        return register


_WITH_ARTICLE: Final = {Kind.ALLOCATION: "an allocation", Kind.DEALLOCATION: "a deallocation"}


def _of(body: Body, kind: Kind) -> Callable[["Probe"], Awaitable[None]]:
    return lambda probe: body(probe, kind)

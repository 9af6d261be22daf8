"""Every path, once. The later editions' plural spelling is an alias for each singular path (contract, section 2)."""

from functools import partial

from aiohttp import web

from ingress import adjustments, allocations, connection_tokens, connections, partner_reads, reads
from ingress.http.problems import NETWORK
from ingress.openapi import document_view
from ingress.platform import views
from ingress.platform.document import PREFIX
from ingress.platform.reads import KINDS
from ingress.settings import IngressSettings
from schemas.commands import DeactivateConnection, ReactivateConnection
from schemas.words import Kind, Verb


def add_routes(app: web.Application, settings: IngressSettings) -> None:
    base = settings.base_path
    for kind in Kind:
        app.router.add_post(f"{base}/{kind}s", partial(allocations.reserve, kind=kind))
        for noun in (kind, f"{kind}s"):
            for verb in (Verb.CLEAR, Verb.RELEASE):
                app.router.add_put(f"{base}/{noun}/{{id}}/{verb}", partial(allocations.finish, kind=kind, verb=verb))
            app.router.add_get(f"{base}/{noun}/{{id}}", partial(reads.status, kind=kind))
    app.router.add_post(f"{base}/connections", connections.activate)
    app.router.add_get(f"{base}/connections/{{id}}", connections.status)
    _add_platform_routes(app)
    partners = f"{NETWORK}v1/enterprises/{{enterpriseId}}/partners/allocations"
    app.router.add_get(partners, partner_reads.list_allocations)
    app.router.add_get(f"{partners}/{{id}}", partner_reads.get_allocation)
    _add_platform_reads(app)
    app.router.add_get("/openapi.json", document_view)


def _add_platform_reads(app: web.Application) -> None:
    connections = f"{PREFIX}/connections"
    app.router.add_get(connections, views.connections)
    app.router.add_get(f"{connections}/{{connectionId}}", views.connection)
    app.router.add_get(f"{connections}/{{connectionId}}/accounts", views.accounts)
    app.router.add_get(f"{connections}/{{connectionId}}/accounts/{{currency}}/ledger", views.ledger)
    for of in KINDS:
        app.router.add_get(f"{PREFIX}/{of}s/{{{of}Id}}/history", partial(views.history, of=of))
    app.router.add_get(f"{PREFIX}/reservations", views.reservations)


def _add_platform_routes(app: web.Application) -> None:
    """What the platform's own people and programs call, with an operator's token."""
    app.router.add_post(f"{PREFIX}/connection-tokens", connection_tokens.issue)
    app.router.add_get(f"{PREFIX}/connection-tokens", connection_tokens.listed)
    app.router.add_delete(f"{PREFIX}/connection-tokens/{{tokenHash}}", connection_tokens.revoke)
    app.router.add_post(f"{PREFIX}/adjustments", adjustments.adjust)
    app.router.add_post(f"{PREFIX}/adjustments/batch", adjustments.adjust_batch)
    app.router.add_get(f"{PREFIX}/adjustments/{{id}}", adjustments.status)
    for word, command in (("deactivate", DeactivateConnection), ("reactivate", ReactivateConnection)):
        app.router.add_post(f"{PREFIX}/connections/{{id}}/{word}", partial(connections.change, command=command))

"""What the views need, by aiohttp application key."""

from typing import Final

from aiohttp import web

from ingress.auth.access import Access
from ingress.auth.connection_tokens import ConnectionTokens
from ingress.http.requests import Slots
from ingress.outcomes.outcomes import Outcomes
from ingress.postgres.database import Database
from ingress.postgres.rows import Rows
from ingress.settings import IngressSettings
from ingress.submit import Submission
from service.health import Health
from service.log_checks import LogIdentity

SETTINGS: Final = web.AppKey("settings", IngressSettings)
HEALTH: Final = web.AppKey("health", Health)
IDENTITY: Final = web.AppKey("identity", LogIdentity)
ACCESS: Final = web.AppKey("access", Access)
OUTCOMES: Final = web.AppKey("outcomes", Outcomes)
SUBMISSION: Final = web.AppKey("submission", Submission)
ROWS: Final = web.AppKey("rows", Rows)
SLOTS: Final = web.AppKey("slots", Slots)
CONNECTION_TOKENS: Final = web.AppKey("connection_tokens", ConnectionTokens)
LISTS: Final = web.AppKey("lists", Database)

"""Pages: one that shows the API and sends every request of it, with a token filled in, and a shop."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Match, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from dev.gateway.tokens import issue_token

PAGE = Path(__file__).with_name("docs.html")
SHOP = Path(__file__).with_name("shop.html")
THIS_MACHINE = {"127.0.0.1", "::1", "localhost"}


def _page(request: Request) -> Response:
    # Late, for they import what the functions do, which is done once the log is set up.
    from dev.openapi import SAMPLES

    token = issue_token() if _is_asked_here(request) else ""
    page = PAGE.read_text().replace("TOKEN", token).replace("EXAMPLE_ID", str(SAMPLES["uuid"]))
    return HTMLResponse(page, headers={"cache-control": "no-store"})


def _document(_: Request) -> Response:
    from dev.openapi import document

    return JSONResponse(document())


def _is_asked_here(request: Request) -> bool:
    """Tell the person at this machine from others in its network, and from sites whose name leads here."""
    return request.client is not None and {request.client.host, request.url.hostname} <= THIS_MACHINE


class _Home(Route):
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if scope["path"] == "/" else (Match.NONE, {})


ROUTES = [
    # Not with a line feed at its end, which is another path.
    _Home("/", lambda _: RedirectResponse("/docs")),
    Route("/docs", _page),
    Route("/shop", lambda _: FileResponse(SHOP)),
    Route("/openapi.json", _document),
    # Powertools brings Swagger UI along, which is not deployed.
    Mount("/docs", StaticFiles(packages=[("aws_lambda_powertools", "event_handler/openapi/swagger_ui")])),
]

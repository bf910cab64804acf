"""The API's own documentation: the OpenAPI document, and a page made from it that loads nothing from anywhere."""

import importlib.metadata
from html import escape
from typing import Any

from litestar import Request, Response, Router
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute

from gateway.identity.cookies import SESSION_COOKIE
from policies.actions import Action

_PATH = "/schema"
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title><meta name="viewport" content="width=device-width"></head>
<body>
<h1>{title} {version}</h1>
<p>{description}</p>
<p>The machine-readable form is <a href="{path}/openapi.json">openapi.json</a>.</p>
<table border="1">
<caption>Operations</caption>
<thead><tr><th scope="col">Method</th><th scope="col">Path</th><th scope="col">Permission</th>
<th scope="col">What it does</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""
_ROW = "<tr><td>{method}</td><td><code>{path}</code></td><td><code>{action}</code></td><td>{description}</td></tr>"
_DESCRIPTION = (
    "Ask a company's confidential documents and get what you may read. Send `Authorization: Bearer KEY`. "
    'Every error has the body {"error": {"code", "message", "request"}}; codes are stable, messages are for people.'
)


class ReferencePage(OpenAPIRenderPlugin):
    """A plain list of operations. The usual pages load scripts from elsewhere, and this service loads none."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page."""
        actions = _actions(request)
        rows = [
            _ROW.format(
                method=method.upper(),
                path=escape(path),
                action=escape(actions.get((method.upper(), path), "")),
                description=escape(operation.get("description", "")),
            )
            for path, operations in sorted(openapi_schema["paths"].items())
            for method, operation in operations.items()
        ]
        info = openapi_schema["info"]
        shown = {name: escape(info.get(name, "")) for name in ("title", "version", "description")}
        return _PAGE.format(rows="\n".join(rows), path=_PATH, **shown).encode()


def openapi_config() -> OpenAPIConfig:
    """What the documentation says about the API as a whole, and where it is."""
    key = SecurityScheme(type="http", scheme="bearer", description="An API key made by `muniment keys create`.")
    about = "A session's cookie, as `/auth/sign-in` sets it; with `X-CSRF-Token` where something changes."
    session = SecurityScheme(type="apiKey", name=SESSION_COOKIE, security_scheme_in="cookie", description=about)
    return OpenAPIConfig(
        title="Muniment",
        version=_version(),
        description=_DESCRIPTION,
        use_handler_docstrings=True,
        components=Components(security_schemes={"key": key, "session": session}),
        security=[{"key": []}, {"session": []}],
        render_plugins=[ReferencePage(), JsonRenderPlugin()],
        openapi_router=Router(
            _PATH,
            route_handlers=[],
            opt={"action": Action.OPENAPI_READ},
            include_in_schema=False,
            after_request=_plain_not_found,
        ),
    )


def _version() -> str:
    try:
        return importlib.metadata.version("muniment")
    except importlib.metadata.PackageNotFoundError:
        return "unpackaged"  # Run from its sources, as tests are.


def _plain_not_found(response: Response[Any]) -> Response[Any]:
    """The framework adds a page of its own for unknown addresses below; here they look like any other."""
    if response.status_code == NotFoundException.status_code:
        raise NotFoundException
    return response


def _actions(request: Request[Any, Any, Any]) -> dict[tuple[str, str], str]:
    return {
        (method, route.path_format): str(handler.opt.get("action", ""))
        for route in request.app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
    }

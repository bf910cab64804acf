"""The documentation of the API is complete, and loads nothing from anywhere."""

import re
from pathlib import Path

import httpx
from litestar import Litestar
from litestar.routes import HTTPRoute

from policies.actions import Action
from tests.gateway.conftest import World

README = Path(__file__).parents[2] / "gateway" / "README.md"


def served(app: Litestar) -> dict[tuple[str, str], str]:
    """Every operation with its action, the documentation's own aside."""
    return {
        (method, route.path_format): str(handler.opt["action"])
        for route in app.routes
        if isinstance(route, HTTPRoute) and not route.path.startswith("/schema")
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    }


async def test_every_route_is_in_the_openapi_document(client: httpx.AsyncClient, world: World, app: Litestar) -> None:
    document = (await client.get("/schema/openapi.json", headers=world.headers("bob"))).json()
    documented = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert documented == set(served(app))
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["description"]
    responses = document["paths"]["/v1/chat/completions"]["post"]["responses"]
    assert {"200", "400", "401", "403", "404", "413", "429", "500", "503"} <= set(responses)
    assert responses["200"]["content"]["application/json"]["schema"]["$ref"].endswith("Completion")
    assert responses["401"]["content"]["application/json"]["schema"]["$ref"].endswith("ErrorBody")
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


async def test_the_page_lists_every_operation_and_loads_nothing(
    client: httpx.AsyncClient, world: World, app: Litestar
) -> None:
    response = await client.get("/schema", headers=world.headers("bob"))
    assert response.headers["content-type"].startswith("text/html")
    page = response.text
    for (method, path), action in served(app).items():
        assert f"<td>{method}</td><td><code>{path}</code></td><td><code>{action}</code></td>" in page
    assert not re.search(r"<(?:script|link|img|iframe|style)|https?://", page)
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["/schema/openapi.json"]


def test_the_readme_lists_every_route_with_its_action(app: Litestar) -> None:
    rows = re.findall(
        r"^\| (`(?:DELETE|GET|PATCH|POST|PUT) .+?) \| `([a-z:-]+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE
    )
    listed = {
        tuple(operation.replace("{name}", "{id}").split(" ")): action
        for operations, action in rows
        for operation in re.findall(r"`([^`]+)`", operations)
    }
    schema = {("GET", "/schema"), ("GET", "/schema/openapi.json")}
    routes = {(method, re.sub(r"\{\w+\}", "{id}", path)): action for (method, path), action in served(app).items()}
    assert {key: action for key, action in listed.items() if key not in schema} == routes
    assert {listed[key] for key in schema} == {Action.OPENAPI_READ}

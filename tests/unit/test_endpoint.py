"""What an endpoint does with the function that it is made of."""

import pytest

from dev.gateway.template import Function, Route
from shared.changes import Message
from shared.http import Response, endpoint, respond_to_change
from tests.client import WRITE, Answer, event
from tests.conftest import use_settings


@endpoint(access="write", status=201)
def create() -> Response[Message]:
    """Create a thing whose name is new."""
    return respond_to_change(Message(message="It is there."), location="new")


@pytest.mark.parametrize("below", ["", "/{proxy+}", "/{thing_id}", "/{thing_id}/duplicate"])
def test_location_leads_into_the_collection(below: str) -> None:
    function = Function("Create", "create.handler", timeout=3, memory=128)
    route = Route("POST", f"/admin/things{below}", function, (WRITE,), authorized=True)
    path = route.path.replace("{proxy+}", "").replace("{thing_id}", "old")
    answer = create(event("POST", path, route=route, claims={"sub": "a", "scope": WRITE}), None)
    assert answer["statusCode"] == 201
    location = {"location": answer["headers"]["Location"]}
    assert Answer(201, location, answer["body"], path).location == "/admin/things/new"


def test_another_resource_has_scopes_of_its_own() -> None:
    coupons = endpoint(access="write", resource="coupons")(create.function)
    assert coupons.scope == "coupons:write"
    with use_settings(WRITE_SCOPE="other", COUPONS_WRITE_SCOPE="id/coupons:write"):
        assert (create.scope, coupons.scope) == ("other", "id/coupons:write")

"""The gateway from outside: what a caller sees, and what becomes of its processes."""

import json
import re
import shutil
import signal
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import pytest

from dev.database.postgres import listens
from tests.e2e.serving import BUNDLES, ROOT, Gateway, is_running, run_dev
from tests.postgres import execute
from tests.waiting import until

MIGRATION = """
from alembic import op
from sqlalchemy import Column, Text

revision, down_revision, branch_labels, depends_on = "9999", "{head}", None, None

def upgrade() -> None:
    op.add_column("token_bundle", Column("brand_new", Text()))
"""
ORIGIN = "http://localhost:5173"


class TestWhoMayCall:
    def test_nobody_without_a_token(self, anonymous: httpx.Client) -> None:
        answer = anonymous.get(BUNDLES)

        assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
        assert answer.headers["www-authenticate"] == "Bearer"

    def test_nobody_with_a_token_that_is_not_to_be_trusted(
        self, anonymous: httpx.Client, gateway: Gateway, token: str
    ) -> None:
        forged = token.rpartition(".")[0] + "." + "A" * 342
        for bad in (gateway.token("--expires-in", "-1"), forged):
            answer = anonymous.get(BUNDLES, headers={"authorization": f"Bearer {bad}"})
            assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]

    def test_nobody_without_the_scope(self, gateway: Gateway) -> None:
        bundle = f"{BUNDLES}/{uuid.uuid4()}"
        with gateway.client(gateway.token("--scope", "token-bundles:read other")) as reader:
            assert reader.get(BUNDLES).status_code == 200
            for answer in (reader.post(BUNDLES, json={}), reader.delete(bundle)):
                assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
        with gateway.client(gateway.token("--scope", "token-bundles:write")) as writer:
            assert writer.get(BUNDLES).status_code == 403

    def test_the_issuer_publishes_its_key(
        self, anonymous: httpx.Client, gateway: Gateway, token: str
    ) -> None:
        configuration = anonymous.get("/.well-known/openid-configuration").json()
        keys = jwt.PyJWKSet.from_dict(anonymous.get(configuration["jwks_uri"]).json())

        assert configuration["jwks_uri"].startswith(gateway.url)
        assert configuration["issuer"] == _claims(token)["iss"]
        kid = jwt.get_unverified_header(token)["kid"]
        assert jwt.decode(token, keys[kid], ["RS256"], audience=_claims(token)["aud"])


class TestRoutes:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "//"),
            ("GET", "/1/"),
            ("GET", "/1/activate"),
            ("GET", "/{proxy+}/"),
            ("POST", "/1"),
            ("POST", "/1/"),
        ],
    )
    def test_what_is_below_the_collection_and_nothing(
        self, admin: httpx.Client, anonymous: httpx.Client, method: str, path: str
    ) -> None:
        """The greedy route that serves the collection's slash takes it, and its function finds nothing."""
        assert anonymous.request(method, BUNDLES + path).status_code == 401
        answer = admin.request(method, BUNDLES + path)

        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize(
        ("end", "status"),
        [
            # As they are sent, where a client would tidy them up.
            *((f"/{fault}", 400) for fault in ("%", "%zz", "%u0041", "%25", "%25done", "%%32F", "\x7f", "ü")),
            *((f"/{no_id}", 404) for no_id in ("%252F", "%2525", "..", "%FF", "%00", "a;b", "a+b")),
            *((end, 200) for end in ("/", "%2F", "%252F", "%3F%25", "?q=%", "?q=%zz", "?q=%FF")),
            (f"?q={'q' * 10_240}", 431),
        ],
        ids=lambda part: str(part)[-12:],
    )
    def test_whatever_follows_in_the_address_is_answered(
        self, gateway: Gateway, token: str, end: str, status: int
    ) -> None:
        where = urlsplit(gateway.url)
        head = f"GET {BUNDLES}{end} HTTP/1.1\r\nhost: localhost\r\nAUTHORIZATION: Bearer {token}\r\n"
        with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
            connection.sendall(f"{head}connection: close\r\n\r\n".encode())
            answer = connection.makefile("rb").read()

        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
        assert "Traceback" not in gateway.output.read_text()

    def test_every_answer_has_the_request_id(self, admin: httpx.Client, anonymous: httpx.Client) -> None:
        problem = admin.get(f"{BUNDLES}/{uuid.uuid4()}")

        assert problem.headers["apigw-requestid"] == problem.json()["request_id"]
        assert anonymous.get("/nowhere").headers["apigw-requestid"]


class TestCors:
    def preflight(self, client: httpx.Client, **changes: str) -> httpx.Response:
        headers = {
            "origin": ORIGIN,
            "access-control-request-method": "PUT",
            "access-control-request-headers": "authorization,content-type,if-match",
        }
        return client.options(f"{BUNDLES}/{uuid.uuid4()}", headers=headers | changes)

    def test_a_preflight_needs_no_token(self, anonymous: httpx.Client) -> None:
        answer = self.preflight(anonymous)

        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert _listed(answer, "allow-methods") == {"GET", "POST", "PUT", "PATCH", "DELETE"}
        conditional = {"If-Match", "If-None-Match", "Idempotency-Key"}
        assert _listed(answer, "allow-headers") == {"Authorization", "Content-Type"} | conditional
        assert "access-control-allow-credentials" not in answer.headers

    @pytest.mark.parametrize(
        "changes",
        [
            {"origin": "http://localhost:5173.evil.example.com"},
            {"origin": "null"},
            {"access-control-request-method": "TRACE"},
            {"access-control-request-headers": "x-other"},
        ],
        ids=str,
    )
    def test_a_refused_preflight(self, anonymous: httpx.Client, changes: dict[str, str]) -> None:
        answer = self.preflight(anonymous, **changes)

        assert answer.status_code == 204
        assert not [name for name in answer.headers if name.startswith("access-control-")]

    def test_answers_are_for_allowed_origins(self, admin: httpx.Client, anonymous: httpx.Client) -> None:
        for client in (admin, anonymous):
            answer = client.get(BUNDLES, headers={"origin": ORIGIN})
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            assert _listed(answer, "expose-headers") == {
                *("ETag", "Location", "Idempotency-Replayed", "Retry-After", "Content-Disposition")
            }

            refused = client.get(BUNDLES, headers={"origin": "https://evil.example.com"})
            assert refused.status_code == answer.status_code
            assert not [name for name in refused.headers if name.startswith("access-control-")]

    def test_each_origin_on_this_machine_may_call(self, anonymous: httpx.Client) -> None:
        for origin in ("http://localhost:8099", "http://127.0.0.1", "https://[::1]:1"):
            assert self.preflight(anonymous, origin=origin).headers["access-control-allow-origin"] == origin

    def test_only_those_that_are_named_may_call_and_who_else_tries_is_told(
        self, start: Callable[..., Gateway]
    ) -> None:
        gateway = start("--no-sample", ALLOWED_ORIGINS="https://admin.example.com")
        with gateway.client() as client:
            assert "access-control-allow-origin" not in self.preflight(client).headers
            client.get(BUNDLES, headers={"origin": "http://a"})
            client.get(BUNDLES, headers={"origin": gateway.url})
            client.get(BUNDLES, headers={"origin": "https://admin.example.com"})
        until(lambda: "http://a" in gateway.output.read_text())
        told = [line[9:] for line in gateway.output.read_text().splitlines() if "WARNING" in line]
        assert told == [
            f"WARNING Pages of the origin {origin} may not call this: ALLOWED_ORIGINS says which may"
            for origin in (ORIGIN, "http://a")
        ]

    @pytest.mark.parametrize("origin", ["http://x/", "localhost:8099", "*", "http://x/path", "HTTP://X"])
    def test_an_origin_that_is_none(self, tmp_path: Path, origin: str) -> None:
        run = run_dev(tmp_path, "serve", ALLOWED_ORIGINS=f"http://localhost:1,{origin}")
        assert (run.returncode, run.stderr.count("\n")) == (1, 1)
        assert f"ALLOWED_ORIGINS has {origin}, which is no origin" in run.stderr


class TestDocs:
    def test_the_address_alone_leads_there(self, anonymous: httpx.Client) -> None:
        assert anonymous.get("/").headers["location"] == "/docs"

    def token(self, client: httpx.Client, **headers: str) -> str:
        found = re.search('token = "(.*)"', client.get("/docs", headers=headers).text)
        assert found
        return found[1]

    def test_the_page_has_a_token_that_works(self, gateway: Gateway, anonymous: httpx.Client) -> None:
        with gateway.client(self.token(anonymous)) as client:
            assert client.get(BUNDLES).status_code == 200
        assert f"{gateway.url}/docs" in gateway.output.read_text()

    def test_the_page_is_whole_without_another_server(self, anonymous: httpx.Client) -> None:
        addresses = re.findall(r'(?:src=|href=|read\()"([^"]+)"', anonymous.get("/docs").text)

        assert len(addresses) == 4
        for address in addresses:
            assert address == "data:," or anonymous.get(address).status_code == 200
        assert anonymous.get("/openapi.json").json() == json.loads((ROOT / "openapi.json").read_text())

    def test_no_site_whose_name_leads_here_gets_a_token(self, anonymous: httpx.Client) -> None:
        assert self.token(anonymous, host="localhost:3000")
        assert self.token(anonymous, host="rebound.example.com:3000") == ""

    def test_no_other_origin_may_read_it(self, anonymous: httpx.Client) -> None:
        answer = anonymous.get("/docs", headers={"origin": ORIGIN})

        assert answer.headers["cache-control"] == "no-store"
        assert not [name for name in answer.headers if name.startswith("access-control-")]


class TestRequests:
    def test_a_bundle_from_first_to_last(self, admin: httpx.Client) -> None:
        created = admin.post(
            BUNDLES,
            content='{"name": " Größe 🎈 ", "token_amount": 1000, "price": 9.9}'.encode(),
            headers={"content-type": "application/json; charset=utf-8"},
        )
        assert created.status_code == 201, created.text
        bundle = created.json()["bundle"]
        assert (bundle["name"], bundle["price"], bundle["version"]) == ("Größe 🎈", "9.90", 1)
        assert _ids(admin.get(BUNDLES, params={"q": "größe 🎈"})) == [bundle["id"]]
        place = created.url.join(created.headers["location"]).path
        assert place == f"{BUNDLES}/{bundle['id']}"

        read = admin.get(place)
        assert read.json() == {"bundle": bundle}
        assert read.headers["cache-control"] == "private, no-cache"
        assert created.headers["cache-control"] == "no-store"
        assert read.headers["etag"] == created.headers["etag"]

        for method, change in (("PUT", {"price": "12"}), ("PATCH", {"description": "For a start"})):
            changed = admin.request(method, place, json=change).json()["bundle"]
        fields = {"price": "12.00", "description": "For a start", "version": 3}
        assert changed == bundle | fields | {"updated_at": changed["updated_at"]}

        assert admin.post(f"{place}/deactivate").json()["bundle"]["is_active"] is False
        assert bundle["id"] not in _ids(admin.get(BUNDLES, params={"include_inactive": "false"}))
        assert admin.post(f"{place}/activate").json()["bundle"]["is_active"] is True
        assert bundle["id"] in _ids(admin.get(BUNDLES, params={"include_inactive": "false"}))

        assert admin.delete(place).json()["message"]
        assert admin.get(place).status_code == 404

    @pytest.mark.parametrize(
        ("content", "content_type", "status"),
        [
            (b'{"name": "\xff\xfe"}', "application/json", 400),
            (b" " * 65_537, "application/json", 413),
            (b"\x89PNG\r\n\xff\x00", "application/octet-stream", 415),
            (b'\xef\xbb\xbf{"name": 1, "name": 2}', "application/json", 400),
        ],
        ids=lambda part: str(part)[:40],
    )
    def test_a_wrong_body_is_a_problem_of_the_function(
        self, admin: httpx.Client, content: bytes, content_type: str, status: int
    ) -> None:
        answer = admin.post(BUNDLES, content=content, headers={"content-type": content_type})

        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.headers["content-type"] == "application/problem+json"

    def test_a_parameter_that_is_given_twice(self, admin: httpx.Client) -> None:
        answer = admin.get(f"{BUNDLES}?page=1&p%61ge=2")

        assert answer.status_code == 400
        assert answer.json()["detail"] == "page: must be given only once"

    def test_a_merge_patch(self, admin: httpx.Client) -> None:
        headers = {"content-type": "application/merge-patch+json"}
        bundle = admin.post(BUNDLES, json={"name": "n", "token_amount": 1, "price": 1}).json()["bundle"]
        place = f"{BUNDLES}/{bundle['id']}"

        answer = admin.patch(place, content=b"\xef\xbb\xbf" + json.dumps(bundle).encode(), headers=headers)

        assert (answer.status_code, answer.json()) == (200, {"bundle": bundle})

    def test_a_body_too_large_for_api_gateway(self, admin: httpx.Client) -> None:
        answer = admin.post(BUNDLES, content=b" " * (10 * 1024 * 1024 + 1))

        assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})


class TestProcesses:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_everything(self, start: Callable[..., Gateway], number: int) -> None:
        gateway = start()
        postgres = gateway.postgres_pid
        with gateway.client() as client:  # a connection that is kept open
            assert client.get(BUNDLES).status_code == 401

            assert gateway.stop(number) == 0

        assert not is_running(postgres)
        assert not listens(gateway.url)
        assert "Traceback" not in gateway.output.read_text()

    def test_a_killed_gateway_leaves_nothing_and_starts_again(self, start: Callable[..., Gateway]) -> None:
        killed = start()
        postgres = killed.postgres_pid
        with killed.client(killed.token()) as client:
            names = [item["name"] for item in client.get(BUNDLES).json()["items"]]
        assert len(names) >= 12

        killed.stop(signal.SIGKILL)

        until(lambda: not is_running(postgres))
        until(lambda: not listens(killed.url))
        again = start("--workers", "1")
        with again.client(again.token()) as client:
            assert [item["name"] for item in client.get(BUNDLES).json()["items"]] == names

    def test_changed_files_are_reloaded(self, start: Callable[..., Gateway], tmp_path: Path) -> None:
        root = tmp_path / "checkout"
        for name in ("dev", "functions", "migrations", "shared"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "template.yaml"):
            shutil.copy(ROOT / name, root)
        gateway = start("--reload", "--no-sample", root=root)
        with gateway.client(gateway.token()) as client:
            assert client.get(BUNDLES).status_code == 200

            changed = "def handler(event, context):\n    return 'changed'\n"
            (root / "functions" / "list_token_bundles.py").write_text(changed)

            until(lambda: _get(client, BUNDLES) == '"changed"')

            versions = root / "migrations" / "versions"
            head = max(path.name[:4] for path in versions.glob("*.py"))
            (versions / "9999_new_column.py").write_text(MIGRATION.format(head=head))
            exists = "SELECT FROM information_schema.columns WHERE column_name = 'brand_new'"
            until(lambda: execute(gateway.database_url, exists))

            template = root / "template.yaml"
            whole = template.read_text()
            template.write_text(f"a: [\nb: c\n{whole}")
            until(lambda: "could not be reloaded: the terminal says why" in _get(client, BUNDLES))
            assert re.search(r"\ntemplate\.yaml, line \d+: expected ", gateway.output.read_text())
            template.write_text(whole)
            until(lambda: _get(client, BUNDLES) == '"changed"')
        assert "Traceback" not in gateway.output.read_text()

    def test_a_frontend_can_be_tried_against_refusals(self, start: Callable[..., Gateway]) -> None:
        gateway = start("--no-sample", THROTTLE="0,3,0")
        with gateway.client(gateway.token()) as client:
            answers = [client.get(BUNDLES, headers={"origin": ORIGIN}) for _ in range(5)]

        assert [answer.status_code for answer in answers] == [503] * 3 + [429] * 2
        assert {answer.headers["access-control-allow-origin"] for answer in answers} == {ORIGIN}

    def test_a_throttle_that_is_none(self, tmp_path: Path) -> None:
        run = run_dev(tmp_path, "serve", THROTTLE="much")

        assert run.returncode == 1
        assert run.stderr.startswith("THROTTLE=much is not of the form 10,20,5: ")
        assert run.stderr.count("\n") == 1

    def test_the_printed_line_works(self, start: Callable[..., Gateway]) -> None:
        gateway = start("--workers", "1", "--no-sample")
        printed = next(line for line in gateway.output.read_text().splitlines() if line.startswith("curl"))
        _, _, url, _, header = printed.split(" ", 4)
        name, value = header.strip("'").split(": ")

        answer = httpx.get(url, headers={name: value}, trust_env=False)

        assert (answer.status_code, answer.json()["total"]) == (200, 0)
        assert str(gateway.folder) in gateway.output.read_text()


def _claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def _listed(answer: httpx.Response, name: str) -> set[str]:
    return {item.strip() for item in answer.headers[f"access-control-{name}"].split(",")}


def _ids(page: httpx.Response) -> list[str]:
    return [item["id"] for item in page.json()["items"]]


def _get(client: httpx.Client, path: str) -> str:
    try:
        return client.get(path).text
    except httpx.TransportError:  # cut off by the reload
        return ""

"""Scrapio's routes, as its clients meet them."""

from pathlib import Path
from typing import Any

from tests.inside import Inside, inside
from tests.site.app import Site


async def post(gateway: Inside, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    return await gateway.call("POST", path, json=body, headers=headers)


async def test_the_routes(tmp_path: Path, site: Site) -> None:
    async with inside(tmp_path) as gateway:
        plain = {"url": site.url, "render_js": False, "output": ["text"]}
        status, body = await post(gateway, "/v1/fetch", plain)
        assert (status, body["status"], body["session"], body["outputs"]) == (200, "completed", None, {"text": "Home"})
        assert set(body) == {"request_id", "status", "outputs", "session", "diagnostics"}

        for path, given, expected in (
            ("/v1/fetch", {}, (400, "bad_request")),
            ("/v1/fetch", {**plain, "what": 1}, (400, "unknown_field")),
            ("/v1/fetch", {**plain, "identity": "nobody"}, (404, "not_found")),
            ("/v1/fetch", {**plain, "output": ["screenshot"]}, (422, "unsupported")),
            ("/v1/fetch?x=1", plain, (400, "unknown_parameter")),
            ("/v1/fetch", {**plain, "url": "http://10.0.0.1/"}, (502, "blocked_by_policy")),
            ("/v1/interact", plain, (400, "bad_request")),
            ("/v1/interact", {**plain, "actions": [{"type": "scroll"}]}, (422, "unsupported")),
            ("/v1/jobs", {"kind": "crawl", "input": {}}, (422, "unsupported")),
            ("/v1/jobs", {"kind": "fetch", "input": {}}, (400, "bad_request")),
        ):
            status, body = await post(gateway, path, given)
            assert (status, body["error"]["code"]) == expected, body
            assert set(body) == {"request_id", "error", "diagnostics"}
        async with gateway.http.post("/v1/fetch", json=plain, headers={"Authorization": "Bearer wrong"}) as answer:
            assert answer.status == 401
            assert set(await answer.json()) == {"request_id", "error", "diagnostics"}

        await post(gateway, "/identities", {"name": "me", "locale": "de-DE", "extraHeaders": {"X-Mine": "1"}})
        status, body = await post(gateway, "/v1/fetch", {**plain, "identity": "me", "session": {"id": "s"}})
        assert (status, body["session"]) == (200, {"id": "s", "updated": False})

        job = {"kind": "fetch", "input": plain}
        status, accepted = await post(gateway, "/v1/jobs", job, **{"Idempotency-Key": "k"})
        assert (status, accepted["mode"]) == (202, "async")
        status, again = await post(gateway, "/v1/jobs", job, **{"Idempotency-Key": "k"})
        assert (status, again["job_id"]) == (202, accepted["job_id"])
        other = {**job, "input": {**plain, "output": ["html"]}}
        status, body = await post(gateway, "/v1/jobs", other, **{"Idempotency-Key": "k"})
        assert (status, body["error"]["code"]) == (409, "idempotency_conflict")
        status, body = await post(gateway, "/v1/jobs", job, **{"Idempotency-Key": "k" * 256})
        assert status == 400
        place = f"/v1/jobs/{accepted['job_id']}"
        while not (now := (await gateway.call("GET", place))[1])["result_available"]:
            assert now["status"] in ("queued", "running")
        assert (now["status"], now["job_type"], now["error"]) == ("completed", "fetch", None)
        assert now["created_at"] <= now["started_at"] <= now["completed_at"]
        status, body = await gateway.call("GET", f"{place}/result")
        assert (status, body["outputs"], body["job_id"]) == (200, {"text": "Home"}, accepted["job_id"])
        assert (await gateway.call("DELETE", place))[1]["status"] == "completed"

        status, slow = await post(gateway, "/v1/jobs", {**job, "input": {**plain, "url": f"{site.url}/slow?ms=60000"}})
        await site.slow_started.wait()
        place = f"/v1/jobs/{slow['job_id']}"
        status, body = await gateway.call("GET", f"{place}/result")
        assert (status, body["error"]["code"]) == (409, "job_not_ready")
        status, body = await gateway.call("DELETE", place)
        assert (status, body["status"], body["result_available"]) == (200, "cancelled", False)
        status, body = await gateway.call("GET", f"{place}/result")
        assert (status, body["error"]["code"]) == (409, "job_cancelled")
        status, body = await gateway.call("GET", "/v1/jobs/job_x")
        assert (status, body["error"]["code"]) == (404, "job_not_found")
        failed = {**plain, "url": "http://10.0.0.1/"}
        status, body = await post(gateway, "/v1/jobs", {"kind": "fetch", "input": failed})
        place = f"/v1/jobs/{body['job_id']}"
        while (now := (await gateway.call("GET", place))[1])["status"] != "failed":
            pass
        assert now["error"]["code"] == "blocked_by_policy"
        status, body = await gateway.call("GET", f"{place}/result")
        assert (status, body["error"]["code"]) == (502, "blocked_by_policy")
        assert body["diagnostics"]["render_js"] is False

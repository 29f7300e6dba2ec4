"""Requests for pages: the same in a browser and without, and what is refused before anything is done."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import Code, GatewayError
from gateway.pages import fetch
from gateway.pages.extract import Field
from gateway.pages.fetch import Asked, check
from gateway.pages.interact import Action, Verb
from gateway.pages.outputs import Output
from gateway.records import Identity
from tests.inside import Inside, inside
from tests.pages.test_plain import wire

ASKED = Asked("default", "http://a.example/")
READ = ["markdown", "text", "links", "json"]
SENT = ("user-agent", "accept-language", "upgrade-insecure-requests", "sec-fetch-site", "sec-fetch-mode")
HINTS = ("sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-fetch-user", "sec-fetch-dest")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        pytest.param(replace(ASKED, rendered=False, outputs=(Output.SCREENSHOT,)), Code.UNSUPPORTED, id="screenshot"),
        pytest.param(replace(ASKED, rendered=False, actions=(Action(Verb.SCROLL),)), Code.UNSUPPORTED, id="actions"),
        pytest.param(replace(ASKED, fields=(("x", Field("###")),)), Code.BAD_REQUEST, id="selector"),
    ],
)
def test_what_cannot_be_had(asked: Asked, code: Code) -> None:
    with pytest.raises(GatewayError) as refused:
        check(asked)
    assert refused.value.code is code


def test_secrets_are_no_part_of_its_text() -> None:
    identity = Identity(extra_headers=(("X-Key", "secret"),))
    asked = replace(ASKED, url="http://a/?secret", actions=(Action(Verb.TYPE, value="secret"),), identity=identity)
    assert "secret" not in repr(asked)


async def asked(gateway: Inside, **body: object) -> dict[str, object]:
    status, answer = await gateway.call("POST", "/v1/fetch", json=body)
    assert status == 200, answer
    return dict(answer)


async def test_a_browser_and_none_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with inside(tmp_path) as gateway, wire() as url:
        page = f"{url}/body?kind=text/html&text=<h1>T</h1><ul><li>1<li>2</ul><a href=/x>x</a>"
        extract = {"mode": "selectors", "fields": {"all": {"selector": "li", "all": True}}}
        wanted = {"url": page, "output": [*READ, "html"], "extract": extract}
        rendered, plain = await asked(gateway, **wanted), await asked(gateway, **wanted, render_js=False)
        outputs = rendered["outputs"]
        assert isinstance(outputs, dict)
        assert outputs.pop("html").startswith("<html><head></head><body><h1>T</h1>")
        assert isinstance(plain["outputs"], dict)
        assert plain["outputs"].pop("html").startswith("<h1>T</h1><ul>")
        assert outputs == plain["outputs"]
        assert outputs["json"] == {"all": ["1", "2"]}

        # And they say the same of themselves.
        for identity in (None, {"locale": "de-DE", "userAgent": "Mine/1", "extraHeaders": {"X-Mine": "1"}}):
            said = []
            for render in (True, False):
                body = {"url": f"{url}/headers", "render_js": render, "output": ["text"], "identity": identity}
                answer = await asked(gateway, **body)
                assert isinstance(answer["outputs"], dict)
                said.append(json.loads(answer["outputs"]["text"]))
            browser, none = said
            for name in (*SENT, *HINTS, "x-mine"):
                assert browser.get(name) == none.get(name), name

        answer = await asked(gateway, url=f"{url}/hop/1", output=["screenshot"])
        assert isinstance(answer["outputs"], dict)
        assert base64.b64decode(answer["outputs"]["screenshot"]).startswith(b"\x89PNG")
        diagnostics = answer["diagnostics"]
        assert isinstance(diagnostics, dict)
        assert diagnostics["final_url"] == f"{url}/headers#part"
        assert diagnostics["redirects"] == [f"{url}/hop/1", f"{url}/hop/0"]
        assert diagnostics["http_status"] == 200

        monkeypatch.setattr(fetch, "WHOLE", 0.2)
        for render in (True, False):
            status, refused = await gateway.call("POST", "/v1/fetch", json={"url": f"{url}/never", "render_js": render})
            assert (status, refused["error"]["code"]) == (504, "timeout")

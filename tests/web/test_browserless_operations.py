"""Every operation of Browserless's dialect says what it takes, and its examples are good bodies."""

from gateway.web.browserless_nouns import visit_of
from gateway.web.browserless_operations import OPERATIONS
from gateway.web.browserless_shapes import PageBody
from gateway.web.rights import RIGHTS


def test_they_are_routes_of_the_gateway() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))
    assert set(names) <= set(RIGHTS)
    assert {operation.dialect for operation in OPERATIONS} == {"browserless"}


def test_the_examples_are_good_bodies() -> None:
    seen = 0
    for operation in OPERATIONS:
        for example in operation.examples:
            assert operation.body is not None
            text = {name: "http://a.example/" if value == "URL" else value for name, value in example.body.items()}
            body = operation.body.model_validate(text)
            assert isinstance(body, PageBody)
            visit_of(body)
            seen += 1
    assert seen >= 5

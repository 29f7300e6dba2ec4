"""Every route is in the document, and all in the document is a route (`test_rights.py` holds RIGHTS to the router)."""

import re

from gateway.web.openapi import PLACE, with_url
from gateway.web.operations import NATIVE, all_operations
from gateway.web.rights import RIGHTS


def test_every_route_has_an_operation_and_every_operation_a_route() -> None:
    names = [operation.name for operation in all_operations()]
    assert len(names) == len(set(names))
    assert set(RIGHTS) - set(names) == set(), "routes without an Operation: nobody would find them at /docs"
    assert set(names) - set(RIGHTS) == set(), "operations without a route"


def test_what_an_operation_says_is_complete() -> None:
    for operation in all_operations():
        assert operation.summary, operation.name
        assert operation.replies, operation.name
        in_path = set(re.findall(r"{(\w+)}", operation.name))
        for parameter in operation.parameters:
            assert parameter.where in ("query", "path", "header"), operation.name
            assert parameter.where != "path" or parameter.name in in_path, f"{operation.name}: {parameter.name}"
            assert parameter.words, f"{operation.name}: {parameter.name}"
        assert not operation.examples or operation.body is not None, f"{operation.name}: what is the example's model?"


def test_examples_are_what_their_models_take() -> None:
    for operation in all_operations():
        for example in operation.examples:
            assert operation.body is not None
            if example.status < 400:
                operation.body.model_validate(with_url(example.body, PLACE))


def test_native_operations_are_grouped() -> None:
    assert all(operation.group for operation in NATIVE)

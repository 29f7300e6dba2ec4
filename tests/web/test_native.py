from gateway.web import native
from gateway.web.rights import RIGHTS, Right


def test_what_only_shows_a_session_takes_no_body() -> None:
    for operation in (*native.SESSIONS, *native.FILES, *native.IDENTITIES):
        method = operation.name.partition(" ")[0]
        assert (operation.body is None) or method in ("POST", "PUT", "PATCH"), operation.name


def test_what_makes_something_is_no_201_for_who_may_only_look() -> None:
    for operation in (*native.SESSIONS, *native.FILES, *native.IDENTITIES):
        if 201 in operation.replies:
            assert RIGHTS[operation.name] is not Right.LOOK, operation.name


def test_fields_are_those_of_the_body() -> None:
    for operation in native.SESSIONS:
        if operation.body is not None and operation.fields:
            names = {field.alias or name for name, field in operation.body.model_fields.items()}
            assert set(operation.fields) <= names, operation.name
            assert operation.name != "POST /session" or set(operation.fields) == names

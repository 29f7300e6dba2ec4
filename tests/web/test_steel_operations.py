from gateway.web.rights import RIGHTS
from gateway.web.steel_operations import ELSEWHERE, OPERATIONS


def test_every_operation_is_a_route_with_a_right() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))
    assert set(names) <= set(RIGHTS)
    assert set(ELSEWHERE) <= set(names)
    assert {operation.dialect for operation in OPERATIONS} == {"steel"}


def test_what_is_not_here_is_said() -> None:
    for operation in OPERATIONS:
        if operation.name in ELSEWHERE:
            assert list(operation.replies) == [422]
            assert ELSEWHERE[operation.name] in operation.words


def test_parameters_are_those_of_the_path() -> None:
    for operation in OPERATIONS:
        path = operation.name.partition(" ")[2]
        wanted = {one.name for one in operation.parameters if one.where == "path"}
        assert wanted == {part for part in ("id", "path") if f"{{{part}}}" in path}

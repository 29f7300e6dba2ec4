from gateway.web import around, connect


def test_every_websocket_can_refuse_to_be_one() -> None:
    for operation in around.WEBSOCKETS:
        assert {101, 426} <= set(operation.replies), operation.name


def test_the_query_of_a_websocket_is_the_one_that_is_read() -> None:
    named = {parameter.name for parameter in around.STANDARD}
    assert named >= connect.STANDARD_QUERY
    assert named - connect.STANDARD_QUERY == {"sessionId", "takeover"}

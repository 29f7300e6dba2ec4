"""The nouns of the API's document."""

from gateway.web.operation import JSON, Parameter, Reply


def test_what_goes_without_saying() -> None:
    assert Reply("done").media == JSON
    assert Parameter("id", "whose").schema == {"type": "string"}
    assert Parameter("id", "whose").where == "query"

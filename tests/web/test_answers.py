import pytest
from pydantic import BaseModel, ValidationError

from gateway.errors import Code, GatewayError
from gateway.web.answers import Alive, Answer, IdentityAnswer, Refusal, ScrapioRefusal, SteelRefusal
from gateway.web.dialects import Dialect, refusal_body

ERROR = GatewayError(Code.UNSUPPORTED, "no", details={"action": 2, "diagnostics": {"done": 1}})
REFUSALS: list[tuple[Dialect, type[BaseModel]]] = [
    (Dialect.NATIVE, Refusal),
    (Dialect.BROWSERLESS, Refusal),
    (Dialect.STEEL, SteelRefusal),
    (Dialect.SCRAPIO, ScrapioRefusal),
]


@pytest.mark.parametrize(("dialect", "model"), REFUSALS, ids=[dialect.value for dialect, _ in REFUSALS])
def test_refusals_are_as_their_models_say(dialect: Dialect, model: type[BaseModel]) -> None:
    for error in (ERROR, GatewayError(Code.DRAINING, "later")):
        body = refusal_body(dialect, error, "number")
        model.model_validate(body)
        with pytest.raises(ValidationError):
            model.model_validate({**body, "another": 1})


def test_an_answer_is_camel_case_and_has_no_other_field() -> None:
    class Two(Answer):
        two_words: int

    assert Two.model_validate({"twoWords": 1}).two_words == 1
    with pytest.raises(ValidationError):
        Two.model_validate({"twoWords": 1, "more": 2})
    with pytest.raises(ValidationError):
        Alive.model_validate({"status": "dead"})


def test_of_an_identity_only_what_was_set_is_told() -> None:
    assert IdentityAnswer.model_validate({"name": "a"}).name == "a"

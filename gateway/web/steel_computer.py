"""Steel's computer actions: shapes of the SDK's `SessionComputerParams`, done by `pages/computer.py`.

What fails at the page is answered with 200 and `error`, as the SDK's model has it: with an error's status the SDK
would send it again, and a click might be done twice.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel
from pydantic_core import PydanticCustomError

from gateway.errors import Code, GatewayError
from gateway.pages.computer import Action, Click, Computers, Drag, Look, Move, Press, Scroll, Type, Wait, Where
from gateway.pages.hand import Point
from gateway.pages.keys import Key, UnknownKey, chord
from gateway.session.registry import Registry
from gateway.web.door import PRINCIPAL
from gateway.web.operation import Example, Operation, Parameter, Reply, refused
from gateway.web.request import check_query, json_body
from gateway.web.shapes import Text, read
from gateway.web.steel import session_of

LONGEST = 60.0  # seconds that an action may wait, or hold keys
FARTHEST = 100_000.0  # pixels that the wheel turns at once


def _known(names: list[str]) -> list[str]:
    try:
        chord(names)
    except UnknownKey as error:
        raise PydanticCustomError("key", "{words}", {"words": str(error)}) from None
    return names


Place = Annotated[float, Field(ge=0, le=16384, allow_inf_nan=False)]
Coordinates = Annotated[list[Place], Field(min_length=2, max_length=2)]
Keys = Annotated[list[Text], Field(max_length=8), AfterValidator(_known)]
Pixels = Annotated[float, Field(ge=-FARTHEST, le=FARTHEST, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=LONGEST, allow_inf_nan=False)]


class Body(BaseModel):
    """snake_case, as the SDK sends it; unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Seen(Body):
    """An action after which a picture may be wanted."""

    screenshot: bool | None = None


class MoveBody(Seen):
    """The mouse goes to `coordinates` (x, y), with `hold_keys` down."""

    action: Literal["move_mouse"]
    coordinates: Coordinates
    hold_keys: Keys | None = None


class ClickBody(Seen):
    """A click there, or where the mouse is; two are a double click. `down` and `up` are its halves."""

    action: Literal["click_mouse"]
    button: Literal["left", "right", "middle", "back", "forward"] | None = None
    click_type: Literal["down", "up", "click"] | None = None
    coordinates: Coordinates | None = None
    hold_keys: Keys | None = None
    num_clicks: Annotated[float, Field(ge=1, le=10, multiple_of=1)] | None = None


class DragBody(Seen):
    """With the left button down along a path."""

    action: Literal["drag_mouse"]
    path: Annotated[list[Coordinates], Field(min_length=2, max_length=200)]
    hold_keys: Keys | None = None


class ScrollBody(Seen):
    """The wheel is turned there, or where the mouse is; pixels."""

    action: Literal["scroll"]
    coordinates: Coordinates | None = None
    delta_x: Pixels | None = None
    delta_y: Pixels | None = None
    hold_keys: Keys | None = None


class PressBody(Seen):
    """Keys that are pressed together, for `duration` seconds."""

    action: Literal["press_key"]
    keys: Annotated[Keys, Field(min_length=1)]
    duration: Seconds | None = None


class TypeBody(Seen):
    """Text, key by key."""

    action: Literal["type_text"]
    text: Annotated[Text, Field(max_length=10_000)] = Field(repr=False)
    hold_keys: Keys | None = None


class WaitBody(Seen):
    """Nothing, for `duration` seconds."""

    action: Literal["wait"]
    duration: Seconds


class LookBody(Seen):
    """A picture of the page that is to be seen."""

    action: Literal["take_screenshot"]


class WhereBody(Seen):
    """Where the mouse is."""

    action: Literal["get_cursor_position"]


Any_ = MoveBody | ClickBody | DragBody | ScrollBody | PressBody | TypeBody | WaitBody | LookBody | WhereBody


class ComputerBody(RootModel[Annotated[Any_, Field(discriminator="action")]]):
    """One action."""


class ComputerReply(BaseModel):
    """`base64_image` is a PNG, one pixel for each of CSS; `error` says why the action failed at the page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: str | None = None
    error: str | None = None
    base64_image: str | None = None
    system: str | None = None


def action_of(body: Any_) -> Action:
    """What it asks for."""
    match body:
        case MoveBody():
            return Move(_point(body.coordinates), _keys(body.hold_keys))
        case ClickBody():
            times, kind = int(body.num_clicks or 1), body.click_type or "click"
            if times > 1 and kind != "click":
                raise GatewayError(Code.BAD_REQUEST, f"body: num_clicks: there is one {kind} at a time")
            return Click(_place(body.coordinates), body.button or "left", kind, times, _keys(body.hold_keys))
        case DragBody():
            return Drag(tuple(_point(pair) for pair in body.path), _keys(body.hold_keys))
        case ScrollBody():
            right, down = body.delta_x or 0.0, body.delta_y or 0.0
            return Scroll(_place(body.coordinates), right, down, _keys(body.hold_keys))
        case PressBody():
            return Press(_keys(body.keys), body.duration or 0.0)
        case TypeBody():
            return Type(body.text, _keys(body.hold_keys))
        case WaitBody():
            return Wait(body.duration)
        case LookBody():
            return Look()
        case WhereBody():
            return Where()


def read_action(value: object) -> Any_:
    """The body as the kind of action that it names. Raises BAD_REQUEST, UNKNOWN_FIELD."""
    kind = value.get("action") if isinstance(value, dict) else None
    shape = KINDS.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise GatewayError(Code.BAD_REQUEST, f"body: action: one of {', '.join(KINDS)} is wanted")
    return shape(value)


def _reading(shape: type[Any]) -> Callable[[object], Any]:
    return lambda value: read(shape, value, "body")


KINDS: dict[str, Callable[[object], Any_]] = {
    "move_mouse": _reading(MoveBody),
    "click_mouse": _reading(ClickBody),
    "drag_mouse": _reading(DragBody),
    "scroll": _reading(ScrollBody),
    "press_key": _reading(PressBody),
    "type_text": _reading(TypeBody),
    "wait": _reading(WaitBody),
    "take_screenshot": _reading(LookBody),
    "get_cursor_position": _reading(WhereBody),
}


def _point(pair: list[float]) -> Point:
    return Point(pair[0], pair[1])


def _place(pair: list[float] | None) -> Point | None:
    return None if pair is None else _point(pair)


def _keys(names: list[str] | None) -> tuple[Key, ...]:
    return chord(names or ())


class SteelComputer:
    """The handler of /v1/sessions/ID/computer."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._computers = Computers(registry)

    def routes(self, app: web.Application) -> None:
        """Add it."""
        app.router.add_post("/v1/sessions/{id}/computer", self.act)

    async def act(self, request: web.Request) -> web.Response:
        """POST /v1/sessions/ID/computer."""
        check_query(request, frozenset())
        body = read_action(await json_body(request))
        action = action_of(body)
        record = await session_of(request, self._registry)
        outcome = await self._computers.act(request[PRINCIPAL], record.id, action, picture=bool(body.screenshot))
        reply = ComputerReply(output=outcome.output, error=outcome.error, base64_image=outcome.picture)
        return web.json_response(reply.model_dump(exclude_none=True))


OPERATIONS = (
    Operation(
        "POST /v1/sessions/{id}/computer",
        "Mouse, keyboard and screen",
        {200: Reply("What came of it; `error` where it failed at the page.", ComputerReply), **refused(404, 409, 410)},
        ComputerBody,
        parameters=(Parameter("id", "The session's id, or its name.", where="path", required=True),),
        examples=(
            Example("click", {"action": "click_mouse", "coordinates": [100, 200], "screenshot": True}),
            Example("a shortcut", {"action": "press_key", "keys": ["Control", "a"]}),
            Example("type", {"action": "type_text", "text": "hello"}),
        ),
        dialect="steel",
        words="Real input events on the page that is to be seen. A session that was put away is revived.",
    ),
)

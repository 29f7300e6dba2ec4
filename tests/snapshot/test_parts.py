"""A document in parts: all of it comes back, and only what changed is written."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.snapshot.document import ContextDocument, Cookie, Entry, OriginState, Permission, Tab
from gateway.snapshot.manifest import Parts
from gateway.snapshot.packs import Damaged, PackWriter, reading
from gateway.snapshot.parts import STEP, get_document, put_document
from gateway.snapshot.seal import Sealer

RECORDS = [[number, {"n": number, "lone": "\ud800"}] for number in range(2 * STEP + 1)]
STORE = {"name": "s", "keyPath": None, "autoIncrement": False, "indexes": [], "records": RECORDS}
DOCUMENT = ContextDocument(
    cookies=(Cookie("id", "1", "x.test"),),
    origins=(
        OriginState("https://x.test", (("k", "v" * 100),), ({"name": "d", "version": 1, "stores": [STORE]},)),
        OriginState("https://y.test", (("lone", "\udc00"),)),
    ),
    tabs=(
        Tab("https://x.test/", True, {"https://x.test": {"a": "b"}}, (Entry("https://x.test/", "T"),), 0, (0, 5)),
        Tab("https://y.test/"),
    ),
    permissions=(Permission("https://x.test", "midi"),),
    missing=("words",),
    stale=True,
)


def put(folder: Path, document: ContextDocument, before: Parts | None = None) -> tuple[Parts, int]:
    """The parts, and how many bytes were written."""
    known = {piece.digest: piece for part in before or () for piece in part.pieces}
    writer = PackWriter(folder, "s", Sealer(), known)
    parts = put_document(document, writer)
    writer.finish()
    return parts, writer.added


def get(folder: Path, parts: Parts, *, storage: bool = True) -> ContextDocument:
    with reading(folder, "s", Sealer(), {piece.pack for part in parts for piece in part.pieces}) as reader:
        return get_document(parts, reader, storage=storage)


def test_a_document_comes_back(tmp_path: Path) -> None:
    parts, _ = put(tmp_path, DOCUMENT)
    # An empty mapping is what was not there, in every way that counts.
    expected = replace(DOCUMENT, tabs=(DOCUMENT.tabs[0], replace(DOCUMENT.tabs[1], session_storage={})))
    assert get(tmp_path, parts) == expected
    assert [part.name for part in parts] == ["rest", "cookies", "https://x.test", "https://y.test", "", ""]
    assert get(tmp_path, put(tmp_path, ContextDocument())[0]) == ContextDocument()


def test_without_storage_the_origins_are_names(tmp_path: Path) -> None:
    parts, _ = put(tmp_path, DOCUMENT)
    light = get(tmp_path, parts, storage=False)
    assert light.origins == (OriginState("https://x.test"), OriginState("https://y.test"))
    assert (light.cookies, light.permissions, light.stale) == (DOCUMENT.cookies, DOCUMENT.permissions, True)
    # Their content is not even looked at.
    (pack,) = {piece.pack for part in parts for piece in part.pieces}
    piece = parts.origins[0].pieces[0]
    with (tmp_path / pack).open("r+b") as file:
        file.seek(piece.offset)
        file.write(bytes(piece.stored))
    assert get(tmp_path, parts, storage=False) == light
    with pytest.raises(Damaged):
        get(tmp_path, parts)


@pytest.mark.parametrize(
    "changed",
    [
        replace(DOCUMENT, cookies=(Cookie("id", "2", "x.test"),)),
        replace(DOCUMENT, origins=(DOCUMENT.origins[0], OriginState("https://y.test", (("lone", "2"),)))),
        replace(DOCUMENT, tabs=(DOCUMENT.tabs[0], Tab("https://y.test/2"))),
        replace(DOCUMENT, missing=()),
    ],
    ids=["cookies", "origin", "tab", "rest"],
)
def test_only_what_changed_is_written(tmp_path: Path, changed: ContextDocument) -> None:
    before, whole = put(tmp_path, DOCUMENT)
    assert put(tmp_path, DOCUMENT, before) == (before, 0)
    after, added = put(tmp_path, changed, before)
    assert 0 < added < whole / 2
    assert sum(new != old for new, old in zip(after, before, strict=True)) == 1
    assert get(tmp_path, after).to_json() == changed.to_json()


def test_what_is_no_document_is_told(tmp_path: Path) -> None:
    writer = PackWriter(tmp_path, "s", Sealer(), {})
    for rest in (b"not JSON", b"[]", json.dumps({"version": 9}).encode()):
        parts, _ = put(tmp_path, DOCUMENT)
        broken = replace(parts, rest=replace(parts.rest, pieces=writer.put_all(rest)))
        with pytest.raises(Damaged, match="no context document"):
            get(tmp_path, broken)
    writer.finish()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
DATABASES = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.text(),
            "version": st.integers(1, 99),
            "stores": st.lists(
                st.fixed_dictionaries(
                    {
                        "name": st.text(),
                        "keyPath": st.none() | st.text() | st.lists(st.text(), max_size=2),
                        "autoIncrement": st.booleans(),
                        "indexes": st.just([]),
                        "records": st.lists(st.tuples(VALUES, VALUES).map(list), max_size=5),
                    }
                ),
                max_size=2,
            ),
        }
    ),
    max_size=2,
)


@given(databases=DATABASES)
@settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_database_comes_back(tmp_path: Path, databases: list[dict[str, object]]) -> None:
    document = ContextDocument(origins=(OriginState("https://x.test", (), tuple(databases)),))
    assert get(tmp_path, put(tmp_path, document)[0]) == document

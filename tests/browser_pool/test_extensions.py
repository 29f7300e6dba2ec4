from pathlib import Path

import pytest

from browser_pool.extensions import ExtensionRefused, asked_for, directories, well_formed
from browser_pool.spec import Mode


@pytest.fixture
def offered(tmp_path: Path) -> Path:
    """The operator's directory: `one` and `two` are extensions, `empty` is none; `outside` lies beside it."""
    for name in ("offered/one", "offered/two", "outside"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "manifest.json").write_text("{}")
    (tmp_path / "offered" / "empty").mkdir()
    return tmp_path / "offered"


@pytest.mark.parametrize("value", ["one", "one,two", "A-b_c.d", "0", "x" * 64])
def test_names(value: str) -> None:
    assert well_formed(value)


@pytest.mark.parametrize("value", ["", ",", "one,", ",one", "a/b", "..", ".a", "-a", "a b", "one\n", "ä", "x" * 65])
def test_what_is_no_name(value: str) -> None:
    assert not well_formed(value)


def test_what_was_asked_for_is_named_once_and_in_order() -> None:
    assert asked_for(("--load-extension=b,a", "--lang=de", "--load-extension=a,c")) == ("b", "a", "c")
    assert asked_for(("--lang=de", "--load-extensions=a")) == ()


def test_they_are_found(offered: Path) -> None:
    assert directories(("--load-extension=two,one",), Mode.HEADLESS, offered) == (offered / "two", offered / "one")
    assert directories(("--load-extension=one",), Mode.HEADED, offered) == (offered / "one",)


@pytest.mark.parametrize("mode", Mode)
def test_nothing_is_looked_for_unless_asked(mode: Mode) -> None:
    assert directories(("--lang=de",), mode, None) == ()


@pytest.mark.parametrize("name", ["empty", "three", "one,three", "../outside", "", "one/../two"])
def test_none_is_loaded_that_is_not_there(offered: Path, name: str) -> None:
    with pytest.raises(ExtensionRefused, match="there is no extension"):
        directories((f"--load-extension={name}",), Mode.HEADLESS, offered)


def test_who_offers_none_and_who_can_load_none_say_so(offered: Path) -> None:
    with pytest.raises(ExtensionRefused, match="offers no extensions"):
        directories(("--load-extension=one",), Mode.HEADLESS, None)
    with pytest.raises(ExtensionRefused, match="headless shell"):
        directories(("--load-extension=one",), Mode.SHELL, offered)

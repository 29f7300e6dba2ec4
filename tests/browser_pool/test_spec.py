from dataclasses import FrozenInstanceError

import pytest

from browser_pool.spec import LaunchSpec, Mode


def test_equal_specs_are_one_key() -> None:
    wanted = LaunchSpec(args=("--lang=de",), viewport=(800, 600), stealth=True)
    assert {wanted: "warm"}[LaunchSpec(args=("--lang=de",), viewport=(800, 600), stealth=True)] == "warm"
    assert wanted != LaunchSpec(args=("--lang=de",), viewport=(800, 600))


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        LaunchSpec().stealth = True  # type: ignore[misc]


def test_only_browsers_of_one_kind_read_the_same_profile() -> None:
    assert Mode.HEADLESS.kind == Mode.HEADED.kind
    assert Mode.SHELL.kind != Mode.HEADLESS.kind

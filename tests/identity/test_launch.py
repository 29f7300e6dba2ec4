from browser_pool.spec import LaunchSpec, Mode
from gateway.identity.launch import launch, weighted
from gateway.records import Identity


def test_flags_do_what_they_can() -> None:
    identity = Identity("Agent", "de-DE", "Europe/Berlin", (800, 600), 2.0, (1.0, 2.0, 3.0), (("X-A", "b"),))
    spec = launch(identity, LaunchSpec(args=("--mute-audio",), stealth=True))
    assert spec == LaunchSpec(
        args=("--mute-audio",),
        user_agent="Agent",
        locale="de-DE",
        timezone="Europe/Berlin",
        viewport=(800, 600),
        device_scale_factor=2.0,
        stealth=True,
    )


def test_the_shell_is_told_its_languages_as_they_are_sent() -> None:
    spec = launch(Identity(locale="de-DE"), LaunchSpec(mode=Mode.SHELL, args=("--mute-audio",)))
    assert (spec.locale, spec.args) == ("de-DE", ("--mute-audio", "--accept-lang=de-DE,de;q=0.9"))


def test_what_an_identity_leaves_open_is_as_it_was() -> None:
    before = LaunchSpec(user_agent="Agent", timezone="Asia/Tokyo", viewport=(1, 2))
    assert launch(None, before) == launch(Identity(), before) == before
    # Who differs in what no flag does may have the same browser.
    assert launch(Identity(geolocation=(1, 2, 3), extra_headers=(("X-A", "b"),)), before) == before


def test_weights() -> None:
    assert weighted("de") == "de"
    assert weighted("de-DE,de,en") == "de-DE,de;q=0.9,en;q=0.8"

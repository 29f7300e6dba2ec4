from dataclasses import replace
from pathlib import Path

import pytest

from browser_pool.command_line import (
    CLIENT_FLAGS,
    DEFAULT_FLAGS,
    DISABLED_FEATURES,
    ENABLED_FEATURES,
    FlagRefused,
    accept_language,
    check_flag,
    command_line,
    plain_user_agent,
)
from browser_pool.extensions import ExtensionRefused
from browser_pool.flags import DRAWN_IN_SOFTWARE, WITHOUT_EXTENSIONS, WITHOUT_SCREEN
from browser_pool.spec import LaunchSpec, Mode

BINARY, PROFILE = Path("/opt/chromium"), Path("/data/browsers/1/profile")


def argv(
    spec: LaunchSpec,
    *,
    sandbox: bool = True,
    display: bool = False,
    user_agent: str | None = None,
    road: int | None = None,
    extensions: Path | None = None,
) -> list[str]:
    return command_line(
        spec, BINARY, PROFILE, sandbox=sandbox, display=display, user_agent=user_agent, extensions=extensions, road=road
    )


def values(words: list[str], flag: str) -> list[str]:
    return [word.removeprefix(f"{flag}=") for word in words if word.startswith(f"{flag}=")]


def test_the_frame_of_every_command_line() -> None:
    words = argv(LaunchSpec())
    assert words[0] == str(BINARY)
    assert words[-1] == "about:blank"
    assert values(words, "--user-data-dir") == [str(PROFILE)]


@pytest.mark.parametrize("flag", DEFAULT_FLAGS)
def test_each_default_flag_is_there_once(flag: str) -> None:
    assert argv(LaunchSpec()).count(flag) == 1


def test_the_debugging_port_is_a_free_one_on_loopback() -> None:
    words = argv(LaunchSpec())
    assert values(words, "--remote-debugging-port") == ["0"]
    assert not values(words, "--remote-debugging-address")
    assert not values(words, "--remote-allow-origins")


def test_the_clients_feature_lists_are_merged_with_ours() -> None:
    given = ("--disable-features=Translate,Mine", "--enable-features=A,B", "--enable-features=B,C")
    words = argv(LaunchSpec(args=given))
    assert values(words, "--disable-features") == [",".join((*DISABLED_FEATURES, "Mine"))]
    assert values(words, "--enable-features") == [",".join((*ENABLED_FEATURES, "A", "B", "C"))]


def test_without_a_clients_lists_ours_are_there_alone() -> None:
    words = argv(LaunchSpec(args=("--enable-features=", "--disable-features")))
    assert values(words, "--disable-features") == [",".join(DISABLED_FEATURES)]
    assert values(words, "--enable-features") == [",".join(ENABLED_FEATURES)]
    assert "--disable-features" not in words


def test_stealth_and_the_clients_blink_features_are_merged() -> None:
    words = argv(LaunchSpec(stealth=True, args=("--disable-blink-features=Mine",)))
    assert values(words, "--disable-blink-features") == ["AutomationControlled,Mine"]
    assert values(argv(LaunchSpec(args=("--disable-blink-features=Mine",))), "--disable-blink-features") == ["Mine"]
    assert values(argv(LaunchSpec()), "--disable-blink-features") == []


def test_stealth_has_a_screen_and_a_mouse_beside_the_clients_settings() -> None:
    words = argv(LaunchSpec(stealth=True, args=("--blink-settings=imagesEnabled=false",)))
    (settings,) = values(words, "--blink-settings")
    assert settings.startswith("primaryHoverType=2,")
    assert settings.endswith(",imagesEnabled=false")
    assert values(words, "--window-size") == ["1920,1040"]
    assert "--hide-scrollbars" not in words
    assert values(argv(LaunchSpec(args=("--blink-settings=a=b",))), "--blink-settings") == ["a=b"]
    assert values(argv(LaunchSpec()), "--blink-settings") == []
    assert values(argv(LaunchSpec(mode=Mode.SHELL, stealth=True)), "--accept-lang") == ["en-US,en;q=0.9"]
    assert values(argv(LaunchSpec(mode=Mode.SHELL, stealth=True, locale="de-DE")), "--accept-lang") == ["de-DE,de"]


def test_a_clients_flag_comes_after_ours_and_so_wins() -> None:
    words = argv(LaunchSpec(viewport=(800, 600), args=("--window-size=1,1",)))
    assert values(words, "--window-size") == ["800,600", "1,1"]


@pytest.mark.parametrize("mode", [Mode.HEADLESS, Mode.SHELL])
def test_headless(mode: Mode) -> None:
    assert {"--headless", "--hide-scrollbars", "--mute-audio"} <= set(argv(LaunchSpec(mode=mode)))


def test_a_headed_browser_draws_without_a_screen_where_there_is_none() -> None:
    without = argv(LaunchSpec(mode=Mode.HEADED))
    assert "--headless" not in without
    assert "--ozone-platform=headless" in without
    assert {flag.text for flag in WITHOUT_SCREEN} <= set(without)
    on_screen = argv(LaunchSpec(mode=Mode.HEADED), display=True)
    assert not {flag.text for flag in WITHOUT_SCREEN} & set(on_screen)
    assert not {flag.text for flag in WITHOUT_SCREEN} & set(argv(LaunchSpec()))


def test_flags_of_drawing_in_software_are_not_for_a_graphics_card() -> None:
    software = {flag.text for flag in DRAWN_IN_SOFTWARE}
    for mode in Mode:
        assert software <= set(argv(LaunchSpec(mode=mode)))
    assert software <= set(argv(LaunchSpec(), display=True)), "headless draws in software even beside a screen"
    assert not software & set(argv(LaunchSpec(mode=Mode.HEADED), display=True))


def test_extensions_are_loaded_from_the_operators_directory(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").touch()
    given = ("--load-extension=one,two", "--disable-extensions", "--load-extension=three,one", "--mute-audio")
    words = argv(LaunchSpec(args=given), extensions=tmp_path)
    wanted = ",".join(str(tmp_path / name) for name in ("one", "two", "three"))
    assert values(words, "--load-extension") == [wanted]
    assert not {flag.text for flag in WITHOUT_EXTENSIONS} & set(words), "else they would not load"
    assert values(words, "--disable-features")[0].split(",")[-1] == "DisableLoadExtensionCommandLineSwitch"
    assert {flag.text for flag in WITHOUT_EXTENSIONS} <= set(argv(LaunchSpec(), extensions=tmp_path))


@pytest.mark.parametrize(
    ("mode", "name", "why"),
    [(Mode.HEADLESS, "gone", "'gone'"), (Mode.HEADLESS, "empty", "'empty'"), (Mode.SHELL, "one", "shell")],
)
def test_extensions_that_cannot_be_had(tmp_path: Path, mode: Mode, name: str, why: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExtensionRefused, match=why):
        argv(LaunchSpec(mode=mode, args=(f"--load-extension={name}",)), extensions=tmp_path)


def test_no_extensions_without_a_directory_of_them() -> None:
    with pytest.raises(ExtensionRefused, match="offers no extensions"):
        argv(LaunchSpec(args=("--load-extension=one",)))


def test_the_sandbox_is_on_unless_it_cannot_be() -> None:
    assert "--no-sandbox" not in argv(LaunchSpec())
    assert "--no-sandbox" in argv(LaunchSpec(), sandbox=False)


def test_an_identity() -> None:
    words = argv(
        LaunchSpec(
            user_agent="Agent 1",
            locale="de-AT",
            viewport=(1280, 720),
            device_scale_factor=1.5,
            proxy_server="socks5://127.0.0.1:9",
            proxy_bypass="*.example",
        ),
        user_agent="Agent 2",
    )
    assert values(words, "--user-agent") == ["Agent 1"]
    assert values(words, "--lang") == ["de-AT"]
    assert values(words, "--accept-lang") == ["de-AT,de"]
    assert values(words, "--window-size") == ["1280,720"]
    assert values(words, "--force-device-scale-factor") == ["1.5"]
    assert values(words, "--proxy-server") == ["socks5://127.0.0.1:9"]
    assert values(words, "--proxy-bypass-list") == ["*.example"]


def test_the_given_user_agent_serves_where_the_spec_has_none() -> None:
    assert values(argv(LaunchSpec(), user_agent="Agent 2"), "--user-agent") == ["Agent 2"]
    assert values(argv(LaunchSpec()), "--user-agent") == []


@pytest.mark.parametrize(
    "flag",
    [
        "--lang=de",
        "--mute-audio",
        "--window-size=800,600",
        "--user-agent=a=b\nc",
        "--lang=",
        "--load-extension=one",
        "--load-extension=one,Two_2,th-r.ee",
    ],
)
def test_flags_that_a_client_may_add(flag: str) -> None:
    assert check_flag(flag) == flag


@pytest.mark.parametrize(
    "name",
    """
    user-data-dir remote-debugging-port remote-debugging-pipe remote-debugging-address remote-allow-origins
    no-sandbox disable-setuid-sandbox disable-seccomp-filter-sandbox disable-extensions-except
    renderer-cmd-prefix gpu-launcher utility-cmd-prefix browser-subprocess-path log-file enable-logging
    disk-cache-dir crash-dumps-dir proxy-pac-url host-resolver-rules allow-file-access-from-files type headless
    """.split(),
)
def test_flags_that_a_client_may_not_add_are_named(name: str) -> None:
    assert name not in CLIENT_FLAGS
    for flag in (f"--{name}", f"--{name}=value"):
        with pytest.raises(FlagRefused, match=f"--{name} ") as refused:
            check_flag(flag)
        assert refused.value.flag == name


@pytest.mark.parametrize("name", ["enable-features", "disable-features", "enable-blink-features"])
@pytest.mark.parametrize("value", ["MojoJS", "A,MojoJS", "A,*MojoJS", "MojoJS<Trial", "AudioServiceSandbox:p/1"])
def test_features_that_weaken_what_holds_a_browser_are_no_clients_to_switch(name: str, value: str) -> None:
    with pytest.raises(FlagRefused, match=f"--{name} is refused: .* weakens") as refused:
        check_flag(f"--{name}={value}")
    assert refused.value.flag == name
    assert check_flag(f"--{name}=MojoJSX,Audio") == f"--{name}=MojoJSX,Audio"


def test_on_a_road_there_is_no_other_way_whatever_was_asked_for() -> None:
    spec = LaunchSpec(proxy_server="http://a:1", proxy_bypass="*", args=("--proxy-server=direct://", "--kiosk"))
    words = argv(replace(spec, args=(*spec.args, "--proxy-bypass-list=*")), road=4711)
    assert values(words, "--proxy-server") == ["http://127.0.0.1:4711"]
    assert values(words, "--proxy-bypass-list") == ["<-loopback>"]
    assert values(words, "--host-resolver-rules") == ["MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
    assert words[-2:] == ["--kiosk", "about:blank"]


@pytest.mark.parametrize(
    "text", ["", "-", "--", "lang=de", "-lang=de", "--Lang=de", "--la ng", "--lang=a\0b", "/bin/sh"]
)
def test_what_is_no_flag_is_refused(text: str) -> None:
    with pytest.raises(FlagRefused, match="write it as"):
        check_flag(text)


def test_the_name_in_a_refusal_is_short_and_without_the_value() -> None:
    with pytest.raises(FlagRefused) as refused:
        check_flag(f"{'x' * 500}=secret")
    assert refused.value.flag == "x" * 80
    assert "secret" not in str(refused.value)


def test_accept_language() -> None:
    assert accept_language("de-DE") == "de-DE,de"
    assert accept_language("de") == "de"


def test_the_plain_user_agent_is_reduced_as_chromium_does() -> None:
    agent = plain_user_agent("156.0.8078.79")
    assert "Chrome/156.0.0.0 " in agent
    assert "Headless" not in agent


@pytest.mark.parametrize("value", ["", "=", "=one,", "=/etc", "=../one", "=.hidden", "=a/b", "=a b", "=a\n", "=,"])
def test_an_extension_is_named_and_no_path(value: str) -> None:
    with pytest.raises(FlagRefused, match="--load-extension is refused: give names"):
        check_flag(f"--load-extension{value}")


@pytest.mark.parametrize("feature", DISABLED_FEATURES)
def test_a_feature_that_the_client_wants_is_not_turned_off_by_us(feature: str) -> None:
    words = argv(LaunchSpec(args=(f"--enable-features={feature}",)))
    assert feature in values(words, "--enable-features")[0].split(",")
    assert values(words, "--disable-features")[0].split(",") == [name for name in DISABLED_FEATURES if name != feature]


def test_a_feature_that_the_client_does_not_want_is_not_turned_on_by_us() -> None:
    words = argv(LaunchSpec(args=("--disable-features=NetworkServiceInProcess2",)))
    assert "NetworkServiceInProcess2" not in values(words, "--enable-features")[0].split(",")
    assert "NetworkServiceInProcess2" in values(words, "--disable-features")[0].split(",")

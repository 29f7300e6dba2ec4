"""The Dockerfile, as far as it can be looked at without building: who it runs as, what it copies, how it ends."""

import json
import re
from fnmatch import fnmatch

import pytest

from gateway.cli import main
from gateway.config import load
from tests.kubernetes.rendering import ROOT, Rendered


def instructions() -> list[tuple[str, str]]:
    """Each instruction and its words, continued lines joined, comments left out."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip()]


STEPS = instructions()


def words(name: str) -> list[str]:
    """Of all instructions of that name, in the last stage."""
    last = max(index for index, step in enumerate(STEPS) if step[0] == "FROM")
    return [rest for step, rest in STEPS[last:] if step == name]


def environment() -> dict[str, str]:
    """What the image sets."""
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(words("ENV"))))


def test_what_is_built_and_what_runs_are_two_stages_of_debian_12() -> None:
    stages = [rest for step, rest in STEPS if step == "FROM"]
    assert len(stages) == 2
    assert all("slim-bookworm" in stage for stage in stages)
    assert "COPY" not in {step for step, _ in STEPS[max(i for i, s in enumerate(STEPS) if s[0] == "FROM") :]}


def test_it_runs_as_the_user_that_pods_are(rendered: dict[str, Rendered]) -> None:
    (user,) = words("USER")
    made = " ".join(words("RUN"))
    identity = rendered["production"].pod["securityContext"]
    assert user == f"{identity['runAsUser']}:{identity['runAsGroup']}"  # by number: it must be seen not to be root
    assert f"useradd --uid {identity['runAsUser']} --gid gateway" in made
    assert f"groupadd --gid {identity['runAsGroup']} gateway" in made


def test_its_settings_are_good() -> None:
    given = {name: value for name, value in environment().items() if name.startswith("GATEWAY_")}
    config = load({}, given, None)
    assert words("EXPOSE") == [str(config.port)]
    assert words("VOLUME") == [str(config.data_dir)]
    assert config.host == "0.0.0.0"


def test_signals_reach_the_gateway_and_orphans_are_reaped() -> None:
    (entry,), (command,) = words("ENTRYPOINT"), words("CMD")
    assert json.loads(entry) == ["tini", "--", "cdp-gateway"]  # the list form: no shell between
    assert json.loads(command) == ["serve"]
    assert words("STOPSIGNAL") == ["SIGTERM"]
    assert re.search(r"\btini\b", " ".join(words("RUN")))
    with pytest.raises(SystemExit) as ended:
        main([*json.loads(command), "--help"])
    assert ended.value.code == 0


def test_health_is_asked_for_without_a_shell() -> None:
    (health,) = words("HEALTHCHECK")
    command = json.loads(health[health.index("[") :])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "HEALTHCHECK", "exec")
    assert "/healthz" in command[2]


def test_the_builder_gets_what_it_copies_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    let = [line[1:] for line in lines if line.startswith("!")]
    for step, rest in STEPS:
        if step == "COPY":
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists()
                assert any(fnmatch(source, pattern) for pattern in let), source
    assert not {"data", "k8s", ".git", "docs", "tests"} & set(let)


def test_no_secret_is_built_in() -> None:
    assert not [name for name in environment() if re.search(r"TOKEN|KEY|PASSWORD|SECRET", name)]
    assert not words("ARG")

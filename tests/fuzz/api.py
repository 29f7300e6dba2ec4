"""`make fuzz-api`: schemathesis reads /openapi.json of a running gateway and sends what fits it and what does not.

Nothing may be answered with a fault, nor with a status, a content type or a body that the document does not have.
"""

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.journeys.running import Gateway, start

COMMAND = Path(sys.executable).with_name("schemathesis")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
SETTINGS = {"adopt_timeout": "0", "log_level": "warning", "egress_deny": "example.com"}  # an example's page is there
# The session that there is has the only place, so that no valid create costs a browser, nor anybody's time.
FULL = {**SETTINGS, "max_sessions": "1", "queue_length": "0"}
# What is made shall not hold its place for long.
BUSY = {**SETTINGS, "max_sessions": "3", "queue_length": "2", "queue_timeout": "500ms", "ttl_max": "10s"}
# These end the session that all the others are asked of.
ENDING = (
    r"^((DELETE|PATCH) /session/\{key\}|POST /v1/sessions/(\{id\}/)?release|(GET|POST) /kill/.*"
    r"|DELETE /v1/sessions/\{id\}"
    r"|POST /v1/sessions/\{id\}/computer)$"  # it may be told to wait, a minute long
)
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 502, 503, 504]
"""


def run(gateway: Gateway, directory: Path, options: Sequence[str], session: str | None = None) -> str:
    """What schemathesis says; raises AssertionError with it when it has found something. Blocking.

    With a `session` each path leads to that; without, to sessions that there are not. One worker: Python 3.11 cannot
    parse in two threads at once, and hypothesis does.
    """
    config = directory / "schemathesis.toml"
    known = "" if session is None else f'[parameters]\n"path.key" = "{session}"\n"path.id" = "{session}"\n'
    config.write_text(known + CONFIG)
    argv = [str(COMMAND), "--config-file", str(config), "run", f"{gateway.url}/openapi.json", "--checks", CHECKS]
    argv += ["--header", f"Authorization: Bearer {gateway.token}", "--no-color", "--warnings", "off", *options]
    if session is not None:
        argv += ["--exclude-name-regex", ENDING]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=directory, check=False)
    assert done.returncode == 0, f"schemathesis found:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def main() -> None:
    """Read the arguments and run; the exit code is 1 if something is found."""
    parser = argparse.ArgumentParser(prog="make fuzz-api", description=__doc__)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)), help="the same requests again")
    parser.add_argument("--examples", type=int, default=100, help="requests an operation (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=300, help="for each of two rounds (default %(default)s)")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    options = ["--max-examples", str(given.examples), "--seed", str(given.seed), "--continue-on-failure"]
    options += ["--max-time", str(given.seconds)]
    options += ["--phases", "examples,coverage,fuzzing,stateful", "--request-timeout", "120"]
    for settings in (BUSY, FULL):
        with TemporaryDirectory(prefix="fuzz-api-") as place:
            os.chmod(place, 0o711)  # as root each browser has a user of its own, who must pass it
            gateway = start(Path(place), Path(place), settings)
            try:
                one = None
                if settings is FULL:
                    one = asyncio.run(gateway.create(ttl=3_600_000, processKeepAlive=3_600_000))["id"]
                print(run(gateway, Path(place), options, one), flush=True)
            finally:
                gateway.stop()


if __name__ == "__main__":
    main()

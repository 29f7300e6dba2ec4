"""The command `cdp-gateway`: argv to a Config, and the Config to a node."""

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path

from gateway import __version__
from gateway.config import Config, ConfigError, load
from gateway.values import url


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code (2: a setting or argument is wrong)."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except ConfigError as error:
        print(f"cdp-gateway: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cdp-gateway", description="A gateway to live Chromium browsers over CDP.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"cdp-gateway {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", allow_abbrev=False, help="run the gateway")
    _settings(serve)
    serve.set_defaults(run=_serve)

    doctor = commands.add_parser("doctor", allow_abbrev=False, help="check this machine, and say what to do")
    _settings(doctor)
    doctor.set_defaults(run=_doctor)

    recover = commands.add_parser(
        "recover", allow_abbrev=False, help="bring records of sessions back that Redis or the disk has lost"
    )
    _settings(recover)
    recover.add_argument("--dry-run", action="store_true", help="say what could be brought back, and change nothing")
    recover.set_defaults(run=_recover)

    install = commands.add_parser("install-browser", allow_abbrev=False, help="find Chromium, or install it")
    install.set_defaults(run=_install)

    sessions = commands.add_parser(
        "sessions", allow_abbrev=False, help="list, create, stop and restore sessions of a running gateway"
    )
    sessions.add_argument(
        "--url", type=url, default="http://127.0.0.1:3000", help="the gateway's address (default %(default)s)"
    )
    sessions.add_argument("--token", help="the token (else GATEWAY_TOKEN, else DATA_DIR/token)")
    sessions.add_argument("--data-dir", default="data", help="where the gateway keeps its token (default %(default)s)")
    sessions.add_argument("action", choices=("list", "create", "show", "stop", "restore", "context"))
    sessions.add_argument("id", nargs="?", help="the session, for all but list and create")
    sessions.set_defaults(run=_sessions)
    return parser


def _settings(parser: argparse.ArgumentParser) -> None:
    """One flag a setting; values stay text, `config.load` reads them from all three sources alike."""
    parser.add_argument("--config", metavar="FILE", help="TOML file of settings")
    for item in fields(Config):
        name = f"--{item.name.replace('_', '-')}"
        text = f"{item.metadata['help']} (GATEWAY_{item.name.upper()})".replace("%", "%%")
        if isinstance(item.default, bool):
            parser.add_argument(name, nargs="?", const="true", metavar="BOOL", help=text)
        else:
            parser.add_argument(name, metavar="VALUE", help=text)


def _config(arguments: argparse.Namespace) -> Config:
    names = {item.name for item in fields(Config)}
    flags = {name: value for name, value in vars(arguments).items() if name in names and value is not None}
    file = arguments.config or os.environ.get("GATEWAY_CONFIG")
    return load(flags, os.environ, Path(file) if file else None)


def _serve(arguments: argparse.Namespace) -> int:
    import asyncio

    from browser_pool.confinement import NotConfined
    from gateway import log, node
    from gateway.errors import GatewayError

    config = _config(arguments)
    os.umask(0o077)  # what we write is ours alone, also where the way to it is open to browsers' users
    try:
        known = node.prepare(config)
    except OSError as error:
        raise ConfigError(f"data_dir: {config.data_dir} cannot be used: {error.strerror}") from None
    log.configure(config.log_level, config.log_format, tuple(filter(None, (known.token, config.cluster_key))))

    def ready(port: int) -> None:
        host = f"[{config.host}]" if ":" in config.host else config.host
        s = "s" if config.tls_cert else ""
        line = f"listening on http{s}://{host}:{port}"
        if known.made:
            # The one place that a token is printed: to the person who started the gateway, once, on stdout.
            line += f" - connect to ws{s}://{host}:{port}?token={known.token}"
        print(line, flush=True)

    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:  # no wheel for this platform
        runner = asyncio.Runner()
    with runner:
        try:
            runner.run(node.serve(config, known, ready))
        except (node.DataDirectoryInUse, NotConfined, GatewayError, OSError) as error:
            print(f"cdp-gateway: {error}", file=sys.stderr)
            return 1
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    import asyncio

    from gateway.doctor import examine

    return asyncio.run(examine(_config(arguments)))


def _recover(arguments: argparse.Namespace) -> int:
    import asyncio

    from gateway import log
    from gateway.recovery import recover

    config = _config(arguments)
    os.umask(0o077)
    log.configure(config.log_level, config.log_format, tuple(filter(None, (config.token, config.cluster_key))))
    return asyncio.run(recover(config, dry=arguments.dry_run))


def _install(arguments: argparse.Namespace) -> int:
    from browser_pool.install import install

    return install()


def _sessions(arguments: argparse.Namespace) -> int:
    import asyncio

    from gateway.client import run

    token = arguments.token or os.environ.get("GATEWAY_TOKEN")
    file = Path(arguments.data_dir) / "token"
    if token is None and file.exists():
        token = file.read_text().strip()
    if arguments.action not in ("list", "create") and arguments.id is None:
        raise ConfigError(f"sessions {arguments.action}: which one? `cdp-gateway sessions list` shows the ids")
    return asyncio.run(run(arguments.url, token, arguments.action, arguments.id))


if __name__ == "__main__":
    sys.exit(main())

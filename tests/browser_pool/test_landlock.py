import os
import socket
from pathlib import Path

import pytest

from browser_pool import landlock
from tests.browser_pool.caged import PROGRAMS, confined, scripted
from tests.ports import free_port

ABI = landlock.abi()
HELD = (f"landlock={ABI}", *PROGRAMS)
pytestmark = pytest.mark.skipif(not ABI, reason="this kernel has no Landlock")


def said(words: tuple[str, ...], *argv: str) -> str:
    done = confined(*argv, words=(*HELD, *words))
    return done.stdout + done.stderr


def test_what_no_rule_names_is_not_there_to_be_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("content")
    assert confined("/bin/cat", str(file)).stdout == "content"
    assert "Permission denied" in said((), "/bin/cat", str(file))
    assert "Permission denied" in said((), "/bin/ls", str(tmp_path))
    assert said((f"read={tmp_path}",), "/bin/cat", str(file)) == "content"
    assert said((f"read={file}",), "/bin/cat", str(file)) == "content"
    assert said((f"list={tmp_path}",), "/bin/ls", str(tmp_path)) == "file\n"
    assert "Permission denied" in said((f"list={tmp_path}",), "/bin/cat", str(file))


def test_what_may_be_read_may_neither_be_written_nor_run(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_text("#!/bin/sh\necho ran\n")
    file.chmod(0o755)
    words = (f"read={tmp_path}",)
    assert "Permission denied" in said(words, "/bin/sh", "-c", f"echo x >> {file}")
    assert "Permission denied" in said(words, "/bin/rm", str(file))
    assert "Permission denied" in said(words, "/bin/mkdir", str(tmp_path / "new"))
    assert "Permission denied" in said(words, str(file))
    assert said((f"run={tmp_path}",), str(file)) == "ran\n"


def test_what_may_be_written_may_be_made_moved_and_removed(tmp_path: Path) -> None:
    script = "cd $0; mkdir a b; echo 1 > a/f; ln -s f a/l; mv a/f b/f; : > b/f; rm -r a; echo $(ls)"
    assert said((f"write={tmp_path}", "device=/dev/null"), "/bin/sh", "-c", script, str(tmp_path)) == "b\n"
    assert "Permission denied" in said((f"write={tmp_path / 'b'}",), "/bin/sh", "-c", f"mv {tmp_path}/b/f {tmp_path}")


def test_a_way_out_by_a_link_is_none(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").write_text("content")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    assert "Permission denied" in said((f"write={tmp_path / 'in'}",), "/bin/cat", str(tmp_path / "in" / "link"))


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    assert said((f"read={tmp_path / 'none'}", "screen=/dev/none"), "/bin/echo", "ran") == "ran\n"


@pytest.mark.skipif(landlock.NET > ABI, reason="this kernel's Landlock has no rules for TCP")
def test_tcp_goes_to_one_port_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [str(server.getsockname()[1]) for server in (one, other)]
        script = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1]))); print('connected')"
        words = (*HELD, f"connect={ports[0]}")
        assert scripted(script, ports[0], words=words) == "connected"
        assert scripted(script, ports[1], words=words) == "PermissionError: [Errno 13] Permission denied"
        assert scripted(script, ports[1], words=HELD) == "connected"  # without a port there is no rule


@pytest.mark.skipif(landlock.NET > ABI, reason="this kernel's Landlock has no rules for TCP")
def test_it_listens_only_where_the_kernel_likes() -> None:
    script = "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(); print('ok')"
    port = str(free_port())
    words = (*HELD, "connect=9")
    assert scripted(script, "0", words=words) == "ok"
    assert scripted(script, port, words=words) == "PermissionError: [Errno 13] Permission denied"
    assert scripted(script, port, words=HELD) == "ok"


@pytest.mark.skipif(landlock.SCOPES > ABI, reason="this kernel's Landlock has no scopes")
def test_neither_signals_nor_abstract_sockets_reach_others() -> None:
    kill = "import os, sys; os.kill(int(sys.argv[1]), 0); print('sent')"
    assert scripted(kill, str(os.getpid()), words=()) == "sent"
    assert scripted(kill, str(os.getpid()), words=HELD).startswith("PermissionError")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0test-{os.getpid()}")
        server.listen()
        call = f"import socket; socket.socket(socket.AF_UNIX).connect('\\0test-{os.getpid()}'); print('connected')"
        assert scripted(call, words=()) == "connected"
        assert scripted(call, words=HELD).startswith("PermissionError")


def test_the_environment_of_others_is_not_read_even_where_files_of_proc_are() -> None:
    path = f"/proc/{os.getpid()}/environ"
    assert confined("/bin/cat", path).returncode == 0
    assert "Permission denied" in said(("proc=/proc",), "/bin/cat", path)
    # The kernel asks Landlock only where CAP_PERFMON or CAP_SYS_ADMIN does not let one read all processes' memory.
    assert "Permission denied" in said(("powerless", "read=/proc"), "/bin/cat", path)
    assert "Name:" in said(("read=/proc",), "/bin/cat", f"/proc/{os.getpid()}/status")
    assert "Permission denied" in said(("proc=/proc",), "/bin/cat", f"/proc/{os.getpid()}/status")


@pytest.mark.parametrize("version", range(1, ABI + 1))
def test_older_kernels_hold_the_files_as_well(tmp_path: Path, version: int) -> None:
    (tmp_path / "file").write_text("content")
    words = (f"landlock={version}", *PROGRAMS, "connect=9")
    assert "Permission denied" in confined("/bin/cat", str(tmp_path / "file"), words=words).stderr

"""What goes when there is too much: what was not used for longest, and never what must stay."""

import os
from pathlib import Path

from gateway.snapshot.cache import Cache
from gateway.snapshot.folder import SessionFolder
from gateway.snapshot.uses import Uses


def test_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    uses, gone = Uses(), list[str]()
    for number, name in enumerate("abcdef"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pack").write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 + number, 1000 + number))
    folders = [SessionFolder(tmp_path / name) for name in "abcdef"]
    cache = Cache(tmp_path, 250, uses, lambda folder: folder.session_id != "b", gone.append)
    cache.now_and_then(folders)
    assert gone == []  # it has just been looked
    with uses.reading("a"):
        pass
    with uses.reading("c"):
        assert cache.trim(folders) == 4
    assert gone == ["d", "e", "f", "a"]  # "b" must stay, "c" is read
    assert cache.trim(folders[1:3]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c"]

"""Filter lists to what the engine loads quickly: `python -m gateway.adblock.compiling FILE…` writes it to stdout.

A process of its own, since it takes half a second in which the interpreter does nothing else, and twice the memory.
"""

import sys
from pathlib import Path

from adblock import Engine, FilterSet


def compiled(texts: list[str]) -> bytes:
    """Lists in Adblock Plus's syntax, as `adblock.Engine.deserialize` takes them. Other lines are left."""
    filters = FilterSet()
    for text in texts:
        filters.add_filter_list(text)
    return Engine(filters).serialize()


def main(names: list[str]) -> None:
    """Write to stdout; raises OSError and UnicodeDecodeError."""
    sys.stdout.buffer.write(compiled([Path(name).read_text("utf-8") for name in names]))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Check, without a network, that the lock files fit pyproject.toml and name nothing but hashes."""

from __future__ import annotations

import re
import sys

from lock import LOCK, WEIGHTS_LOCK, digest

PIN = re.compile(r"^[a-z0-9][a-z0-9._-]*==[^\s;\\]+( ; [^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def problems() -> list[str]:
    """Return one line per problem, empty when all is well."""
    found: list[str] = []
    for path in (LOCK, WEIGHTS_LOCK):
        head, *lines = path.read_text().splitlines()
        if digest() not in head:
            found.append(f"{path.name}:1  made from other dependencies. Run `make lock`.")
        found += [
            f"{path.name}:{number}  neither an exact pin nor a hash: {line}. Run `make lock`."
            for number, line in enumerate(lines, 2)
            if not (PIN.match(line) or HASH.match(line))
        ]
    return found


if __name__ == "__main__":
    for line in problems():
        print(line, file=sys.stderr)
    sys.exit(1 if problems() else 0)

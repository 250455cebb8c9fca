"""Structured logs: one JSON object a line on standard error, where `RUNNER_LOG` asks for them.

Every line has `at` (Unix seconds), `level`, `event` and the facts of whoever logs: the sweep, the
worker and its incarnation, the claim under which its leases were granted, the job's key. Facts are
names, numbers and kinds: never prompt text, answers, server messages or keys.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping

VARIABLE = "RUNNER_LOG"
"""`info` (retries, dead letters, workers that come and go) or `debug` (every job, too)."""
_ROOT = "runner"
_LEVELS = {"info": logging.INFO, "debug": logging.DEBUG}


class JsonFormatter(logging.Formatter):
    """Formats a record and the `facts` it carries."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; of an error its type, since its text may quote what was sent."""
        facts = getattr(record, "facts", {})
        line = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "event": record.getMessage() if facts or not record.args else str(record.msg),
            **facts,
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, default=str)


def log_as_asked(environ: Mapping[str, str]) -> bool:
    """Log to standard error if the environment asks for it; a second call changes nothing.

    Returns whether it logs.
    """
    level = _LEVELS.get(environ.get(VARIABLE, "").lower())
    logger = logging.getLogger(_ROOT)
    if level is None:
        return False
    if not any(isinstance(h.formatter, JsonFormatter) for h in logger.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False
    return True

"""The review page's server: this machine only, and only for the page that was handed the token.

Other pages in the same browser must neither read transcripts nor give labels:

* it listens on 127.0.0.1 alone, and answers only requests whose Host names that very address and port
  (a name that was rebound to 127.0.0.1 is another Host);
* what is not the bare page needs the session's token in a header of its own. The token comes in the
  fragment of the printed address, which no browser sends anywhere, and a foreign page can neither
  know it nor set the header without a preflight, which is not answered;
* a request with a foreign Origin or Sec-Fetch-Site is refused, whatever else it carries;
* the page may load scripts and styles from here only, nothing inline, and be framed by nobody.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib import resources
from typing import cast

from aiohttp import web

from runner.core.errors import RunnerError
from runner.observe.terminal import clean
from runner.record.labels import Choice
from runner.review.desk import ChoiceError, Desk, Said, StaleTicketError

HEADER = "X-Runner-Token"
_FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
_SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_KEYS = "123456789abcdefghilmoqr"
"""Of the choices, in order; none is a command of the page."""
_BODY = 64 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ReviewServer:
    """The page of one session.

    Args:
        desk: the session.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._token = secrets.token_urlsafe(24)
        self._hosts: frozenset[str] = frozenset()
        self._files = {
            path: resources.files("runner.review").joinpath("page", name).read_bytes()
            for path, (name, _) in _FILES.items()
        }

    @property
    def token(self) -> str:
        """Return what the page has to show."""
        return self._token

    def application(self) -> web.Application:
        """Return the application; it answers nobody before `listen_at`."""
        app = web.Application(middlewares=[self._guard], client_max_size=_BODY)
        for path in _FILES:
            app.router.add_get(path, self._file)
        app.router.add_get("/api/record", self._record)
        for name in ("label", "skip", "back", "forward"):
            app.router.add_post(f"/api/{name}", getattr(self, f"_{name}"))
        return app

    def listen_at(self, port: int) -> None:
        """Say on which port it is reached."""
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await self._guarded(request, handler)
        except web.HTTPException as error:
            response = _error(error.status, error.reason)
        except RunnerError as error:
            response = _error(503, clean(str(error)))
        response.headers.update(_SAFE)
        return response

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        origin = request.headers.get("Origin")
        site = request.headers.get("Sec-Fetch-Site", "none")
        if host not in self._hosts or (origin is not None and origin != f"http://{host}"):
            return _error(403, "not from here")
        if site not in {"none", "same-origin"} and request.path != "/":
            return _error(403, "not from here")
        if request.path.startswith("/api/"):
            given = request.headers.get(HEADER, "").encode(errors="replace")
            if not secrets.compare_digest(given, self._token.encode()):
                return _error(403, "open the address that runner review printed")
        return await handler(request)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        kind = _FILES[request.path][1]
        return web.Response(body=self._files[request.path], content_type=kind, charset="utf-8")

    async def _record(self, _request: web.Request) -> web.StreamResponse:
        return await self._state()

    async def _label(self, request: web.Request) -> web.StreamResponse:
        asked = await _body(request)
        choice = asked.get("choice")
        if choice is not None and (not isinstance(choice, int) or isinstance(choice, bool)):
            return _error(400, "choice: a number or null")
        said = Said(
            ticket=str(asked.get("ticket")),
            choice=choice,
            note=str(asked.get("note") or ""),
            prompt_opened=bool(asked.get("prompt_opened")),
        )
        return await self._after(self._desk.label(said))

    async def _skip(self, request: web.Request) -> web.StreamResponse:
        asked = await _body(request)
        return await self._after(self._desk.skip(str(asked.get("ticket"))))

    async def _back(self, _request: web.Request) -> web.StreamResponse:
        return await self._after(self._desk.back())

    async def _forward(self, _request: web.Request) -> web.StreamResponse:
        return await self._after(self._desk.forward())

    async def _after(self, step: Awaitable[object]) -> web.StreamResponse:
        try:
            await step
        except StaleTicketError:
            return _error(409, "another record is shown in another tab: this page shows it now")
        except ChoiceError as error:
            return _error(400, str(error))
        return await self._state()

    async def _state(self) -> web.StreamResponse:
        desk = self._desk
        shown = await desk.shown()
        done = desk.progress()
        record: dict[str, object] | None = None
        if shown is not None:
            before = shown.before
            record = {
                "ticket": shown.ticket,
                "blocks": shown.blocks,
                "cut": shown.cut,
                "before": None
                if before is None
                else {"outcome": before.outcome, "note": clean(before.note)},
            }
        return web.json_response(
            {
                "labeller": clean(desk.labeller),
                "given": desk.given,
                "own": done.own,
                "total": done.records + done.twice,
                "left": done.left,
                "choices": [_choice(i, c) for i, c in enumerate(desk.draw.choices)],
                "record": record,
            }
        )


def _choice(position: int, choice: Choice) -> dict[str, object]:
    return {
        "key": _KEYS[position] if position < len(_KEYS) else "",
        "outcome": clean(choice.outcome),
        "means": clean(choice.means),
        "harmful": choice.harmful,
    }


def _error(status: int, why: str) -> web.Response:
    return web.json_response({"error": why}, status=status)


async def _body(request: web.Request) -> Mapping[str, object]:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    try:
        found: object = json.loads(await request.text())
    except ValueError as error:
        raise web.HTTPBadRequest from error
    if not isinstance(found, dict):
        raise web.HTTPBadRequest
    return cast("Mapping[str, object]", found)


@asynccontextmanager
async def serving(desk: Desk, port: int = 0) -> AsyncGenerator[str]:
    """Serve on this machine only; yields the address with the token in its fragment.

    Args:
        desk: the session.
        port: 0 for any free one.

    Raises:
        OSError: the port is taken.
    """
    server = ReviewServer(desk)
    runner = web.AppRunner(server.application(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, shutdown_timeout=1.0)
        await site.start()
        listening = cast("int", runner.addresses[0][1])
        server.listen_at(listening)
        yield f"http://127.0.0.1:{listening}/#{server.token}"
    finally:
        await runner.cleanup()

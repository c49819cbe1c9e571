"""`/metrics`, `/healthz` and `/readyz`: for Prometheus and for whoever restarts what does not live. Without a login."""

from collections.abc import Callable, Iterator

from aiohttp import web

from bridge.ports import BridgeStatus, Publisher
from bridge.topics import to_json
from bridge.web.metrics import CONTENT_TYPE, Metrics


class Probes:
    """Answers by the state of the bridge."""

    def __init__(
        self,
        status: BridgeStatus,
        publisher: Publisher,
        why_not: Callable[[], str | None],
        metrics: Metrics,
        standby: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`why_not` says what keeps the bridge from the broker, for people; None where it is connected.

        `standby` says that another bridge of the pair is to work, and which is active; None: this one works.
        """
        self.standby = standby
        self._status = status
        self._publisher = publisher
        self._why_not = why_not
        self._metrics = metrics

    def routes(self) -> list[web.RouteDef]:
        """By path."""
        return [
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.get("/metrics", self._show_metrics),
        ]

    async def _healthz(self, _request: web.Request) -> web.Response:
        """Always ok: any answer at all proves that the event loop runs."""
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        standby = self.standby()
        missing = dict(self.missing())
        said = {} if standby is None else {"standby": standby}
        body = to_json({"ready": not missing, "missing": missing, **said}) + "\n"
        return web.Response(status=503 if missing else 200, text=body, content_type="application/json")

    def missing(self) -> Iterator[tuple[str, str]]:
        """What keeps the bridge from its work, `broker` or `pbx`, and why. Who stands by needs the broker alone."""
        if self.standby() is not None:
            if (why_not := self._why_not()) is not None:
                yield "broker", why_not
            return
        if not self._publisher.in_sync:
            yield "broker", self._why_not() or "not in sync yet"
        if not self._status.pbx_online:
            yield "pbx", "does not answer, or refuses the login"

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

"""`/metrics`, `/healthz` and `/readyz`: for Prometheus and for whoever restarts what does not live. Without a login."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from aiohttp import web

from bridge.ports import BridgeStatus, Publisher
from bridge.topics import to_json
from bridge.web.metrics import CONTENT_TYPE, Metrics


class Endpoints(ABC):
    """The three addresses, whatever stands behind them."""

    def routes(self) -> list[web.RouteDef]:
        """By path."""
        return [
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.get("/metrics", self._metrics),
        ]

    @abstractmethod
    def readiness(self) -> dict[str, object]:
        """The answer of `/readyz`; `ready` says whether it is 200 or 503."""

    @abstractmethod
    async def metrics(self) -> bytes:
        """The answer of `/metrics`, of CONTENT_TYPE."""

    async def _healthz(self, _request: web.Request) -> web.Response:
        """Always ok: any answer at all proves that the event loop runs."""
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        body = self.readiness()
        status = 200 if body["ready"] else 503
        return web.Response(status=status, text=to_json(body) + "\n", content_type="application/json")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=await self.metrics(), headers={"Content-Type": CONTENT_TYPE})


class Probes(Endpoints):
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
        self._counters = metrics

    def readiness(self) -> dict[str, object]:
        """Ready while nothing is missing."""
        standby, missing = self.standby(), dict(self.missing())
        return {"ready": not missing, "missing": missing, **({} if standby is None else {"standby": standby})}

    async def metrics(self) -> bytes:
        """Those of the bridge."""
        return self._counters.text()

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

"""What a scan sees, on a page that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from agent.errors import ConfigInvalid
from agent.runtime.scan import Sighting

HOST = "127.0.0.1"


class Gauges:
    """A registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._block = Gauge("evenkeel_scan_block", "The block that was looked at last", registry=registry)
        self._accounts = Gauge("evenkeel_scan_accounts", "Accounts known", registry=registry)
        self._bad = Gauge("evenkeel_scan_liquidatable", "Accounts liquidatable now", registry=registry)
        self._near = Gauge("evenkeel_scan_below", "Accounts nearer than --below", registry=registry)
        self._blind = Gauge("evenkeel_scan_unreadable", "Accounts no answer came for", registry=registry)
        self._seconds = Gauge("evenkeel_scan_seconds", "What the last look took", registry=registry)

    def tell(self, seen: Sighting, below: float | None) -> None:
        """The newest sighting."""
        self._block.set(seen.block.number)
        self._accounts.set(len(seen.subjects))
        self._bad.set(len(seen.due))
        self._near.set(len(seen.due) if below is None else seen.below(below))
        self._blind.set(len(seen.unreadable))
        self._seconds.set(seen.times.total_s)


@contextmanager
def serving(port: int) -> Iterator[Gauges]:
    """The page, as long as the context. Raises ConfigInvalid if the port is taken."""
    gauges = Gauges()
    try:
        server, thread = start_http_server(port, addr=HOST, registry=gauges.registry)
    except OSError as error:
        raise ConfigInvalid(key="--metrics-port", value=port, reason=str(error)) from error
    try:
        yield gauges
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

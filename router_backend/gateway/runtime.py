"""All that is built from one configuration. A reload builds a new one; requests that run finish on the old."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from router_backend.config import ConfigError
from router_backend.config.agreement import fingerprint
from router_backend.config.base import Mistake
from router_backend.config.load import mistake_at
from router_backend.config.models import ModelConfig
from router_backend.config.reward import BudgetRewardConfig
from router_backend.config.runtime import runtime_config
from router_backend.config.safety import Exposure, check_safe
from router_backend.config.schema import RouterConfig
from router_backend.config.watch import ConfigWatcher
from router_backend.core.background import Failed, kept
from router_backend.forwarding.cascade.engine import CascadeEngine
from router_backend.forwarding.engine import Share, build_engine
from router_backend.forwarding.observer import Observer
from router_backend.gateway.bills import Bills
from router_backend.gateway.caches import Caches
from router_backend.gateway.discovery import Discoverer, Found
from router_backend.gateway.keys.auth import Keys
from router_backend.gateway.keys.budgets import Budgets
from router_backend.gateway.keys.rates import Rates

_log = logging.getLogger("llm_router.gateway")


class Runtime:
    """Configuration, engine and keys, with a count of the requests that use them."""

    def __init__(
        self,
        config: RouterConfig,
        engine: CascadeEngine,
        rates: Rates,
        budgets: Budgets,
        bills: Bills,
        caches: Caches,
    ) -> None:
        self.config, self.engine, self.fingerprint = config, engine, fingerprint(config)
        self.bills, self.caches = bills, caches
        policies = config.named_policies().values()
        self.budgeted = any(isinstance(policy.reward, BudgetRewardConfig) for policy in policies)  # by real costs
        cheaper = any(model.price.cached_input is not None for model in config.models)
        # Models whose caches take tokens at a price of their own.
        self.taking = [model.name for model in config.models if model.price.cache_write is not None]
        self.caching = cheaper or config.latency.counts  # whether it matters what caches hold
        self.discovered: Runtime | None = None  # of models that clients may name beside the arms
        self.keys = Keys(config.security, rates, budgets, config.gateway.allowed_hosts)
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    def __enter__(self) -> Runtime:
        self._users += 1
        self._unused.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users:
            self._unused.set()

    def of(self, model: str) -> Runtime:
        """The one that a request for a model goes to: that of discovered models, or this one."""
        others = self.discovered
        return others if others and model in others.config.names and model not in self.config.names else self

    @property
    def offered(self) -> tuple[ModelConfig, ...]:
        """All models that clients may name, the arms first."""
        return (*self.config.models, *(self.discovered.config.models if self.discovered else ()))

    async def retire(self) -> None:
        """Close the engine when nobody uses it any more, after the longest time that an answer may take at the latest."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._unused.wait(), self.config.timeouts.total)
        await self.engine.aclose()


class Runtimes:
    """The runtime in use, and those that still finish their requests."""

    def __init__(
        self,
        config: RouterConfig,
        path: Path | None,
        exposure: Exposure,
        observer: Observer,
        rates: Rates,
        budgets: Budgets,
        share: Share,
        together: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`share`: of its upstreams' limits that this process may take.

        `together` has all workers of this gateway read the file, which calls `prepare` and `use_prepared` of each; None: there
        is one process.

        Raises:
            ValueError: an upstream's key, tokenizer or address is missing, or strangers could call.
        """
        self._share, self._together = share, together
        self._prepared: Runtime | None = None
        self._path, self._exposure, self._observer = path, exposure, observer
        self._rates, self._budgets = rates, budgets
        self.bills, self.caches = Bills(), Caches()
        self._retiring: set[asyncio.Task[None]] = set()
        self._watcher: ConfigWatcher | None = None
        self._discovery: asyncio.Task[None] | None = None
        self._failed: Failed | None = None
        self._check(config, None)
        self.current = self._build(config)

    def follow(self) -> None:
        """Use the file's content whenever it changes, from the running loop on; of several workers the parent follows it."""
        if self._path is not None and self._together is None:
            loop = asyncio.get_running_loop()

            def changed(config: RouterConfig) -> None:  # in the watcher's thread
                loop.call_soon_threadsafe(self._changed, config)

            self._watcher = ConfigWatcher(self._path, changed)
            self._watcher.start()

    def discover(self, failed: Failed) -> None:
        """Ask servers for their models, from the running loop on. `failed` hears of mistakes of ours."""
        self._failed = failed
        self._rediscover()

    def _rediscover(self) -> None:
        """For the configuration in use; of another one nothing stays."""
        if self._discovery:
            self._discovery.cancel()
            self._discovery = None
        runtime = self.current
        if self._failed and runtime.config.discover:
            discoverer = Discoverer(
                runtime.config.discover, runtime.config.names, lambda found: self._offer(runtime, found)
            )
            self._discovery = asyncio.create_task(kept("discovery", discoverer.run, self._failed))

    def _offer(self, runtime: Runtime, found: Found) -> None:
        before = runtime.discovered
        runtime.discovered = None
        if found:
            update = {"models": list(found), "default_model": found[0].name, "discover": []}
            try:
                runtime.discovered = self._build(runtime.config.model_copy(update=update))
            except ValueError as error:
                _log.error("discovered models can't be offered: %s", error)
        _log.info("models discovered: %d", len(found))
        if before:
            self._retire(before)

    async def reload(self) -> RouterConfig:
        """Read the configuration again and use it from the next request on.

        Raises:
            ConfigError: it can't be used; the one in use stays.
        """
        if self._path is None:
            raise ConfigError("the gateway was started without a configuration file; restart it instead")
        if self._together:
            await self._together()
        else:
            self._use(self._built(runtime_config(self._path)))
        return self.current.config

    def prepare(self, path: Path) -> None:
        """Build what a file asks for, until `use_prepared`.

        Raises:
            ConfigError: it can't be used.
        """
        self._prepared = self._built(runtime_config(path))

    def use_prepared(self) -> bool:
        """False if nothing was prepared."""
        runtime, self._prepared = self._prepared, None
        if runtime:
            self._use(runtime)
        return runtime is not None

    def _built(self, config: RouterConfig) -> Runtime:
        self._check(config, self.current.config)
        try:
            return self._build(config)
        except ValueError as error:
            raise ConfigError(f"{self._path}: {error}") from None

    def _use(self, runtime: Runtime) -> None:
        before = self.current
        self.current = runtime
        for each in (before, before.discovered):
            if each:
                self._retire(each)
        self._rediscover()
        _log.info("configuration loaded again")

    def _retire(self, runtime: Runtime) -> None:
        task = asyncio.ensure_future(runtime.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def reload_or_log(self) -> None:
        """`reload` for SIGHUP: a mistake is logged."""
        try:
            await self.reload()
        except ConfigError as error:
            _log.error("the configuration in use stays: %s", error)

    def _changed(self, config: RouterConfig) -> None:
        if config == self.current.config:  # a reload that was asked for came first
            return
        try:
            self._use(self._built(config))
        except ConfigError as error:
            _log.error("the file has changed; the configuration in use stays: %s", error)

    def _check(self, config: RouterConfig, before: RouterConfig | None) -> None:
        try:
            check_safe(config, self._exposure, before)
        except Mistake as mistake:
            raise mistake_at(self._path or Path("router.yaml"), mistake) from None

    async def aclose(self) -> None:
        if self._watcher:
            self._watcher.stop()
        ending = [*self._retiring, *([self._discovery] if self._discovery else ())]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        if self.current.discovered:
            await self.current.discovered.engine.aclose()
        await self.current.engine.aclose()

    def _build(self, config: RouterConfig) -> Runtime:
        engine = CascadeEngine(build_engine(config, observer=self._observer, share=self._share))
        return Runtime(config, engine, self._rates, self._budgets, self.bills, self.caches)

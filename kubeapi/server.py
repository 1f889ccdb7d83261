"""The HTTP side: one server that takes a request through authentication, faults, authorization and its handler."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from kubeapi import authentication, certificates, identity, request
from kubeapi.admission import memory
from kubeapi.authentication import Authenticator, TokenIssuer
from kubeapi.authorization import Attributes, Authorizer
from kubeapi.cluster import Cluster
from kubeapi.controllers import Controllers
from kubeapi.errors import StatusError, bad_request
from kubeapi.faults import Cut, Faults
from kubeapi.handlers import Answer, Call, Handlers, Watch
from kubeapi.identity import User
from kubeapi.metrics import Metrics
from kubeapi.paths import Paths
from kubeapi.request import RequestInfo
from kubeapi.responses import missing, of_answer, read_body, refused, unavailable, warning_text
from kubeapi.subresources import Subresources
from kubeapi.watching import Stream
from shared.text import yaml

log = logging.getLogger("kubeapi")


_HEADER_LIMIT = 128 * 1024
"""Bytes of a URL and of a header: long label selectors come in URLs."""


class Request(NamedTuple):
    """One handled request, as `Server.requests` lists it."""

    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    user: str
    code: int


@dataclass(slots=True)
class Settings:
    """How a server runs."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 for any free one."""
    data: Path | None = None
    """Where objects, certificates and tokens are kept; None for memory only."""
    tls: bool = True
    token: str = ""
    """The administrator's bearer token; a random one when empty."""
    hosts: tuple[str, ...] = ()
    """Further names and addresses that the certificate is for."""
    workload_delay: float = 0.2
    """Seconds until a workload is ready."""
    workloads: bool = True
    """Whether the stand-ins of the workload controllers run."""
    invariants: bool = False
    """Whether status writes of toolkit kinds are checked; see kubeapi.invariants."""
    anonymous: bool = True
    requests_kept: int = 100_000


@dataclass(slots=True)
class Server:
    """A running server. Made by `kubeapi.start`."""

    settings: Settings
    cluster: Cluster
    url: str = ""
    token: str = ""
    ca: certificates.Pair | None = None
    requests: deque[Request] = field(default_factory=deque)
    """What was asked, oldest first; clear() it to count from now on."""
    faults: Faults = field(init=False)
    authenticator: Authenticator = field(init=False)
    authorizer: Authorizer = field(init=False)
    controllers: Controllers = field(init=False)
    metrics: Metrics = field(init=False)
    _handlers: Handlers = field(init=False)
    _paths: Paths = field(init=False)
    _runner: web.ServerRunner | None = None
    _closing: bool = False
    _away: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.faults = Faults(self.cluster, self._go_away)
        self.metrics = Metrics()
        self.requests = deque(maxlen=self.settings.requests_kept)

    # -- life

    async def start(self) -> None:
        """Load what is stored, start the controllers, listen."""
        settings = self.settings
        directory = None if settings.data is None else settings.data / "pki"
        self.ca = certificates.authority(directory)
        self.token = settings.token or certificates.secret(directory, "admin.token")
        key = certificates.signing_key(directory)
        tokens = {self.token: authentication.admin()}
        self.authenticator = Authenticator(self.cluster, TokenIssuer(key), tokens, anonymous=settings.anonymous)
        self.authorizer = Authorizer(self.cluster)
        self._paths = Paths(self.cluster, self.authorizer, self.faults, self.metrics)
        subresources = Subresources(self.cluster, self.authenticator, self.authorizer)
        self._handlers = Handlers(self.cluster, subresources)
        self.controllers = Controllers(
            self.cluster,
            ca=self.ca.certificate_pem.decode(),
            authorizer=self.authorizer,
            workloads=settings.workloads,
            delay=settings.workload_delay,
            invariants=settings.invariants,
        )
        self.controllers.start()
        await self.controllers.settle()

        port = await self._listen(settings.port)
        host = settings.host if settings.host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
        self.url = f"{'https' if settings.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    async def _listen(self, port: int) -> int:
        """Take requests on a port (0 for any); gives the port."""
        settings = self.settings
        directory = None if settings.data is None else settings.data / "pki"
        context = self._ssl_context(directory) if settings.tls else None
        bound = _bind(settings.host, port)
        # aiohttp hands every request to one function: there is no routing table to go through.
        server = web.Server(
            self._serve,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=120.0,
            max_line_size=_HEADER_LIMIT,
            max_field_size=_HEADER_LIMIT,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=2.0)
        await self._runner.setup()
        await web.SockSite(self._runner, bound, ssl_context=context, backlog=1024).start()
        self._closing = False
        return int(bound.getsockname()[1])

    async def _hang_up(self) -> None:
        """Take no more requests, end the watches, let what is being answered be answered."""
        self._closing = True
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in list(runner.sites):
            await site.stop()
        self.faults.drop_watches()
        await runner.cleanup()

    def _ssl_context(self, directory: Path | None) -> ssl.SSLContext:
        assert self.ca is not None
        settings = self.settings
        hosts = ["127.0.0.1", "::1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        hosts += [host for host in (settings.host, *settings.hosts) if host not in ("0.0.0.0", "::", *hosts)]  # noqa: S104
        pair = certificates.serving(self.ca, hosts, directory)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=self.ca.certificate_pem.decode())
        context.set_alpn_protocols(["http/1.1"])
        with tempfile.TemporaryDirectory() as scratch:
            chain = Path(scratch) / "server.pem"
            certificates.write_private(chain, pair.certificate_pem + pair.key_pem)
            context.load_cert_chain(chain)
        return context

    async def stop(self) -> None:
        """End the watches, the controllers and the listener."""
        if self._away is not None:
            self._away.cancel()
        self.controllers.stop()
        await self._hang_up()
        close = getattr(self.cluster.store.journal, "close", None)
        if close is not None:
            close()

    async def pause(self) -> None:
        """Stop listening but keep the state: the server is down for clients. `resume` brings it back."""
        await self._hang_up()

    async def resume(self) -> None:
        """Listen again, on the same port and certificate authority."""
        await self._listen(int(self.url.rpartition(":")[2]))

    def _go_away(self, seconds: float) -> None:
        async def away() -> None:
            await self.pause()
            await asyncio.sleep(seconds)
            await self.resume()

        if self._away is None or self._away.done():
            self._away = asyncio.create_task(away())

    def kubeconfig(self, path: Path | str | None = None, *, user: str = "", namespace: str = "") -> str:
        """A kubeconfig for the administrator, or for a service account when `user` is its "namespace:name".

        Written to `path`, readable by its owner only, when one is given; gives the text."""
        token = self.token
        if user:
            account_namespace, _, name = user.partition(":")
            entry = self.cluster.store.get(("", "serviceaccounts"), account_namespace, name)
            if entry is None:
                raise LookupError(f"there is no service account {user}")
            token, _ = self.authenticator.service_account_token(account_namespace, name, entry.uid, (), 365 * 86400)
        cluster: dict[str, Any] = {"server": self.url}
        if self.settings.tls:
            assert self.ca is not None
            cluster["certificate-authority-data"] = certificates.base64_text(self.ca.certificate_pem)
        context = {"cluster": "fluvial", "user": "admin", **({"namespace": namespace} if namespace else {})}
        text = yaml.dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "fluvial", "cluster": cluster}],
                "users": [{"name": "admin", "user": {"token": token}}],
                "contexts": [{"name": "fluvial", "context": context}],
                "current-context": "fluvial",
            }
        )
        if path is not None:
            certificates.write_private(Path(path), text.encode())
        return text

    # -- one request

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        if self._closing:
            last = refused(StatusError(503, "ServiceUnavailable", "the server is shutting down"))
            last.force_close()
            return last
        started = time.perf_counter()
        info = request.parse(http.method, http.rel_url.raw_path, http.query)
        user = ""
        code = 0
        try:
            peer = http.transport.get_extra_info("peercert") if http.transport is not None else None
            # Authorization alone is read here; the body only once we know who sends it.
            authorization = http.headers.get("Authorization", "")
            who = self.authenticator.authenticate(authorization, peer)
            who = self._impersonate(http, who)
            user = who.name
            after = await self.faults.before(info, user)
            response = await self._respond(http, info, who)
            code = response.status
            if after is not None:
                after()
            return response
        except StatusError as error:
            code = error.code
            return refused(error)
        except Cut:
            code = 0
            if http.transport is not None:
                http.transport.abort()
            raise ConnectionResetError("cut on demand") from None
        except (ConnectionError, asyncio.CancelledError):
            raise
        except RecursionError:
            code = 400
            return refused(bad_request("the body of the request is, or becomes, nested too deeply"))
        except Exception as error:
            log.exception("%s %s failed", http.method, http.path)
            code = 500
            return refused(StatusError(500, "InternalError", f"Internal error occurred: {error!r}"))
        finally:
            if not (info.verb == "watch" and code == 200):
                self._log(info, user, code)
            self.metrics.observe(info, code, time.perf_counter() - started)

    def _log(self, info: RequestInfo, user: str, code: int) -> None:
        asked = Request(info.verb, info.resource, info.subresource, info.namespace, info.name, user, code)
        self.requests.append(asked)

    def _impersonate(self, http: web.BaseRequest, user: User) -> User:
        headers = http.headers
        if not any(key[:11].lower() == "impersonate" for key in headers):
            return user
        wanted = authentication.impersonated(list(headers.items()))
        if wanted is None:
            return user
        for asked in _impersonation(wanted):
            self.authorizer.require(user, asked)
        return wanted

    async def _respond(self, http: web.BaseRequest, info: RequestInfo, user: User) -> web.StreamResponse:
        query = http.query
        if not info.is_resource:
            return await self._paths.answer(http, info, user)
        self.authorizer.require(
            user,
            Attributes(info.verb, info.group, info.version, info.resource, info.subresource, info.namespace, info.name),
        )
        headers = http.headers
        body = await read_body(http) if http.can_read_body else b""
        call = Call(
            info,
            user,
            query,
            body,
            headers.get("Content-Type", ""),
            ",".join(headers.getall("Accept", ())),
            headers.get("User-Agent", ""),
        )
        answer = await memory.answered(lambda: self._handlers.answer(call))
        if answer is None:
            return unavailable() if self.cluster.registry.is_elsewhere(info.group, info.version) else missing()
        if answer.watch is not None:
            # A watch counts from its beginning: it may not end as long as anybody looks.
            self._log(info, user.name, 200)
            return await self._stream(http, answer.watch, answer)
        return of_answer(answer)

    async def _stream(self, http: web.BaseRequest, watch: Watch, answer: Answer) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Cache-Control": "no-cache, private"})
        response.content_type = "application/json"
        for warning in answer.warnings:
            response.headers.add("Warning", warning_text(warning))
        response.enable_chunked_encoding()
        stream = Stream(self.cluster, watch)
        self.faults.begins(stream)
        try:
            await response.prepare(http)

            async def send(data: bytes) -> None:
                if data:
                    await response.write(data)

            await stream.run(send)
            if self._closing:
                response.force_close()
            await response.write_eof()
        finally:
            self.faults.ends(stream)
        return response


def _impersonation(user: User) -> list[Attributes]:
    """What one must be allowed to act as somebody."""
    name = user.name
    if name.startswith("system:serviceaccount:"):
        namespace, _, account = name.removeprefix("system:serviceaccount:").partition(":")
        asked = [Attributes("impersonate", "", "v1", "serviceaccounts", "", namespace, account)]
        implied = set(identity.of_service_account(namespace, account).groups)
    else:
        asked = [Attributes("impersonate", "", "v1", "users", "", "", name)]
        implied = set()
    implied |= {"system:authenticated"}
    group = "authentication.k8s.io"
    asked += [Attributes("impersonate", "", "v1", "groups", "", "", g) for g in user.groups if g not in implied]
    if user.uid:
        asked.append(Attributes("impersonate", group, "v1", "uids", "", "", user.uid))
    for key, values in user.extra.items():
        asked += [Attributes("impersonate", group, "v1", "userextras", key, "", value) for value in values]
    return asked


def _bind(host: str, port: int) -> socket.socket:
    """A listening address; OSError says which one is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        with contextlib.suppress(OSError):
            bound.close()
        raise
    return bound

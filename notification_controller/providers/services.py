"""Services: which module speaks to which type of Provider, and how long a post may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from notification_controller.providers import (
    alertmanager,
    azuredevops,
    azureeventhub,
    bitbucket,
    bitbucketserver,
    datadog,
    generic,
    gitea,
    github,
    gitlab,
    googlechat,
    googlepubsub,
    grafana,
    incidentio,
    lark,
    matrix,
    msteams,
    nats,
    opsgenie,
    otel,
    pagerduty,
    sentry,
    slack,
    telegram,
    webex,
    zoom,
    zulip,
)
from notification_controller.providers.base import Connection, DeliveryFailed, InvalidProvider, Notification, Provider
from shared.http import Http, open_

Connect = Callable[[Connection, Http], Provider]
"""A service's own function: checks what it needs (InvalidProvider) and makes what posts, by `http` where it can."""

SERVICES: dict[str, Connect] = {
    "generic": generic.connect,
    "generic-hmac": generic.connect_signed,
    # chat
    "discord": slack.connect_discord,
    "googlechat": googlechat.connect,
    "lark": lark.connect,
    "matrix": matrix.connect,
    "msteams": msteams.connect,
    "rocket": slack.connect_rocket,
    "slack": slack.connect,
    "telegram": telegram.connect,
    "webex": webex.connect,
    "zoom": zoom.connect,
    "zulip": zulip.connect,
    # monitoring and incidents
    "alertmanager": alertmanager.connect,
    "datadog": datadog.connect,
    "grafana": grafana.connect,
    "incident.io": incidentio.connect,
    "opsgenie": opsgenie.connect,
    "otel": otel.connect,
    "pagerduty": pagerduty.connect,
    "sentry": sentry.connect,
    # repositories
    "azuredevops": azuredevops.connect,
    "bitbucket": bitbucket.connect,
    "bitbucketserver": bitbucketserver.connect,
    "gitea": gitea.connect,
    "giteapullrequestcomment": gitea.connect_comments,
    "github": github.connect,
    "githubdispatch": github.connect_dispatch,
    "githubpullrequestcomment": github.connect_comments,
    "gitlab": gitlab.connect,
    "gitlabmergerequestcomment": gitlab.connect_comments,
    # queues
    "azureeventhub": azureeventhub.connect,
    "googlepubsub": googlepubsub.connect,
    "nats": nats.connect,
}


@asynccontextmanager
async def connect(connection: Connection) -> AsyncIterator[Provider]:
    """The provider for the time of the block, in which connections are kept. InvalidProvider when it can't be used."""
    if connection.type not in SERVICES:
        raise InvalidProvider(f"provider {connection.type} not supported")
    # The post's own time ends it, so that a silence is told in the same words for all services.
    async with open_(tls=connection.tls, proxy=connection.proxy, seconds=connection.timeout + 1) as http:
        yield _Bounded(SERVICES[connection.type](connection, http), connection)


class _Bounded:
    """A provider whose posts end in time."""

    def __init__(self, provider: Provider, connection: Connection) -> None:
        self._provider, self._connection = provider, connection

    async def post(self, notification: Notification) -> None:
        try:
            async with asyncio.timeout(self._connection.timeout):
                await self._provider.post(notification)
        except TimeoutError as error:
            seconds = f"{self._connection.timeout:g}s"
            message = f"{self._connection.type} did not answer within {seconds}: context deadline exceeded"
            raise DeliveryFailed(message) from error

"""Makes the uploads and downloads of a gateway, and the addresses of files, from its settings."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import web

from gateway.config import Settings
from gateway.files.address_seal import AddressSeal
from gateway.files.download_endpoint import DownloadEndpoint
from gateway.files.file_addresses import AddressRules, CallersContentUrls, FileAddresses
from gateway.files.upload_endpoint import CountCall, FileServices, TransferPorts, UploadEndpoint, UploadLimits
from gateway.files.user_files import UserFiles
from gateway.identity.authenticator import Authenticator
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.rate_limits.caller_limits import CallerLimits, count_nothing
from gateway.server.endpoint import GraphQLEndpoint
from gateway.telemetry.operation_observer import OperationObserver
from schema.contract.content_urls import ContentUrls

REMOVAL_SECONDS = 5.0
"""How long a stopping gateway waits for files to be removed whose clients have left."""


@dataclass(frozen=True, slots=True)
class FileParts:
    """The addresses of files, for all operations; with the endpoints that follow from them."""

    addresses: FileAddresses
    user_files: UserFiles | None

    def bind_content_urls(self, principal: Principal) -> ContentUrls:
        """Make the addresses of one operation."""
        return CallersContentUrls(self.addresses, principal, self.user_files)

    def add_routes(
        self,
        app: web.Application,
        settings: Settings,
        endpoint: GraphQLEndpoint,
        ports: TransferPorts,
        limits: CallerLimits | None,
        observer: OperationObserver,
    ) -> None:
        """Add uploads and downloads to an application, beside the endpoint of operations."""
        count_call: CountCall = count_nothing if limits is None else limits.count_event
        services = FileServices(ports, self.addresses, count_call, endpoint.operation_tasks, observer, self.user_files)
        uploads = UploadEndpoint(
            services,
            endpoint.authenticator,
            endpoint.unfinished_bytes,
            UploadLimits(settings.gateway_max_file_bytes, settings.gateway_body_timeout_seconds),
        )
        downloads = DownloadEndpoint(services)
        app.router.add_route("*", "/files", uploads.handle)
        app.router.add_route("*", "/files/{file_id}/content", downloads.handle)

        async def remove_unclaimed(_: web.Application) -> AsyncIterator[None]:
            yield
            await uploads.aclose(REMOVAL_SECONDS)

        app.cleanup_ctx.append(remove_unclaimed)


def file_parts(
    settings: Settings,
    upstream: UpstreamIdentity,
    authenticator: Authenticator,
    find_own_credential: Callable[[], str | None],
    user_files: UserFiles | None,
) -> FileParts:
    """Make the parts for files. `user_files` are given where users may sign in."""
    secret = settings.gateway_url_secret
    rules = AddressRules(
        upstream,
        takes_users=user_files is not None,
        takes_keys=settings.gateway_jwt_issuer is None,
        allows_anonymous=settings.upstream_anonymous,
        origins=authenticator.origins,
        find_own_credential=find_own_credential,
    )
    addresses = FileAddresses(
        AddressSeal(secrets.token_bytes(32) if secret is None else secret.get_secret_value().encode(), upstream),
        rules,
        lifetime_seconds=settings.gateway_file_url_seconds,
        public_url=settings.gateway_public_url,
    )
    return FileParts(addresses, user_files)

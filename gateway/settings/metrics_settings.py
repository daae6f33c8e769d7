"""The settings of the metrics."""

from __future__ import annotations

from pydantic import Field

from gateway.settings.setting_types import Host, Port, SettingGroup


class MetricsSettings(SettingGroup):
    """The address of the metrics, which is not the gateway's own."""

    gateway_metrics_host: Host = Field(default="127.0.0.1", description="Address that the metrics are served on.")
    gateway_metrics_port: Port | None = Field(
        default=None,
        description="Port that the metrics are served on, 0 for a free one; nothing is measured without; see Metrics.",
    )

"""OpenTelemetry: what `fastfeed.adapters.opentelemetry` has, under the name that users import it by."""

from fastfeed.adapters.opentelemetry import *  # noqa: F403

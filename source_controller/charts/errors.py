"""What goes wrong with a chart; the class tells the reason that the status shows."""

from __future__ import annotations


class ChartError(Exception):
    """The chart can't be had or built; the message says why."""

    reason = "Unknown"
    condition = "FetchFailed"
    condition_reason: str | None = None
    """The condition's reason, where it is another."""
    phrase = "unknown build error"
    only_an_edit_helps = False
    retry_after: float | None = None
    """Seconds that the server asks to be left alone for."""


class ReferenceFailed(ChartError):
    """There is no such chart, version or path, or what is there is no chart."""

    reason, phrase = "InvalidChartReference", "invalid chart reference"
    only_an_edit_helps = True


class PullFailed(ChartError):
    """The chart is listed but can't be fetched."""

    reason, phrase = "ChartPullError", "chart pull error"


class MetadataFailed(ChartError):
    """The version can't be written into Chart.yaml."""

    reason, condition, phrase = "MetadataPatchError", "BuildFailed", "chart metadata patch error"
    only_an_edit_helps = True


class ValuesFailed(ChartError):
    """A values file is missing or is none."""

    reason, condition, phrase = "ValuesFilesError", "BuildFailed", "values files merge error"
    only_an_edit_helps = True


class DependencyFailed(ChartError):
    """A dependency can't be found, fetched, or doesn't fit."""

    reason, condition, phrase = "DependencyBuildError", "BuildFailed", "dependency build error"


class PackageFailed(ChartError):
    """The files can't be packed."""

    reason, condition, phrase = "ChartPackageError", "BuildFailed", "chart package error"


class VerificationFailed(ChartError):
    """The chart is not signed by who is trusted."""

    reason, condition, phrase = "VerificationError", "BuildFailed", "chart verification error"
    condition_reason = "ChartVerificationError"


class IndexFailed(Exception):
    """The index can't be read."""

"""The process in which Helm runs: one request on standard input, one answer on standard output, and it ends.

It is run as a program of its own (see engine.py), imports nothing else of this project, and is the only place that
loads the Helm SDK. Before that it takes limits and, for rendering, leaves the machine's network: a template has no
business there, but the schema of a chart's values can name URLs.

    {"do": "render" | "pull", ...} → {"error": text} or what was asked for
"""

from __future__ import annotations

import ctypes
import json
import resource
import sys
from pathlib import Path
from typing import Any

NEW_USER, NEW_NET = 0x10000000, 0x40000000
PROBE = {
    "Chart.yaml": "apiVersion: v2\nname: probe\nversion: 0.0.0\n",
    "templates/kubernetes": "{{ .Capabilities.KubeVersion.String }}",
}
NAME = "templates/name"


class Refused(Exception):
    """The request can't be done; the message says why."""


def leave_network() -> None:
    """Have a network without any host, where the system lets us."""
    libc = ctypes.CDLL(None)
    if libc.unshare(NEW_NET) != 0:
        libc.unshare(NEW_USER | NEW_NET)


def render(sdk: Any, wanted: dict[str, Any], work: Path) -> dict[str, Any]:
    """What the templates of a chart become, by path, and its CRDs."""
    options = {
        "namespace": wanted["namespace"],
        "kube_version": wanted["kube_version"],
        "api_versions": wanted["api_versions"],
        "is_install": True,
    }
    probe = PROBE | ({NAME: wanted["name_template"]} if wanted["name_template"] else {})
    probed = rendered(sdk, sdk.Chart.load(laid_out(work / "probe", probe)), {}, {**options, "name": "probe"})
    name = wanted["name"] or probed.get(f"probe/{NAME}", "release-name")
    sdk.validate_release_name(name)
    chart = sdk.Chart.load(wanted["chart"])
    metadata = chart.metadata
    require_installable(metadata, {each["name"] for each in chart.dependencies})
    made = {"requires": metadata.get("kubeVersion", ""), "kubernetes": probed["probe/templates/kubernetes"]}
    try:
        files = rendered(sdk, chart, wanted["values"], {**options, "name": name})
    except sdk.HelmError as error:
        return {**made, "error": str(error)}
    # Read after rendering, which takes out the charts that the values switch off.
    return {**made, "files": files, "crds": [[each["filename"], each["data"]] for each in chart.crds]}


def rendered(sdk: Any, chart: Any, values: dict[str, Any], options: dict[str, Any]) -> dict[str, str]:
    """`Chart.render` of the SDK, which doesn't offer all options of the library below it."""
    found: dict[str, str] = json.loads(
        sdk._native.call_string("helm_render", chart._raw(), json.dumps(values), json.dumps(options))
    )
    return found


def require_installable(metadata: dict[str, Any], there: set[str]) -> None:
    kind = metadata.get("type") or "application"
    if kind != "application":
        raise Refused(f"{kind} charts are not installable")
    missing = [each["name"] for each in metadata.get("dependencies") or () if each["name"] not in there]
    if missing:
        raise Refused(
            f"found in Chart.yaml, but missing in charts/ directory: {', '.join(missing)}: "
            "fetch the dependencies with 'helm dependency build'"
        )


def pull(sdk: Any, wanted: dict[str, Any], work: Path) -> dict[str, Any]:
    """Fetch a chart and unpack it below `work`."""
    options = {
        "dest_dir": str(work),
        "untar": True,
        "untar_dir": wanted["into"],
        "repo_url": wanted["repo"],
        "version": wanted["version"],
    }
    sdk._native.call_string("helm_pull", sdk._native.HANDLE(0), wanted["chart"], json.dumps(options))
    return {}


def laid_out(folder: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return str(folder)


def answer(wanted: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request."""
    resource.setrlimit(resource.RLIMIT_DATA, (wanted["memory"], wanted["memory"]))
    if wanted["do"] == "render":
        leave_network()
    import helm_python as sdk

    try:
        return (render if wanted["do"] == "render" else pull)(sdk, wanted, Path(wanted["work"]))
    except (sdk.HelmError, Refused) as error:
        return {"error": str(error)}


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)

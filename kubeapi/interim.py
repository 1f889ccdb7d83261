"""The least that CRDs and validation must do for the server to run: nothing is validated or defaulted here."""

from __future__ import annotations

from typing import Any

from kubeapi.resources import Resource

Manifest = dict[str, Any]


def admit(resource: Resource, obj: Manifest, old: Manifest | None, **_: Any) -> tuple[Manifest, list[str]]:
    return obj, []


class Definition:
    def __init__(self, manifest: Manifest):
        spec = manifest["spec"]
        names = spec["names"]
        storage = next(v["name"] for v in spec["versions"] if v.get("storage"))
        self.resources = tuple(
            Resource(
                group=spec["group"],
                version=v["name"],
                kind=names["kind"],
                plural=names["plural"],
                singular=names.get("singular") or names["kind"].lower(),
                namespaced=spec["scope"] == "Namespaced",
                short_names=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                subresources=tuple(v.get("subresources") or ()),
                list_kind=names.get("listKind") or names["kind"] + "List",
                storage_version=storage,
                columns=tuple(v.get("additionalPrinterColumns") or ()),
                scale=(v.get("subresources") or {}).get("scale"),
                definition=self,
                selectable_fields=tuple(f["jsonPath"].lstrip(".") for f in v.get("selectableFields") or ()),
            )
            for v in spec["versions"]
            if v.get("served")
        )

    @classmethod
    def of(cls, manifest: Manifest) -> Definition:
        return cls(manifest)

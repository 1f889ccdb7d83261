"""YAML as Kubernetes and kustomize read and write it. Nothing else in the project imports PyYAML.

text → load_documents → values → dump → the bytes that `kustomize build` would print
"""

from .dump import dump, dump_all
from .errors import DEFAULT_LIMITS, Limits, YAMLError
from .load import Document, load, load_all, load_documents, load_parts, meaning
from .scalars import KYAML, YAML_1_1, Rules

__all__ = [
    "DEFAULT_LIMITS",
    "KYAML",
    "YAML_1_1",
    "Document",
    "Limits",
    "Rules",
    "YAMLError",
    "dump",
    "dump_all",
    "load",
    "load_all",
    "load_documents",
    "load_parts",
    "meaning",
]

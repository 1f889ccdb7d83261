"""The kustomize engine: what `kustomize build` 5.8 builds, in process, as a function of a file tree.

    load → accumulate → generate → transform → emit

It reads only through the tree and the ports that the caller gives, and ends in a result or a BuildError.
"""

from .build import Build, BuildOptions, build
from .errors import BuildError, NotFound, Problem, Refused, Undecodable
from .footprint import Footprint, Survey, Trace
from .generate import generate, scan
from .helm import ChartRequest, Helm
from .remote import Remote, Repository
from .resource import Resource
from .tree import DiskTree, MemoryTree, Tree

__all__ = [
    "Build",
    "BuildError",
    "BuildOptions",
    "ChartRequest",
    "DiskTree",
    "Footprint",
    "Helm",
    "MemoryTree",
    "NotFound",
    "Problem",
    "Refused",
    "Remote",
    "Repository",
    "Resource",
    "Survey",
    "Trace",
    "Tree",
    "Undecodable",
    "build",
    "generate",
    "scan",
]

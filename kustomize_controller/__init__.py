"""kustomize-controller: makes a cluster what a path of a source says, and keeps it so."""

"""Charts: what a repository lists, what a folder of files packages to. Everything here is about charts as files.

index.yaml → versions        folder → Chart.yaml, values, dependencies → .tgz
"""

"""Charts: pull and render them as Helm does, with Helm's own engine, each in a process of its own.

    repository → files;  files + values → manifests and hooks, in the order of an install

Charts are programs that others wrote: what renders one has limits for time, memory and output, a network without any
host, and nothing of this process' environment. Only here: the Helm SDK.
"""

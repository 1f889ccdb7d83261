"""Git: read and write repositories that others own, with the git binary, and believe nothing they say.

    url + credentials → Remote → refs → commit → files

Every command runs without a shell, configuration files, hooks, helpers or prompts, in a process group that ends with
its timeout. Credentials reach git through its environment and private files, never through arguments, URLs or
messages. GitPython starts the processes; nothing outside this package imports it.
"""

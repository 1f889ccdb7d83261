"""Generated artifacts: what an ArtifactGenerator asks for, planned, put together and shown as ExternalArtifacts.

spec + paths of the sources → plan → copying → a directory of files
"""

"""The commands of `kubectl sluicegate`, which read, wait and act; they import no client library.

A command of the plugin starts with each call, so nothing here imports pydantic, aiohttp or the
official client: objects stay the dictionaries that the API server sends.
"""

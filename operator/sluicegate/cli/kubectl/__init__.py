"""How the commands of `kubectl sluicegate` read, wait and print; they import no client library.

A command of the plugin starts with each call, so nothing here imports pydantic, aiohttp or the
official client: objects stay the dictionaries that the API server sends.
"""

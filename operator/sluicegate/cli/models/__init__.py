"""Commands for people who build a model: a project, its checks, its training, its image."""

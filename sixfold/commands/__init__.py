"""The verbs that are not stages, one file each. Each can be called from Python; the command line only prints."""

"""The six stages, one file each: from a parent checkpoint and a config to a checkpoint and results."""

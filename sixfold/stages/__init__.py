"""The six stages, one file each. A stage takes a parent checkpoint and a config, and leaves a checkpoint and results."""

"""A YAML recipe: load, check, plan, run its stages in order, skip what is done, resume what broke."""

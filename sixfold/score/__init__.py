"""The scorer: one batched engine under evaluation, attack and explanation."""

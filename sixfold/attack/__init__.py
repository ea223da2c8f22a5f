"""Attacks on models that classify texts or find entities: goals, searches, budgets, named attacks, outcomes.

    for outcome in attack(subject, rows, named("deepwordbug"), examples=100, budget=2_000): ...

``run.attack`` attacks many rows, ``attacks.named`` has the attacks, ``outcome.outcomes`` reads what was kept.
"""

"""Goals, searches, budgets and named attacks. (Nothing yet.)"""

"""Personal data: find, mask, restore; leakage. (Nothing yet.)"""

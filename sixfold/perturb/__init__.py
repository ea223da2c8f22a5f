"""Edits of a text, transformations and constraints, shared by augmentation, attack and explanation. (Nothing yet.)"""

"""Text generation: engines, sampling, stop rules, streaming. (Nothing yet.)"""

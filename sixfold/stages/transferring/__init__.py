"""One model in many domains: how rows become domains, domains become trainings, and trainings a matrix."""

"""Why a model answers as it does: attributions of words, and how faithful they are.

    subject = Subject.load("runs/reviews/1-finetune/checkpoint")
    for one in explain(subject, ["I would come again."], Plan(("shap",))): print(one.ranked())

``run.explain`` explains many texts at once, ``methods.METHODS`` has the explainers, ``faithfulness`` measures them and
``trust`` chooses among them, ``aggregate`` gathers what words do in a whole file.
"""

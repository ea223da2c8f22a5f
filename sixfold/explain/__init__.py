"""Occlusion, LIME, SHAP, integrated gradients, faithfulness. (Nothing yet.)"""

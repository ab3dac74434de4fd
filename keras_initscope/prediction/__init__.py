"""What theory says of activations, layers and models before anything runs.

Owns predictions; measures nothing, and invents no number for what it does not know.
"""

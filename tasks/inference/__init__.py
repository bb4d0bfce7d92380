"""Engine: from chips and questions to what the model takes, and to its answers. Used by evaluate, chat and
training.
"""

"""Labelled prompts and recorded answers of public collections, in the columns that `llm-router train` reads.

    python -m classifier_training.data.public prompts.csv --answers answers

`sources/*.yaml` and `answers.yaml` name each collection with its licence, where its files are, and their SHA-256. Files come from there
or, without a network, from a folder. What a prompt's task is, the collection's own documentation says.
"""

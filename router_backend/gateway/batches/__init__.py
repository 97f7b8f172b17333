"""OpenAI's Files and Batch APIs: files of requests that may take a day, answered where nothing else wants the capacity.

Everything of them lies in one place, a folder or a bucket, by the key that it belongs to. What makes results come once is the
place alone: a batch's state is a row of records of which each is written by one process only (`register`), and what its output
is made of is fixed before it is made (`results`). The lease of a batch, in the state store, only keeps two processes from doing
the same work.
"""

"""Damaged and hostile inputs, made by the thousand, and what must hold whatever they are.

    python -m tests.fuzz --inputs 10000 -o fuzz_out

An input is a function of a seed and its number. Each runs the real command in a process of its
own, forked from one that has PyTorch loaded.

    corpus      small whole files: masks, tables, checkpoints, runs, and videos by `media`
    mutators    bytes, chunks of containers and JSON, damaged
    kinds       damaged files and the command that reads them
    sandbox     one command with limits and a watch over what it does
    properties  what must hold afterwards
    run         all of it side by side, noted line by line
    planted     commands that break each of the properties, which must be noticed
    kills       a batch whose processes are killed over and over
"""

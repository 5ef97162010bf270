"""The `filegate` command: files, contracts, datasets, streams. `local/commands` adds the embedded platform's commands.

What belongs here: reading arguments, calling the library, printing. What does not: anything the library should do.
"""

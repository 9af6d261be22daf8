"""How the figures change with what there is: rows, processes, partitions, a backlog, a long life."""

COPY usage_before FROM STDIN
